model m {
    input x : real[3]
    let = relu(x)
    output y = x
}
