model m {
    input x : real[3]
    let a = x ** 2
    let b = a & x
    let c = I @ x
    let d := x
    var e = x
    e += 1
    let f = 'text'
    let g = x <> a
    output y = x
}
function h(x) -> real = x
