layer f(x) {
    input y : real[3]
    output z = x
    return x
}
model m {
    for i in 1..2 { input a : real[3] }
    input x : real[3]
    repeat 3 { output b = x }
    output y = f(x)
}
