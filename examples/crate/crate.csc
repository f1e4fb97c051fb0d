# Digits as tokens: blocks of subspace attention and one ISTA step each (Yu et al. 2023, CRATE).
import std.attention

model crate(depth: int = 3, width: int = 64, heads: int = 4, p: int = 16, updates: int = 1) {
    input X : real[1, 8, 8]
    label y : class[10]
    var z = patch_embedding(X, width, 2)
    for i in 1..depth {
        z = crate_block(z, heads, p, updates: updates)
    }
    output logits = linear(permute(token_norm(z), [2, 1])[1], 10)
}

train crate {
    data      = idx("../data/digits-images-idx3-ubyte.gz", "../data/digits-labels-idx1-ubyte.gz", scale: 16, test_every: 5)
    minimize  = cross_entropy(logits, y)
    optimizer = adam(lr: 3e-3, schedule: warmup(2, then: cosine(to: 1e-5)))
    epochs    = 60
    batch     = 64
    report    = [accuracy(logits, y), sparsity(z)]
}
