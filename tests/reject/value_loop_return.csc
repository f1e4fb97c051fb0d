model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = f(X)
    output y_ = X
}
layer f(x) {
    repeat 3 { return x }
}
