model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param spread : real = 1
    param W : real[3, 3] = normal(spread)
    tunable t = spread
    output y_ = X
}
