model m {
    input : real[3]
    let a = = 2
    for i in 1..3 {
        let = 2
        let b = 
    }
    lasso G : X ~ D * { }
    output
}
