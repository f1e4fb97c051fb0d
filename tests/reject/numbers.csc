model m {
    input x : real[3]
    let a = 99999999999999999999
    let b = 1e999
    let c = 3.
    let d = .5
    let e = 16c
    let f = 0x10
    let g = 1_000
    output y = x
}
