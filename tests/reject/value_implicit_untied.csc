prox scaled(z, t) { param s : real = 1; return soft(z, t * s) }
model m() {
    input X : real[3, 8, 8]
    lasso G : X ~ I * G { untied prox = scaled; lambda = 0.1; step = 0.5; solve = ista(unfold: 2); gradient = implicit }
    lasso H : X ~ I * H { untied prox(z, t) = scaled(z, t); lambda = 0.1; untied param step : real = 0.5; solve = ista(unfold: 2); gradient = implicit }
    output y = G + H
}
train m { data = npy(["x"]); minimize = sum(y); optimizer = sgd(lr: 1) }
