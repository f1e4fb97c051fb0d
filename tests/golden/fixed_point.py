"""How far the implicit gradient is from right, by the condition number of the atoms that a code uses: (1 - J')w = g for one ISTA update,
J' = (1 - t D'D) M, solved as compiler/ad/bodies.c does (200 turns, float32), and by the plain iteration w <- g + J'w beside it."""
import numpy as np


def solve(J, g, null=1e-4, turns=200):
    w, left, kept = g, J(g), []
    for turn in range(turns):
        full, size = left - J(left), left @ left
        if full @ full <= null**2 * size:
            return w - (left @ w) / size * left if size else w
        p, q = left, full
        for along, image in kept:
            p, q = p - (full @ image) * along, q - (full @ image) * image
        one = np.float32(np.linalg.norm(q))
        p, q = p / one, q / one
        w, left = w + (left @ q) * p, left - (left @ q) * q
        kept = [(p, q)] + kept[:1]
        if left @ left <= 1e-12 * (g @ g):
            break
    return w


def plain(J, g, turns=200):
    w = g
    for turn in range(turns):
        w = g + J(w)
    return w


print("condition of D_S'D_S   plain iteration   minimal residuals   (error of w on the support, median of 9)")
for condition in (1e1, 1e2, 1e3, 1e4, 1e5, 1e6):
    errors = []
    for seed in range(9):
        rng = np.random.default_rng(seed)
        U, V = (np.linalg.qr(rng.standard_normal((k, 40)))[0] for k in (60, 40))
        used = U @ np.diag(np.geomspace(1, condition**-0.5, 40)) @ V.T
        D = np.hstack([used, rng.standard_normal((60, 80)) / 60]).astype(np.float32)
        t, M = np.float32(1 / np.linalg.norm(D, 2) ** 2), (np.arange(120) < 40).astype(np.float32)
        J = lambda w: M * w - t * (D.T @ (D @ (M * w)))
        g = rng.standard_normal(120).astype(np.float32)
        want = np.linalg.solve(t * used.T @ used, g[:40])
        errors.append([np.linalg.norm(f(J, g)[:40] - want) / np.linalg.norm(want) for f in (plain, solve)])
    print(f"{condition:12.0e} {np.median(errors, 0)[0]:22.1e} {np.median(errors, 0)[1]:17.1e}")
