# cscc check --model k
model m {
    input X : real[3]
    output y = X
}
