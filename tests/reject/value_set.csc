# cscc check --set n=many --set q=3
model m(n: int = 3, flag: bool = true) {
    input X : real[3]
    output y = n * X
}
