"""Solvers and thresholds of one Lasso, with the dictionary as an explicit matrix: of vectors (vector.csc) and of pictures (picture.csc)."""
from golden import *

STEP, LAMBDA = 0.4, 0.2
T = STEP * LAMBDA


def stamped(F, size, stride):
    """The matrix of a convolution's adjoint: column (m, y, x) has atom m at (stride y, stride x)."""
    m, c, k, l = F.shape
    h, w = (size[0] - k) // stride + 1, (size[1] - l) // stride + 1
    A = torch.zeros((m, h, w, c) + size)
    for y in range(h):
        for x in range(w):
            A[:, y, x, :, y * stride : y * stride + k, x * stride : x * stride + l] = F
    return A.reshape(m * h * w, -1).T, (m, h, w)


class Problem:
    """Codes are rows: X ~ z A'."""

    def __init__(self, g, kind):
        self.g, self.kind = g, kind
        self.shape = (7, 11) if kind == "vector" else (4, 2, 3, 3)
        if kind == "vector":
            self.X, self.x = g.input("y", (7,), 0, 2), g.target("x", (11,))
            del g.inputs["x"]                                                   # codes are made without it
            self.A, self.code = g.param("A.M", self.shape, 0, 1, "unit_columns"), (11,)
        else:
            self.X = g.input("X", (2, 8, 7), 0, 2)
            self.A, self.code = self.matrix(g.param("D.F", self.shape, 0, 1, "unit_atoms"))
        self.Y = self.X.flatten(1)
        self.n = math.prod(self.code)

    def matrix(self, F):
        return (F, None) if self.kind == "vector" else stamped(F, (8, 7), 2)

    def learned(self, name, count=0):
        """A parameter like the dictionary, or `count` of them."""
        p = self.g.param(name, ((count,) if count else ()) + self.shape, 0, 0.35)
        return [self.matrix(w)[0] for w in p] if count else self.matrix(p)[0]

    def lipschitz_states(self):                                                 # for the first values of parameters, which this file replaces
        self.g.state(("A" if self.kind == "vector" else "D") + ".lipschitz.v", self.code)
        self.g.state(("A" if self.kind == "vector" else "D") + ".lipschitz", (), 3)

    def residual(self, z):
        return z @ self.A.T - self.Y

    def results(self, z):
        r = {"z": z.reshape((-1,) + self.code)}
        if self.kind == "vector":
            r["loss"] = ((z - self.x) ** 2).mean(1)
        else:
            r["again"] = (z @ self.A.T).reshape(self.X.shape)
            r["loss"] = ((r["again"] - self.X) ** 2).flatten(1).mean(1)
        return r


# ---- thresholds P(z, t) ----
def nonneg(p, z):
    return relu(z - T)


def soft_t(p, z):
    return soft(z, T)


def hard(p, z):
    return torch.where(z.abs() > math.sqrt(2 * T), z, torch.zeros_like(z))


def elastic(p, z):                                                              # argmin 1/2 (x - z)^2 + t (|x| + mu/2 x^2), mu = 0.6
    return soft(z, T) / (1 + 0.6 * T)


