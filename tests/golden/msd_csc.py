"""MSD-CSC and MSDNet (Zhang and Zhang 2021): dictionaries D = [I | F'], so D'v = [v; F v] and D [a; b] = a + F'b. The paper's form (each layer its own
Lasso; the identity part is not thresholded) and the public program's (each block one chain; batch norm and ReLU on the whole code)."""
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, max_pool2d

from golden import *


class Mixed:
    def __init__(self, F, dilation):
        self.F, self.c, self.how = F, F.shape[1], dict(dilation=dilation, padding=dilation)

    def up(self, v):
        return torch.cat([v, conv2d(v, self.F, **self.how)], 1)

    def down(self, z):
        return z[:, : self.c] + conv_transpose2d(z[:, self.c :], self.F, **self.how)


def linear(g, name, n, classes):
    return g.param(name + ".weight", (classes, n), 0, 1 / math.sqrt(n)), g.param(name + ".bias", (classes,), 0, 0.2)


def paper(name, d, w, unfold, solver="fista", image=(9, 8), classes=10, loud=1.0, **more):
    replace = [("real[3, 32, 32]", "real[3, %d, %d]" % image), ("output logits", "output G\n    output logits")] if image != (32, 32) else []
    g = Golden(name, "examples/msd_csc/msd_csc.csc", replace, "d=%d w=%d unfold=%d classes=%d form=%s" % (d, w, unfold, classes, solver), **more)
    X, y = g.input("X", (3,) + image), g.label("y", classes)
    layers, size, c = [], image, 3
    for i in range(1, d + 1):
        D = Mixed(g.param("D.%d.F" % i, (w, c, 3, 3), 0, 1.2 * loud / math.sqrt(9 * c)), 1 + (i - 1) % 3)
        b = g.param("b.%d" % i, (w,), 0.02, 0.1)
        c += w
        path = "D.%d.lipschitz" % i
        layers.append((D, b, path, g.state(path + ".v", (c,) + size, 0, 1), g.state(path, (), 2, 0.5)))
        if i in (d // 3, 2 * d // 3):
            size = tuple(n // 2 for n in size)
    A, a = linear(g, "logits", c, classes)

    def model(training):
        G, r = X, {}
        for i, (D, b, path, v, L) in enumerate(layers, 1):
            if training:                                                        # the largest eigenvalue of D'D, from the last vector
                new, L = power(lambda u: D.up(D.down(u)), v[None])
                r["state:" + path + ".v"], r["state:" + path] = new[0], L
            step, keep = 1 / L, D.c
            prox = lambda z: torch.cat([z[:, :keep], relu(z[:, keep:] - b.reshape(1, -1, 1, 1))], 1)     # beta / L = (0, b)
            Z = Y = None
            m = 1.0
            for t in range(unfold + 1):
                new = prox(step * D.up(G)) if Y is None else prox(Y - step * D.up(D.down(Y) - G))
                m_new = (1 + math.sqrt(1 + 4 * m * m)) / 2
                Y = new if Z is None or solver == "ista" else new + (m - 1) / m_new * (new - Z)
                Z, m = new, m_new
            G = Z
            if i in (d // 3, 2 * d // 3):
                G = max_pool2d(G, 2)
        logits = G.mean((2, 3)) @ A.T + a
        if image != (32, 32):
            r["G"] = G
        r.update(logits=logits, loss=cross_entropy(logits, y))
        return r

    g.write(model, "forward step backward" if image != (32, 32) else "forward step")


class Single:
    """A dictionary without identity: nothing in front of the filters."""

    def __init__(self, F, dilation):
        self.F, self.c, self.how = F, 0, dict(dilation=dilation, padding=dilation)

    def up(self, v):
        return conv2d(v, self.F, **self.how)

    def down(self, z):
        return conv_transpose2d(z, self.F, **self.how)


def reconstruction(name, dense, d, w, unfold, image, **more):
    """FISTA on each layer, step 1/L, threshold b; and the share of entries of all signals further than 2 L max(b) from D Z."""
    g = Golden(name, "examples/reconstruction/reconstruction.csc", [("real[3, 32, 32]", "real[3, %d, %d]" % image), ("share = unsuccessful / entries", "share = unsuccessful / entries\n    output G")],
               "dense=%s d=%d w=%d unfold=%d" % ("true" if dense else "false", d, w, unfold), **more)
    X, y = g.input("X", (3,) + image), g.label("y", 10)
    layers, size, c = [], image, 3
    for i in range(1, d + 1):
        F = g.param("F.%d" % i, (w, c, 3, 3), 0, 1.2 / math.sqrt(9 * c))
        D = (Mixed if dense else Single)(F, 1 + (i - 1) % 3)
        b = g.param("b.%d" % i, (w,), 0.06, 0.04)
        c = c + w if dense else w
        path = ("D" if dense else "E") + ".%d.lipschitz" % i
        layers.append((D, b, path, g.state(path + ".v", (c,) + size, 0, 1), g.state(path, (), 2, 0.5)))
        if i == d // 2:
            size = tuple(n // 2 for n in size)
    A, a = linear(g, "logits", c * (size[0] // 4) * (size[1] // 4), 10)

    def model(training):
        G, r, far, entries = X, {}, 0, 0
        for i, (D, b, path, v, L) in enumerate(layers, 1):
            if training:
                new, L = power(lambda u: D.up(D.down(u)), v[None])
                r["state:" + path + ".v"], r["state:" + path] = new[0], L
            prox = lambda z: torch.cat([z[:, : D.c], relu(z[:, D.c :] - b.reshape(1, -1, 1, 1))], 1)
            Z = prox(D.up(G) / L)
            Y, m = Z, (1 + math.sqrt(5)) / 2
            for _ in range(unfold):
                new, m_new = prox(Y - D.up(D.down(Y) - G) / L), (1 + math.sqrt(1 + 4 * m * m)) / 2
                Y = new + (m - 1) / m_new * (new - Z)
                Z, m = new, m_new
            left = (D.down(Z) - G).detach().abs().flatten(1)
            far, entries = far + (left > 2 * L * b.max().detach()).double().sum(1), entries + left.shape[1]
            G = max_pool2d(Z, 2) if i == d // 2 else Z
        logits = avg_pool2d(G, 4).flatten(1) @ A.T + a
        return r | {"logits": logits, "share": far / entries, "G": G, "loss": cross_entropy(logits, y), "metric:accuracy(logits, y)": accuracy(logits, y), "metric:share": far / entries}

    g.write(model, "forward eval step")


def public(name, layers, growth, width, unfold, image=(9, 8), **more):
    replace = [("real[3, 32, 32]", "real[3, %d, %d]" % image)] if image != (32, 32) else []
    g = Golden(name, "examples/msd_csc/msd_net.csc", replace, "unfold=%d layers=%d growth=%d width=%d" % (unfold, layers, growth, width), **more)
    X, y = g.input("X", (3,) + image), g.label("y", 10)
    stem, stem_bn = g.param("g.conv2d.weight", (width, 3, 3, 3)), BatchNorm(g, "g.batch_norm", width)
    c, blocks = width, []
    for k in (1, 2, 3):
        D, step, P = [], [], []
        for i in range(1, layers + 1):
            D.append(Mixed(g.param("block.%d.D.%d.F" % (k, i), (growth, c, 3, 3), 0, 1 / math.sqrt(9 * c)), 1 + (i - 1) % 6))
            step.append(g.param("block.%d.c.%d" % (k, i), (), 0.6, 0.2))
            c += growth
            P.append(Norms(g, "block.%d.G.prox.%d.batch_norm" % (k, i), c, unfold + 1))
        mix = (g.param("conv2d.%d.weight" % k, (c, c, 1, 1), 0, 1 / math.sqrt(c)), g.param("conv2d.%d.bias" % k, (c,), 0, 0.1)) if k < 3 else None
        blocks.append((D, step, P, mix))
    A, a = linear(g, "logits", c, 10)

    def model(training):
        r = {}
        x = relu(stem_bn(conv2d(X, stem, padding=1), training, r))
        for D, step, P, mix in blocks:
            n, G = len(D), []
            for p in P:
                p.begin()
            for i in range(n):
                G.append(relu(P[i](step[i] * D[i].up(G[-1] if G else x), training, r)))
            for t in range(unfold):
                for i in range(n - 2, -1, -1):
                    G[i] = D[i + 1].down(G[i + 1])
                for i in range(n):
                    below = G[i - 1] if i else x
                    G[i] = relu(P[i](G[i] - step[i] * D[i].up(D[i].down(G[i]) - below), training, r))
            x = G[-1] if mix is None else max_pool2d(conv2d(G[-1], *mix), 2)
        logits = x.mean((2, 3)) @ A.T + a
        r.update(logits=logits, loss=cross_entropy(logits, y))
        return r

    g.write(model)


class Norms:
    """One batch norm that several updates use: weight and bias are shared, each update has statistics of its own."""

    def __init__(self, g, path, channels, updates):
        self.weight, self.bias = g.param(path + ".weight", (channels,), 1, 0.2), g.param(path + ".bias", (channels,), 0, 0.2)
        self.path = path
        self.mean, self.variance = g.state(path + ".mean", (updates, channels), 0, 0.1), g.state(path + ".variance", (updates, channels), 1, 0.3)

    def begin(self):
        self.at, self.new = 0, ([], [])

    def __call__(self, x, training, states):
        mean, variance = self.mean[self.at], self.variance[self.at]
        x, mean, variance = batch_norm(x, self.weight, self.bias, mean, variance, training)
        self.at += 1
        self.new[0].append(mean)
        self.new[1].append(variance)
        if training:
            states["state:%s.mean" % self.path], states["state:%s.variance" % self.path] = torch.stack(self.new[0]), torch.stack(self.new[1])
        return x


if __name__ == "__main__":
    paper("msd_net", 3, 4, 0)
    paper("msd_csc_ista_1", 3, 4, 1, "ista")
    paper("msd_csc_fista_2", 6, 3, 2, classes=4, image=(13, 12))
    paper("msd_csc_fista_4", 4, 3, 4, compiled=1e-3)
    reconstruction("reconstruction_dense", True, 3, 3, 2, (9, 13))
    reconstruction("reconstruction_single", False, 4, 4, 1, (17, 12), seed=2)
    public("msd_public_1", 3, 2, 4, 1, seed=2, compiled=3e-3)
    public("msd_public_2", 7, 2, 3, 2, image=(12, 13), compiled=3e-3)
    paper("full_msd_csc_12", 12, 32, 2, image=(32, 32), compiled=1e-2, evaluated=0)
    public("full_msd_public", 12, 12, 16, 1, image=(32, 32), compiled=1e-2, evaluated=0)
