model m {
    input X : real[1, 8, 8]
    param a : real = 1
    output Y = a * X
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: "fast")
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = sgd(lr: 0.1, momentum: 2)
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = sgd(lr: -1)
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = sgd(lr: 0.1, nesterov: 1)
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3, beta2: 1)
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3, clip: "none")
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3, schedule: 3)
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3, schedule: step_decay(by: 0.1, at: [3, 4.5]))
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3, schedule: step_decay(by: 0))
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3, schedule: warmup(-2))
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: [1, 2])
    epochs    = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: inf)
    epochs    = 3
}

