# One lasso of vectors: tests/golden/solvers.py puts a solver, or a threshold, in its place.

model vector(m: int = 7, n: int = 11) {
    input  y : real[m]
    target x : real[n]
    dictionary A = dense(M) where { param M : real[m, n] = normal(1), unit_columns }
    lasso z : y ~ A * z { lambda = 0.2; step = 0.4; prox = soft; solve = ista(iterations: 3) }
    output z
}

train vector {
    data      = sparse_codes(A, density: 0.1, count: 100, snr: inf, seed: 1)
    minimize  = mean((z - x)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 1
    batch     = 2
}
