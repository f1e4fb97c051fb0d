model m {
    input x : real[3]
    let a = adam(lr: 1e-3)
    let b = hflip
    output y = x
}
