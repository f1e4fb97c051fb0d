# The usual layers around lassos.

layer linear(x, out: int, bias: bool = true) {
    param weight : real[out, size(x)] = uniform(-1 / sqrt(size(x)), 1 / sqrt(size(x)))
    let y = dense(weight)(flatten(x))
    if bias {
        param bias : real[out] = uniform(-1 / sqrt(size(x)), 1 / sqrt(size(x)))
        return y + bias
    }
    return y
}

layer conv2d(x, width: int, k: int = 3, stride: int = 1, dilation: int = 1, groups: int = 1, pad = same, bias: bool = true) {
    require(groups >= 1 && channels(x) % groups == 0 && width % groups == 0, "the channels and the width are to be multiples of groups:")
    param weight : real[width, channels(x) // groups, k, k] = he_normal
    let y = conv(weight, stride: stride, dilation: dilation, groups: groups, pad: pad)(x)
    if bias {
        param bias : real[width] = 0
        return y + bias
    }
    return y
}

# Ioffe and Szegedy (2015). In training the batch's statistics (their running mean is kept), else the running ones.
layer batch_norm(x, momentum = 0.1, epsilon = 1e-5) {
    param weight : real[channels(x)] = 1
    param bias   : real[channels(x)] = 0
    let m = batch_mean(x)
    let v = batch_mean((x - m)^2)
    let n = batch_count(x)
    let mu = running("mean", m, 0, momentum)
    let unbiased = running("variance", v * (n / max(n - 1, 1)), 1, momentum)
    let variance = training ? v : unbiased
    return (x - mu) * (weight / sqrt(variance + epsilon)) + bias
}

layer conv_bn_relu(x, width: int, k: int = 3, stride: int = 1) {
    return relu(batch_norm(conv2d(x, width, k: k, stride: stride, bias: false)))
}

# The identity where nothing changes, else a 1x1 convolution and a batch norm
layer shortcut(x, width: int, stride: int = 1) {
    return channels(x) == width && stride == 1 ? x : batch_norm(conv2d(x, width, k: 1, stride: stride, bias: false))
}

layer elu(x, alpha = 1.0) { return max(x, 0) + alpha * (exp(min(x, 0)) - 1) }
layer mish(x) { return x * tanh(softplus(x)) }
layer leaky_relu(x, slope = 0.01) { return max(x, 0) + slope * min(x, 0) }

# Each entry is kept with probability 1 - p, in training
layer dropout(x, p = 0.5) {
    require(!known(p) || (p >= 0 && p < 1), "p: is a probability, from 0 to below 1")
    return training ? x * (random(shape(x)) >= p) / (1 - p) : x
}

layer average_pool(x, k: int, stride: int = 0, pad: int = 0) { return sum_pool(x, k, stride: stride == 0 ? k : stride, pad: pad) / (k * k) }
layer global_average(x) { return mean(reshape(x, [channels(x), size(x) // channels(x)]), axis: 2) }
layer global_max(x) { return max(reshape(x, [channels(x), size(x) // channels(x)]), axis: 2) }

# Normalised over all entries, with a gain and a shift per channel
layer layer_norm(x, epsilon = 1e-5) {
    param weight : real[channels(x)] = 1
    param bias   : real[channels(x)] = 0
    let m = mean(x)
    return (x - m) / sqrt(mean((x - m)^2) + epsilon) * weight + bias
}

# What is smooth in an image: the mean over a window of 2 r + 1 pixels a side
layer low_pass(x, r: int = 4) {
    require(r >= 0, "r: is the radius of the window, 0 or more")
    let k = fill(1 / (2 * r + 1)^2, [channels(x), 1, 2 * r + 1, 2 * r + 1])
    return conv(k, groups: channels(x), pad: same, boundary: "reflect")(x)
}

# The patch around each pixel as channels: [c k k, h, w]; channel by channel, row by row
layer patches(x, k: int, stride: int = 1, pad = same) {
    require(k >= 1, "k: is the side of a patch, 1 or more")
    let one = tensor([[[[(p - 1) % k^2 == (i - 1) * k + j - 1 ? 1 : 0 for j in 1..k] for i in 1..k]] for p in 1..channels(x) * k^2])
    return conv(one, groups: channels(x), stride: stride, pad: pad)(x)
}
