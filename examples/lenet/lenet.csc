# LeNet-5 on CIFAR-10 whose first feature maps are asked to be sparse (Li, Feng and Zhou 2024): the loss plus gamma times the mean |x_j|_1 of each.
# activation = "relu" (gamma 1e-3), "elu" (1e-2), "mish" (1e-4); gamma = 0 is LeNet-5.

model lenet(gamma: real = 1e-3, activation: string = "relu") {
    input X : real[3, 32, 32]
    label y : class[10]
    require(activation == "relu" || activation == "elu" || activation == "mish", "activation is relu, elu or mish")
    let rho = activation == "relu" ? relu : activation == "elu" ? elu : mish
    let x1 = rho(conv2d(X, 6, k: 5, pad: valid))
    let x2 = rho(conv2d(max_pool(x1, 2), 16, k: 5, pad: valid))
    let h1 = rho(linear(max_pool(x2, 2), 120))
    let h2 = rho(linear(h1, 84))
    output logits = linear(h2, 10)
}

train lenet {
    data      = cifar10("data/cifar10")
    augment   = [standardize, translate(by: 4), hflip]
    minimize  = cross_entropy(logits, y) + gamma * (l1(x1) / size(x1) + l1(x2) / size(x2))
    optimizer = sgd(lr: 0.1, weight_decay: 5e-4, schedule: cosine)
    epochs    = 200
    batch     = 128
    report    = [accuracy(logits, y), density(x1), density(x2)]
}
