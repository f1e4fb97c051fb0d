model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param F : real[8, 3, 11, 11] = normal(1)
    let a = conv(F)(X)
    let b = max_pool(X, 9)
    output y_ = X
}
