model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : X ~ chain([I, I]) * G { lambda = 0.1; prox = soft; step = 0.5; solve = ml_ista(unfold: 1); gradient = implicit }
    output y_ = X
}
