model m {
    input X : real[3]
    lasso G : X ~ I * G {
        init(z) = z
        lambda(z) = 1
        prox(z, t, u) = z
        untied solve = none
        gradient = implict
    }
    lasso H : X ~ I * H { gradient = zero }
    output y = G
}
