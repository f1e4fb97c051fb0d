# min over D and G of 1/2 |Y - D G|^2 + lambda |G|_1, atoms of norm 1 (Olshausen and Field 1996; Mairal et al. 2009).
# A picture as large as the atoms is one patch; a larger one is a sum of shifted atoms (convolutional dictionary): --set side=64.
# Alternating: the codes are solved for a dictionary that stands still (`stopped`), then the dictionary takes its step. A batch is what
# a step sees: a small one is online learning.

model dictionary_learning(atoms: int = 64, k: int = 8, side: int = 8) {
    input X : real[1, side, side]
    let low = side > k ? low_pass(X) : mean(X) + 0 * X
    dictionary D = conv(F, pad: side > k ? "full" : "valid")' where { param F : real[atoms, 1, k, k] = normal(1), unit_atoms }
    lasso G : X - low ~ D * G {
        tunable lambda = 0.05
        prox     = soft
        solve    = fista(until: 1e-3, at_most: 100)
        gradient = stopped
    }
    output again = low + D * G
}

train dictionary_learning {
    data      = images("../data/pictures", patch: side, gray: true)
    minimize  = objective(G)
    optimizer = adam(lr: 2e-3)
    epochs    = 100
    batch     = 64
    report    = [psnr(again, X), density(G)]
}
