# Multi-layer convolutional sparse coding of CIFAR-10 (Sulam et al. 2019): three dictionaries coded together, then a small convolutional classifier.
# unfold = 0 is the plain CNN with the same parameters; form = "ml_fista" and "layered" solve otherwise.

layer conv_relu(x, width: int) {
    param weight : real[width, channels(x), 3, 3] = normal(1 / sqrt(9 * channels(x)))
    param bias   : real[width] = 0
    return relu(conv(weight, pad: same)(x) + bias)
}

model ml_csc_cifar(unfold: int = 6, form: string = "ml_ista") {
    input X : real[3, 32, 32]
    label y : class[10]

    require(form == "ml_ista" || form == "ml_fista" || form == "layered", "form is ml_ista, ml_fista or layered")
    dictionary D = [
        conv(W1, stride: 2, pad: 1)' where { param W1 : real[32, 3, 4, 4]   = normal(0.1 / sqrt(3 * 16)) },
        conv(W2, stride: 2, pad: 1)' where { param W2 : real[64, 32, 4, 4]  = normal(0.1 / sqrt(32 * 16)) },
        conv(W3, stride: 2, pad: 1)' where { param W3 : real[128, 64, 4, 4] = normal(0.1 / sqrt(64 * 16)) },
    ]
    param b[i in 1..3] : real[atoms(D[i])] = 0
    param c[i in 1..3] : real = 1

    lasso G : X ~ chain(D) * G {
        prox[i](z) = relu(z + b[i])
        step[i]    = c[i]
        solve      = form == "ml_ista" ? ml_ista(unfold: unfold) : form == "ml_fista" ? ml_fista(unfold: unfold) : layered(each: ista(unfold: unfold))
    }
    let h = conv_relu(G[3], 256)
    let p = max_pool(conv_relu(h, 512), 2)
    let q = max_pool(conv_relu(p, 512), 2)
    output logits = linear(q, 10)
}

train ml_csc_cifar {
    data      = cifar10("data/cifar10")
    augment   = [standardize, translate(by: 4)]
    minimize  = cross_entropy(logits, y)
    optimizer = sgd(lr: 0.005, momentum: 0.9, schedule: step_decay(every: 50, by: 0.2))
    epochs    = 150
    batch     = 128
    report    = [accuracy(logits, y), sparsity(G[1]), sparsity(G[2]), sparsity(G[3])]
}
