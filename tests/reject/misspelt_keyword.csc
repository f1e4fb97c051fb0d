modle m {
    input x : real[3]
    output y = x
}
model k {
    inptu x : real[3]
    dictionray D = I
    output y = x
}
