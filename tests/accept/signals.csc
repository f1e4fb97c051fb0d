# one-dimensional signals, pooling and sampling in one and two dimensions, maps of classes, free dimensions, dropout, more layers
# param logits.weight
model segment(classes: int = 21) {
    input X : real[3, H, W]
    input s : real[2, N]
    label y : class[classes, H, W]
    label which : class[4]
    let small = max_pool(X, 2)
    let big = upsample(average_pool(small, 3, stride: 1, pad: 1), 2) + downsample(upsample(sum_pool(X, 2), 4), 2)
    param K : real[5, 2, 7] = he_normal
    dictionary C = conv(K, stride: 3, pad: same)'
    lasso c : s ~ C * c { lambda = 0.1; prox = soft_nonneg; solve = fista(unfold: 2) }
    let pooled = max_pool(c, 2) + average_pool(c, 2) + sum_pool(c, 2)
    let f = dropout(mish(elu(leaky_relu(global_max(pooled)))), p: 0.2)
    output logits = linear(f, 4)
    output map = conv2d(layer_norm(big), classes, k: 1)
    output best = argmax(map)
    output low = low_pass(X, r: 2)
    let hot = one_hot(which, 4) * softmax(logits)
    output q = sort(logits)[1] + height(X) + width(X) + size(X) + max(logits) - min(logits) + pi
}
train segment {
    data = npy(["x.npy", "s.npy", "y.npy", "w.npy"], test_every: 5)
    augment = [standardize, translate(by: 2), hflip]
    minimize = cross_entropy(map, y) + cross_entropy(logits, which) + binary_cross_entropy(sum(logits), which) - sum(hot)
    optimizer = sgd(lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 1e-4, schedule: step_decay(at: [1, 2], by: 0.1))
    epochs = 3
    batch = 8
    report = [accuracy(map, y), accuracy(logits, which)]
}
