model m {
    input x : real[3]
    let a = 2 × x
    let λ = 0.1
    let c = x $ 2
    let d = a − 1
    let e = `x`
    output y = x
}
