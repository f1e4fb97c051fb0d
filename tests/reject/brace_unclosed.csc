model m {
    input x : real[3]
    for i in 1..3 {
        let a = x
    output y = x
}

train m {
    epochs = 3
}
