# The layer of sparse coding networks (Sun, Nasrabadi and Tran 2018), the baseline that SDNet (examples/sdnet) is compared with: each k x k patch has a code
# of its own, a Lasso with one dense dictionary. Overlapping patches know nothing of each other; a convolutional dictionary codes the whole map at once.

layer patch_coding(x, atoms: int, k: int = 3, stride: int = 1, iterations: int = 2) {
    let p = patches(x, k, stride: stride)
    dictionary D = dense(W) where { param W : real[channels(x) * k^2, atoms] = normal(1), unit_columns }
    lasso z : p ~ D * z {
        tunable lambda = 0.1
        prox  = soft_nonneg
        step  = 0.9 / lipschitz(D)
        solve = fista(iterations: iterations)
    }
    return z
}

model scn(iterations: int = 2, classes: int = 10, width: int = 64, image: int = 32) {
    input X : real[3, image, image]
    label y : class[classes]
    let z1 = patch_coding(X, width, iterations: iterations)
    let x1 = conv2d(batch_norm(z1), width // 2, k: 1)                    # fewer channels before the next dictionary
    let z2 = patch_coding(x1, 2 * width, stride: 2, iterations: iterations)
    let x2 = conv2d(batch_norm(z2), width, k: 1)
    let z3 = patch_coding(x2, 4 * width, stride: 2, iterations: iterations)
    output logits = linear(global_average(batch_norm(z3)), classes)
}

train scn {
    data      = cifar10("data/cifar10")
    augment   = [standardize, translate(by: 4), hflip]
    minimize  = cross_entropy(logits, y)
    optimizer = sgd(lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4, schedule: cosine(to: 1e-6))
    epochs    = 220
    batch     = 128
    report    = [accuracy(logits, y), residual(z1), sparsity(z1)]
}
