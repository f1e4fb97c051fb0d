# Inpainting: the code of what is seen, Y = M D G with M a mask, gives what is not. Missing pixels are black (0) in the input.
#   cscc run inpainting.csc --weights runs/inpainting/best.safetensors --set keep=1 --input holes.png --output whole.png

model inpainting(atoms: int = 48, k: int = 8, updates: int = 60, keep: real = 0.5) {
    input X : real[1, H, W]
    let seen = X > 0 && random(shape(X)) < keep ? 1.0 : 0.0             # training hides pixels; what it hides, no gradient sees
    dictionary M = mask(seen)
    let low = low_pass(M * X) / max(low_pass(seen), 1e-3)               # the mean of what is seen nearby
    dictionary D = conv(A, pad: full)' where { param A : real[atoms, 1, k, k] = normal(1), unit_atoms }
    lasso G : M * (X - low) ~ M * D * G {
        tunable lambda = 0.04
        prox     = soft
        step     = 0.9 / lipschitz(D)                                   # a mask makes it no larger
        solve    = fista(until: 1e-3, at_most: updates)
        gradient = stopped
    }
    output whole = low + D * G
}

train inpainting {
    data      = images("../data/pictures", patch: 64, gray: true)
    minimize  = objective(G)
    optimizer = adam(lr: 2e-3)
    epochs    = 200
    batch     = 4
    report    = [psnr(whole, X), psnr(low, X), sparsity(G)]
}
