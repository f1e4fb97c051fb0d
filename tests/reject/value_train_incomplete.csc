model m {
    input X : real[3]
    output y = X
}
train m {
    minimize = sum(y)
}
