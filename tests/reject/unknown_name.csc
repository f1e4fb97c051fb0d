model m {
    input x : real[3]
    let a = rleu(x)
    let b = chanels(x)
    output y = a + q
}
