layer f(x, prox: prox = none, k: int = 1) = k * x
layer g(x, solve: function = f) = solve(x, k: 2)
model m(d: int = 2) {
    input X : real[3, 8, 8]
    let a = f(X, prox: soft)
    let b = g(X, solve: f)
    for prox_ in 1..2 { let c = prox_ }
    lasso G : X ~ I * G { lambda = 0.1; prox = soft; solve = ista(until: 1e-3, at_most: 5) }
    output y = reconstruct(G, to: X) + a + b
}
train m {
    data = images("pictures", patch: 8)
    augment = [translate(by: 4), noise(sigma: 0.1)]
    minimize = mse(y, X)
    optimizer = sgd(0.1, schedule: step_decay(by: 0.1, at: [3]))
}
