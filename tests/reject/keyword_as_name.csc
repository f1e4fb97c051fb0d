model m {
    input input : real[3]
    let for = 3
    output y = 1
}
layer train(x) = x
