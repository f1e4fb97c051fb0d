function f(x) = f(x) + 1
function a(x) = b(x)
function b(x) = c(x)
function c(x) = a(x)
model m {
    input x : real[3]
    output y = f(a(x))
}
