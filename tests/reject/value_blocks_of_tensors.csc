model m() {
    input X : real[3, 8, 8]
    param F : real[4, 3, 3, 3] = he_normal
    let a = [X | X]
    let b = [I ; X]
    let c = [conv(F) | conv(F)] * X
    let d = [conv(F)' | conv(F, pad: same)'] * fill(1, [8, 6, 6])
    let e = (conv(F, pad: same)' + I) * fill(1, [4, 8, 8])
    let f = conv(F) * conv(F)
    let g = f * X
    let h = diag(fill(1, [5])) * X
    let k = haar * fill(1, [3, 6, 6])
    let l = shift(1, axis: 4) * X
    let p = X * I
    let q = I + 1
    let r = lambda_max(I, fill(1, [2, 2]))
    output y = X
}
