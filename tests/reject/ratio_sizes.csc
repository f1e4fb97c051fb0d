model m {
    input X : real[4, 8]
    output s = 2 * X
}
train m {
    data      = npy(["x.npy"])
    minimize  = mean(s)
    optimizer = adam(lr: 1e-3)
    report    = [ratio(sum(s, axis: 2), 1), ratio(s, s)]
}
