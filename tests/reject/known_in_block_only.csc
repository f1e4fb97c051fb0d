model m(n: int = 3) {
    input x : real[3]
    for i in 1..n { let a = x * i }
    if n == 3 { let b = x } else { let b = 2 * x }
    output y = a + b
}
