model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let f = two()
    let a = f(X)
    output y_ = X
}
function two(x, k: int) = k * x
