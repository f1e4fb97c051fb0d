model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = X'
    let b = n'
    output y_ = X
}
