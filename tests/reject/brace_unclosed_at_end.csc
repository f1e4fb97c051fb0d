model m {
    input x : real[3]
    output y = x
