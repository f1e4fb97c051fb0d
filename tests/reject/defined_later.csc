model m {
    input x : real[3]
    let a = b + 1
    let b = x
    output y = a
}
