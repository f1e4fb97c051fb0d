model m() {
    input X : real[3, 8, 8]
    var y = X
    repeat 1000000 {
        param W : real[3, 3, 100] = 1
        y = y * sum(W)
    }
    repeat 10000000 { y = y / 2 }
    var l = [X]
    for i in 1..60 { l = [l] }
    repeat 2 { l = l }
    output y
}
