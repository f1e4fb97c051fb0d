hello world
model m {
    input x : real[3]
    output y = x
}
3 + 4
