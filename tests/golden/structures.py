"""Dictionaries made of parts, each as one explicit matrix: its rows are what the analysis makes of the unit signals. The structures of examples/new_structure
and the three beside it, the multi-layer dictionary (Sulam et al. 2018), the digits, denoising with an implicit gradient, and matching pursuit."""
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from golden import *
from pictures import haar, low_pass, objective


def same(F, dilation=1, stride=1, groups=1):                                    # the cross-correlation that keeps the size, for odd kernels
    p = tuple(dilation * (k - 1) // 2 for k in F.shape[2:])
    return lambda x: conv2d(x, F, padding=p, dilation=dilation, stride=stride, groups=groups)


class Dictionary:
    """D' of a signal, and what follows from it: rows of codes and signals, z D^T and x D."""

    def __init__(self, signal, analysis):
        n = math.prod(signal)
        code = analysis(torch.eye(n).reshape((n,) + signal))
        self.D, self.signal, self.code = code.reshape(n, -1), signal, tuple(code.shape[1:])


class Step:
    """c / lipschitz: frozen, but in a training step, where the power iteration goes on from the vector of the step before."""

    def __init__(self, g, path, code, start, c):
        self.v, self.L, self.path, self.c = g.state(path + ".v", code, 0.1, 1), g.state(path, (), start, 0.2), path, c

    def __call__(self, D, training, r):
        if not training:
            return self.c / self.L
        v, L = power(lambda u: (u @ D.T) @ D, self.v.reshape(1, -1))
        r["state:%s.v" % self.path], r["state:" + self.path] = v.reshape(self.v.shape), L
        return self.c / L


def iterate(Y, D, P, step, n, start=None, momentum=True):
    z = last = y = torch.zeros(len(Y), D.shape[1]) if start is None else start
    m = 1.0
    for _ in range(n):
        z = P(y - step * (y @ D.T - Y) @ D, step)
        m_new = (1 + math.sqrt(1 + 4 * m * m)) / 2
        y = z + (m - 1) / m_new * (z - last) if momentum else z
        last, m = z, m_new
    return z


nonneg = lambda weight: lambda z, step: relu(z - step * weight)
two = lambda weight: lambda z, step: soft(z, step * weight)


def head(g, n):
    A, b = g.param("logits.weight", (10, n), 0, 1 / math.sqrt(n)), g.param("logits.bias", (10,), 0, 0.2)
    return lambda x: x.flatten(1) @ A.T + b


def classifier(name, path, replace, sets, signal, parts, analysis, P, n, features, width, start, **more):
    """One Lasso and a linear layer. parts: name, shape and whether its atoms have norm 1, of each parameter of the dictionary."""
    g = Golden(name, "examples/" + path, [("output logits", "output G\n    output logits")] + replace, sets, **more)
    X, y = g.input("X", signal, 0.3, 1), g.label("y", 10)
    F = [g.param(n_, shape, center, spread, unit) for n_, shape, center, spread, unit in parts]
    code = Dictionary(signal, lambda x: analysis(x, *F)).code
    step, out = Step(g, "D.lipschitz", code, start, 0.9), head(g, width)

    def model(training):
        r, D = {}, Dictionary(signal, lambda x: analysis(x, *F)).D
        z = iterate(X.flatten(1), D, P(code), step(D, training, r), n)
        G = z.reshape((-1,) + code)
        logits = out(features(G))
        r.update(G=G, logits=logits, loss=cross_entropy(logits, y))
        r["metric:accuracy(logits, y)"] = accuracy(logits, y)
        r["metric:sparsity(G)"] = (G == 0).double().flatten(1).mean(1)
        r["metric:residual(G)"] = (X.flatten(1) - z @ D.T).norm(dim=1)
        return r

    g.write(model, "forward eval step")


def across(code):                                                               # one number at three scales shares its fate
    def P(z, step):
        u = z.reshape(len(z), 3, -1)
        norm = (u * u).sum(1, keepdim=True).sqrt()
        return (u * relu(norm - step * 0.1) / norm).reshape(z.shape)
    return P


def coarse_to_fine():
    g = Golden("coarse_to_fine", "examples/coarse_to_fine/coarse_to_fine.csc", [("output logits", "output fine = scales[3]\n    output logits")], "w=3 unfold=2")
    X, y, F = g.input("X", (1, 8, 8), 0.3, 1), g.label("y", 10), g.param("D.F", (3, 1, 3, 3), 0, 1, "unit_atoms")
    sizes = (2, 4, 8)
    steps = [Step(g, "D.lipschitz" + tag, (3, n, n), 2.5, 0.9) for tag, n in zip(("", "_2", "_3"), sizes)]
    out = head(g, 3 * (4 + 16 + 16))

    def model(training):
        r, codes, start = {}, [], None
        for n, step in zip(sizes, steps):
            D = Dictionary((1, n, n), same(F)).D
            x = avg_pool2d(X, 8 // n) if n < 8 else X
            z = iterate(x.flatten(1), D, nonneg(0.05), step(D, training, r), 3, start, momentum=False)
            codes.append(z.reshape(-1, 3, n, n))
            start = codes[-1].repeat_interleave(2, 2).repeat_interleave(2, 3).flatten(1)
        logits = out(torch.cat([codes[0].flatten(1), codes[1].flatten(1), max_pool2d(codes[2], 2).flatten(1)], 1))
        return r | {"fine": codes[2], "logits": logits, "loss": cross_entropy(logits, y)}

    g.write(model, "forward step")


def multilayer():
    replace = [("real[1, 28, 28]", "real[1, 15, 14]"), ("a, 1, 6, 6", "a, 1, 3, 3"), ("b, a, 6, 6", "b, a, 3, 3"), ("c, b, 4, 4", "c, b, 2, 2"),
               ("until: 1e-3, at_most: 100", "iterations: 6"), ("lambda = 0.2", "lambda = 0.02")]
    g = Golden("multilayer_dictionary", "examples/multilayer_dictionary/multilayer_dictionary.csc", replace, "a=3 b=4 c=5")
    X, weight = g.input("X", (1, 15, 14), 0.4, 0.6), g.tunable("G.lambda", 0.02)
    A, B, C = (g.param(n, s, 0, 1, "unit_atoms") for n, s in (("D1.A", (3, 1, 3, 3)), ("D2.B", (4, 3, 3, 3)), ("D3.C", (5, 4, 2, 2))))
    analysis = lambda x: conv2d(conv2d(conv2d(x, A, stride=2), B, stride=2), C)
    code = Dictionary((1, 15, 14), analysis).code
    step = Step(g, "D.lipschitz", code, 3, 1)

    def model(training):
        r, D, x = {}, Dictionary((1, 15, 14), analysis).D, X.flatten(1)
        G = iterate(x, D, two(weight), step(D, training, r), 6).detach()
        again = (G @ D.T).reshape(X.shape)
        return r | {"code": G, "again": again, "loss": objective(x - G @ D.T, G, weight), "metric:density(G)": (G.abs() > 1e-6).double().mean(1),
                    "metric:psnr(again, X)": -10 * torch.log10(((again - X) ** 2).flatten(1).mean(1))}

    g.write(model, "forward eval step")


def digits():
    g = Golden("digits", "examples/digits/digits.csc", [("real[16, 1, 5, 5]", "real[3, 1, 5, 5]"), ("real[32, 16, 3, 3]", "real[4, 3, 3, 3]"),
                                                        ("output logits", "output deepest = G[2]\n    output logits")], "unfold=2")
    X, y = g.input("X", (1, 8, 8), 0.4, 0.6), g.label("y", 10)
    A, B = g.param("D.1.A", (3, 1, 5, 5), 0, 0.3), g.param("D.2.B", (4, 3, 3, 3), 0, 0.3)
    b, c = [g.param("b.%d" % i, (n,), 0, 0.1) for i, n in ((1, 3), (2, 4))], [g.param("c.%d" % i, (), 0.4, 0.1) for i in (1, 2)]
    out = head(g, 64)

    def model(training):
        D = [Dictionary((1, 8, 8), same(A)).D, Dictionary((3, 8, 8), same(B, stride=2)).D]
        P = lambda i, z: relu(z + b[i].repeat_interleave(D[i].shape[1] // len(b[i])))
        x = X.flatten(1)
        u = P(0, c[0] * x @ D[0])
        v = P(1, c[1] * u @ D[1])
        for _ in range(2):
            u = v @ D[1].T
            u = P(0, u - c[0] * (u @ D[0].T - x) @ D[0])
            v = P(1, v - c[1] * (v @ D[1].T - u) @ D[1])
        logits = out(v)
        return {"deepest": v.reshape(-1, 4, 4, 4), "logits": logits, "loss": cross_entropy(logits, y), "metric:accuracy(logits, y)": accuracy(logits, y),
                "metric:sparsity(G[1])": (u == 0).double().mean(1), "metric:sparsity(G[2])": (v == 0).double().mean(1)}

    g.write(model, "forward eval step backward")


def denoise():
    """At the solution D_S'(D_S z_S - Y) + lambda sign z_S = 0 on the support S: z_S = (D_S' D_S)^-1 (D_S' Y - lambda s), whose derivative is the implicit one."""
    g = Golden("denoise", "examples/denoise/denoise.csc", [("until: 1e-4, at_most: updates", "until: 1e-8, at_most: 6000"), ("output clean =", "output G\n    output clean =")],
               "atoms=3 k=3 H=9 W=10", compiled=2e-3, evaluated=1e-4)
    X, A, weight = g.input("X", (1, 9, 10), 0.5, 1), g.param("D.A", (3, 1, 3, 3), 0, 1, "unit_atoms"), g.tunable("G.lambda", 0.3)
    analysis = lambda x: conv2d(x, A, padding=2)
    code = Dictionary((1, 9, 10), analysis).code
    Step(g, "D.lipschitz", code, 6, 0.9)

    def model(training):
        low, D = low_pass(X, 4), Dictionary((1, 9, 10), analysis).D
        Y, rows = (X - low).flatten(1), []
        with torch.no_grad():
            Z = iterate(Y, D, lambda z, s: z.sign() * (z.abs() - s * weight).clamp(min=0), 0.9 / torch.linalg.norm(D, 2) ** 2, 20000)
        for y, z in zip(Y, Z):
            S = z.nonzero()[:, 0]
            d = D[:, S]
            rows.append(torch.zeros(len(z)).index_put((S,), torch.linalg.solve(d.T @ d, d.T @ y - weight * z[S].sign())))
        G = torch.stack(rows)
        return {"G": G.reshape((-1,) + code), "clean": low + (G @ D.T).reshape(X.shape)}

    g.write(model, "forward backward")


def pursuit():
    """Orthogonal matching pursuit of patches less their mean; the codes are constants of the loss."""
    g = Golden("omp", "examples/omp/omp.csc", [("output again", "output G\n    output again")], "atoms=12 side=5 most=3", batch=3)
    X, F = g.input("X", (1, 5, 5), 0.5, 0.5), g.param("D.F", (12, 1, 5, 5), 0, 1, "unit_atoms")

    def model(training):
        D, mean, rows = F.flatten(1).T, X.mean((1, 2, 3), keepdim=True), []
        Y = (X - mean).flatten(1)
        for y in Y.detach():
            support, left = [], y
            for _ in range(3):
                support.append(int((left @ D).abs().argmax()))
                S = D[:, support].detach()
                c = torch.linalg.lstsq(S, y[:, None]).solution[:, 0]
                left = y - S @ c
            rows.append(torch.zeros(12).index_put((torch.tensor(support),), c))
        G = torch.stack(rows)
        again = mean + (G @ D.T).reshape(X.shape)
        return {"G": G[:, :, None, None], "again": again, "loss": ((Y - G @ D.T) ** 2).mean(1),
                "metric:psnr(again, X)": -10 * torch.log10(((again - X) ** 2).flatten(1).mean(1)), "metric:density(G)": (G.abs() > 1e-6).double().mean(1)}

    g.write(model, "forward eval step")


if __name__ == "__main__":
    new, image = "new_structure/new_structure.csc", (3, 9, 17)
    pooled = lambda G: max_pool2d(G, 8)
    soft05 = lambda code: nonneg(0.05)
    shape = ("real[3, 32, 32]", "real[3, 9, 17]")
    classifier("new_pyramid", new, [shape, ("pyramid(3, 24)", "pyramid(3, 4)")], "form=pyramid", image, [("D.F", (4, 3, 3, 3), 0, 0.3, None)],
               lambda x, F: torch.cat([x] + [same(F, d)(x) for d in (1, 2, 4)], 1), soft05, 4, pooled, 30, 9)
    classifier("new_separable", new, [shape, ("separable(3, 64)", "separable(3, 5)")], "form=separable", image,
               [("D.S", (3, 1, 5, 5), 0, 0.4, None), ("D.M", (5, 3, 1, 1), 0, 0.6, None)], lambda x, S, M: conv2d(same(S, groups=3)(x), M), soft05, 4, pooled, 10, 9)
    classifier("new_gated", new, [shape, ("gated(3, 64)", "gated(3, 5)")], "form=gated", image,
               [("D.F", (5, 3, 3, 3), 0, 0.4, None), ("D.g", (5,), 0.8, 0.4, None)], lambda x, F, w: same(F)(x) * w[:, None, None], soft05, 4, pooled, 10, 9)
    grid, half = (1, 8, 8), lambda G: max_pool2d(G, 2)
    classifier("scale_groups", "scale_groups/scale_groups.csc", [], "w=3 unfold=3", grid, [("D.F", (3, 1, 3, 3), 0, 1, "unit_atoms")],
               lambda x, F: torch.cat([same(F, d)(x) for d in (1, 2, 3)], 1), across, 4, half, 144, 6)
    H = torch.kron(haar(8), haar(8))
    classifier("sparse_wavelets", "sparse_wavelets/sparse_wavelets.csc", [], "w=4 unfold=3", grid, [("D.F", (4, 1, 5, 5), 0, 1, "unit_atoms")],
               lambda x, F: same(F)((x.flatten(1) @ H.T).reshape(x.shape)), lambda code: two(0.05), 4, lambda G: half(G.abs()), 64, 5)
    classifier("mirrored_atoms", "mirrored_atoms/mirrored_atoms.csc", [], "w=3 unfold=3", grid, [("F", (3, 1, 5, 5), 0, 1, "unit_atoms")],
               lambda x, F: torch.cat([same(F)(x), same(F.flip(3))(x), same(F.transpose(2, 3))(x)], 1), lambda code: nonneg(0.1), 4, half, 144, 9)
    coarse_to_fine()
    multilayer()
    digits()
    denoise()
    pursuit()
