"""CRATE (Yu et al. 2023): tokens compressed by multi-head subspace self-attention, made sparse by ISTA."""
from golden import *

PROGRAM = "examples/crate/crate.csc"


class Norm:
    def __init__(self, g, path, d):
        self.weight, self.bias = g.param(path + ".weight", (d,), 1, 0.2), g.param(path + ".bias", (d,), 0.1, 0.2)

    def __call__(self, z):                                                      # [batch, tokens, d]: over the channels of each token
        m = z.mean(2, keepdim=True)
        v = ((z - m) ** 2).mean(2, keepdim=True)
        return (z - m) / torch.sqrt(v + 1e-5) * self.weight + self.bias


def crate(name, depth, d, heads, p, updates, image, k=2, **more):
    g = Golden(name, PROGRAM, [("real[1, 8, 8]", "real[1, %d, %d]" % image), ("output logits", "output z\n    output logits")],
               "depth=%d width=%d heads=%d p=%d updates=%d" % (depth, d, heads, p, updates), **more)
    X, y = g.input("X", (1,) + image, 0.5, 0.5), g.label("y", 10)
    rows, columns = image[0] // k, image[1] // k                                # what is left over at the edges is not seen
    n = rows * columns + 1
    E, e = g.param("z.e.weight", (d, 1, k, k), 0, 0.8), g.param("z.e.bias", (d,), 0, 0.2)
    whole, position = g.param("z.whole", (1, d), 0, 0.5), g.param("z.position", (d, n), 0, 0.3)
    blocks = []
    for i in range(1, depth + 1):
        path = "crate_block.%d." % i
        kappa = g.param(path + "kappa", (), 1, 0.3)
        first = Norm(g, path + "token_norm", d)
        U = [g.param(path + "subspace_attention.U.%d" % h, (p, d), 0, 1.5 / math.sqrt(d)) for h in range(1, heads + 1)]
        second, A = Norm(g, path + "y", d), g.param(path + "D.A", (d, d), 0, 1.5 / math.sqrt(d))
        blocks.append((kappa, first, U, second, A))
    last = Norm(g, "token_norm", d)
    W, b = g.param("logits.weight", (10, d), 0, 0.4), g.param("logits.bias", (10,), 0, 0.2)

    def model(training):
        patches = torch.stack([X[:, 0, k * i : k * i + k, k * j : k * j + k].flatten(1) for i in range(rows) for j in range(columns)], 1)
        z = torch.cat([whole.expand(len(X), 1, d), patches @ E.reshape(d, -1).T + e], 1) + position.T
        for kappa, first, U, second, A in blocks:
            x = first(z)
            attention = 0
            for u in U:
                v = x @ u.T                                                     # [batch, tokens, p]
                w = v @ v.transpose(1, 2) / math.sqrt(p)
                w = torch.exp(w - w.max(2, keepdim=True).values)
                attention = attention + (w / w.sum(2, keepdim=True)) @ v @ u
            y_ = second(z + kappa * attention)
            z = y_
            for _ in range(updates):                                            # z <- relu(z - 0.1 A'(A z - y) - 0.1 * 0.1)
                z = relu(z - 0.1 * ((z @ A.T - y_) @ A) - 0.01)
        logits = last(z)[:, 0] @ W.T + b
        return {"z": z.transpose(1, 2), "logits": logits, "loss": cross_entropy(logits, y), "metric:accuracy(logits, y)": accuracy(logits, y)}

    g.write(model, "forward eval step backward")


crate("crate_1", 2, 7, 2, 3, 1, (6, 9), sanitized=True)
crate("crate_3", 3, 8, 3, 5, 3, (8, 8), batch=3)
