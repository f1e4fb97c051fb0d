model m {
    input x : real[3]
    else { let a = x }
    output y = x
}
