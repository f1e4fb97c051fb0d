"""Multi-layer convolutional sparse coding (Papyan et al. 2017; Sulam et al. 2019): ML-ISTA, ML-FISTA, layered pursuit, ML-LISTA, all-free."""
from torch.nn.functional import conv2d, conv_transpose2d, max_pool2d

from golden import *

MNIST = "examples/ml_ista_mnist/ml_ista_mnist.csc"


class Chain:
    """Layers (out, in, k, stride, pad); the program's D_i' is conv(W_i)."""

    def __init__(self, g, image, layers):
        self.layers = layers
        self.W = [g.param("D.%d.W%d" % (i + 1, i + 1), (m, c, k, k), 0, 1.2 / math.sqrt(c * k * k)) for i, (m, c, k, s, p) in enumerate(layers)]
        self.b = [g.param("b.%d" % (i + 1), (l[0],), -0.02, 0.1) for i, l in enumerate(layers)]
        self.c = [g.param("c.%d" % (i + 1), (), 0.6, 0.2) for i in range(len(layers))]
        self.size = [image]                                                     # of the signals: what a stride rounds off comes back
        for m, c, k, s, p in layers:
            self.size.append(tuple((n + 2 * p - k) // s + 1 for n in self.size[-1]))

    def up(self, i, x, W=None):                                                 # D_i' x
        m, c, k, s, p = self.layers[i]
        return conv2d(x, self.W[i] if W is None else W, stride=s, padding=p)

    def down(self, i, z, W=None):                                               # D_i z
        m, c, k, s, p = self.layers[i]
        rest = [n - ((o - 1) * s + k - 2 * p) for n, o in zip(self.size[i], self.size[i + 1])]
        return conv_transpose2d(z, self.W[i] if W is None else W, stride=s, padding=p, output_padding=rest)

    def P(self, i, v):
        return relu(v + self.b[i].reshape(1, -1, 1, 1))

    def forward(self, X):                                                       # G_i = P_i(c_i D_i' G_{i-1})
        G = []
        for i in range(len(self.layers)):
            G.append(self.P(i, self.c[i] * self.up(i, G[-1] if G else X)))
        return G

    def analyse(self, X, G):                                                    # G_i = P_i(G_i - c_i D_i'(D_i G_i - G_{i-1}))
        for i in range(len(G)):
            G[i] = self.P(i, G[i] - self.c[i] * self.up(i, self.down(i, G[i]) - (G[i - 1] if i else X)))
        return G

    def synthesise(self, deepest):
        G = [deepest]
        for i in range(len(self.layers) - 1, 0, -1):
            G.insert(0, self.down(i, G[0]))
        return G

    def ml_ista(self, X, unfold):
        G = self.forward(X)
        for _ in range(unfold):
            G = self.analyse(X, self.synthesise(G[-1]))
        return G

    def ml_fista(self, X, unfold):
        G = self.forward(X)
        before, s = torch.zeros_like(G[-1]), 1.0
        s_new = (1 + math.sqrt(1 + 4 * s * s)) / 2
        Z = G[-1] + (s - 1) / s_new * (G[-1] - before)                          # = G_L
        before, s = G[-1], s_new
        for _ in range(unfold):
            G = self.analyse(X, self.synthesise(Z))
            s_new = (1 + math.sqrt(1 + 4 * s * s)) / 2
            Z = G[-1] + (s - 1) / s_new * (G[-1] - before)
            before, s = G[-1], s_new
        return G

    def layered(self, X, iterations):                                           # each layer is solved by ISTA before the next begins
        G = []
        for i in range(len(self.layers)):
            below = G[-1] if G else X
            z = self.P(i, self.c[i] * self.up(i, below))
            for _ in range(iterations - 1):
                z = self.P(i, z - self.c[i] * self.up(i, self.down(i, z) - below))
            G.append(z)
        return G

    def learned(self, X, updates, W, B):                                        # G_i = P_i(G_i - c_i W_i'W_i G_i + B_i' G_{i-1}), from zero
        z = [torch.zeros(len(X), l[0], *n) for l, n in zip(self.layers, self.size[1:])]
        for t in range(updates):
            for i in range(len(z) - 1, 0, -1):
                z[i - 1] = self.down(i, z[i], W[t][i])
            for i in range(len(z)):
                z[i] = self.P(i, z[i] - self.c[i] * self.up(i, self.down(i, z[i], W[t][i]), W[t][i]) + self.up(i, z[i - 1] if i else X, B[t][i]))
        return z


def mnist(name, solver, unfold, image=(15, 14), widths=(4, 5, 6), kernels=(3, 3, 2), **more):
    small = image != (28, 28)
    n = len(widths)
    replace = [("output logits", "output G1 = G[1]\n    output G2 = G[2]\n    output G3 = G[3]\n    output logits")]
    channels = (1,) + widths
    if small:
        replace.append(("real[1, 28, 28]", "real[1, %d, %d]" % image))
        for i, was in enumerate(("real[32, 1, 6, 6]", "real[64, 32, 6, 6]", "real[512, 64, 4, 4]")):
            replace.append((was, "real[%d, %d, %d, %d]" % (widths[i], channels[i], kernels[i], kernels[i])))
    g = Golden(name, MNIST, replace, "unfold=%d form=%s" % (unfold, solver), **more)
    X, y = g.input("X", (1,) + image, 0.5, 0.5), g.label("y", 10)
    chain = Chain(g, image, [(widths[i], channels[i], kernels[i], (2, 2, 1)[i], 0) for i in range(n)])
    like = lambda letter, more=(): [g.param("G.%s.%s.%d" % (solver, letter, i + 1), more + tuple(W.shape), 0, 0.8 / math.sqrt(W[0].numel())) for i, W in enumerate(chain.W)]
    if solver == "ml_lista":
        W, B = [chain.W] * (unfold + 1), [like("B")] * (unfold + 1)
    if solver == "all_free":                                                    # each update has its own
        W, B = (list(zip(*like(letter, (unfold + 1,)))) for letter in "WB")
    size = widths[-1] * math.prod(chain.size[-1])
    A, b = g.param("logits.weight", (10, size), 0, 1 / math.sqrt(size)), g.param("logits.bias", (10,), 0, 0.2)

    def model(training):
        G = {"ml_ista": chain.ml_ista, "ml_fista": chain.ml_fista, "layered": lambda X, u: chain.layered(X, u + 1)}.get(
            solver, lambda X, u: chain.learned(X, u + 1, W, B))(X, unfold)
        logits = G[-1].flatten(1) @ A.T + b
        r = {"G%d" % (i + 1): z for i, z in enumerate(G)}
        r.update(logits=logits, loss=cross_entropy(logits, y))
        return r

    g.write(model, "forward step backward" if small else "forward step")


def cifar(name, solver, unfold, image=(17, 19), widths=(3, 4, 5, 6, 7), **more):
    small = image != (32, 32)
    w1, w2, w3, h, p = widths
    replace = [("output logits", "output G1 = G[1]\n    output G2 = G[2]\n    output G3 = G[3]\n    output logits")]
    if small:
        replace += [("real[3, 32, 32]", "real[3, %d, %d]" % image), ("real[32, 3, 4, 4]", "real[%d, 3, 4, 4]" % w1), ("real[64, 32, 4, 4]", "real[%d, %d, 4, 4]" % (w2, w1)),
                    ("real[128, 64, 4, 4]", "real[%d, %d, 4, 4]" % (w3, w2)), ("G[3], 256", "G[3], %d" % h), ("512", "%d" % p)]
    if image[0] < 32:                                                           # 17 x 19 leaves 2 x 2 for the two poolings: one must do
        replace.append(("max_pool(conv_relu(p, %d), 2)" % p, "conv_relu(p, %d)" % p))
    g = Golden(name, "examples/ml_csc_cifar/ml_csc_cifar.csc", replace, "unfold=%d form=%s" % (unfold, solver), **more)
    X, y = g.input("X", (3,) + image), g.label("y", 10)
    chain = Chain(g, image, [(w1, 3, 4, 2, 1), (w2, w1, 4, 2, 1), (w3, w2, 4, 2, 1)])
    conv = []
    for path, c, m in (("h", w3, h), ("conv_relu", h, p), ("q" if small else "conv_relu_2", p, p)):
        conv.append((g.param(path + ".weight", (m, c, 3, 3), 0, 1.5 / math.sqrt(9 * c)), g.param(path + ".bias", (m,), 0, 0.1)))
    A, b = g.param("logits.weight", (10, p), 0, 1 / math.sqrt(p)), g.param("logits.bias", (10,), 0, 0.2)

    def model(training):
        G = {"ml_ista": chain.ml_ista, "ml_fista": chain.ml_fista, "layered": lambda X, u: chain.layered(X, u + 1)}[solver](X, unfold)
        x = relu(conv2d(G[-1], *conv[0], padding=1))
        x = max_pool2d(relu(conv2d(x, *conv[1], padding=1)), 2)
        x = relu(conv2d(x, *conv[2], padding=1))
        x = max_pool2d(x, 2) if image[0] == 32 else x
        logits = x.flatten(1) @ A.T + b
        r = {"G%d" % (i + 1): z for i, z in enumerate(G)}
        r.update(logits=logits, loss=cross_entropy(logits, y))
        return r

    g.write(model)


for unfold in (0, 1, 6):
    mnist("ml_ista_%d" % unfold, "ml_ista", unfold)
mnist("ml_fista_4", "ml_fista", 4)
mnist("ml_layered_3", "layered", 3, image=(14, 17))
mnist("ml_lista_2", "ml_lista", 2)
mnist("ml_all_free_2", "all_free", 2)
cifar("ml_csc_cifar_ista_2", "ml_ista", 2)
cifar("ml_csc_cifar_fista_3", "ml_fista", 3)
mnist("full_ml_ista_6", "ml_ista", 6, (28, 28), (32, 64, 512), (6, 6, 4), compiled=1e-2, evaluated=0)
cifar("full_ml_csc_cifar_2", "ml_ista", 2, (32, 32), (32, 64, 128, 256, 512), compiled=1e-2, evaluated=0)
