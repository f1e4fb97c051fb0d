# options of a lasso: declared on the spot, for each update, for each layer, for each block, as lists, as functions
# param z.z.step
# param F
# param u.prox.batch_norm.weight
# param u.step
# param steps.1
# param steps.3
# param C.prox.2.batch_norm.bias
# param theta
layer tail(x) {
    dictionary D = conv(W, pad: same)' where { param W : real[8, 3, 3, 3] = he_normal }
    lasso z : x ~ D * z {
        tunable lambda = 0.1
        param step : real = 0.5, nonnegative
        prox = soft
        solve = ista(unfold: 2)
    }
    return z
}
dictionary blocks(c: int) { param F : real[6, c, 3, 3] = normal(0.1); return [I | conv(F, dilation: 2, pad: same)'] }
model options() {
    input X : real[3, 16, 16]
    param F : real[8, 3, 5, 5] = normal(0.1), unit_atoms
    dictionary D = conv(F, pad: same)'
    lasso u : X ~ D * u {
        untied prox(z) = relu(batch_norm(z))
        untied param step : real = 1
        solve = ista(unfold: 3)
    }
    let z = tail(X)
    dictionary E[i in 1..3] = conv(W, pad: same)' where { param W : real[4 + i, i == 1 ? 3 : 3 + i, 3, 3] = he_uniform }
    param steps[i in 1..3] : real = 0.1 * i
    lasso C : X ~ chain(E) * C {
        step[i] = steps[i]
        prox[i](z) = relu(batch_norm(z))
        solve = ml_ista(unfold: 2)
    }
    lasso L : X ~ chain(E) * L {
        prox = [soft, soft_nonneg, none]
        lambda = [0.1, 0.2, 0]
        prox[2](z, t) = hard(z, t)
        init = zero
        solve = layered(each: fista(iterations: 2))
    }
    dictionary B = blocks(3)
    lasso b : X ~ B * b {
        lambda = [0.1, 0.2]
        prox = [none, soft_nonneg]
        step = 0.9 / lipschitz(B)
        init = B' * X
        solve = fista(until: 1e-4, at_most: 20)
    }
    param per_channel : real[8] = 0.05, nonnegative
    lasso c : X ~ D * c { lambda = per_channel; prox = soft; step = 0.1; solve = fista(unfold: 0) }
    lasso m : X ~ D * m { lambda = 0.1 * lambda_max(D, X); prox = group(size: 4); solve = ista(iterations: 2); init = c * 0.5 }
    param theta : real[8] = 0.1
    lasso v : X ~ D * v {

        prox(z) = two_sided(z, theta, relu)
        solve = ista(unfold: 1)
    }
    lasso w : X ~ D * w { lambda = -0.1; prox = elastic(mu: 0.3); solve = ista(unfold: 1) }
    output y = global_average([u ; z ; C[3] ; L[1] ; b ; c ; m ; v ; w])
    output r = residual(L) + residual(C[2]) + objective(b) + objective(m) + sparsity(b) + density(u)
    output t = reconstruct(C, to: X) + reconstruct(u) + reconstruct(L[3], to: X)
}
