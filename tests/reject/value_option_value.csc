model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : X ~ I * G { lambda = 0.1; prox = 3; solve = ista(unfold: 1) }
    lasso H : X ~ I * H { lambda = "small"; prox = soft; solve = ista(unfold: 1) }
    lasso K : X ~ I * K { lambda = 0.1; prox = soft; solve = soft }
    output y_ = X
}
