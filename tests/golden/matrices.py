"""ML-ISTA once more, with nothing but NumPy: every dictionary an explicit matrix, every derivative by a complex step (f(x + ih) = f(x) + ih f'(x)), so that
neither a convolution nor a differentiation of any library is involved."""
import numpy as np

from golden import Golden


def analysis(W, size, stride):
    """The matrix of conv(W): rows are entries of the code, columns of the signal."""
    m, c, k, _ = W.shape
    h, w = ((n - k) // stride + 1 for n in size)
    A = np.zeros((m, h, w, c) + size, complex)
    for y in range(h):
        for x in range(w):
            A[:, y, x, :, y * stride : y * stride + k, x * stride : x * stride + k] = W
    return A.reshape(m * h * w, c * size[0] * size[1]), (h, w)


def relu(v):
    return np.where(v.real > 0, v, 0)


def model(p, X, y, unfold, strides):
    size, A, bias = (X.shape[2], X.shape[3]), [], []
    for i, stride in enumerate(strides, 1):
        W = p["D.%d.W%d" % (i, i)]
        matrix, size = analysis(W, size, stride)
        A.append(matrix)                                                        # D_i', so D_i = A.T
        bias.append(np.repeat(p["b.%d" % i], size[0] * size[1]))
    c, n = [p["c.%d" % i] for i in (1, 2, 3)], 3
    logits, deepest = [], []
    for x in X.reshape(len(X), -1):
        G = [x]
        for i in range(n):
            G.append(relu(c[i] * (A[i] @ G[i]) + bias[i]))
        for t in range(unfold):
            for i in range(n - 1, 0, -1):
                G[i] = A[i].T @ G[i + 1]
            for i in range(1, n + 1):
                G[i] = relu(G[i] - c[i - 1] * (A[i - 1] @ (A[i - 1].T @ G[i] - G[i - 1])) + bias[i - 1])
        deepest.append(G[n])
        logits.append(p["logits.weight"] @ G[n] + p["logits.bias"])
    logits = np.array(logits)
    loss = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y])
    return logits, np.array(deepest).reshape(len(X), -1, *size), loss


def main():
    widths, kernels, strides, image = (2, 3, 4), (3, 2, 1), (2, 2, 1), (9, 8)
    channels = (1,) + widths
    replace = [("output logits", "output G3 = G[3]\n    output logits"), ("real[1, 28, 28]", "real[1, 9, 8]")]
    for i, was in enumerate(("real[32, 1, 6, 6]", "real[64, 32, 6, 6]", "real[512, 64, 4, 4]")):
        replace.append((was, "real[%d, %d, %d, %d]" % (widths[i], channels[i], kernels[i], kernels[i])))
    g = Golden("matrices", "examples/ml_ista_mnist/ml_ista_mnist.csc", replace, "unfold=2", sanitized=True)
    X, y = g.input("X", (1,) + image, 0.5, 0.5), g.label("y", 10)
    for i in range(3):
        g.param("D.%d.W%d" % (i + 1, i + 1), (widths[i], channels[i], kernels[i], kernels[i]), 0, 1)
        g.param("b.%d" % (i + 1), (widths[i],), 0.1, 0.2)
        g.param("c.%d" % (i + 1), (), 0.3, 0.1)
    g.param("logits.weight", (10, 8), 0, 0.5)
    g.param("logits.bias", (10,), 0, 0.2)
    p = {k: v.detach().numpy().astype(complex) for k, v in g.params.items()}
    X, y = X.detach().numpy().astype(complex), y.numpy()
    logits, deepest, loss = model(p, X, y, 2, strides)
    g.want("forward", "G3", deepest.real)
    g.want("forward", "logits", logits.real)
    g.want("step", "loss", loss.real)
    for k, v in p.items():
        d = np.zeros(v.shape)
        for at in np.ndindex(v.shape):
            keep = v[at]
            v[at] = keep + 1e-30j
            d[at] = model(p, X, y, 2, strides)[2].imag / 1e-30
            v[at] = keep
        g.want("step", "grad:" + k, d)
    g.save()


if __name__ == "__main__":
    main()
