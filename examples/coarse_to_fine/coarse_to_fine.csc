# The same dictionary at every scale: the code of the small picture, twice as large, is where the code of the next one begins.

model coarse_to_fine(w: int = 24, unfold: int = 2) {
    input X : real[1, 8, 8]
    label y : class[10]
    dictionary D = conv(F, pad: same)' where { param F : real[w, 1, 3, 3] = normal(0.3), unit_atoms }
    var scales = []
    var start = zero
    for factor in [4, 2, 1] {
        lasso G : average_pool(X, factor) ~ D * G { lambda = 0.05; prox = soft_nonneg; init = start; step = 0.9 / lipschitz(D); solve = ista(unfold: unfold) }
        scales[length(scales) + 1] = G
        start = factor == 1 ? G : upsample(G, 2)
    }
    output logits = linear([flatten(scales[1]) ; flatten(scales[2]) ; flatten(max_pool(scales[3], 2))], 10)
}

train coarse_to_fine {
    data      = idx("../data/digits-images-idx3-ubyte.gz", "../data/digits-labels-idx1-ubyte.gz", scale: 16, test_every: 5)
    minimize  = cross_entropy(logits, y)
    optimizer = adam(lr: 1e-2, schedule: cosine(to: 1e-5))
    epochs    = 20
    batch     = 64
    report    = [accuracy(logits, y), mean(sparsity(c) for c in codes)]
}
