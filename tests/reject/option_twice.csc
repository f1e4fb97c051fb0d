model m {
    input X : real[3]
    lasso G : X ~ I * G { lambda = 1; step = 1; lambda = 2 }
    output y = G
}
train m {
    epochs = 3
    epochs = 4
}
