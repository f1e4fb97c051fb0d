model m {
    input a : int
    input b : class[3]
    label c : real[10]
    label d : class
    target e : string
    param f : int = 3
    param g : like = 3
    param h : real(3) = 3
    input x : real[3]
    output y = x
}
