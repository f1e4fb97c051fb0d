layer f(x) {
    let y = 2 * x
}
function g(x) {
}
model m {
    input x : real[3]
    output y = f(x)
}
