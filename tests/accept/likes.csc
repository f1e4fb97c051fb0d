# like(D): the structure of an operator with parameters of its own, one for each update of LISTA-CP, of composed operators too
# param z.lista_cp.W
# param z.lista_cp.theta
# param w.lista_cp.W.1
# param w.lista_cp.W.2
# param E.F
# param E.g
# param K
model likes(turns: int = 16) {
    input y : real[20]

    target x : real[30]
    dictionary A = dense(M) where { param M : real[20, 30] = normal(1), unit_columns, fixed }
    lasso z : y ~ A * z { lambda = 0.4; solve = lista_cp(iterations: turns) }
    dictionary E = (2 * conv(F, pad: same)' + conv(F, dilation: 2, pad: same)') * diag(g) where {
        param F : real[6, 1, 3, 3] = normal(0.3)
        param g : real[6] = 1
    }
    lasso v : fill(1.0, [1, 10, 10]) ~ E * v { lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    dictionary B = conv(F, pad: same)' * diag(g) where { param F : real[6, 1, 3, 3] = normal(0.3); param g : real[6] = 1 }
    lasso w : fill(1.0, [1, 10, 10]) ~ B * w { lambda = 0.2; solve = lista_cp(unfold: 1) }
    param K : like(A)
    param S : like(E) = 0.5 * E
    output z
    output code = w + S' * fill(0.5, [1, 10, 10])
    output back = K * x_of(z)
}
function x_of(z) = z * 2
train likes {
    data = sparse_codes(A, density: 0.1, count: 1000, snr: inf, seed: 1)
    minimize = mean((z - x)^2)
    optimizer = adam(lr: 5e-4)
    stages = layerwise(z)
    batch = 64
    report = [nmse_db(z, x)]
}
