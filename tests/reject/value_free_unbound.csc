# cscc train
model unbound {
    input X : real[1, H, W]
    target T : real[1, H, K]       # the data has a picture and a label, so T is X itself, and binds nothing
    output Y = 2 * X
}
train unbound {
    data      = idx("../../examples/data/digits-images-idx3-ubyte.gz")
    minimize  = mean((Y - X)^2) + mean(T)
    optimizer = sgd(lr: 0.1)
}
