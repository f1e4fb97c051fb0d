"""The patch-based layer of sparse coding networks (Sun, Nasrabadi and Tran 2018): a non-negative Lasso for each patch, by FISTA."""
from torch.nn.functional import pad, unfold

from golden import *


def main(name, image, width, iterations, **more):
    g = Golden(name, "examples/scn/scn.csc", [("real[3, image, image]", "real[3, %d, %d]" % image), ("output logits", "output z1\n    output z2\n    output logits")],
               "width=%d iterations=%d" % (width, iterations), **more)
    X, y = g.input("X", (3,) + image), g.label("y", 10)
    coders, c, size = [], 3, image
    for i, (m, stride) in enumerate(((width, 1), (2 * width, 2), (4 * width, 2)), 1):
        size = tuple((n - 1) // stride + 1 for n in size)
        W = g.param("z%d.D.W" % i, (9 * c, m), 0, 1, "unit_columns")
        path = "z%d.D.lipschitz" % i
        v, L = g.state(path + ".v", (m,) + size, 0, 1), g.state(path, (), 2.5, 0.5)
        t = g.tunable("z%d.z.lambda" % i, 0.1)
        coders.append((W, stride, path, v, L, t, size))
        c = width if i == 2 else width // 2
    norms, mixes = [], []
    for i, (m, after) in enumerate(((width, width // 2), (2 * width, width)), 1):
        norms.append(BatchNorm(g, "batch_norm" if i == 1 else "batch_norm_%d" % i, m))
        mixes.append((g.param("x%d.weight" % i, (after, m, 1, 1), 0, 2 / math.sqrt(m)), g.param("x%d.bias" % i, (after,), 0, 0.2)))
    norms.append(BatchNorm(g, "batch_norm_3", 4 * width))
    A, b = g.param("logits.weight", (10, 4 * width), 0, 1 / math.sqrt(width)), g.param("logits.bias", (10,), 0, 0.2)

    def code(x, training, r, W, stride, path, v, L, weight, size):
        p = unfold(pad(x, (1, 1, 1, 1)), 3, stride=stride)                      # [batch, 9 c, positions]
        if training:                                                            # W'W at each position
            new, L = power(lambda u: W.T @ (W @ u), v.reshape(1, v.shape[0], -1))
            r["state:" + path + ".v"], r["state:" + path] = new.reshape(v.shape), L
        t = 0.9 / L
        z = last = relu(t * (W.T @ p) - weight * t)
        at, m = z, (1 + math.sqrt(5)) / 2
        for _ in range(iterations - 1):
            z = relu(at - t * (W.T @ (W @ at - p)) - weight * t)
            m_new = (1 + math.sqrt(1 + 4 * m * m)) / 2
            at, last, m = z + (m - 1) / m_new * (z - last), z, m_new
        return z.reshape(len(x), -1, *size), (p - W @ z).square().sum((1, 2)).sqrt()

    def model(training):
        r, x = {}, X
        for i, coder in enumerate(coders):
            z, residual = code(x, training, r, *coder)
            if i < 2:
                r["z%d" % (i + 1)] = z
            if i == 0:
                r["metric:residual(z1)"] = residual
            x = norms[i](z, training, r)
            if i < 2:
                x = torch.einsum("mc,bchw->bmhw", mixes[i][0][:, :, 0, 0], x) + mixes[i][1].reshape(1, -1, 1, 1)
        r["logits"] = x.mean((2, 3)) @ A.T + b
        r["loss"] = cross_entropy(r["logits"], y)
        return r

    g.write(model, "forward eval step")


if __name__ == "__main__":
    main("scn_2", (9, 8), 4, 2)
    main("scn_5", (7, 11), 4, 5)
