model m {
    input x : real[3]
    return x
}
