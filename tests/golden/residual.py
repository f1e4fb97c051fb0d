"""ResNet (He et al. 2016), Res-CSC (Zhang and Zhang 2021, equation 5) and SDNet (Dai et al. 2022)."""
from torch.nn.functional import conv2d, conv_transpose2d, max_pool2d

from golden import *


class Conv:
    def __init__(self, g, path, c, m, k=3, stride=1):
        self.W = g.param(path + ".weight", (m, c, k, k), 0, 1.5 / math.sqrt(c * k * k))
        self.how = dict(stride=stride, padding=k // 2)

    def __call__(self, x, *_):
        return conv2d(x, self.W, **self.how)


def adjoint(W, z, size, stride=1):
    """The exact adjoint of conv2d(., W) with half padding, to images of that size."""
    k = W.shape[2]
    rest = [n - ((o - 1) * stride + k - 2 * (k // 2)) for n, o in zip(size, z.shape[2:])]
    return conv_transpose2d(z, W, stride=stride, padding=k // 2, output_padding=rest)


class Sequence:
    def __init__(self, *parts):
        self.parts = parts

    def __call__(self, x, training, r):
        for f in self.parts:
            x = f(x, training, r)
        return x


def shortcut(g, path, c, m, stride):
    if c == m and stride == 1:
        return lambda x, training, r: x
    return Sequence(Conv(g, path + ".conv2d", c, m, 1, stride), BatchNorm(g, path + ".batch_norm", m))


def head(g, n, classes=10, path="logits"):
    return g.param(path + ".weight", (classes, n), 0, 2 / math.sqrt(n)), g.param(path + ".bias", (classes,), 0, 0.2)


def finish(r, x, A, b, y):
    r["logits"] = x.mean((2, 3)) @ A.T + b
    r["loss"] = cross_entropy(r["logits"], y)
    r["metric:accuracy(logits, y)"] = accuracy(r["logits"], y)
    return r


def res_csc(name, n, form, width=4, image=(7, 8), **more):
    small = width != 16
    replace = [("real[3, 32, 32]", "real[3, %d, %d]" % image), ("conv_bn_relu(X, 16)", "conv_bn_relu(X, %d)" % width), ("pair(G, 16", "pair(G, %d" % width)] if small else []
    g = Golden(name, "examples/res_csc/res_csc.csc", replace, "n=%d form=%s" % (n, form), **more)
    X, y = g.input("X", (3,) + image), g.label("y", 10)
    stem = Sequence(Conv(g, "G.conv2d", 3, width), BatchNorm(g, "G.batch_norm", width))
    pairs, channels = [], width
    for stage in (1, 2, 3):
        for k in range(1, n + 1):
            m, s, path = width * 2 ** (stage - 1), 2 if stage > 1 and k == 1 else 1, "pair.%d.%d" % (stage, k)
            F1 = g.param(path + ".F1", (m, channels, 3, 3), 0, 1.5 / math.sqrt(9 * channels))
            F2 = g.param(path + ".F2", (m, m, 3, 3), 0, 1.5 / math.sqrt(9 * m))
            c = g.param(path + ".c", (), -0.5, 0.3)
            bn1, bn2 = BatchNorm(g, path + ".A.residual_step.batch_norm", m), BatchNorm(g, path + ".B.residual_step.batch_norm", m)
            start = None if form == "plain" else shortcut(g, path + ".B.init.shortcut", channels, m, s)
            pairs.append((F1, F2, c, s, bn1, bn2, start))
            channels = m
    A, b = head(g, channels)

    def model(training):
        r = {}
        x = relu(stem(X, training, r))
        for F1, F2, c, s, bn1, bn2, start in pairs:
            a = relu(bn1(conv2d(x, F1, stride=s, padding=1), training, r))
            z = conv2d(a, F2, padding=1)
            if form == "plain":
                x = relu(bn2(z, training, r))
                continue
            xp = start(x, training, r)
            if form != "resnet":
                z = z + c * conv2d(adjoint(F2, xp, xp.shape[2:]), F2, padding=1)
            z = bn2(z, training, r)
            x = relu(z if form == "simplified" else z + xp)
        return finish(r, x, A, b, y)

    g.write(model, "forward eval step" if small else "forward step")


def basic(g, path, c, m, stride):
    conv1, bn1 = Conv(g, path + ".a.conv2d", c, m, 3, stride), BatchNorm(g, path + ".a.batch_norm", m)
    conv2, bn2 = Conv(g, path + ".conv2d", m, m), BatchNorm(g, path + ".b", m)
    skip = shortcut(g, path + ".shortcut", c, m, stride)

    def block(x, training, r):
        a = relu(bn1(conv1(x), training, r))
        return relu(bn2(conv2(a), training, r) + skip(x, training, r))

    return block


class Csc:
    """z1 = max(t A*x - lambda t, 0), z = max(z + t A*(x - A z) - lambda t, 0) ..., FISTA from the third on; A* = conv2d(W), t = 0.9 / lambda_max."""

    def __init__(self, g, path, c, m, size, iterations, k=3, stride=1, tunable=0.1):
        self.W = g.param(path + ".A.W", (m, c, k, k), 0, 1, "unit_atoms")
        self.code = [(n + 2 * (k // 2) - k) // stride + 1 for n in size]
        self.v, self.L = g.state(path + ".A.lipschitz.v", (m, *self.code), 0, 1), g.state(path + ".A.lipschitz", (), 2.5, 0.5)
        self.weight = g.tunable(path + ".z.lambda", tunable)
        self.path, self.stride, self.k, self.size, self.iterations = path + ".A.lipschitz", stride, k, size, iterations

    def up(self, x):
        return conv2d(x, self.W, stride=self.stride, padding=self.k // 2)

    def down(self, z):
        return adjoint(self.W, z, self.size, self.stride)

    def __call__(self, x, training, r):
        L = self.L
        if training:
            v, L = power(lambda u: self.up(self.down(u)), self.v[None])
            r["state:" + self.path + ".v"], r["state:" + self.path] = v[0], L
        t = 0.9 / L
        z = y = None
        m = 1.0
        for _ in range(self.iterations):
            new = relu(t * self.up(x) - self.weight * t) if y is None else relu(y + t * self.up(x - self.down(y)) - self.weight * t)
            m_new = (1 + math.sqrt(1 + 4 * m * m)) / 2
            y = new if z is None else new + (m - 1) / m_new * (new - z)
            z, m = new, m_new
        return z


BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def resnet(name, layers=10, stem="cifar", width=4, image=(15, 15), form="resnet", iterations=2, tunable=0.1, classes=10, **more):
    """form: resnet; SDNet's stem, all, all_plain."""
    sdnet = form != "resnet"
    sets = "layers=%d stem=%s width=%d image=%d classes=%d" % (layers, stem, width, image[0], classes)
    sets += " form=%s iterations=%d" % (form, iterations) if sdnet else ""
    path = "examples/sdnet/sdnet.csc" if sdnet else "examples/resnet/resnet.csc"
    replace = [] if image[0] == image[1] else [("real[3, image, image]", "real[3, %d, %d]" % image)]
    if sdnet:
        replace.append(("output logits", "output z\n    output logits"))
    g = Golden(name, path, replace, sets, **more)
    X, y = g.input("X", (3,) + image), g.label("y", classes)
    k, s = (3, 1) if stem == "cifar" else (7, 2)
    size = tuple((n - 1) // s + 1 for n in image)
    if sdnet:
        first, bn = Csc(g, "z", 3, width, image, iterations, k, s, tunable), BatchNorm(g, "x" if stem == "cifar" else "batch_norm", width)
    else:
        at = "x" if stem == "cifar" else "conv_bn_relu"
        first, bn = Conv(g, at + ".conv2d", 3, width, k, s), BatchNorm(g, at + ".batch_norm", width)
    size = size if stem == "cifar" else tuple((n - 1) // 2 + 1 for n in size)
    blocks, c = [], width
    for stage, count in enumerate(BLOCKS[layers]):
        for i in range(count):
            m, s = width * 2**stage, 2 if stage > 0 and i == 0 else 1
            out = tuple((n - 1) // s + 1 for n in size)
            if form == "resnet":
                blocks.append(basic(g, "logits.basic_block.%d.%d" % (stage + 1, i + 1), c, m, s))
            elif form == "stem":
                blocks.append(basic(g, "basic_block.%d.%d" % (stage + 1, i + 1), c, m, s))
            else:
                blocks.append(csc_block(g, "csc_block.%d.%d" % (stage + 1, i + 1), c, m, s, size, out, iterations, form == "all", tunable))
            c, size = m, out
    A, b = head(g, c, classes, "logits" if sdnet else "logits.linear")

    def model(training):
        r = {}
        x = first(X, training, r)
        if sdnet:
            r["z"] = x
        x = bn(x, training, r)
        x = x if sdnet else relu(x)
        if stem == "imagenet":
            x = max_pool2d(x, 3, 2, 1)
        for block in blocks:
            x = block(x, training, r)
        if sdnet:
            r["metric:residual(z)"] = ((X - first.down(r["z"])) ** 2).sum((1, 2, 3)).sqrt()
            r["metric:sparsity(z)"] = (r["z"] == 0).double().mean((1, 2, 3))
        return finish(r, x, A, b, y)

    g.write(model, "forward eval step")


def csc_block(g, path, c, m, stride, size, out, iterations, skip, tunable):
    csc1, bn1 = Csc(g, path + ".csc", c, m, size, iterations, 3, stride, tunable), BatchNorm(g, path + ".a", m)
    csc2, bn2 = Csc(g, path + ".csc_2", m, m, out, iterations, 3, 1, tunable), BatchNorm(g, path + ".b", m)
    short = shortcut(g, path + ".shortcut", c, m, stride) if skip else None

    def block(x, training, r):
        a = bn1(csc1(x, training, r), training, r)
        b = bn2(csc2(a, training, r), training, r)
        return relu(b + short(x, training, r)) if skip else b

    return block


if __name__ == "__main__":
    for form in ("plain", "resnet", "res_csc", "simplified"):
        res_csc("res_csc_%s" % form, 1, form)
    res_csc("res_csc_deep", 3, "res_csc", 2, (9, 11))
    resnet("resnet_10")
    resnet("resnet_10_imagenet", stem="imagenet", image=(33, 38))
    resnet("sdnet_stem", form="stem", iterations=3, image=(13, 14))
    resnet("sdnet_stem_imagenet", form="stem", stem="imagenet", image=(37, 37))
    resnet("sdnet_all", form="all", image=(13, 14), width=3)
    resnet("sdnet_all_plain", form="all_plain", image=(9, 9), width=3, iterations=3)
    res_csc("full_res_csc_20", 3, "res_csc", 16, (32, 32), compiled=1e-2, evaluated=0)
    resnet("full_resnet_18", 18, width=64, image=(32, 32), compiled=1e-2, evaluated=0)
    resnet("full_sdnet_18", 18, width=64, image=(32, 32), form="stem", compiled=1e-2, evaluated=0)
