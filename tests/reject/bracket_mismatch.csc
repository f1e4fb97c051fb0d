model m {
    input x : real[3]
    let a = sum(x]
    let b = [1, sum(x]
    output y = (x}
}
