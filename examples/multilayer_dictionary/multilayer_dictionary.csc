# Sulam et al. (2018): X = D1 D2 D3 G, one code for a chain of dictionaries whose inner ones are sparse, learned without labels.

model multilayer_dictionary(a: int = 16, b: int = 32, c: int = 64, share: real = 0.1) {
    input X : real[1, 28, 28]
    dictionary D1 = conv(A, stride: 2)' where { param A : real[a, 1, 6, 6] = normal(1), unit_atoms }
    dictionary D2 = conv(B, stride: 2)' where { param B : real[b, a, 6, 6] = normal(1), sparse_l0(share), unit_atoms }
    dictionary D3 = conv(C)' where { param C : real[c, b, 4, 4] = normal(1), sparse_l0(share), unit_atoms }
    dictionary D = D1 * D2 * D3
    lasso G : X ~ D * G {
        tunable lambda = 0.2
        prox     = soft
        solve    = fista(until: 1e-3, at_most: 100)
        gradient = stopped
    }
    output again = D * G
    output code = flatten(G)
}

train multilayer_dictionary {
    data      = idx("data/mnist/train-images-idx3-ubyte", count: 3000, test_every: 10)
    minimize  = objective(G)
    optimizer = adam(lr: 2e-3)
    epochs    = 10
    batch     = 64
    report    = [psnr(again, X), density(G)]
}
