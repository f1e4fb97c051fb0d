def block(x):
    return x

model m {
    input x : real[3]
    output y = x
}
