# Systems of equations, known tensors, thresholds with a step of their own, selection.
solver scaled(X ~ D * g) {
    let c = 1 + sum(D'(X)^2)
    repeat updates { g = prox(g - D'(D * g - X) / c, 1 / c) }
    return g
}
model equations(k: int = 3) {
    input X : real[5]
    param M : real[5, 6] = normal(0.4), unit_columns
    param R : real[4, 5] = normal(0.5)
    dictionary D = dense(M)
    let gram = dense(R)'(R) + one_hot(tensor(0..4), 5)
    let two = tensor([[1, 0.5, 0, 0, 2], [0, 1, 1, 0.25, 0]])
    lasso G : X ~ D * G { lambda = 0.1; prox = soft; solve = scaled(iterations: 2) }
    lasso H : X ~ D * H { lambda = 0.1; prox = soft; step = 4; solve = fista(iterations: 2, backtrack: 0.5) }
    lasso K : X ~ D * K { solve = omp(iterations: k) }
    output whitened = solve_positive(gram, X)
    output both = dense(two) * solve_positive(gram, dense(two)'(tensor([1, -1])))
    output codes_of = [G ; H ; K ; largest(G, 2)]
}
