model m {
    input x : real[3]
    let a = True
    let b = len([1, 2])
    let c = torch.relu(x)
    let d = [i for i in range(3)]
    output y = x
}
