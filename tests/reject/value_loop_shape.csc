model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    var g = X
    repeat 3 { g = max_pool(g, 2) }
    var l = [X]
    repeat 3 { l[length(l) + 1] = X }
    output y_ = X
}
