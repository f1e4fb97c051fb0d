model m() {
    input X : real[3, 8, 8]
    var g = X
    repeat 3 until change(g) < 1e-3 { g = batch_norm(g) / 2 }
    output g
}
train m {
    data = npy(["x.npy"])
    minimize = sum(g)
    optimizer = sgd(lr: 0.1)
}
