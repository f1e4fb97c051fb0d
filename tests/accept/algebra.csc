# the algebra of operators: products, sums, multiples, adjoints, blocks, powers; fixed transforms; attention
# param K.weight
# param Q.weight
model operators() {
    input X : real[4, 16, 16]
    input s : real[8]
    input t : real[6, 12]
    param F : real[8, 4, 3, 3] = he_normal
    param W : real[5, 8] = uniform(-1, 1), orthogonal
    param v : real[4] = 1
    dictionary one = conv(F, stride: 2, pad: same)'
    dictionary two = one * diag(d) * 0.5 where { param d : real[8] = 1 }
    dictionary sum2 = conv(F, pad: same)' + 2 * conv(F, dilation: 3, pad: same)' - conv(F, pad: 1, boundary: "circular")'
    dictionary wide = [I | conv(F, pad: same)' | dct' * diag(v)]
    dictionary tall = [conv(F, pad: same)' ; conv(F, dilation: 2, pad: same, boundary: "reflect")']
    dictionary grid = [I | haar ; shift(1) | 3 * I]
    lasso a : X ~ two * a { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    lasso b : X ~ sum2 * b { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    lasso c : X ~ wide * c { lambda = [0.1, 0.2, 0.3]; prox = soft; solve = ista(unfold: 1) }
    lasso d : [X ; X] ~ tall * d { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    lasso e : [X ; X] ~ grid * e { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    let P = dense(W)' * dense(W)
    let p3 = (P^2 - I / 2)(s)
    let K = linear_map(t, 3)
    let Q = linear_map(t, 3)
    let attention = dense(softmax(dense(K)' * Q, axis: 1))' * s12(t)
    output r = p3 + dense(W)' * (dense(W) * s)
    output u = attention
    output w = mean(a) + mean(b) + mean(c) + mean(d) + mean(e) + coherence(one) + lipschitz(dense(W)) + atoms(wide)
    output m = mask(X > 0) * X
    output h = (-one)(one'(X))
}
layer linear_map(t, n: int) {
    param weight : real[n, channels(t)] = he_normal
    return dense(weight) * t
}
function s12(t) = permute(t, [2, 1])
