model m {
    input x : real[3]
    let a = x  2
    output y = x
}
