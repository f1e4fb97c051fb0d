solver typed(X ~ D * g) = prox(g, "small")
model m {
    input X : real[3, 8, 8]
    param F : real[4, 3, 3, 3] = normal(1)
    lasso a : X ~ conv(F)' * a { prox = soft; lambda = 0.1; solve = typed() }
    lasso c : X ~ conv(F)' * c { prox = soft; lambda = 0.1; solve = fista(iterations: 2, momentum_at: 3) }
    output a
}
