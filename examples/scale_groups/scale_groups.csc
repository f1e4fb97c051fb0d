# One bank of atoms seen at three dilations, and a threshold that keeps or drops an atom at all its scales together.

dictionary scales(F) = [ conv(F, pad: same)' | conv(F, dilation: 2, pad: same)' | conv(F, dilation: 3, pad: same)' ]

# The three codes of one atom at one place shrink as one vector: penalty sum over atoms and places of |(g1, g2, g3)|.
function over_scales(z) {
    let s = shape(z)
    return sqrt(sum(reshape(z, [3, s[1] // 3, s[2], s[3]])^2, axis: 1))
}
prox across_scales(z, t) of over_scales(z) {
    let keep = relu(1 - t / max(over_scales(z), 1e-12))
    return z * [keep ; keep ; keep]
}

model scale_groups(w: int = 16, unfold: int = 4) {
    input X : real[1, 8, 8]
    label y : class[10]
    dictionary D = scales(F) where { param F : real[w, 1, 3, 3] = normal(0.3), unit_atoms }
    lasso G : X ~ D * G { lambda = 0.1; prox = across_scales; step = 0.9 / lipschitz(D); solve = fista(unfold: unfold) }
    output logits = linear(max_pool(G, 2), 10)
}

train scale_groups {
    data      = idx("../data/digits-images-idx3-ubyte.gz", "../data/digits-labels-idx1-ubyte.gz", scale: 16, test_every: 5)
    minimize  = cross_entropy(logits, y)
    optimizer = adam(lr: 1e-2, schedule: cosine(to: 1e-5))
    epochs    = 20
    batch     = 64
    report    = [accuracy(logits, y), sparsity(G), residual(G)]
}
