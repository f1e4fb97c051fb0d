# Networks. import std.networks

# He et al. (2016): two 3x3 convolutions and a shortcut
layer basic_block(x, width: int, stride: int = 1) {
    let a = conv_bn_relu(x, width, stride: stride)
    let b = batch_norm(conv2d(a, width, bias: false))
    return relu(b + shortcut(x, width, stride))
}

# ResNet-18 and -34 behind their stem: stages of 64, 128, 256, 512 channels, as many as `blocks` has numbers
layer resnet_body(x, blocks: list, classes: int, width: int = 64) {
    var y = x
    for stage in 1..length(blocks) {
        for k in 1..blocks[stage] {
            y = basic_block(y, width * 2^(stage - 1), stride: stage > 1 && k == 1 ? 2 : 1)
        }
    }
    return linear(global_average(y), classes)
}

# Blocks of each stage in a ResNet of so many layers
function resnet_blocks(layers: int) {
    require(layers == 10 || layers == 18 || layers == 34, "layers: is 10, 18 or 34")
    return layers == 10 ? [1, 1, 1, 1] : layers == 18 ? [2, 2, 2, 2] : [3, 4, 6, 3]
}
