model m {
    input x : real[3]
    lasso G : x ~ I * G { lambda = 1 }
    output y = G
}
train m {
    minimize = sum(H) + missing
    report = [sparsity(G), sum(yy)]
    only = [D]
}
