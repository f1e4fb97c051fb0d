model m() {
    input X : real[3, 8, 8]
    lasso G : X ~ I * G { prox(z) = relu(batch_norm(z)); step = 0.5; solve = ista(unfold: 2); gradient = implicit }
    output y = G
}
train m { data = npy(["x"]); minimize = sum(y); optimizer = sgd(lr: 1) }
