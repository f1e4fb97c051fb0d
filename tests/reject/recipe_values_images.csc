model m {
    input X : real[1, H, W]
    label y : class[2, H, W]
    output s = conv2d(X, 2)
}
train m {
    data      = images("a", targets: "b", size: [96, 0], ignore: 300)
    minimize  = pixel_cross_entropy(s, y)
    optimizer = adam(lr: 1e-3)
    report    = [ratio(s, 1)]
}
train m {
    data      = images("a", targets: "b", size: [96, 96, 3])
    minimize  = sum(X)
    optimizer = adam(lr: 1e-3)
}
train m {
    data      = images("a", targets: "b", size: [96])
    minimize  = sum(X)
    optimizer = adam(lr: 1e-3)
}
