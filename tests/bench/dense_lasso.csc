# A Lasso with a given matrix, for tests/bench/run: the code, and the signal it makes.
model dense_lasso(m: int = 256, n: int = 1024, iterations: int = 50, form: string = "fista") {
    input y : real[m]
    dictionary A = dense(W) where { param W : real[m, n] = normal(1), unit_columns, fixed }
    lasso z : y ~ A * z {
        lambda = 0.1
        prox   = soft
        step   = 0.95 / lipschitz(A)
        solve  = form == "ista" ? ista(iterations: iterations) : fista(iterations: iterations)
    }
    output z
    output made = A * z
}
