model m(n: int = 1) {
    input x : real[3]
    if n = 1 { let a = x }
    output y = x
}
