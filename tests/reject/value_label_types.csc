model m() {
    input X : class[3]
    label y : real[10]
    label z : class
    target t : int
    label w : class[0]
    output a = 1
}
