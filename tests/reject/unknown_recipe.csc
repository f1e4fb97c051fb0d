model m {
    input x : real[3]
    output y = x
}
train m {
    data = mnst("data")
    augment = [hflp, translate(by: 4), sgd]
    optimizer = addam(lr: 0.1)
    stages = layers(y)
}
train m {
    data = imagenet("x")
    optimizer = sgd(lr: 0.1, schedule: cosin(to: 0))
}
