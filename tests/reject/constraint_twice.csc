model m {
    input x : real[3]
    param W : real[3] = 1, nonnegative, fixed, nonnegative
    output y = x * W
}
