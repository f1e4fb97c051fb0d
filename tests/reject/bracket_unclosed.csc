model m {
    input x : real[3]
    let a = relu(x * (2 + 3)
    let b = [1, 2
    output y = a
}
