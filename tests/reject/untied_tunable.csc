model m {
    input X : real[3]
    lasso G : X ~ I * G { untied init = X; untied gradient = stopped; lambda = 1 }
    output y = G
}
