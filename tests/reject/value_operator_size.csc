model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param F : real[8, 3, 3, 3] = normal(1)
    dictionary D = conv(F, stride: 2)'
    let L = lipschitz(D)
    let z = D * fill(1, [8, 3, 3])
    output y_ = X
}
