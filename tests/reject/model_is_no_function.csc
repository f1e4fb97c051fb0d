model a {
    input x : real[3]
    output y = x
}
model b {
    input x : real[3]
    output y = a(x)
}
