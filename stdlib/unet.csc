# U-Net (Ronneberger, Fischer, Brox 2015). import std.unet

layer double_conv(x, width: int) { return conv_bn_relu(conv_bn_relu(x, width), width) }

# Zeros below and to the right, up to multiples of m; and what is left of such a tensor without them
function padded(x, m: int) {
    let down, right = (m - height(x) % m) % m, (m - width(x) % m) % m
    let tall = down == 0 ? x : permute([permute(x, [2, 1, 3]) ; fill(0, [down, channels(x), width(x)])], [2, 1, 3])
    return right == 0 ? tall : permute([permute(tall, [3, 1, 2]) ; fill(0, [right, channels(x), height(tall)])], [2, 3, 1])
}
function cropped(x, rows: int, columns: int) {
    let low = rows == height(x) ? x : permute(permute(x, [2, 1, 3])[1..rows], [2, 1, 3])
    return columns == width(x) ? low : permute(permute(low, [3, 1, 2])[1..columns], [2, 3, 1])
}

# `depth` encoders, each after a pooling but the first, of base, 2 base, ... channels; depth - 1 decoders, each of what comes from below, twice as
# large, beside the code of its size. Returns `classes` scores a pixel for a picture of any size, and the list of the encoders' codes.
layer unet(x, classes: int, base: int = 64, depth: int = 5) {
    require(depth >= 1, "depth: is the number of encoders, 1 or more")
    var encoded = []
    for k in 1..depth {
        let encoder = double_conv(k == 1 ? padded(x, 2^(depth - 1)) : max_pool(encoded[k - 1], 2), base * 2^(k - 1))
        encoded[k] = encoder
    }
    var y = encoded[depth]
    for k in 1..(depth - 1) {
        let up = conv2d(upsample(y, 2), base * 2^(depth - 1 - k))
        let decoder = double_conv([encoded[depth - k] ; up], base * 2^(depth - 1 - k))
        y = decoder
    }
    let score = conv2d(y, classes, k: 1)
    return cropped(score, height(x), width(x)), encoded
}
