dictionary separable(c: int, w: int) {
    param S : real[c, 1, 3, 3] = he_normal
    param M : real[w, c, 1, 1] = he_normal
    return (conv(M) * conv(S, groups: c, pad: same))'
}
dictionary gated(c: int, w: int) {
    param F : real[w, c, 3, 3] = he_normal
    param g : real[w] = 1
    return conv(F, pad: same)' * diag(g)
}
model m {
    input X : real[3, 16, 16]
    input s : real[16]
    param W : real[16, 16] = normal(0.2), orthogonal
    dictionary A = dct' * dense(W)
    dictionary B = 0.5 * A + dense(W)' - A / 2
    param V : like(A) = 2 * A
    dictionary P = separable(3, 8)
    dictionary Q = gated(3, 8)
    dictionary R = [P | Q]
    lasso z : s ~ [A | I] * z { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    lasso G : X ~ R * G { lambda = 0.1 * lambda_max(R, X); prox = soft; step = 0.9 / lipschitz(R); solve = fista(unfold: 1) }
    output a = A'(s) + B * s + V'(s) + shift(2)(s) + haar * s + dense(W)^2 * s
    output b = R * G + reconstruct(z)[1]
    output c = conv(fill(1 / 9, [3, 1, 3, 3]), groups: 3, pad: same, boundary: "circular")(X)
}
