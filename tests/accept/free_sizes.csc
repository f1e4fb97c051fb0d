model segment(classes: int = 5) {
    input X : real[3, H, W]
    label y : class[classes, H, W]
    let area = H * W
    let wide = W > H
    let h = conv_bn_relu(X, 8)
    output logits = conv2d(h, classes, k: 1) + (wide ? 0 : area / area)
}
train segment {
    data      = images("pictures", targets: "masks")
    minimize  = cross_entropy(logits, y)
    optimizer = adam(lr: 1e-3, schedule: cosine(to: 1e-6, warmup: 2))
    report    = [accuracy(logits, y)]
}
