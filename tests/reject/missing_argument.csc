layer block(x, width: int, stride: int = 1) = x * width * stride
model m {
    input x : real[3]
    let a = block(x)
    let b = block(x, stride: 2)
    let c = pick(x)
    output y = a
}
