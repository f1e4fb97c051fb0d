model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = X + s
    let b = [X ; s]
    output y_ = X
}
