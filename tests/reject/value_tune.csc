# cscc check --tune lamda=0.3
model m {
    input X : real[3]
    lasso z : X ~ I * z { tunable lambda = 0.1; prox = soft; solve = ista(unfold: 1) }
    output y = z
}
