model m {
    input x : real[3]
    param A : real[3, 4] = normal(1)
    param B : real[2, 2] = normal(1)
    output y = solve_positive(A, x)
    output z = solve_positive(B, x)
}
