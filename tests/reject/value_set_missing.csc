model m(n: int) {
    input X : real[3]
    output y = n * X
}
