"""The peers' networks, in PyTorch: p has the parameters by name, s the states, o the options, train says whether statistics are the batch's."""
import math
import torch
import torch.nn.functional as F


def ml_layers(p, x, o, strides, pads):
    """Three dictionaries coded together (ML-ISTA), or one after the other (layered)."""
    w = [p["D.%d.W%d" % (i, i)] for i in (1, 2, 3)]
    b = [p["b.%d" % i].view(-1, 1, 1) for i in (1, 2, 3)]
    c = [p["c.%d" % i] for i in (1, 2, 3)]
    down = lambda i, v: F.conv2d(v, w[i], stride=strides[i], padding=pads[i])
    up = lambda i, v: F.conv_transpose2d(v, w[i], stride=strides[i], padding=pads[i])
    g, v = [], x
    for i in range(3):
        v = F.relu(c[i] * down(i, v) + b[i])
        if o.get("form") == "layered":
            below = x if i == 0 else g[i - 1]
            for _ in range(o["unfold"]):
                v = F.relu(v - c[i] * down(i, up(i, v) - below) + b[i])
        g.append(v)
    for _ in range(0 if o.get("form") == "layered" else o["unfold"]):
        for i in (1, 0):
            g[i] = up(i + 1, g[i + 1])
        for i in range(3):
            below = x if i == 0 else g[i - 1]
            g[i] = F.relu(g[i] - c[i] * down(i, up(i, g[i]) - below) + b[i])
    return g[2]


def ml_ista(p, s, x, o, train):
    return F.linear(ml_layers(p, x, o, (2, 2, 1), (0, 0, 0)).flatten(1), p["logits.weight"], p["logits.bias"])


def ml_csc(p, s, x, o, train):
    v = ml_layers(p, x, o, (2, 2, 2), (1, 1, 1))
    for k, name in enumerate(("h", "conv_relu", "conv_relu_2")):
        v = F.relu(F.conv2d(v, p[name + ".weight"], padding=1) + p[name + ".bias"].view(-1, 1, 1))
        if k:
            v = F.max_pool2d(v, 2)
    return F.linear(v.flatten(1), p["logits.weight"], p["logits.bias"])


