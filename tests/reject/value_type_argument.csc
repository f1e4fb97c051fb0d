model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = part(X, 2.5)
    let b = part(X, 2, flag: 1)
    let c = part(X, "wide")
    output y_ = X
}
layer part(x, k: int, flag: bool = true) = k * x
