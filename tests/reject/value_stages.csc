model m {
    input X : real[3]
    param b : real[3] = 0
    output y = X + b
}
train m {
    data = npy("x.npy")
    minimize = sum(y)
    optimizer = sgd(lr: 0.1)
    stages = layerwise(y)
}
