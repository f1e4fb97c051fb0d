model m {
    input X : real[3]
    lasso G : X ~ I * G { solver = none; step = 1 }
    lasso H : X ~ I * H { untied tunable a = 2 }
    output y = G
}
