model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : 3 ~ I * G { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    lasso H : X ~ 2 * H { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    lasso K : X ~ chain(I) * K { lambda = 0.1; prox = soft; solve = ml_ista(unfold: 1) }
    output y_ = X
}
