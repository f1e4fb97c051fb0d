model m {
    input X : real[1, H, W]
    param F : real[H, 1, 3, 3] = normal(1)
    output y = reshape(X, [H, 2])
}
