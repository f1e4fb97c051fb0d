layer f(x) {
    let a = x * step
    repeat updates { let b = a }
    return a
}
model m {
    input x : real[3]
    output y = f(x)
}
