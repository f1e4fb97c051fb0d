model m() {
    input X : real[3, 8, 8]
    var n = 0
    for i in 1..10000 { for j in 1..10000 { n = n + 1 } }
    output y = X * n
}
