# ALISTA (Liu et al. 2019): the matrix is computed from the dictionary; two numbers an update are learned.

model alista(m: int = 250, n: int = 500, layers: int = 16) {
    input  y : real[m]
    target x : real[n]
    dictionary A = dense(M) where { param M : real[m, n] = normal(1), unit_columns, fixed }
    lasso z : y ~ A * z { lambda = 0.4; solve = alista(iterations: layers) }
    output z
}

train alista {
    data      = sparse_codes(A, density: 0.1, count: 20000, snr: inf, seed: 1)
    minimize  = mean((z - x)^2)
    optimizer = adam(lr: 1e-2, schedule: cosine(to: 1e-4))
    epochs    = 4
    batch     = 64
    report    = [nmse_db(z, x)]
}
