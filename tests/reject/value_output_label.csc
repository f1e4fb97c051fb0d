model m() {
    input X : real[3, 8, 8]
    label y : class[10]
    target T : real[3, 8, 8]
    output a = one_hot(y, 10)
    output b = X - T
    output c = X
}
