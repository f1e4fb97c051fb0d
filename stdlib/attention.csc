# Blocks on tokens, real[channels, tokens], in the manner of CRATE (Yu et al. 2023). import std.attention

# Squares of k x k pixels become tokens, behind one that stands for all of them; each place has a vector of its own.
layer patch_embedding(x, width: int, k: int) {
    let e = conv2d(x, width, k: k, stride: k, pad: valid)
    let n = size(e) // width
    param whole    : real[1, width] = normal(0.02)
    param position : real[width, n + 1] = normal(0.02)
    return permute([whole ; permute(reshape(e, [width, n]), [2, 1])], [2, 1]) + position
}

# Normalised over the channels of each token
layer token_norm(z, epsilon = 1e-5) {
    param weight : real[channels(z)] = 1
    param bias   : real[channels(z)] = 0
    let centered = permute(z, [2, 1]) - mean(z, axis: 1)
    let variance = mean(centered^2, axis: 2)
    return permute(centered / sqrt(variance + epsilon), [2, 1]) * weight + bias
}

# Each token becomes a mean of all, weighed by the softmax of their products with it
function self_attention(v) = dense(v)(softmax(dense(v)'(v) / sqrt(channels(v))))

# Multi-head subspace self-attention: in each of `heads` learned subspaces of dimension p, and back
layer subspace_attention(z, heads: int, p: int) {
    require(heads >= 1, "heads: is 1 or more")
    param U[k in 1..heads] : real[p, channels(z)] = normal(1 / sqrt(channels(z)))
    return sum(dense(U[k])'(self_attention(dense(U[k])(z))) for k in 1..heads)
}

# Tokens are compressed by attention, then made sparse: `updates` steps of ISTA on the non-negative Lasso of their own dictionary.
layer crate_block(z, heads: int, p: int, updates: int = 1, shrink = 0.1, rate = 0.1) {
    param kappa : real = 1
    let half = z + kappa * subspace_attention(token_norm(z), heads, p)
    let y = token_norm(half)
    dictionary D = dense(A) where { param A : real[channels(z), channels(z)] = he_uniform }
    lasso code : y ~ D * code { lambda = shrink; prox = soft_nonneg; init = y; step = rate; solve = ista(iterations: updates) }
    return code
}
