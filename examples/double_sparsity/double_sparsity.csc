# Rubinstein et al. (2010): D = Psi A, Psi analytic (--set base=haar, or the default dct), A sparse: each atom is a few cosines or wavelets.

model double_sparsity(base: string = "dct", atoms: int = 128, side: int = 8, most: int = 6) {
    input X : real[1, side, side]
    require(base == "dct" || base == "haar", "base is dct or haar")
    let Y = X - mean(X)
    let Psi = base == "haar" ? haar' : dct'
    dictionary A = conv(F)' where { param F : real[atoms, 1, side, side] = normal(1), sparse_l0(most), unit_atoms }
    dictionary D = Psi * A
    lasso G : Y ~ D * G {
        tunable lambda = 0.05
        prox     = soft
        solve    = fista(until: 1e-3, at_most: 100)
        gradient = stopped
    }
    output again = mean(X) + D * G
}

train double_sparsity {
    data      = images("../data/pictures", patch: side, gray: true)
    minimize  = objective(G)
    optimizer = adam(lr: 2e-3)
    epochs    = 100
    batch     = 64
    report    = [psnr(again, X), density(G)]
}
