# What require takes.
layer f(x) {
    require(x)
    require(size(x) > 1)
    require size(x) > 1
    require(size(x) > 1, 3)
    assert(size(x) > 1, "large")
    let require = 3
    return x
}
model m() {
    input X : real[3, 8, 8]
    output y = f(X)
}
