model m {
    input X : real[3]
    lasso G : X ~ I * G {
        lambda: 0.1
        step 1
        solve =
    }
    output y = X
}
