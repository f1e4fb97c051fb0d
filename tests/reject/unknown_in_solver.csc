solver mine(X ~ D * g) {
    g = prox(g - stp * D'(D * g - Y))
    return g
}
model m {
    input x : real[3]
    output y = x
}
