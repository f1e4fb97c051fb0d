# One lasso of pictures, its dictionary a convolution's adjoint: tests/golden/solvers.py puts a solver, or a threshold, in its place.

model picture(atoms: int = 4, k: int = 3) {
    input X : real[2, 8, 7]
    dictionary D = conv(F, stride: 2)' where { param F : real[atoms, 2, k, k] = normal(1), unit_atoms }
    lasso z : X ~ D * z { lambda = 0.2; step = 0.4; prox = soft; solve = ista(iterations: 3) }
    output z
    output again = D * z
}

train picture {
    data      = images("../data/pictures", patch: 8)
    minimize  = mean((again - X)^2)
    optimizer = adam(lr: 1e-3)
    epochs    = 1
    batch     = 2
}
