model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    let a = max_pool(X, 0)
    let b = sum(X, axis: 4)
    let c = [1, 2, 3][1..10 by 0]
    param W : real[0, 3] = 1
    param V : real[3, 3] = normal(-1)
    output y_ = X
}
