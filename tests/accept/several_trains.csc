model m {
    input x : real[8]
    label y : class[3]
    dictionary D = dense(W) where { param W : real[8, 16] = normal(0.3), unit_columns }
    lasso z : x ~ D * z { lambda = 0.1; prox = soft_nonneg; solve = ista(unfold: 1) }
    output logits = linear(z, 3)
}
train m {
    name      = "dictionary"
    data      = npy(["x.npy", "y.npy"], test_every: 5)
    minimize  = objective(z)
    optimizer = sgd(lr: 0.1, momentum: 0.9, nesterov: true, clip: 1)
    only      = [D]
    epochs    = 2
}
train m {
    data      = npz("all.npz", ["x", "y"], test: "test.npz")
    minimize  = cross_entropy(logits, y) + 1e-3 * sum(l1(c) for c in codes)
    optimizer = adamw(lr: 1e-3, weight_decay: 0.01, schedule: warmup(1, then: cosine(to: 0)))
    only      = [logits]
    report    = [accuracy(logits, y), sparsity(z), residual(z)]
    batch     = 16
}
