# Does a code reconstruct its signal? Zhang and Zhang (2021): when D = [I | F'] and the Lasso is solved, no entry of a signal is further than 2 beta
# from its reconstruction; a dictionary without identity gives no such bound. Counted here while the network learns to classify.

model reconstruction(dense: bool = true, d: int = 4, w: int = 16, unfold: int = 1, classes: int = 10) {
    input X : real[3, 32, 32]
    label y : class[classes]

    var G, unsuccessful, entries = X, 0.0, 0
    for i in 1..d {
        param F : real[w, channels(G), 3, 3] = normal(0.1 / sqrt(9 * channels(G)))
        param b : real[w] = 0.01, nonnegative
        dictionary E = conv(F, dilation: 1 + (i - 1) % 3, pad: same)'
        dictionary D = dense ? [I | E] : E
        lasso Z : G ~ D * Z {
            lambda = dense ? [0, lipschitz(D) * b] : lipschitz(D) * b       # the threshold is b itself
            prox   = dense ? [none, soft_nonneg] : soft_nonneg
            step   = 1 / lipschitz(D)
            solve  = fista(unfold: unfold)
        }
        unsuccessful = unsuccessful + sum(abs(D * Z - G) > 2 * lipschitz(D) * max(b))
        entries = entries + size(G)
        G = Z
        if i == d // 2 { G = max_pool(G, 2) }
    }
    output logits = linear(flatten(average_pool(G, 4)), classes)
    output share = unsuccessful / entries
}

train reconstruction {
    data      = cifar10("data/cifar10")
    augment   = [standardize]
    minimize  = cross_entropy(logits, y)
    optimizer = adam(lr: 1e-3, schedule: cosine(to: 1e-5))
    epochs    = 5
    batch     = 64
    report    = [accuracy(logits, y), share]
}
