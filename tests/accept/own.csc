# a user's own solver, threshold, layer and dictionary, taken from another file too; several models in a file
# param G.momentum.beta
# param D.F
# param net.gate
import std.networks
import "imported_bank.csc"
prox clipped(z, t, top = 1.0) of min(abs(z), top) = clamp(soft(z, t), -top, top)
solver momentum(X ~ D * g, factor: real = 0.5, rule = clamp) {
    param beta : real = 0.1
    var s, old = step, g
    repeat updates until change(g) < tolerance {
        param each : real = 1
        let move = rule(g - old, -1, 1) * beta
        old = g
        g = prox(g + move - s * each * D'(D * g - X))
        s = s * factor
    }
    return g
}
model first() {
    input X : real[3, 8, 8]
    output y = relu(X)
}
model second() {
    input X : real[3, 8, 8]
    label y : class[10]
    dictionary D = bank(3, 6)
    lasso G : X ~ D * G {
        lambda = 0.1
        prox = clipped(top: 2)
        step = 0.2
        solve = momentum(unfold: 2, factor: 0.7)
    }
    let net = gated()
    output logits = resnet_body(net(net(G)), [1, 1], 10, width: 8)
}
train second {
    data = cifar10("data/cifar10")
    minimize = cross_entropy(logits, y)
    optimizer = adam(lr: 1e-3, schedule: warmup(epochs: 2, then: cosine))
}
train first {
    data = images("pictures")
    minimize = mean(y)
    optimizer = sgd(lr: 0.1)
}
