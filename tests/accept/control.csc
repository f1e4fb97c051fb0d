# for, if and ?: on what is known and on tensors; ranges by steps, forwards and backwards; lists; whole numbers
# param a.1
# param a.2
# param a.3
# param linear.1.weight
# param linear.2.bias
function steps(n: int) = [i for i in n .. 1 by -2]
function pick_third(l) = l[3]
function both_of(a, b) { return a, b }
layer scales(x, list) {
    var y = x
    for s in list {
        if s == 0 { y = y }
        else if s < 0 && s > -3 { y = y * s }
        else { y = max(y, s) }
    }
    return y
}
model control(deep: bool = true, n: int = 7) {
    input X : real[4, 9]
    param a[i in 1..3] : real[4] = i
    let l = steps(n) + [0, -1 , -2^2, 7 // -2, -7 % 3]
    let known = length(l) == 9 ? pick_third(l) : 0
    let chosen = X > 0 ? X * a[1] : abs(X)^0.5
    let both = (X > 0 && X < 1 || !(X == 2)) ? chosen : zero
    var y = scales(both, l)
    for i in 3..1 { y = y / 0 }                             # no turn
    for i in 1 .. 5 by 2 { if i != 3 { y = y + a[i // 2 + 1] } }
    for i in 1..2 { y = y + linear(X, 4) }
    let m, d = both_of(mean(y), known)
    output out = deep ? y - m * d : X
    output best = argmax(y, axis: 2)
    output item = X[2]
    output some = X[[1, 3]]
    output tail = X[2..4]
    output few = [X[1] ; X[4]]
}
