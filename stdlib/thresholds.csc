# Thresholds: prox(z, t) with t = step * lambda. `of` names the penalty whose proximal operator it is.
# A threshold t below zero (a learned one may get there): soft and group move entries outwards by |t| (soft: 2 z where |z| < |t|), soft_nonneg
# is relu(z + |t|), hard is the identity, elastic is soft without the shrinking.

prox soft(z, t) of abs(z) = relu(z - t) - relu(-z - t)                    # = sign(z) * max(abs(z) - t, 0) for t >= 0

prox soft_nonneg(z, t) of abs(z) = relu(z - t)

# l0: keeps what is larger than sqrt(2 t)
prox hard(z, t) of abs(sign(z)) = z * (z * z > 2 * t)

# l1 and half the squared norm, mu times
prox elastic(z, t, mu = 0.1) of abs(z) + mu / 2 * z * z {
    require(!known(mu) || mu >= 0, "mu: is 0 or more")
    return soft(z, t) / (1 + mu * max(t, 0))
}

# `size` neighbouring channels share their fate; of thresholds that differ in a group it has their mean
prox group(z, t, size: int = 2) of in_groups(fill(1 / size, shape(z)), size, group_norms(z, size)) {
    let each = length(shape(t)) == 0 ? t : group_means(t, size)
    return in_groups(z, size, relu(1 - each / max(group_norms(z, size), 1e-12)))
}

function group_means(t, n: int) {
    let s = shape(t)
    return mean(reshape(t, [s[1] // n, n] + s[2..length(s)]), axis: 2)
}

function group_norms(z, n: int) {                                         # one norm a group: [c // n, ...]
    let s = shape(z)
    require(n >= 1 && s[1] % n == 0, "the channels of the code are to be a multiple of size:")
    return sqrt(sum(reshape(z * z, [s[1] // n, n] + s[2..length(s)]), axis: 2))
}

function in_groups(z, n: int, gain) {                                     # each channel times its group's gain
    let s = shape(z)
    let g = permute(reshape(z, [s[1] // n, n] + s[2..length(s)]), [1] + [i for i in 3..length(s) + 1] + [2])
    return reshape(permute(g * gain, [1, length(s) + 1] + [i for i in 2..length(s)]), s)
}

# rho(z - t) - rho(-z - t) of any activation rho
prox two_sided(z, t, rho) = rho(z - t) - rho(-z - t)

# The k entries that are largest in size stay, with those that equal the smallest of them
prox top_k(z, k: int) = largest(z, k)

function largest(z, k: int) {
    require(k >= 1 && k <= size(z), "k: is from 1 to the number of entries of the code")
    return z * (abs(z) >= sort(flatten(abs(z)))[k])
}

# Soft, but for the `percent` largest of all entries: what of them passes the threshold is not shrunk
function soft_but_largest(z, t, percent) {
    let size_of, count = abs(z), floor(percent / 100 * size(z))
    let least = pick(sort(flatten(size_of)), count - 1)
    return (size_of >= least && size_of > t && count > 0) ? z : soft(z, t)
}
