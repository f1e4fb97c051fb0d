model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : X ~ I * G { lambda = 0.1; prox = soft; solve = ista() }
    lasso H : X ~ I * H { lambda = 0.1; prox = soft; solve = ista(until: 1e-3) }
    lasso K : X ~ I * K { lambda = 0.1; prox = soft; solve = ista(unfold: 1, iterations: 2) }
    lasso L : X ~ I * L { lambda = 0.1; prox = soft; solve = ista(unfold: -1) }
    output y_ = X
}
