model m(n: int = 1) {
    input x : real[3]
    var a = x
    if n == 1 and n < 3 { a = 2 * x }
    if not n == 2 { a = 3 * x }
    while n < 3 { a = x }
    output y = a
}
