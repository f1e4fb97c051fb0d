# the names of parameters
# param D.1.F
# param D.3.F
# param z.A.W
# param pair.2.1.F1
# param pair.1.2.F1
# param pair.F1
# param bn.weight
# param logits.weight
# param logits.bias
# param conv2d.weight
# param conv2d_2.weight
# param G.prox.1.s
# param net.conv2d.weight
# param net.B.F
# state bn.mean
# state bn.variance
layer coded(x) {
    dictionary A = conv(W, pad: same)' where { param W : real[4, channels(x), 3, 3] = he_normal }
    lasso y : x ~ A * y { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    return y
}
layer pair(x) { param F1 : real[4, channels(x), 3, 3] = he_normal; return conv(F1, pad: same)(x) }
prox scale(z) { param s : real[4] = 1; return relu(z * s) }
dictionary bank(c: int) { param F : real[4, c, 3, 3] = normal(1); return conv(F, pad: same)' }
layer net(x) { dictionary B = bank(4); return B' * conv2d(B * x, 4) }
model names() {
    input X : real[3, 8, 8]
    label y : class[10]
    dictionary D[i in 1..3] = bank(i == 1 ? 3 : 4)
    lasso G : X ~ chain(D) * G { prox = scale; solve = ml_ista(unfold: 0) }
    let z = coded(X)
    var x = z
    for i in 1..2 { for j in 1..2 { x = pair(x) } }
    let bn = batch_norm()
    x = relu(bn(pair(x)))
    x = bn(conv2d(conv2d(x, 4), 4))
    output logits = linear(global_average(net(x) + G[3]), 10)
}
