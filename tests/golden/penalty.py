"""LeNet-5 and VGG-11 with an l1 penalty on their early feature maps (Li, Feng and Zhou 2024): loss + gamma * sum_j |x_j|_1 / dim(x_j)."""
from torch.nn.functional import conv2d, max_pool2d

from golden import *

RHO = {
    "relu": relu,
    "elu": lambda x: torch.where(x > 0, x, torch.exp(x.clamp(max=0)) - 1),
    "mish": lambda x: x * torch.tanh(torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0)),
}


def affine(g, path, shape):
    n = math.prod(shape[1:])
    return g.param(path + ".weight", shape, 0, 1.5 / math.sqrt(n)), g.param(path + ".bias", shape[:1], 0, 0.2)


def penalised(r, logits, y, maps, gamma, names):
    r["logits"] = logits
    each = [x.abs().flatten(1).mean(1) for x in maps]
    r["loss"] = cross_entropy(logits, y) + gamma * sum(each)
    r["metric:accuracy(logits, y)"] = accuracy(logits, y)
    for name, x in zip(names, maps):
        r["metric:density(%s)" % name] = (x.abs() > 1e-6).double()
    return r


def lenet(name, activation, gamma, widths=(3, 4, 9, 7), image=(21, 23), **more):
    c1, c2, n1, n2 = widths
    small = image != (32, 32)
    replace = [("real[3, 32, 32]", "real[3, %d, %d]" % image), ("X, 6,", "X, %d," % c1), ("2), 16", "2), %d" % c2), ("120", str(n1)), ("84", str(n2))] if small else []
    g = Golden(name, "examples/lenet/lenet.csc", replace, "activation=%s gamma=%g" % (activation, gamma), **more)
    X, y = g.input("X", (3,) + image), g.label("y", 10)
    rho = RHO[activation]
    pooled = lambda n: (n - 4) // 2
    size = c2 * pooled(pooled(image[0])) * pooled(pooled(image[1]))
    conv1, conv2 = affine(g, "conv2d", (c1, 3, 5, 5)), affine(g, "conv2d_2", (c2, c1, 5, 5))
    h1, h2, out = affine(g, "linear", (n1, size)), affine(g, "linear_2", (n2, n1)), affine(g, "logits", (10, n2))

    def model(training):
        x1 = rho(conv2d(X, *conv1))
        x2 = rho(conv2d(max_pool2d(x1, 2), *conv2))
        v = rho(max_pool2d(x2, 2).flatten(1) @ h1[0].T + h1[1])
        v = rho(v @ h2[0].T + h2[1])
        return penalised({}, v @ out[0].T + out[1], y, (x1, x2), gamma, ("x1", "x2"))

    g.write(model, "forward eval step")


def vgg(name, activation, gamma, width=2, image=(33, 38), early=4, **more):
    replace = [] if image[0] == image[1] else [("real[3, image, image]", "real[3, %d, %d]" % image)]
    g = Golden(name, "examples/vgg/vgg.csc", replace, "activation=%s gamma=%g width=%d image=%d early=%d" % (activation, gamma, width, image[0], early), **more)
    X, y = g.input("X", (3,) + image), g.label("y", 10)
    layers, c = [], 3
    for i, w in enumerate((1, 2, 4, 4, 8, 8, 8, 8), 1):
        m = w * width
        layers.append((affine(g, "conv2d.%d" % i, (m, c, 3, 3)), BatchNorm(g, "batch_norm.%d" % i, m), i in (1, 2, 4, 6, 8)))
        c = m
    out = affine(g, "logits", (10, c))

    def model(training):
        r, x, maps = {}, X, []
        for conv, bn, pool in layers:
            x = RHO[activation](bn(conv2d(x, *conv, padding=1), training, r))
            maps.append(x)
            x = max_pool2d(x, 2) if pool else x
        return penalised(r, x.flatten(1) @ out[0].T + out[1], y, maps[:early], gamma, ["maps[%d]" % (i + 1) for i in range(early)])

    g.write(model, "forward eval step")


if __name__ == "__main__":
    for activation, gamma in (("relu", 0.25), ("elu", 0.5), ("mish", 0.125)):
        lenet("lenet_" + activation, activation, gamma, sanitized=activation == "relu")
        vgg("vgg_" + activation, activation, gamma, batch=3, compiled=2e-3)
    lenet("full_lenet", "relu", 1e-3, (6, 16, 120, 84), (32, 32), compiled=1e-2, evaluated=0)
    vgg("full_vgg_11", "relu", 1e-3, 64, (32, 32), compiled=1e-2, evaluated=0)
