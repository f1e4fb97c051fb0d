# The sizes flow from layer to layer.
model m() {
    input X : real[1, 16, 16]
    param W1 : real[8, 1, 3, 3] = he_normal
    param W2 : real[8, 4, 3, 3] = he_normal
    lasso G : X ~ chain([conv(W1)', conv(W2)']) * G { lambda = 0.1; prox = soft; solve = ml_ista(unfold: 1) }
    lasso H : X ~ chain([conv(W1)', conv(W1)]) * H { lambda = [0.1, 0.2, 0.3]; prox = soft; solve = ml_ista(unfold: 1) }
    lasso K : X ~ chain([conv(W1)']) * K { lambda = [[0.1, 0.2]]; prox[2] = soft; solve = ml_ista(unfold: 1) }
    output y = X
}
