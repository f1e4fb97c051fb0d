model m() {
    input X : real[3, 8, 8]
    lasso z : X ~ I * z { lambda = 0.1; prox = soft; step = 1; solve = ista(until: 1e-3, at_most: 5000) }
    output y = z
}
train m {
    data = npy(["x.npy"])
    minimize = mean(y^2)
    optimizer = sgd(lr: 1)
    stages = layerwise(z)
}
train m {
    data = npy(["x.npy"])
    minimize = mean(y^2)
    optimizer = sgd(lr: 1)
    stages = 3
}
