model m {
    input x : real[3]
    let a = x
    let a = 2 * x
    param x : real[3] = 0
    for i in 1..2 { let b = a; let b = x }
    output y = a
    output y = x
}
