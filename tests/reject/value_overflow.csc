model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = 9223372036854775807 + 1
    let b = reshape(X, [a])
    param W : real[2^20, 2^20] = 0
    output y_ = X
}
