model m {
    input x : real[3]
    let a = sum(x; 2)
    let b = [x ; ]
    let c = [x | ]
    output y = x
}
