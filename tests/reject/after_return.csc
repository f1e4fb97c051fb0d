layer f(x) {
    return x
    let y = 2 * x
}
model m {
    input x : real[3]
    output y = f(x)
}
