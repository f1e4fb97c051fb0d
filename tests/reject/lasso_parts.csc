model m {
    input X : real[3]
    dictionary D = I
    lasso G : X = D * G { lambda = 1 }
    lasso H X ~ D * H { lambda = 1 }
    lasso K : X ~ D * K
    output y = X
}
