model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    repeat sum(X) { let a = X }
    let b = [i for i in 1..sum(X)]
    output y_ = X
}
