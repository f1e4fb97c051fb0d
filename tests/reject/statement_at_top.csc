let a = 3
model m {
    input x : real[3]
    output y = x
}
