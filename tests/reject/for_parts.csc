model m {
    input x : real[3]
    for i = 1..3 { let a = x }
    for 1..3 { let a = x }
    repeat { let a = x }
    output y = x
}
