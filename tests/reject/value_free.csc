# cscc build
model m {
    input X : real[1, H, W]
    output y = X
}
