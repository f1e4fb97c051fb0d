model m {
    input x : real[3]   # été
    output y = x
}
