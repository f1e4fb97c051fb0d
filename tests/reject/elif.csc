model m(n: int = 1) {
    input x : real[3]
    var a = x
    if n == 1 { a = 2 * x }
    elif n == 2 { a = 3 * x }
    output y = a
}
