# implicit gradients of thresholds with parameters, in loops, with values of the turn
# param G.prox.s
# param w
# param K.prox.scaled.s
prox scaled(z, t) { param s : real = 1; return soft(z, t * s) }
model implicit_parts() {
    input X : real[3, 8, 8]
    lasso G : X ~ I * G { prox = scaled; lambda = 0.1; step = 0.5; solve = ista(unfold: 2); gradient = implicit }
    var x = X
    repeat 2 {
        param w : real = 0.1
        lasso K : x ~ I * K { prox(z, t) = scaled(z, t); lambda = w; param step : real = 0.5; solve = ista(until: 1e-3, at_most: 30); gradient = implicit }
        x = K
    }
    output y = G + x
}
train implicit_parts {
    data = npy(["x.npy"])
    minimize = mean(y^2)
    optimizer = sgd(lr: 1)
}
