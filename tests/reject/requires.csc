# A definition that refuses: said at what the caller wrote, in its author's words, with the condition and the calls that led there.
layer pooled(x, how: string = "max", k: int = 2) {
    require(how == "max" || how == "mean", "how: is \"max\" or \"mean\"")
    require(height(x) % k == 0, "the height is to be a multiple of k:")
    require(width(x) > 4, "the width is to be above 4")
    return how == "max" ? max_pool(x, k) : sum_pool(x, k) / k^2
}
layer twice(x, how: string) = pooled(pooled(x, how: how), how: how)
solver mine(X ~ D * g, turns: int = 2) {
    require(turns % 2 == 0, "turns: is even")
    return ista_step(g)
}
function ista_step(g) = g
model m(form: string = "plain") {
    input X : real[3, 8, 8]
    let a = pooled(X, how: "maxx")
    let b = twice(X, "mean value")
    let c = pooled(X, k: 3)
    let d = pooled(pooled(X))
    let e = conv2d(X, 4, groups: 2) + top_k(X, k: 0) + dropout(X, p: 50)
    lasso G : X ~ I * G { lambda = 0.1; prox = soft; solve = fista(unfold: 1, momentum_at: "itreate") }
    lasso H : X ~ I * H { lambda = 0.1; prox = group(size: 2); solve = ista(unfold: 1, backtrack: 2) }
    lasso K : X ~ I * K { lambda = 0.1; prox = soft; solve = mine(iterations: 1, turns: 3) }
    lasso L : X ~ I * L { lambda = 0.1; prox = soft; solve = fista(unfold: 1, momentum_at: 3) }
    require(sum(X) > 0, "bright")
    require(3, "three")
    require(form == "other", "form is other")
    output y = c
}
