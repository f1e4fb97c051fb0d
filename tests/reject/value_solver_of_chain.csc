model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : X ~ chain([I, I]) * G { lambda = 0.1; prox = soft; solve = fista(unfold: 1) }
    output y_ = X
}
