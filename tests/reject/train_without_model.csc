train {
    epochs = 3
}
train m(3) { epochs = 3 }
model m {
    input x : real[3]
    output y = x
}
