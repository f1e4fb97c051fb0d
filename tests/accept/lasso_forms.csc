model m(unfold: int = 1) {
    input X : real[3, 16, 16]
    dictionary D = conv(F, pad: same)' where { param F : real[8, 3, 3, 3] = he_normal, unit_atoms }
    dictionary E = [D, conv(F2, stride: 2)' where { param F2 : real[8, 8, 4, 4] = he_normal }]
    param b[i in 1..2] : real[8] = 0
    tunable strength = 0.1
    lasso A : X - low_pass(X) ~ D * A { lambda = strength; prox = soft; solve = ista(unfold: unfold) }
    lasso B : X ~ D * B {
        param lambda : real[8] = 0.1, nonnegative
        prox(z, t) = relu(z - t)
        step = 0.5
        init = A
        solve = fista(iterations: 2)
        gradient = recompute
    }
    lasso C : X ~ chain(E) * C {
        prox[i](z) = relu(z + b[i])
        step[1] = 0.5
        step[2] = 0.25
        solve = ml_ista(unfold: unfold)
    }
    lasso H : X ~ chain(E) * H {
        lambda = [0.1, 0.2]
        prox = soft_nonneg
        tunable step[j] = 0.1 * j
        solve = layered(each: fista(unfold: 1))
        gradient = stopped
    }
    lasso K : X ~ [ I | D ] * K {
        lambda = [0, 0.05]
        prox = [none, soft]
        untied param step : real = 0.5
        solve = ista(unfold: 1)
    }
    var z = []
    for i in 1..2 {
        lasso z[i] : (i == 1 ? X : z[i - 1]) ~ E[i] * z[i] { lambda = 0.1; prox = soft; solve = ista(unfold: 0) }
    }
    output y = [A ; B]
    output w = z[2]
    output residuals = residual(A) + residual(B)
    output k = sparsity(K) + sum(l1(c) / size(c) for c in [A, B]) + length(codes)
    output c = C[2] + H[2]
}
