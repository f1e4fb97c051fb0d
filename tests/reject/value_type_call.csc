model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = 3
    let b = a(X)
    let c = X(2)
    let e = "soft"(X)
    output y_ = X
}
