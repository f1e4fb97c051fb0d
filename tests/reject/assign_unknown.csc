model m {
    input x : real[3]
    var total = x
    totl = 2 * x
    new = x
    output y = total
}
