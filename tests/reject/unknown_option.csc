model m {
    input X : real[3]
    lasso G : X ~ I * G {
        lamda = 0.1
        unfold = 3
        threshold = none
        colour = 3
    }
    output y = G
}
train m {
    loss = sum(y)
    lr = 0.1
    epoch = 3
    colour = 3
}