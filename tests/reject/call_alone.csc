model m {
    input x : real[3]
    relu(x)
    output y = x
}
