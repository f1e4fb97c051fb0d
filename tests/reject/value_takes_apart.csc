model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a, b = three(X)
    var c, d = X, X
    c, d = three(X)
    output y_ = X
}
function three(x) {
    return x, x, x
}
