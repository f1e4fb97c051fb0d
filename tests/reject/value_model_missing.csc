function f(x) = x
