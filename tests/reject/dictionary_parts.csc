dictionary F { return I }
dictionary G(c int) = I
dictionary H(c: int) I
model m {
    input x : real[3]
    dictionary [i in 1..3] = I
    output y = x
}
