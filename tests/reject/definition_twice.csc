layer f(x) = x
layer f(x) = 2 * x
function g(a, a) = a
model m {
    input x : real[3]
    output y = f(x)
}
model m {
    input x : real[3]
    output y = x
}