def group(p, z):                                                                # of two neighbouring channels: z max(1 - t / |z|_2, 0)
    u = z.reshape(-1, p.code[0] // 2, 2, math.prod(p.code[1:]))
    norm = (u * u).sum(2, keepdim=True).sqrt()
    return (u * relu(norm - T) / norm).reshape(z.shape)


def largest(k):
    def P(p, z):
        keep = torch.zeros_like(z)
        for row, at in zip(keep, z.abs().topk(k, 1).indices):
            row[at] = 1
        return z * keep
    return P


def two_sided(p, z):                                                            # rho(z - t) - rho(-z - t), rho = elu
    rho = lambda v: torch.where(v > 0, v, torch.exp(v.clamp(max=0)) - 1)
    return rho(z - T) - rho(-z - T)


# ---- solvers ----
def ista(p, P, n):
    z = torch.zeros(len(p.Y), p.n)
    for _ in range(n):
        z = P(p, z - STEP * p.residual(z) @ p.A)
    return z


def fista(p, P, n, at_iterate=False):
    z = last = y = torch.zeros(len(p.Y), p.n)
    m = 1.0
    for _ in range(n):
        z = P(p, y - STEP * p.residual(last if at_iterate else y) @ p.A)
        m_new = (1 + math.sqrt(1 + 4 * m * m)) / 2
        y = z + (m - 1) / m_new * (z - last)
        last, m = z, m_new
    return z


def backtracking(p, P, n, first, momentum):                                     # Beck and Teboulle (2009), each sample by itself: the step is halved
    """until F(z) <= Q(z, y), which for |X - D z|^2 / 2 says s |D (z - y)|^2 <= |z - y|^2; the next search begins at the last step."""
    rows = []
    for x in p.Y:
        z = last = y = torch.zeros(p.n)
        m, s = 1.0, first
        for _ in range(n):
            slope = (y @ p.A.T - x) @ p.A
            while True:
                z = P(y - s * slope, s * LAMBDA)
                d = z - y
                left, right = s * ((d @ p.A.T) ** 2).sum(), (d * d).sum()
                Margin.look(torch.stack([left - right, right]))                 # which of the two is larger must be plain
                if left <= right:
                    break
                s /= 2
            m_new = (1 + math.sqrt(1 + 4 * m * m)) / 2
            y = z + (m - 1) / m_new * (z - last) if momentum else z
            last, m = z, m_new
        rows.append(z)
    return torch.stack(rows)


def coordinate_descent(p, P, n):                                                # the entry that moves most is set to where P puts it
    z = torch.zeros(len(p.Y), p.n)
    for _ in range(n):
        best = P(p, z - STEP * p.residual(z) @ p.A)
        at = (best - z).abs().argmax(1)
        z = torch.stack([torch.cat([r[:i], b[i : i + 1], r[i + 1 :]]) for r, b, i in zip(z, best, at)])
    return z


def omp(p, n):                                                                  # least squares on the support, by the normal equations
    rows = []
    for y in p.Y:
        support, r = [], y
        for _ in range(n):
            support.append(int((r @ p.A).abs().argmax()))
            S = p.A[:, support]
            c = torch.linalg.solve(S.T @ S, S.T @ y)
            r = y - S @ c
        rows.append(sum(c[j] * torch.eye(p.n)[i] for j, i in enumerate(support)))
    return torch.stack(rows)


def make(name, kind, solve, text, prox="soft", step=STEP, **more):
    replace = [("step = 0.4", "step = %g" % step)] if step != STEP else []
    replace += [("ista(iterations: 3)", text)] if text else []
    replace += [("prox = soft", "prox = " + prox)] if prox != "soft" else []
    g = Golden("solve_" + name, "tests/golden/%s.csc" % kind, replace, **more)
    p = Problem(g, kind)
    run = solve(p)

    g.write(lambda training: p.results(run()), "forward step backward")


def plain(solver, *args, **named):
    return lambda p: lambda: solver(p, *args, **named)


# ---- learned solvers: parameters, then the iteration ----
def lista(p):                                                                   # Gregor and LeCun: x <- S(W x + B' y, theta)
    g = p.g
    p.lipschitz_states()
    B, W, theta = p.learned("z.lista.B"), g.param("z.lista.W", (11, 11), 0, 0.3), g.param("z.lista.theta", (11,), 0.1, 0.05)

    def run():
        z = torch.zeros(len(p.Y), p.n)
        for _ in range(3):
            z = soft(z @ W.T + p.Y @ B, theta)
        return z
    return run


def lista_conv(p):                                                              # Sreter and Giryes: z <- S(z + B'(y - E z), theta)
    p.lipschitz_states()
    B, E, theta = p.learned("z.lista_conv.B"), p.learned("z.lista_conv.E"), p.g.param("z.lista_conv.theta", (), 0.1, 0.05)

    def run():
        z = torch.zeros(len(p.Y), p.n)
        for _ in range(3):
            z = soft(z + (p.Y - z @ E.T) @ B, theta)
        return z
    return run


def lista_cp(p):                                                                # Chen et al.: x <- S(x + W_k'(y - A x), theta_k)
    p.lipschitz_states()
    W, theta = p.learned("z.lista_cp.W", 3), p.g.param("z.lista_cp.theta", (3,), 0.1, 0.05)

    def run():
        z = torch.zeros(len(p.Y), p.n)
        for k in range(3):
            z = soft(z - p.residual(z) @ W[k], theta[k])
        return z
    return run


def lista_cpss(percent, most):                                                  # of what passes, the largest k * percent % are not shrunk
    def learn(p):
        p.lipschitz_states()
        W, theta = p.learned("z.lista_cpss.W", 3), p.g.param("z.lista_cpss.theta", (3,), 0.1, 0.05)

        def run():
            z = torch.zeros(len(p.Y), p.n)
            for k in range(3):
                u = z - p.residual(z) @ W[k]
                count = int(min((k + 1) * percent, most) * p.n // 100)
                s = soft(u, theta[k])
                trusted = torch.zeros_like(u)
                for row, at in zip(trusted, u.abs().topk(count, 1).indices):
                    row[at] = 1
                z = torch.where((trusted > 0) & (u.abs() > theta[k]), u, s)
            return z
        return run
    return learn


def alista(p):                                                                  # Liu et al.: x <- S(x - gamma_k W'(A x - y), theta_k), W not learned
    g = p.g
    p.lipschitz_states()
    W = p.learned("z.alista.W").detach()
    del g.params["z.alista.W"]
    gamma, theta = g.param("z.alista.gamma", (3,), 1, 0.3), g.param("z.alista.theta", (3,), 0.1, 0.05)

    def run():
        z = torch.zeros(len(p.Y), p.n)
        for k in range(3):
            z = soft(z - gamma[k] * p.residual(z) @ W, theta[k])
        return z
    return run


def weights():
    """The W of ALISTA: column by column the w of least |A' w| with <w, a> = 1, here by the equations of its Lagrangian."""
    g = Golden("solve_alista_weights", "tests/golden/vector.csc", [("output z\n", "output z\n    output W = analytic_weights(A * one_hot(tensor(0..n - 1), n))\n")])
    p = Problem(g, "vector")

    def model(training):
        A, columns = p.A, []
        for i in range(11):
            a = A[:, i : i + 1]                                                 # A A' w = mu a, <a, w> = 1
            K = torch.cat([torch.cat([A @ A.T, -a], 1), torch.cat([a.T, torch.zeros(1, 1)], 1)])
            columns.append(torch.linalg.solve(K, torch.eye(8)[7])[:7])
        return p.results(ista(p, soft_t, 3)) | {"W": torch.stack(columns, 1).expand(2, 7, 11)}

    g.write(model, "forward step backward")


if __name__ == "__main__":
    for kind, tag in (("vector", ""), ("picture", "_pictures")):
        s = kind == "vector"
        make("ista" + tag, kind, plain(ista, soft_t, 3), "")
        make("fista" + tag, kind, plain(fista, soft_t, 5), "fista(iterations: 5)")
        make("fista_iterate" + tag, kind, plain(fista, soft_t, 5, True), 'fista(iterations: 5, momentum_at: "iterate")')
        make("coordinate" + tag, kind, plain(coordinate_descent, soft_t, 6), "coordinate_descent(iterations: 6)")
        make("backtrack_ista" + tag, kind, plain(backtracking, soft, 5, 3, False), "ista(iterations: 5, backtrack: 0.5)", step=3, sanitized=s)
        make("backtrack_fista" + tag, kind, plain(backtracking, soft, 5, 3, True), "fista(iterations: 5, backtrack: 0.5)", step=3)
        make("omp" + tag, kind, plain(omp, 3), "omp(iterations: 3)", sanitized=s)
        make("iht" + tag, kind, plain(ista, largest(4), 3), "iht(iterations: 3, k: 4)")
        make("lista_cp" + tag, kind, lista_cp, "lista_cp(iterations: 3)")
        make("lista_cpss" + tag, kind, lista_cpss(15, 40), "lista_cpss(iterations: 3, percent: 15, most: 40)")
        make("lista_conv" + tag, kind, lista_conv, "lista_conv(iterations: 3)")
        make("hard" + tag, kind, plain(ista, hard, 3), "", "hard")
        make("two_sided" + tag, kind, plain(ista, two_sided, 3), "", "two_sided(rho: elu)")
    make("lista", "vector", lista, "lista(iterations: 3)")
    make("alista", "vector", alista, "alista(iterations: 3)")
    weights()
    make("nonneg", "picture", plain(fista, nonneg, 4), "fista(iterations: 4)", "soft_nonneg")
    make("elastic", "picture", plain(ista, elastic, 3), "", "elastic(mu: 0.6)")
    make("group", "picture", plain(ista, group, 3), "", "group(size: 2)")
    make("top_k", "picture", plain(ista, largest(7), 3), "", "top_k(k: 7)")
