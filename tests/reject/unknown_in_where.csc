model m {
    input x : real[4]
    dictionary D = dense(W) where { param W : real[4, k] = normal(1) }
    dictionary E = dense(W)
    output y = D'(x)
}
