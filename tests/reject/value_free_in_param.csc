model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param W : real[k] = 1
    output y_ = X
}
