# Parameters that nothing reads: a warning.
layer block(x, w: int) {
    param gain : real[w] = 1
    param shift : real[w] = 0
    param lost[i in 1..2] : real[w] = 0
    return x * gain
}
model m() {
    input X : real[3, 8, 8]
    label y : class[3]
    param b : real = 0
    param c : real = 0
    param d : real[2] = 0
    dictionary D = dense(W) where { param W : real[3, 4] = normal(1); param V : real[3, 4] = normal(1) }
    lasso G : X ~ D * G { param lambda = 0.1; prox = soft; param step = 1; solve = ista(unfold: 1) }
    for i in 1..2 {
        param e : real = i
        let f = e * X
    }
    let mean = global_average(X)
    output z = block(X, 3) * b
}
train m {
    data      = images("pictures", size: 8, classes: true)
    minimize  = cross_entropy(mean, y) + c
    optimizer = adam(lr: 1e-3)
}
