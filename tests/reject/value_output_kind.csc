model m {
    input X : real[3]
    output a = relu
    output b = "text"
    output c = I
    output d = [1, X]
}
