"""Training steps, ours and PyTorch's, in turn on one processor: the same weights, the same loss first, then pairs of measurements.
Called by tests/bench/run: compare.py BENCH_DIRECTORY SOURCE_DIRECTORY WORK_DIRECTORY PAIRS [word]; writes the table's rows to standard output."""
import json, math, os, statistics, subprocess, sys, time

bench, source, work, pairs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
word = sys.argv[5] if len(sys.argv) > 5 else ""
core = sorted(os.sched_getaffinity(0))[-1]
os.sched_setaffinity(0, {core})
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
try:
    import numpy
    import torch
    import torch.nn.functional as F
    torch.set_num_threads(1)
except ImportError:
    torch = None


# ---- the peers' networks: p has the parameters by name, s the states
def ml_ista(p, s, x, o):
    w = [p["D.1.W1"], p["D.2.W2"], p["D.3.W3"]]
    b = [p["b.%d" % i].view(-1, 1, 1) for i in (1, 2, 3)]
    c = [p["c.%d" % i] for i in (1, 2, 3)]
    stride = (2, 2, 1)
    down = lambda i, v: F.conv2d(v, w[i], stride=stride[i])
    up = lambda i, v: F.conv_transpose2d(v, w[i], stride=stride[i])
    g, v = [], x
    for i in range(3):
        v = F.relu(c[i] * down(i, v) + b[i])
        g.append(v)
    for _ in range(o["unfold"]):
        for i in (1, 0):
            g[i] = up(i + 1, g[i + 1])
        for i in range(3):
            below = x if i == 0 else g[i - 1]
            g[i] = F.relu(g[i] - c[i] * down(i, up(i, g[i]) - below) + b[i])
    return F.linear(g[2].flatten(1), p["logits.weight"], p["logits.bias"])


def msd_csc(p, s, x, o):
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


def res_csc(p, s, x, o):
    bn = lambda v, name: F.batch_norm(v, None, None, p[name + ".weight"], p[name + ".bias"], True)
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
            f2 = p[q + "F2"]
            v = F.conv2d(a + p[q + "c"] * F.conv_transpose2d(short, f2, padding=1), f2, padding=1)
            g = F.relu(bn(v, q + "B.residual_step.batch_norm") + short)
    return F.linear(g.mean((2, 3)), p["logits.weight"], p["logits.bias"])


rows = [("ML-ISTA MNIST, unfold %d" % u, "ml_ista_mnist", dict(unfold=u), 128, ml_ista) for u in (0, 2, 6)]
rows += [("MSD-CSC d%d, unfold %d" % (d, u), "msd_csc", dict(d=d, unfold=u), 128 if d == 6 else 32, msd_csc) for d in (6, 12) for u in (0, 1, 2)]
rows += [("Res-CSC-20", "res_csc", dict(n=3), 128, res_csc)]


# ---- one row
def tensors(folder, kind, file):
    flat = numpy.fromfile(os.path.join(folder, file), dtype=numpy.float32)
    out = {}
    for t in json.load(open(os.path.join(folder, "model.json")))[kind]:
        n = int(numpy.prod(t["shape"])) if t["shape"] else 1
        out[t["name"]] = torch.tensor(flat[t["offset"]:t["offset"] + n].reshape(t["shape"]))
    return out


def prepare(program, options, batch):
    folder = os.path.join(work, program)
    os.makedirs(folder, exist_ok=True)
    for old in os.listdir(folder):
        os.remove(os.path.join(folder, old))
    path = os.path.join(source, "examples", program, program + ".csc")
    subprocess.run([bench + "/bench_entry", path, "step", str(batch), "0"] + ["%s=%s" % o for o in options.items()], check=True,
                   env=dict(os.environ, CSC_LIBRARY=folder))
    return folder


def ours(folder, batch):
    t = subprocess.run([bench + "/bench_library", folder, "step", str(batch), "0"], check=True, capture_output=True, text=True).stdout.split()
    return dict(zip(t[::2], map(float, t[1::2])))


def peak():
    return float(subprocess.run([bench + "/bench_library", "peak"], check=True, capture_output=True, text=True).stdout)


