model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param W : real[3, 4] = normal(1), sparse_l0(-1)
    param V : real = 1, unit_atoms
    param U : real[3] = 1, orthogonal
    param T : real[3, 3] = normal(1), sparse_l1("much")
    output y_ = X
}
