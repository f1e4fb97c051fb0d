model m {
    input x : real[3]
    let a = x let b = x
    let c = 2 x
    output y = a
}
