model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = X + "text"
    let b = relu + 1
    let c = !X[1] && 3
    let d = [1, 2] * 2
    output y_ = X
}
