model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = reshape(X, [5, 5])
    let b = permute(X, [1, 1, 2])
    output y_ = X
}
