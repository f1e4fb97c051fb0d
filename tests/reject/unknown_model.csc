model denoise {
    input x : real[3]
    output y = x
}
train denoize {
    minimize = sum(x)
    epochs = 3
}
