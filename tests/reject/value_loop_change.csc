model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    var g = X
    let c = change(g)
    repeat 3 until change(s) < 1 { g = g / 2 }
    output y_ = X
}
