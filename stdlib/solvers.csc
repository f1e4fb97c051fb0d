# Solvers. The head is the problem; there the unknown starts as `init`, and the options of the lasso are names.
# `updates` counts all updates (unfold: k makes k + 1); `tolerance` is absent unless `until` was given.

# ---- one dictionary ----

# G <- P(G - t D'(D G - X), lambda t)
solver ista(X ~ D * g, backtrack: real = 0) {
    require(backtrack >= 0 && backtrack < 1, "backtrack: is what a step is multiplied with that was too long, below 1; 0: the step stays")
    var s = backtrack > 0 ? step : 0.0                      # a step of the lasso may be untied
    repeat updates until change(g) < tolerance {
        if backtrack > 0 { g, s = search(g, D'(D * g - X), D, prox, s, backtrack) }
        else { g = prox(g - step * D'(D * g - X)) }         # from init = zero the first is prox(step * D' X)
    }
    return g
}

# Beck and Teboulle (2009): the step is taken at the extrapolated point. momentum_at: "iterate" takes the gradient at the last code instead
solver fista(X ~ D * g, momentum_at: string = "point", backtrack: real = 0) {
    require(momentum_at == "point" || momentum_at == "iterate", "momentum_at: is \"point\" or \"iterate\"")
    require(backtrack >= 0 && backtrack < 1, "backtrack: is what a step is multiplied with that was too long, below 1; 0: the step stays")
    var last, y, m, s = g, g, 1.0, backtrack > 0 ? step : 0.0
    repeat updates until change(g) < tolerance {
        let at = momentum_at == "iterate" ? last : y
        if backtrack > 0 { g, s = search(y, D'(D * at - X), D, prox, s, backtrack) }
        else { g = prox(y - step * D'(D * at - X)) }
        let m_next = (1 + sqrt(1 + 4 * m^2)) / 2
        y = g + (m - 1) / m_next * (g - last)
        last, m = g, m_next
    }
    return g
}

# Backtracking: the step s shrinks, for each sample by itself, until the quadratic bound holds at the new code: |D d|^2 <= |d|^2 / s
function search(y, slope, D, threshold: function, s, shrink) {
    var code, t, fits = y, s, 0.0
    repeat 60 until fits > 0 {
        code = threshold(y - t * slope, t)
        let d = code - y
        fits = t * sum((D * d)^2) <= 1.00001 * sum(d^2) ? 1.0 : 0.0
        t = fits > 0 ? t : shrink * t
    }
    return code, t
}

# Li and Osher (2009): of all entries the one that would move most is set to its best value. `step` is 1 / |atom|^2, 1 for unit atoms
solver coordinate_descent(X ~ D * g) {
    repeat updates until change(g) < tolerance {
        let move = prox(g - step * D'(D * g - X)) - g
        let which = one_hot(argmax(flatten(abs(move))), size(g))
        g = g + move * reshape(which, shape(g))
    }
    return g
}

# Blumensath and Davies (2008), iterative hard thresholding: the k largest entries stay
solver iht(X ~ D * g, k: int) {
    repeat updates until change(g) < tolerance { g = largest(g - step * D'(D * g - X), k) }
    return g
}

# Pati et al. (1993), orthogonal matching pursuit, for atoms of one norm: `updates` is how many are chosen, `tolerance` is for |X - D G|
solver omp(X ~ D * g) {
    let x, n = flatten(X), size(g)
    var turn, r, c, place, chosen = 0.0, x, fill(0, [updates]), fill(-1, [updates]), fill(0, [updates, size(X)])
    repeat updates until sqrt(sum(r^2)) < tolerance {
        let row = one_hot(turn, updates)
        let i = argmax(flatten(abs(D'(reshape(r, shape(X))))))
        let atom = flatten(D * reshape(one_hot(i, n), shape(g)))
        chosen = chosen + dense(reshape(row, [updates, 1])) * reshape(atom, [1, size(X)])
        place = place + row * (i + 1)
        c = solve_positive(dense(chosen) * permute(chosen, [2, 1]), dense(chosen) * x)      # rows not yet used: 0
        r = x - dense(chosen)' * c
        turn = turn + 1
    }
    return reshape(dense(one_hot(place, n)) * c, shape(g))
}

# ---- chains ----

# Each layer is solved before the next begins
solver layered(X ~ chain(D) * G, each: solver) {
    for i in 1..length(D) {
        lasso G[i] : (i == 1 ? X : G[i - 1]) ~ D[i] * G[i] { solve = each }     # the other options are layer i's
    }
    return G
}

# Sulam et al. (2019), ML-ISTA
solver ml_ista(X ~ chain(D) * G) {
    repeat updates until change(G) < tolerance {
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
    repeat updates until change(G) < tolerance {
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

# ML-LISTA: analysis filters of their own, B_i, from t_i D_i on: G_i <- P(G_i - t_i D_i' D_i G_i + B_i' G_{i-1})
solver ml_lista(X ~ chain(D) * G) {
    param B[i in 1..length(D)] : like(D[i]) = step[i] * D[i]
    repeat updates until change(G) < tolerance {
        for i in length(D) - 1 .. 1 by -1 { G[i] = D[i + 1] * G[i + 1] }
        for i in 1..length(D) {
            let below = i == 1 ? X : G[i - 1]
            G[i] = prox[i](G[i] - step[i] * D[i]'(D[i] * G[i]) + B[i]'(below))
        }
    }
    return G
}

# All free: the same with dictionaries W_i and filters B_i of each update's own
solver all_free(X ~ chain(D) * G) {
    repeat updates until change(G) < tolerance {
        param W[i in 1..length(D)] : like(D[i]) = D[i]
        param B[i in 1..length(D)] : like(D[i]) = step[i] * D[i]
        for i in length(D) - 1 .. 1 by -1 { G[i] = W[i + 1] * G[i + 1] }
        for i in 1..length(D) {
            let below = i == 1 ? X : G[i - 1]
            G[i] = prox[i](G[i] - step[i] * W[i]'(W[i] * G[i]) + B[i]'(below))
        }
    }
    return G
}

# ---- learned ----

# Gregor and LeCun (2010): x <- S(W x + B y, theta), for codes that are vectors; from ISTA on
solver lista(X ~ D * z) {
    let n, L = size(z), lipschitz(D)
    param B     : like(D)    = D / L
    param W     : real[n, n] = identity(n) - D'(D * identity(n)) / L
    param theta : real[n]    = fill(lambda / L, [n])
    repeat updates until change(z) < tolerance { z = soft(dense(W) * z + B'(X), theta) }
    return z
}

# Sreter and Giryes (2018), for convolutional dictionaries: z <- S(z + B'(y - E z), theta)
solver lista_conv(X ~ D * z) {
    param B     : like(D) = D / lipschitz(D)
    param E     : like(D) = D
    param theta : real    = lambda / lipschitz(D)
    repeat updates until change(z) < tolerance { z = soft(z + B'(X - E * z), theta) }
    return z
}

# Chen et al. (2018): x <- S(x + W_k'(y - A x), theta_k)
solver lista_cp(X ~ D * z) {
    repeat updates until change(z) < tolerance {
        param W     : like(D) = D / lipschitz(D)            # in a repeat: one per update
        param theta : real    = lambda / lipschitz(D)
        z = soft(z + W'(X - D * z), theta)
    }
    return z
}

# The same with support selection: of what passes the threshold, the largest percent * k of all entries, `most` at the end, are not shrunk
solver lista_cpss(X ~ D * z, percent: real = 1.2, most: real = 12) {
    require(!known([percent, most]) || (percent >= 0 && most >= 0 && most <= 100), "percent: and most: are percents of the entries, from 0 to 100")
    var share = 0.0
    repeat updates until change(z) < tolerance {
        param W     : like(D) = D / lipschitz(D)
        param theta : real    = lambda / lipschitz(D)
        share = min(share + percent, most)
        z = soft_but_largest(z + W'(X - D * z), theta, share)
    }
    return z
}

# Liu et al. (2019), ALISTA: W is computed from A alone; only steps and thresholds are learned
solver alista(X ~ D * z) {
    let L = lipschitz(D)
    param W : real[size(X), size(z)] = analytic_weights(D * identity(size(z))), fixed
    repeat updates until change(z) < tolerance {
        param gamma : real = 1
        param theta : real = lambda / L
        z = soft(z - gamma * dense(W)'(D * z - X), theta)
    }
    return z
}

# The W that minimises |W' A|_F with diag(W' A) = 1. Column by column: w = (A A')^-1 a, scaled to <w, a> = 1
function analytic_weights(A) {
    let V = solve_positive(dense(A) * permute(A, [2, 1]), A)
    return permute(permute(V, [2, 1]) / sum(A * V, axis: 1), [2, 1])
}

function identity(n: int) = one_hot(tensor(0..n - 1), n)
