model m {
    input x : real[3]
    output y = x
}
train m {
    data = mnist
    augment = [translate, hflip(3), noise(sigma: 0.1, mean: 2)]
    optimizer = sgd(momentum: 0.9, rate: 0.1)
    batch = 2 * size_of_batch
}
train m {
    data = images("a", patchs: 12)
    optimizer = adam(1e-3, lr: 2e-3)
}
