model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param W : real[16, 20] = normal(1)
    let a = dense(W) * s
    let b = dense(W) * dense(W)
    output y_ = X
}
