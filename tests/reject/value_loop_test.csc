model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    var g = X
    repeat 3 until g > 0 { g = g / 2 }
    repeat 3 until "done" { g = g / 2 }
    output y_ = X
}
