model m {
    input x : real[3]
    layer f(z) = 2 * z
    output y = x
}
