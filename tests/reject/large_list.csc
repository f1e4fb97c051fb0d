model m() {
    input X : real[3, 8, 8]
    let a = 1..10000000
    var l = [1]
    for i in 1..40 { l = l + l }
    output y = X
}
