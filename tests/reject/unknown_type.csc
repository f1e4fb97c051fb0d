layer f(x, n: integer, k: str, s: solvr) = x
model m {
    input x : reel[3]
    param W : float[3] = 1
    output y = x
}
