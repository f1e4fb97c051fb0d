model m {
    input X : real[3]
    lasso G : X ~ I { lambda = 1 }
    lasso H : X ~ I * Z { lambda = 1 }
    lasso K : X ~ I + K { lambda = 1 }
    output y = X
}
