layer f(x: , n: int = ) = x
model m {
    input x : real[3
    label y : class(
    param F : = 3
    output z = x
}
