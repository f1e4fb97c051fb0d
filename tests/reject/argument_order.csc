layer block(x, width: int) = x * width
model m {
    input x : real[3]
    let a = block(width: 16, x)
    let b = sum(axis: 1, x)
    output y = a
}
