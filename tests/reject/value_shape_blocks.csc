model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param F : real[8, 3, 3, 3] = normal(1)
    param W : real[16, 20] = normal(1)
    dictionary D = [conv(F)' | dense(W)]
    lasso G : X ~ D * G { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    output y_ = X
}
