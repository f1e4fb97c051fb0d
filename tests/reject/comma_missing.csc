function f(a b) = a
model m {
    input x : real[3]
    let a = [1 2, 3]
    let b = f(x 3)
    let c = x[1 2]
    output y = x
}
