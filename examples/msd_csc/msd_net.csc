# MSD-CSC as its authors' public program builds it: not the network of the paper (msd_csc.csc). Three blocks of twelve layers, each block one chain of
# dictionaries [I | F'] that ML-ISTA unfolds as a whole; the whole code is normalised and thresholded in every update, its identity part too.

dictionary mixed_scale(c: int, growth: int, dilation: int) {
    param F : real[growth, c, 3, 3] = he_normal
    return [ I | conv(F, dilation: dilation, pad: same)' ]
}

layer block(x, layers: int, growth: int, unfold: int) {
    dictionary D = [mixed_scale(channels(x) + growth * (i - 1), growth, 1 + (i - 1) % 6) for i in 1..layers]
    param c[i in 1..layers] : real = 1
    lasso G : x ~ chain(D) * G {
        prox[i](z) = relu(batch_norm(z))
        step[i]    = c[i]
        solve      = ml_ista(unfold: unfold)
    }
    return G[layers]
}

model msd_net(unfold: int = 1, layers: int = 12, growth: int = 12, width: int = 16, classes: int = 10) {
    input X : real[3, 32, 32]
    label y : class[classes]

    var g = conv_bn_relu(X, width)
    for i in 1..3 {
        g = block(g, layers, growth, unfold)
        if i < 3 { g = max_pool(conv2d(g, channels(g), k: 1), 2) }
    }
    output logits = linear(global_average(g), classes)
}

train msd_net {
    data      = cifar10("data/cifar10")
    augment   = [standardize, translate(by: 4), hflip]
    minimize  = cross_entropy(logits, y)
    optimizer = sgd(lr: 0.05, momentum: 0.9, schedule: step_decay(at: [75, 115], by: 0.1))
    epochs    = 150
    batch     = 128
    report    = [accuracy(logits, y)]
}
