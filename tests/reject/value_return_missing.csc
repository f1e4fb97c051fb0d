model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = f(X, 2)
    output y_ = X
}
layer f(x, k: int) {
    if k == 1 { return x }
}
