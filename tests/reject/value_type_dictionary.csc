model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    dictionary D = X
    dictionary E = [I, 3]
    output y_ = X
}
