model m {
    input x : real[3]
    let a = missing + missing * missing
    output y = a
}
