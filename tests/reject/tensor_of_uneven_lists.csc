model m {
    input x : real[3]
    output y = x * tensor([[1, 2], [3]])
    output z = x * tensor(2)
}
