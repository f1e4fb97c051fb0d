model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : X ~ I * G { lambda = 0.1; prox(z) = relu(z); solve = ista(unfold: 1) }
    let a = objective(G)
    output y_ = X
}
