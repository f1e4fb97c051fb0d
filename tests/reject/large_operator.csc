model m() {
    input X : real[3, 8, 8]
    var D = I
    for i in 1..40 { D = D + D }
    output y = D * X
}
