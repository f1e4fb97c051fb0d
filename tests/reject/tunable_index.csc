model m {
    input x : real[3]
    tunable a[1] = 2
    output y = a * x
}
