model m {
    input x : real[3]
    param W : real[3, 3] = normal(1), unit_colums
    param V : real[3, 3] = normal(1), positive, bright
    output y = dense(W) * x
}
