# A tolerance that the solver does not look at; change of what is no variable of the loop.
solver three(X ~ D * g) {
    repeat 3 { g = prox(g - step * D'(D * g - X)) }
    return g
}
solver odd(X ~ D * g) {
    var l = [g, g]
    repeat updates until change(X) < tolerance { l[1] = prox(l[2]) }
    return l[1]
}
model m() {
    input X : real[3, 8, 8]
    lasso G : X ~ I * G { lambda = 0.1; prox = soft; solve = three(until: 1e-3, at_most: 50) }
    lasso H : X ~ I * H { lambda = 0.1; prox = soft; solve = odd(until: 1e-3, at_most: 50) }
    output y = G
}
