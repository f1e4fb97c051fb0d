# Networks. import std.networks

# He et al. (2016), CIFAR form: two 3x3 convolutions and a shortcut
layer basic_block(x, width: int, stride: int = 1) {
    let a = conv_bn_relu(x, width, stride: stride)
    let b = batch_norm(conv2d(a, width, bias: false))
    return relu(b + shortcut(x, width, stride))
}

# ResNet-18 and -34 behind their stem: four stages of 64, 128, 256, 512 channels
layer resnet_body(x, blocks, classes: int, width: int = 64) {
    var y = x
    for stage in 1..length(blocks) {
        for k in 1..blocks[stage] {
            y = basic_block(y, width * 2^(stage - 1), stride: stage > 1 && k == 1 ? 2 : 1)
        }
    }
    return linear(global_average(y), classes)
}
