model m {
    input x : real[3]
    let a = x
        + 2 * x
    output y = a
}
