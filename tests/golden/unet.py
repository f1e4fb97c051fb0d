"""U-Net with an l1 penalty on the codes of its encoders (Ronneberger et al. 2015; Li, Feng, Zhou 2024)."""
from torch.nn.functional import conv2d, max_pool2d, pad

from golden import *

PROGRAM = "examples/unet/unet.csc"


class Double:
    def __init__(self, g, path, inside, out):
        self.parts = []
        for name, c in (("conv_bn_relu", inside), ("conv_bn_relu_2", out)):
            w = g.param("%s.%s.conv2d.weight" % (path, name), (out, c, 3, 3), 0, 1.5 / math.sqrt(9 * c))
            self.parts.append((w, BatchNorm(g, "%s.%s.batch_norm" % (path, name), out)))

    def __call__(self, x, training, r):
        for w, bn in self.parts:
            x = relu(bn(conv2d(x, w, padding=1), training, r))
        return x


def unet(name, base, image, gamma, depth=5, **more):
    g = Golden(name, PROGRAM, [("output mask = score > 0 ? 1 : 0", "output score")], "base=%d gamma=%g H=%d W=%d" % ((base, gamma) + image), **more)
    X, y = g.input("photograph", (1,) + image, 0, 1), g.label("object", 2, image)
    w = [base * 2**k for k in range(depth)]
    down = [Double(g, "unet.encoder.%d" % (k + 1), w[k - 1] if k else 1, w[k]) for k in range(depth)]
    up = []
    for k in range(1, depth):
        c = w[depth - 1 - k]
        up.append((g.param("unet.up.%d.weight" % k, (c, 2 * c, 3, 3), 0, 1 / math.sqrt(9 * c)), g.param("unet.up.%d.bias" % k, (c,), 0, 0.1),
                   Double(g, "unet.decoder.%d" % k, 2 * c, c)))
    W, b = g.param("unet.score.weight", (1, base, 1, 1), 0, 0.7), g.param("unet.score.bias", (1,), 0, 0.2)

    def model(training):
        r, codes = {}, []
        m = 2 ** (depth - 1)
        x = pad(X, (0, -image[1] % m, 0, -image[0] % m))
        for k in range(depth):
            x = down[k](max_pool2d(x, 2) if k else x, training, r)
            codes.append(x)
        for k in range(1, depth):
            f, c, double = up[k - 1]
            x = conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), f, c, padding=1)
            x = double(torch.cat([codes[depth - 1 - k], x], 1), training, r)
        s = conv2d(x, W, b)[:, :, : image[0], : image[1]]
        penalty = sum(abs(z).flatten(1).mean(1) for z in codes[:4])
        p = torch.sigmoid(s[:, 0])
        bce = -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).flatten(1).mean(1)
        r.update({"score": s, "loss": bce + gamma * penalty, "metric:penalty": penalty})
        return r

    g.write(model, "forward eval step")


unet("unet_16", 2, (16, 16), 0.1, batch=3, seed=2, compiled=1e-3)
unet("unet_19", 2, (19, 33), 1e-3, compiled=1e-3)
