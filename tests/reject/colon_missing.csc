model m {
    input x real[3]
    label y class[10]
    param F real[3, 3]
    output z = x
}
