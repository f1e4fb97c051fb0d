model m {
    input x : real[3]
    let a = relu(x))
    let b = 3]
    output y = a
}
}
