# A convolutional Lasso with a given dictionary, for tests/bench/run: the code, and the signal it makes.
model conv_lasso(size: int = 32, channels: int = 3, atoms: int = 64, k: int = 7, iterations: int = 100, form: string = "fista", boundary: string = "zero") {
    input X : real[channels, size, size]
    dictionary D = conv(F, pad: same, boundary: boundary)' where { param F : real[atoms, channels, k, k] = normal(1), unit_atoms, fixed }
    lasso z : X ~ D * z {
        lambda = 0.5
        prox   = soft
        step   = 0.95 / lipschitz(D)
        solve  = form == "ista" ? ista(iterations: iterations) : fista(iterations: iterations)
    }
    output z
    output made = D * z
}
