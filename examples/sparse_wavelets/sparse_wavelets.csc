# A dictionary in two factors: Haar wavelets, an analytic basis, of which a convolution with few non-zero weights makes atoms.

model sparse_wavelets(w: int = 24, keep: real = 0.3, unfold: int = 4) {
    input X : real[1, 8, 8]
    label y : class[10]
    dictionary D = haar' * conv(F, pad: same)' where { param F : real[w, 1, 5, 5] = normal(0.2), sparse_l0(keep), unit_atoms }
    lasso G : X ~ D * G { lambda = 0.05; prox = soft; step = 0.9 / lipschitz(D); solve = fista(unfold: unfold) }
    output logits = linear(max_pool(abs(G), 2), 10)
}

train sparse_wavelets {
    data      = idx("../data/digits-images-idx3-ubyte.gz", "../data/digits-labels-idx1-ubyte.gz", scale: 16, test_every: 5)
    minimize  = cross_entropy(logits, y)
    optimizer = adam(lr: 1e-2, schedule: cosine(to: 1e-5))
    epochs    = 20
    batch     = 64
    report    = [accuracy(logits, y), sparsity(G), residual(G)]
}
