model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param F : real[8, 3, 3, 3] = normal(1)
    dictionary D = conv(F, pad: same)'
    dictionary E = dense(W) where { param W : real[3, 3] = normal(1) }
    param V : like(D) = E
    param U : like(X) = D
    param T : like(D) = 3
    output y_ = X
}
