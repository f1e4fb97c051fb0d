# A solver that does not do what its problem needs.
solver small(X ~ D * g) { return sum(g) }
solver list(X ~ chain(D) * G) { return G[1] }
solver wants(X ~ D * g, rate) { return g * rate }
solver typed(X ~ D * g) { return prox(g, 0.1, 2) }
model m() {
    input X : real[3, 8, 8]
    lasso a : X ~ I * a { prox = none; solve = small() }
    lasso c : X ~ chain([I, I]) * c { prox = none; solve = list() }
    lasso d : X ~ I * d { prox = none; solve = wants() }
    lasso e : X ~ I * e { prox = none; solve = wants(rate: "slow") }
    lasso f : X ~ I * f { prox = none; solve = typed() }
    lasso h : X ~ I * h { prox = none; solve = ista(unfold: 1); gradient = 3 }
    output y = X
}
