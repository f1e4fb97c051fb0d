# starts from other codes: Res-CSC; a problem in a repeat; a code kept through names, lists and return; helpers of lists
# param a.D.F
# param D.F
dictionary bank(c: int, w: int) { param F : real[w, c, 3, 3] = normal(0.1); return conv(F, pad: same)' }
layer first(x) {
    dictionary D = bank(channels(x), 8)
    lasso z : x ~ D * z { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    return z
}
model res() {
    input X : real[3, 8, 8]
    let a = first(X)
    dictionary D = bank(3, 8)
    lasso b : X ~ D * b { lambda = 0.1; prox = soft; init = a; solve = ista(unfold: 0) }
    let all = [a, b]
    var x = X
    repeat 3 {
        lasso q : x ~ D * q { lambda = 0.2; prox = soft; step = 0.1; solve = ista(unfold: 1); init = b }
        x = x - D * q
    }
    let total = sum(residual(c) for c in all) + sum([objective(c) for c in all]) + sum(residual(c) for c in codes)
    output y = reconstruct(all[2]) + x
    output t = total + mean([1, 2, 3]) + max([length(all), 1]) + length(codes)
}
