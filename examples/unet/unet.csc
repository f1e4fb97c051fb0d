# A U-Net with an l1 penalty on the codes of its encoders (Li, Feng, Zhou 2024): which pixels belong to the object.
import std.unet

model segment(base: int = 64, gamma: real = 1e-3) {
    input photograph : real[1, H, W]
    label object : class[2, H, W]
    let score, encoders = unet(photograph, 1, base: base)
    let scores = [0 * score ; score]                              # of background and object: softmax of both is the sigmoid of one
    let penalty = sum(l1(encoders[k]) / size(encoders[k]) for k in 1..4)
    output mask = score > 0 ? 1 : 0
}

train segment {
    data      = images("horses/image", targets: "horses/mask", size: 96, gray: true, test_every: 5)
    augment   = [hflip, standardize()]
    minimize  = pixel_cross_entropy(scores, object) + gamma * penalty
    optimizer = adam(lr: 5e-3, schedule: cosine(to: 0))
    epochs    = 100
    batch     = 4
    report    = [mean_iou(scores, object), pixel_accuracy(scores, object), mean_accuracy(scores, object), penalty]
}
