layer block(x, width: int) = x * width
model m {
    input x : real[3]
    let a = block(x, 16, width: 3)
    let b = block(x, width: 3, width: 4)
    let c = sum(x, axis: 1, axis: 1)
    output y = a
}
