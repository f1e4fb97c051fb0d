# a user's solvers, thresholds and layers, values to apply, an untied prox
prox firm(z, t, upper: real = 4) of abs(z) = abs(z) > upper * t ? z : upper / (upper - 1) * sign(z) * max(abs(z) - t, 0)
solver momentum(X ~ D * g, beta: real = 0.5) {
    var last = g
    repeat updates {
        let next = prox(g - step * D'(D * g - X))
        last, g = g, next + beta * (next - last)
    }
    return g
}
solver once(X ~ D * g, skip: bool = true) = relu(D'(X) + (skip ? g : 0))
layer norm(x, gain = 1.0) {
    param scale : real[channels(x)] = gain
    return x * scale / sqrt(mean(x^2) + 1e-6)
}
function pair(x, f: layer) {
    return f(x), f(2 * x)
}
model m(twice: bool = false) {
    input X : real[3, 8, 8]
    dictionary D = conv(F, pad: same)' where { param F : real[8, 3, 3, 3] = he_normal }
    lasso A : X ~ D * A { lambda = 0.1; prox = firm(upper: 3); step = 0.5; solve = momentum(beta: 0.3, unfold: 2) }
    lasso B : X ~ D * B { init = A; solve = once(skip: !twice) }
    lasso C : X ~ D * C { untied prox(z) = relu(norm(z)); step = 0.5; solve = ista(unfold: 2) }
    let shared = norm(gain: 2.0)
    let a, b = pair(B, shared)
    var s = C
    s = twice ? norm(s) : s
    output y = a + b + s
}