def msd_csc(p, s, x, o, train):
    d = o["d"]
    for i in range(1, d + 1):
        f, b, step, dil = p["D.%d.F" % i], p["b.%d" % i].view(-1, 1, 1), 1 / s["D.%d.lipschitz" % i], 1 + (i - 1) % 3
        conv = lambda v: F.conv2d(v, f, padding=dil, dilation=dil)
        gi, gc = step * x, F.relu(step * conv(x) - b)  # the first update, from zero
        yi, yc, li, lc, m = gi, gc, gi, gc, (1 + math.sqrt(5)) / 2
        for _ in range(o["unfold"]):
            r = yi + F.conv_transpose2d(yc, f, padding=dil, dilation=dil) - x
            gi, gc = yi - step * r, F.relu(yc - step * conv(r) - b)
            n = (1 + math.sqrt(1 + 4 * m * m)) / 2
            a = (m - 1) / n
            yi, yc, li, lc, m = gi + a * (gi - li), gc + a * (gc - lc), gi, gc, n
        x = torch.cat([gi, gc], 1)
        if i in (d // 3, 2 * d // 3):
            x = F.max_pool2d(x, 2)
    return F.linear(x.mean((2, 3)), p["logits.weight"], p["logits.bias"])


def same(v, w, stride):
    return F.conv2d(v, w, stride=stride, padding=w.shape[-1] // 2)


def norm(p, s, train):
    """Batch norm by name; the running statistics are not updated: one pass over the channels' sums, not worth a state."""
    return lambda v, name: F.batch_norm(v, None if train else s[name + ".mean"], None if train else s[name + ".variance"], p[name + ".weight"],
                                        p[name + ".bias"], train)


def res_csc(p, s, x, o, train):
    bn = norm(p, s, train)
    g = F.relu(bn(same(x, p["G.conv2d.weight"], 1), "G.batch_norm"))
    for stage in (1, 2, 3):
        for k in range(1, o["n"] + 1):
            q = "pair.%d.%d." % (stage, k)
            stride = 2 if stage > 1 and k == 1 else 1
            a = F.relu(bn(same(g, p[q + "F1"], stride), q + "A.residual_step.batch_norm"))
            short = g
            if stride > 1:
                name = [n for n in p if n.startswith(q) and n.endswith("conv2d.weight")][0]
                short = bn(same(g, p[name], stride), name.replace("conv2d.weight", "batch_norm"))
            f2, v = p[q + "F2"], a
            if o.get("form") != "resnet":
                v = a + p[q + "c"] * F.conv_transpose2d(short, f2, padding=1)
            g = F.relu(bn(F.conv2d(v, f2, padding=1), q + "B.residual_step.batch_norm") + short)
    return F.linear(g.mean((2, 3)), p["logits.weight"], p["logits.bias"])


def shortcut(p, bn, x, q, stride):
    w = p.get(q + "shortcut.conv2d.weight")
    return x if w is None else bn(same(x, w, stride), q + "shortcut.batch_norm")


def basic_blocks(p, bn, x, prefix):
    for stage in (1, 2, 3, 4):
        for k in (1, 2):
            q = "%sbasic_block.%d.%d." % (prefix, stage, k)
            stride = 2 if stage > 1 and k == 1 else 1
            a = F.relu(bn(same(x, p[q + "a.conv2d.weight"], stride), q + "a.batch_norm"))
            x = F.relu(bn(same(a, p[q + "conv2d.weight"], 1), q + "b") + shortcut(p, bn, x, q, stride))
    return x


def resnet(p, s, x, o, train):
    bn = norm(p, s, train)
    x = F.relu(bn(same(x, p["x.conv2d.weight"], 1), "x.batch_norm"))
    x = basic_blocks(p, bn, x, "logits.")
    return F.linear(x.mean((2, 3)), p["logits.linear.weight"], p["logits.linear.bias"])


def sdnet(p, s, x, o, train):
    bn = norm(p, s, train)

    def csc(x, q, stride):  # two updates of FISTA from zero are two of ISTA
        w, step = p[q + "A.W"], 0.9 / s[q + "A.lipschitz"]
        h = w.shape[-1] // 2
        z = F.relu(step * F.conv2d(x, w, stride=stride, padding=h) - step * 0.1)
        back = F.conv_transpose2d(z, w, stride=stride, padding=h, output_padding=stride - 1)
        return F.relu(z - step * F.conv2d(back - x, w, stride=stride, padding=h) - step * 0.1)

    x = bn(csc(x, "z.", 1), "x")
    if o.get("form") != "all":
        x = basic_blocks(p, bn, x, "")
    else:
        for stage in (1, 2, 3, 4):
            for k in (1, 2):
                q = "csc_block.%d.%d." % (stage, k)
                stride = 2 if stage > 1 and k == 1 else 1
                a = bn(csc(x, q + "csc.", stride), q + "a")
                x = F.relu(bn(csc(a, q + "csc_2.", 1), q + "b") + shortcut(p, bn, x, q, stride))
    return F.linear(x.mean((2, 3)), p["logits.weight"], p["logits.bias"])


def conv_lasso(p, s, x, o, train):
    f = p["D.F"]
    h, step = f.shape[-1] // 2, 0.95 / s["D.lipschitz"]
    z = last = None
    m, y = 1.0, None
    for _ in range(o["iterations"]):
        v = step * F.conv2d(x, f, padding=h) if y is None else y - step * F.conv2d(F.conv_transpose2d(y, f, padding=h) - x, f, padding=h)
        last, z = z, F.softshrink(v, float(step) * 0.5)
        n = (1 + math.sqrt(1 + 4 * m * m)) / 2
        y = z if last is None or o["form"] == "ista" else z + (m - 1) / n * (z - last)
        m = n
    return z


def dense_lasso(p, s, x, o, train):
    """By OpenBLAS or MKL, whatever this PyTorch multiplies matrices with; in blocks of signals that stay in the cache."""
    a, step, block = p["A.W"], 0.95 / s["A.lipschitz"], 256
    t, out = float(step) * 0.1, []
    for part in x.split(block):
        u = torch.linalg.matmul(part, a) * step
        z, y, last, m = None, None, None, 1.0
        for _ in range(o["iterations"]):
            v = u if y is None else torch.addmm(y + u, torch.addmm(torch.zeros((), dtype=y.dtype), y, a.t()), a, alpha=-float(step))
            last, z = z, F.softshrink(v, t)
            n = (1 + math.sqrt(1 + 4 * m * m)) / 2
            y = z if last is None or o["form"] == "ista" else z + (m - 1) / n * (z - last)
            m = n
        out.append(z)
    return torch.cat(out)


def stack(p, s, x, o, train):
    for i in range(o["layers"]):
        w, b = p["h.%d.weight" % (i + 1)], p["h.%d.bias" % (i + 1)]
        x = torch.relu(torch.conv2d(x, w, b, padding=1))
    return x
