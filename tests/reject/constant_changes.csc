dictionary E() = I
model m(n: int = 3) {
    input x : real[3]
    let a = x
    param p : real = 1
    tunable t = 2
    dictionary D = I
    for i in 1..3 { i = 2 }
    lasso G : x ~ I * G { lambda = 1 }
    G = relu(G)
    n = 4
    a = 2 * x
    x = a
    p = 3
    t = 3
    D = I
    E = I
    relu = x
    output y = a
    y = x
}
