model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    var a = 3
    a[1] = 2
    var b = X
    b[1] = 0 * s
    output y_ = X
}