class Peer:
    def __init__(self, folder, options, net, last):
        self.p = tensors(folder, "params", "params.f32")
        for v in self.p.values():
            v.requires_grad_(True)
            if last and v.dim() == 4:
                v.data = v.data.to(memory_format=torch.channels_last)
        self.s = {k: v for k, v in tensors(folder, "states", "states.f32").items()}
        entry = [e for e in json.load(open(os.path.join(folder, "model.json")))["entries"] if e["name"] == "step"][0]
        x, y = (numpy.fromfile(os.path.join(folder, "in%d.f32" % k), dtype=numpy.float32) for k in (0, 1))
        self.x = torch.tensor(x.reshape([-1] + entry["inputs"][0]["shape"]))
        if last:
            self.x = self.x.to(memory_format=torch.channels_last)
        self.y = torch.tensor(y.astype(numpy.int64))
        self.net, self.options = net, options

    def step(self):
        for v in self.p.values():
            v.grad = None
        loss = F.cross_entropy(self.net(self.p, self.s, self.x, self.options), self.y)
        loss.backward()
        return float(loss.detach())

    def time(self):
        t = []
        for _ in range(3):
            start = time.process_time()
            self.step()
            t.append(time.process_time() - start)
        return sorted(t)[1] * 1e3


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")


def memory_of(folder, options, net, last):  # in a process of its own
    env = dict(os.environ, MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_="17179869184", CSC_BENCH_PEER=json.dumps([folder, options, net.__name__, bool(last)]))
    out = subprocess.run([sys.executable] + sys.argv, capture_output=True, text=True, env=env)
    return float(out.stdout) if out.returncode == 0 else float("nan")


def row(name, program, options, batch, net):
    folder = prepare(program, options, batch)
    first = ours(folder, batch)
    memory = (first["grown_bytes"] - first["param_bytes"]) * 1e-6  # the gradients; parameters are there before
    line = [name, str(batch)]
    if torch is None:
        print("| %s | %d | %.1f | | | | %.0f MB | | |" % (name, batch, 1e3 * batch / first["median_ms"], memory), flush=True)
        return
    peers = [Peer(folder, options, net, last) for last in (False, True)]
    loss, want = numpy.fromfile(folder + "/out0.f32", dtype=numpy.float32)[0], peers[0].step()
    worst = 0.0
    grads = tensors(folder, "params", "grads.f32")
    for k, v in peers[0].p.items():
        worst = max(worst, float((grads[k] - v.grad).norm() / (v.grad.norm() + 1e-12)))
    if not abs(loss - want) <= 1e-4 * (1 + abs(want)) or worst > 5e-3:
        print("%s: not the same: loss %.6f, theirs %.6f; gradients differ by %.2g" % (name, loss, want, worst), file=sys.stderr, flush=True)
        return
    times = [p.time() for p in peers]
    best = peers[times[1] < times[0]]
    mine, theirs, peaks = [], [], []
    for _ in range(pairs):
        mine.append(ours(folder, batch)["median_ms"])
        theirs.append(best.time())
        peaks.append(peak())
    ratio = sorted(t / m for t, m in zip(theirs, mine))
    other = memory_of(folder, options, net, times[1] < times[0]) * 1e-6
    print("| %s | %d | %.1f | %.1f | **%.2f** | %.2f-%.2f | %.0f | %.0f MB | %.0f MB | 1/%.1f |" % (
        name, batch, 1e3 * batch / statistics.median(mine), 1e3 * batch / statistics.median(theirs), statistics.median(ratio), ratio[len(ratio) // 4],
        ratio[len(ratio) - 1 - len(ratio) // 4], statistics.median(peaks), memory, other, other / max(memory, 1e-9)), flush=True)


# ---- main
if "CSC_BENCH_PEER" in os.environ:
    folder, options, net, last = json.loads(os.environ["CSC_BENCH_PEER"])
    before = resident()
    peer = Peer(folder, options, globals()[net], last)
    for _ in range(3):
        peer.step()
    print(resident() - before - 2 * sum(4 * v.numel() for v in peer.p.values()))
    sys.exit(0)
for r in rows:
    if word in r[0]:
        row(*r)
