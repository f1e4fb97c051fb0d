# Hand-written digits, 8 by 8: two convolutional dictionaries, coded together by ML-ISTA, and a linear head.
#   cscc train examples/digits/digits.csc --atoms atoms.png
#   cscc eval  examples/digits/digits.csc --weights runs/digits/best.safetensors
#   cscc build examples/digits/digits.csc --weights runs/digits/best.safetensors --embed-weights
# `--set unfold=0` is the plain convolutional network with the same parameters.

model digits(unfold: int = 1) {
    input X : real[1, 8, 8]
    label y : class[10]

    dictionary D = [
        conv(A, pad: same)'            where { param A : real[16, 1, 5, 5]  = normal(0.2) },
        conv(B, stride: 2, pad: same)' where { param B : real[32, 16, 3, 3] = normal(0.08) },
    ]
    param b[i in 1..2] : real[atoms(D[i])] = 0
    param c[i in 1..2] : real = 1

    lasso G : X ~ chain(D) * G {
        prox[i](z) = relu(z + b[i])
        step[i]    = c[i]
        solve      = ml_ista(unfold: unfold)
    }
    output logits = linear(flatten(G[2]), 10)
}

# Every fifth image is held out. The files hold 0 to 16.
train digits {
    data      = idx("../data/digits-images-idx3-ubyte.gz", "../data/digits-labels-idx1-ubyte.gz", test_every: 5, scale: 16)
    minimize  = cross_entropy(logits, y)
    optimizer = adam(lr: 3e-3, schedule: cosine(to: 1e-5))
    epochs    = 20
    batch     = 32
    report    = [accuracy(logits, y), sparsity(G[1]), sparsity(G[2])]
}
