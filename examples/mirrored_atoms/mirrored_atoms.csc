# Atoms shared with their mirror images: left-right, and across the diagonal. A third of the weights for as many atoms.

function mirrored(F) = permute(permute(F, [4, 1, 2, 3])[shape(F)[4]..1 by -1], [2, 3, 4, 1])
function turned(F) = permute(F, [1, 2, 4, 3])

model mirrored_atoms(w: int = 12, unfold: int = 4) {
    input X : real[1, 8, 8]
    label y : class[10]
    param F : real[w, 1, 5, 5] = normal(0.2), unit_atoms
    dictionary D = [ conv(F, pad: same)' | conv(mirrored(F), pad: same)' | conv(turned(F), pad: same)' ]
    lasso G : X ~ D * G { lambda = 0.1; prox = soft_nonneg; step = 0.9 / lipschitz(D); solve = fista(unfold: unfold) }
    output logits = linear(max_pool(G, 2), 10)
}

train mirrored_atoms {
    data      = idx("../data/digits-images-idx3-ubyte.gz", "../data/digits-labels-idx1-ubyte.gz", scale: 16, test_every: 5)
    minimize  = cross_entropy(logits, y)
    optimizer = adam(lr: 1e-2, schedule: cosine(to: 1e-5))
    epochs    = 20
    batch     = 64
    report    = [accuracy(logits, y), sparsity(G), residual(G)]
}
