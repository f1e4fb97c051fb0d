model m {
    input X : real[3]
    param b : real[3] = 0
    output y = X + b
}
train m {
    data = npy("x.npy")
    minimize = sum(y)
    optimizer = sgd(lr: 0.1)
    epochs = 0
}
train m {
    data = "x.npy"
    minimize = sum(y)
    optimizer = 3
}
train m {
    data = npy("x.npy")
    minimize = sum(y)
    optimizer = sgd(lr: X)
    only = [X, 3]
}
