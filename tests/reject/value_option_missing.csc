model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : X ~ I * G { prox = soft; solve = ista(unfold: 1) }
    lasso H : X ~ I * H { lambda = 0.1; solve = ista(unfold: 1) }
    lasso K : X ~ I * K { lambda = 0.1; prox = soft }
    output y_ = X
}
