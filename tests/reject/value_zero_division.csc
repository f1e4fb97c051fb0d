model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = n // (n - 3)
    let b = 5 % 0
    output y_ = X
}
