solver a(x, n: int) = x
solver b() = 3
solver c(X ~ D) = X
solver d(X ~ 2 * g) = X
solver e(X ~ D * g, Y ~ D * g) = g
layer f(X ~ D * g) = X
model m {
    input x : real[3]
    output y = x
}
