# A code that is solved until it stands still, differentiated through its updates: the reverse takes as many turns as were taken
model unrolled_until(side: int = 24, atoms: int = 8) {
    input X : real[1, side, side]
    dictionary D = conv(A, pad: full)' where { param A : real[atoms, 1, 5, 5] = normal(1), unit_atoms }
    lasso G : X ~ D * G { tunable lambda = 0.1; prox = soft; solve = fista(until: 1e-3, at_most: 20) }
    output again = D * G
}
train unrolled_until {
    data      = images("pictures", size: 24, gray: true)
    minimize  = objective(G)
    optimizer = adam(lr: 1e-3)
    epochs    = 1
    batch     = 16
}
