# Solvers. The head is the problem; there the unknown starts as `init`, and the options of the lasso are names.
# `updates` counts all updates (unfold: k makes k + 1); `tolerance` is absent unless `until` was given.

# G <- P(G - t D'(D G - X), lambda t)
solver ista(X ~ D * g) {
    repeat updates until change(g) < tolerance {
        g = prox(g - step * D'(D * g - X))                  # from init = zero the first is prox(step * D' X)
    }
    return g
}

# Beck and Teboulle (2009): the step is taken at the extrapolated point
solver fista(X ~ D * g) {
    var last, y, m = g, g, 1.0
    repeat updates until change(g) < tolerance {
        g = prox(y - step * D'(D * y - X))
        let m_next = (1 + sqrt(1 + 4 * m^2)) / 2
        y = g + (m - 1) / m_next * (g - last)
        last, m = g, m_next
    }
    return g
}

# Each layer is solved before the next begins
solver layered(X ~ chain(D) * G, each: solver) {
    for i in 1..length(D) {
        lasso G[i] : (i == 1 ? X : G[i - 1]) ~ D[i] * G[i] { solve = each }     # the other options are layer i's
    }
    return G
}

# Sulam et al. (2019), ML-ISTA
solver ml_ista(X ~ chain(D) * G) {
    repeat updates {
        for i in length(D) - 1 .. 1 by -1 { G[i] = D[i + 1] * G[i + 1] }
        for i in 1..length(D) {
            let below = i == 1 ? X : G[i - 1]
            G[i] = prox[i](G[i] - step[i] * D[i]'(D[i] * G[i] - below))
        }
    }
    return G
}

# ML-FISTA: the synthesis and the last layer start from the extrapolated deepest code
solver ml_fista(X ~ chain(D) * G) {
    let n = length(D)
    var last, z, s = G[n], G[n], 1.0
    repeat updates {
        G[n] = z
        for i in n - 1 .. 1 by -1 { G[i] = D[i + 1] * G[i + 1] }
        for i in 1..n {
            let below = i == 1 ? X : G[i - 1]
            G[i] = prox[i](G[i] - step[i] * D[i]'(D[i] * G[i] - below))
        }
        let s_next = (1 + sqrt(1 + 4 * s^2)) / 2
        z = G[n] + (s - 1) / s_next * (G[n] - last)
        last, s = G[n], s_next
    }
    return G
}

# Chen et al. (2018): x <- S(x + W_k'(y - A x), theta_k)
solver lista_cp(X ~ D * z) {
    repeat updates {
        param W     : like(D) = D / lipschitz(D)            # in a repeat: one per update
        param theta : real    = lambda / lipschitz(D)
        z = soft(z + W'(X - D * z), theta)
    }
    return z
}
