model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param W : real[3, 4] = X
    param V : real[3] = [1, 2, 3]
    param U : real[3] = "zero"
    param T : real[3] = he_normal
    param S : real[3, 3] = uniform(1)
    output y_ = X
}
