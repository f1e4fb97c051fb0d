model m(n: int = 3) {
    input X : real[3, 8, 8]
    input s : real[16]
    param F : real[8, 3, 3, 3] = normal(1)
    let a = conv(F, pad: -1)(X)
    let b = conv(F, stride: 0)(X)
    let c = conv(F, groups: 2)(X)
    let d = conv(F, boundary: "mirror")(X)
    let e = conv(F, pad: "wide")(X)
    output y_ = X
}
