# repeat: nested, until a test holds for each sample, with parameters for each turn, untied and shared, of nested turns too
# param w
# param inner
# param outer
# param conv2d.weight
# param bn.weight
model repeats(n: int = 3) {
    input X : real[4, 8, 8]
    target T : real[4, 8, 8]
    param w : real[4] = 1
    let bn = batch_norm()
    var x, e, list = X, 1.0, [X, X * 2]
    repeat n {
        param outer : real[4] = normal(0.1)
        x = x * outer + w
        repeat 2 {
            param inner : real[4] = 0.1
            x = relu(x - inner) + conv2d(x, 4)
            e = e / 2
        }
        list[1] = list[2]
        list[2] = x
        x = bn(x)
    }
    repeat 0 { x = x / 0 }
    repeat 4 until sum(x^2) <= 1 || e < 1e-6 { x = x / 2 }
    output y = bn(x) + list[1] * e
}
train repeats {
    data = npy(["x.npy", "t.npy"])
    minimize = mean((y - T)^2)
    optimizer = sgd(lr: 0.1)
}
