model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = [1, 2][3]
    let b = X[4]
    let c = X[0]
    let d = [1, 2][0]
    let e = X[1, 2, 3, 4]
    var f = [1]
    f[3] = 2
    output y_ = X
}
