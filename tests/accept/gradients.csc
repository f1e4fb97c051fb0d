# the ways to differentiate a code, with trainings that use them
# param D.W
# param A.1.W
model gradients(mode: int = 1) {
    input X : real[2, 12, 12]
    dictionary D = conv(W, pad: full)' where { param W : real[6, 2, 3, 3] = normal(1), unit_atoms }
    lasso a : X ~ D * a { tunable lambda = 0.1; prox = soft; solve = fista(unfold: 4); gradient = unrolled }
    lasso b : X ~ D * b { lambda = 0.1; prox = soft; solve = fista(unfold: 4); gradient = recompute }
    lasso c : X ~ D * c { lambda = 0.1; prox = soft; solve = fista(until: 1e-5, at_most: 2000); gradient = implicit }
    lasso d : X ~ D * d { lambda = 0.1; prox = soft; solve = ista(until: 1e-5, at_most: 50); gradient = stopped }
    dictionary A[i in 1..2] = conv(W, stride: 2, pad: same)' where { param W : real[4, i == 1 ? 2 : 4, 3, 3] = normal(0.2) }
    lasso G : X ~ chain(A) * G {
        lambda = [0.05, 0.1]
        prox = soft_nonneg
        solve = layered(each: fista(until: 1e-4, at_most: 2000))
        gradient[i] = implicit
    }
    lasso H : X ~ chain(A) * H { lambda = 0.1; prox = soft; solve = ml_fista(unfold: 2); gradient = recompute }
    output y = D * (a + b + c + d)
    output z = G[2] + H[2]
}
train gradients {
    name = "dictionary"
    data = images("pictures", patch: 12)
    minimize = objective(d) + objective(c)
    optimizer = adam(lr: 1e-3)
    epochs = 2
    only = [D]
    report = [psnr(y, X), sparsity(c), coherence(D)]
}
train gradients {
    data = images("pictures", patch: 12)
    minimize = mean((y - X)^2) + 1e-3 * sum(l1(G[i]) / size(G[i]) for i in 1..2) + sum(mean(z^2) for z in codes[1..4])
    optimizer = adamw(lr: 1e-3, schedule: cosine(to: 1e-6, warmup: 1))
    only = [A, "D.W"]
    batch = 4
}
