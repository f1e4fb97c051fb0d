# VGG-11 with batch norm on CIFAR-10 whose early feature maps are asked to be sparse (Li, Feng and Zhou 2024): the loss plus gamma times the mean |x_j|_1
# of the first `early`. activation = "relu" (gamma 1e-3), "elu" (1e-5), "mish" (1e-3); gamma = 0 is VGG-11.

model vgg11(gamma: real = 1e-3, activation: string = "relu", early: int = 4, width: int = 64, image: int = 32) {
    input X : real[3, image, image]
    label y : class[10]
    require(activation == "relu" || activation == "elu" || activation == "mish", "activation is relu, elu or mish")
    let rho = activation == "relu" ? relu : activation == "elu" ? elu : mish
    let widths = [1, 2, 4, 4, 8, 8, 8, 8]
    var x, maps = X, []
    for i in 1..8 {
        x = rho(batch_norm(conv2d(x, width * widths[i])))
        maps = maps + [x]
        if i != 3 && i != 5 && i != 7 { x = max_pool(x, 2) }
    }
    let penalty = sum(l1(maps[j]) / size(maps[j]) for j in 1..early)
    output logits = linear(x, 10)
}

train vgg11 {
    data      = cifar10("data/cifar10")
    augment   = [standardize, translate(by: 4), hflip]
    minimize  = cross_entropy(logits, y) + gamma * penalty
    optimizer = sgd(lr: 0.1, weight_decay: 5e-4, schedule: cosine)
    epochs    = 200
    batch     = 128
    report    = [accuracy(logits, y), density(maps[1]), density(maps[2]), density(maps[3]), density(maps[4])]
}
