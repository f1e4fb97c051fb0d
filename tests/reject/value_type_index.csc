model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = n[1]
    let b = X.size
    for i in n { let c = i }
    for i in X { let c = i }
    output y_ = X
}
