# Super-resolution: the code of the small picture, Y = S D G with S the sampling operator (means of squares), gives the large one.
#   cscc train super_resolution.csc
#   cscc run super_resolution.csc --model enlarge --weights runs/super_resolution/best.safetensors --input small.png --output large.png

dictionary filters(atoms: int) = conv(A, pad: same)' where { param A : real[atoms, 1, 9, 9] = normal(1), unit_atoms }

function enlarged(Y, D, times: int, updates: int) {
    dictionary S = conv(fill(1 / times^2, [1, 1, times, times]), stride: times)
    let low = low_pass(upsample(Y, times), r: times - 1)
    lasso G : Y - S * low ~ S * D * G {
        tunable lambda = 0.01
        prox  = soft
        solve = fista(iterations: updates)
    }
    return low + D * G, low
}

model enlarge(atoms: int = 48, times: int = 2, updates: int = 10) {
    input Y : real[1, H, W]
    dictionary D = filters(atoms)
    let large, low = enlarged(Y, D, times, updates)
    output large
}

model super_resolution(atoms: int = 48, times: int = 2, updates: int = 10) {
    input X : real[1, H, W]
    dictionary D = filters(atoms)
    let Y = sum_pool(X, times) / times^2
    let large, low = enlarged(Y, D, times, updates)
    output large
}

train super_resolution {
    data      = images("../data/pictures", patch: 64, gray: true)
    minimize  = mean((large - X)^2)                                     # the picture is its own target
    optimizer = adam(lr: 1e-3)
    epochs    = 200
    batch     = 4
    report    = [psnr(large, X), psnr(low, X), psnr(upsample(Y, times), X)]
}
