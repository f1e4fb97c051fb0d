model m {
    input x : real[3]
    output y = x
}
train m {
    data = mnist("data/mnist)
    name = "a\qb"
}
