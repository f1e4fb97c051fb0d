model m {
    input x : real[3]
    let a == relu(x)
    output y = a
}
