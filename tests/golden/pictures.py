"""Patches and pictures: dictionary learning (Olshausen and Field 1996; Mairal et al. 2009), double sparsity (Rubinstein et al. 2010), inpainting with a mask, super-resolution with a sampling operator."""
from torch.nn.functional import conv2d, conv_transpose2d, pad

from golden import *


def dct(n):                                                                     # DCT-II, orthonormal: rows are cosines
    k, i = np.arange(n)[:, None], np.arange(n)[None, :]
    C = np.cos(np.pi * (2 * i + 1) * k / (2 * n)) * math.sqrt(2 / n)
    C[0] /= math.sqrt(2)
    return torch.tensor(C)


def haar(n):                                                                    # rows: the mean, then differences from coarse to fine
    if n == 1:
        return torch.ones(1, 1)
    half = haar(n // 2)
    mean, difference = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, -1.0]])
    return torch.cat([torch.kron(half, mean), torch.kron(torch.eye(n // 2), difference)]) / math.sqrt(2)


def fista(Y, synthesis, analysis, step, t, n):
    z = last = y = torch.zeros_like(analysis(Y))
    m = 1.0
    for _ in range(n):
        z = soft(y - step * analysis(synthesis(y) - Y), t)
        m_new = (1 + math.sqrt(1 + 4 * m * m)) / 2
        y = z + (m - 1) / m_new * (z - last)
        last, m = z, m_new
    return z


def objective(R, G, weight):
    return 0.5 * (R * R).flatten(1).sum(1) + weight * G.abs().flatten(1).sum(1)


def double_sparsity(base, n, **more):
    g = Golden("double_sparsity_" + base, "examples/double_sparsity/double_sparsity.csc",
               [("soft\n", "soft; step = 0.3\n"), ("until: 1e-3, at_most: 100", "iterations: 4"), ("output again", "output G\n    output again"),
                ("    report    = [psnr(again, X), density(G)]\n", "")], "base=%s atoms=9 side=%d most=3" % (base, n), **more)
    X, F = g.input("X", (1, n, n), 0.5, 0.5), g.param("A.F", (9, 1, n, n), 0, 1, "unit_atoms")
    weight, T = g.tunable("G.lambda", 0.05), {"dct": dct, "haar": haar}[base](n)
    Psi = torch.kron(T, T).T                                                    # of pictures row by row
    x = X.reshape(-1, n * n)
    Y = x - x.mean(1, keepdim=True)

    def model(training):
        D = Psi @ F.reshape(9, n * n).T
        G = fista(Y, lambda z: z @ D.T, lambda r: r @ D, 0.3, 0.3 * weight, 4).detach()
        return {"G": G.reshape(-1, 9, 1, 1), "again": (x.mean(1, keepdim=True) + G @ D.T).reshape(X.shape), "loss": objective(Y - G @ D.T, G, weight)}

    g.write(model)


def low_pass(x, r):                                                             # the mean around each pixel, mirrored at the edges
    x, n = pad(x, (r, r, r, r), mode="reflect"), 2 * r + 1
    return x.unfold(2, n, 1).unfold(3, n, 1).mean((4, 5))


def dictionary_learning(name, side, **more):
    """The program as it is: FISTA for each sample until |z - last| < 1e-3 |z|, steps of 1 / lipschitz (frozen, but in a training step), codes that are
    constants of the loss. As large as the atoms: patches, less their mean; larger: sums of shifted atoms, less what is smooth."""
    atoms, k = 5, 4
    g = Golden(name, "examples/dictionary_learning/dictionary_learning.csc", [("output again", "output G\n    output again")], "atoms=5 k=4 side=%d" % side, **more)
    X, F, weight = g.input("X", (1, side, side), 0.5, 0.5), g.param("D.F", (atoms, 1, k, k), 0, 1, "unit_atoms"), g.tunable("G.lambda", 0.05)
    edge, n = (k - 1, side + k - 1) if side > k else (0, 1)
    v, L = g.state("D.lipschitz.v", (atoms, n, n), 0.1, 1), g.state("D.lipschitz", (), 9 if side > k else 3, 0.5)
    down, up = lambda z: conv_transpose2d(z, F, padding=edge), lambda x: conv2d(x, F, padding=edge)

    def code(y, step):
        z = last = point = torch.zeros(1, atoms, n, n)
        m = 1.0
        for _ in range(100):
            u = point - step * up(down(point) - y)
            z = u.sign() * (u.abs() - step * weight).clamp(min=0)               # near its kink either side will do: no gradient passes here
            m_new = (1 + math.sqrt(1 + 4 * m * m)) / 2
            point = z + (m - 1) / m_new * (z - last)
            moved, m = (z - last).norm() / z.norm(), m_new
            last = z
            Margin.look(torch.stack([moved - 1e-3, moved]))
            if moved < 1e-3:
                break
        return z

    def model(training):
        r, step = {}, 1 / L
        if training:
            new, value = power(lambda u: up(down(u)), v[None])
            r = {"state:D.lipschitz.v": new[0], "state:D.lipschitz": value}
            step = 1 / value
        low = low_pass(X, 4) if side > k else X.mean((1, 2, 3), keepdim=True)
        Y = X - low
        G = torch.cat([code(y[None], step) for y in Y]).detach()
        again = low + down(G)
        mse = ((again - X) ** 2).flatten(1).mean(1)
        return r | {"G": G, "again": again, "loss": objective(Y - down(G), G, weight), "metric:psnr(again, X)": -10 * torch.log10(mse),
                    "metric:density(G)": (G.abs() > 1e-6).double().flatten(1).mean(1)}

    g.write(model, "forward eval step")


def inpainting(name, image, **more):
    g = Golden(name, "examples/inpainting/inpainting.csc",
               [("real[1, H, W]", "real[1, %d, %d]" % image), ("0.9 / lipschitz(D)", "0.08"), ("until: 1e-3, at_most: updates", "iterations: updates"),
                ("output whole = low", "output G\n    output whole = low"), ("    report    = [psnr(whole, X), psnr(low, X), sparsity(G)]\n", "")],
               "atoms=3 k=4 updates=4 keep=1", **more)
    X, F, weight = g.input("X", (1,) + image, 0.3, 1), g.param("D.A", (3, 1, 4, 4), 0, 1, "unit_atoms"), g.tunable("G.lambda", 0.04)

    def model(training):
        M = (X > 0).double()
        low = low_pass(M * X, 4) / low_pass(M, 4).clamp(min=1e-3)
        down, up = lambda z: conv_transpose2d(z, F, padding=3), lambda x: conv2d(x, F, padding=3)
        Y = M * (X - low)
        G = fista(Y, lambda z: M * down(z), lambda r: up(M * r), 0.08, 0.08 * weight, 4).detach()
        return {"G": G, "whole": low + down(G), "loss": objective(Y - M * down(G), G, weight)}

    g.write(model)


def super_resolution(name, times, image, **more):
    g = Golden(name, "examples/super_resolution/super_resolution.csc",
               [("real[1, H, W]", "real[1, %d, %d]" % image), ("atoms, 1, 9, 9", "atoms, 1, 3, 5"), ("soft\n", "soft; step = 0.4\n"),
                ("    report    = [psnr(large, X), psnr(low, X), psnr(upsample(Y, times), X)]\n", "")], "atoms=4 updates=3 times=%d" % times, **more)
    X, F, weight = g.input("X", (1,) + image, 0.5, 0.5), g.param("D.A", (4, 1, 3, 5), 0, 1, "unit_atoms"), g.tunable("enlarged.G.lambda", 0.01)

    def model(training):
        S = lambda x: x.unfold(2, times, times).unfold(3, times, times).mean((4, 5))
        spread = lambda y: y.repeat_interleave(times, 2).repeat_interleave(times, 3)
        down, up = lambda z: conv_transpose2d(z, F, padding=(1, 2)), lambda x: conv2d(x, F, padding=(1, 2))
        low = low_pass(spread(S(X)), times - 1)
        G = fista(S(X) - S(low), lambda z: S(down(z)), lambda r: up(spread(r) / times**2), 0.4, 0.4 * weight, 3)
        large = low + down(G)
        return {"large": large, "loss": ((large - X) ** 2).flatten(1).mean(1)}

    g.write(model, "forward step backward")


if __name__ == "__main__":
    dictionary_learning("dictionary_patches", 4, sanitized=True)
    dictionary_learning("dictionary_pictures", 9)
    double_sparsity("dct", 7)
    double_sparsity("haar", 8)
    inpainting("inpainting", (9, 11))
    super_resolution("super_resolution_2", 2, (8, 14))
    super_resolution("super_resolution_3", 3, (9, 12))
