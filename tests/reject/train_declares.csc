model m {
    input x : real[3]
    output y = x
}
train m {
    param p : real = 1
    tunable t = 2
    untied epochs = 3
    batch[1] = 3
    minimize(x) = x
}
