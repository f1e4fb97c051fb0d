solver mine(X ~ D * g, rate: real = 1) {
    repeat updates { g = prox(g - rate * D'(D * g - X)) }
    return g
}
model m {
    input X : real[3]
    lasso G : X ~ I * G { lambda = 1; solve = mine(unfolds: 3) }
    lasso H : X ~ I * H { lambda = 1; solve = mine(unfold: 3, rate: 2, steps: 1) }
    output y = G
}
