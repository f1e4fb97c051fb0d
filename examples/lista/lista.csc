# LISTA (Gregor and LeCun 2010) and LISTA-CPSS (Chen et al. 2018), on the benchmark of lista_cp. --set form=cpss

model lista(m: int = 250, n: int = 500, layers: int = 16, form: string = "lista") {
    require(form == "lista" || form == "cpss", "form is lista or cpss")
    input  y : real[m]
    target x : real[n]
    dictionary A = dense(M) where { param M : real[m, n] = normal(1), unit_columns, fixed }
    lasso z : y ~ A * z {
        lambda = 0.4
        solve  = form == "cpss" ? lista_cpss(iterations: layers) : lista(iterations: layers)
    }
    output z
}

train lista {
    data      = sparse_codes(A, density: 0.1, count: 100000, snr: inf, seed: 1)
    minimize  = mean((z - x)^2)
    optimizer = adam(lr: 5e-4, schedule: cosine(to: 1e-5))
    epochs    = 4
    batch     = 64
    report    = [nmse_db(z, x)]
}
