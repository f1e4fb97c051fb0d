function twice(x) = 2 * x
model m {
    input x : real[3]
    let a = twice(x, 3)
    let b = relu(x, x)
    let c = conv(x, 2)
    output y = a
}
