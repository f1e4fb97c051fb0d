model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : X ~ I * G { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    let a = residual(2 * G)
    let b = reconstruct(X)
    let c = objective(n)
    output y_ = X
}
