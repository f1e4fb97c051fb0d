model m {
    input X : real[1, 8, 8]
    param a : real = 1
    output Y = a * X
}

train m {
    data      = images(3)
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = images("pictures", patch: 0)
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = images("pictures", gray: 1)
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = idx("a", "b", test_every: 1)
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = idx("a", scale: "255")
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = npy([1, 2])
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = npy([])
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = sparse_codes(3, density: 0.1)
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = idx("a", count: 2.5)
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

train m {
    data      = mnist(true)
    minimize  = mean((Y - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 3
}

