layer block(x, width: int, stride: int = 1) = x * width * stride
model m {
    input x : real[3]
    let a = block(x, widht: 16)
    let b = block(x, 16, colour: 3)
    let c = max(x, axes: 1)
    dictionary D = conv(x, strde: 2)
    output y = a
}
