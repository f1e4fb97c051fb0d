model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    lasso G : X ~ I * G { lambda = [0.1, 0.2]; prox = soft; solve = ista(unfold: 1) }
    lasso H : X ~ [I | I] * H { lambda = 0.1; prox = [soft, soft, none]; solve = ista(unfold: 1) }
    output y_ = X
}
