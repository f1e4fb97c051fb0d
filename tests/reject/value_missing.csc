model m {
    input x : real[3]
    let a =
    let b = x +
    output y = x * 
}
