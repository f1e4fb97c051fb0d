# cscc check --set flag=2
model m(n: int = 3, flag: bool = true) {
    input X : real[3]
    output y = n * X
}
