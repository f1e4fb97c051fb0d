# What goes wrong inside of a definition says which call led there.
layer pair(x, w: int) {
    param F : real[w, 3, 3, 3] = he_normal
    return conv(F, pad: same)(x)
}
layer twice(x) = pair(pair(x, 4), 4)
model m() {
    input X : real[3, 8, 8]
    let a = pair(X, 8)
    let b = twice(X)
    let c = linear(X, 10) + dropout(batch_norm(5), p: "half")
    lasso G : X ~ I * G { lambda = 0.1; prox = soft; solve = ista(unfold: 1); step = fill(1, [7]) }
    output y = c
}
