# Dictionary learning with orthogonal matching pursuit: each patch is made of at most so many atoms (Pati et al. 1993; Aharon et al. 2006).

model omp(atoms: int = 128, side: int = 8, most: int = 5) {
    input X : real[1, side, side]
    let Y = X - mean(X)
    dictionary D = conv(F)' where { param F : real[atoms, 1, side, side] = normal(1), unit_atoms }
    lasso G : Y ~ D * G {
        solve    = omp(until: 1e-3, at_most: most)
        gradient = stopped                      # the dictionary moves, the codes are solved anew
    }
    output again = mean(X) + D * G
}

train omp {
    data      = images("../data/pictures", patch: side, gray: true)
    minimize  = mean((Y - D * G)^2)
    optimizer = adam(lr: 2e-3)
    epochs    = 20
    batch     = 256
    report    = [psnr(again, X), density(G)]
}
