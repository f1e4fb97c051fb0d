model m() {
    input X : real[3, 1000, 1000]
    let a = upsample(upsample(X, 100), 100)
    let b = fill(0, [100000, 100000])
    let c = dct * fill(1, [1, 10000, 1])
    param W : real[100000, size(X)] = 0
    output y = X
}
