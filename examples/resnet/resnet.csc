# ResNet-18 and ResNet-34 (He et al. 2016): the networks that SDNet is compared with (examples/sdnet), with the stem for CIFAR or for ImageNet.
# The CIFAR ResNets of 20 to 218 layers are a form of examples/res_csc.
import std.networks

model resnet(layers: int = 18, classes: int = 10, image: int = 32, stem: string = "cifar", width: int = 64) {
    input X : real[3, image, image]
    label y : class[classes]
    require(stem == "cifar" || stem == "imagenet", "stem is cifar or imagenet")
    let x = stem == "cifar" ? conv_bn_relu(X, width) : max_pool(conv_bn_relu(X, width, k: 7, stride: 2), 3, stride: 2, pad: 1)
    output logits = resnet_body(x, resnet_blocks(layers), classes, width: width)
}

train resnet {
    data      = cifar10("data/cifar10")
    augment   = [standardize, translate(by: 4), hflip]
    minimize  = cross_entropy(logits, y)
    optimizer = sgd(lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4, schedule: cosine(to: 1e-6))
    epochs    = 220
    batch     = 128
    report    = [accuracy(logits, y)]
}
