# One dictionary unfolded 20 times, for the compiler's table of tests/bench/run.
model chain(unfold: int = 20) {
    input X : real[3, 32, 32]
    dictionary D = conv(F, pad: same)' where { param F : real[64, 3, 7, 7] = normal(0.1) }
    lasso z : X ~ D * z {
        lambda = 0.1
        prox   = soft_nonneg
        step   = 0.9 / lipschitz(D)
        solve  = ista(unfold: unfold)
    }
    output z
}
