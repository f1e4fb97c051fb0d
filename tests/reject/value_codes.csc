model m() {
    input X : real[3, 8, 8]
    lasso G : X ~ I * G { prox(z) = relu(z); solve = ista(unfold: 1) }
    let a = objective(G)
    let b = residual([G, G])
    let c = reconstruct(G, to: 3)
    let d = codes[2]
    let e = sparsity("G")
    output y = X
}
