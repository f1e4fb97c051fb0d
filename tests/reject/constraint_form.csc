model m {
    input x : real[3]
    param A : real[3, 3] = normal(1), sparse_l1
    param B : real[3, 3] = normal(1), unit_atoms(2)
    param C : real[3, 3] = normal(1), sparse_l0(count: 3)
    output y = x
}
