function two(x) {
    return x, 2 * x
}
model m {
    input x : real[3]
    let a, b = two(x)
    let c, d = 1, 2, 3
    var e = 1, 2
    e, e = 1
    output y = x
}
