model m {
    input X : real[1, 8, 8]
    param a : real = 1
    output Y = a * X
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = -1
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 0
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = "ten"
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 2.5
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
    batch     = 0
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
    name      = 3
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
    augment   = [translate(by: 1.5)]
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
    augment   = [noise("loud")]
}

train m {
    data      = images("pictures")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
    augment   = [standardize(mean: [0.5], deviation: [0])]
}

