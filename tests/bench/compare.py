"""Ours and the peers in turn: the same weights, first that both compute the same, then pairs of measurements. Called by tests/bench/run:
compare.py BENCH_DIRECTORY SOURCE_DIRECTORY WORK_DIRECTORY RESULTS MINUTES PAIRS COMPILE [word]; adds a line of JSON to RESULTS for each row as it comes."""
import json, os, shutil, statistics, subprocess, sys, time

bench, source, work, results = sys.argv[1:5]
minutes, most_pairs, with_compile = float(sys.argv[5]), int(sys.argv[6]), sys.argv[7] == "1"
word = sys.argv[8] if len(sys.argv) > 8 else ""
cores = sorted(os.sched_getaffinity(0))
os.environ.update(OMP_NUM_THREADS="2", MKL_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
try:
    import numpy
    import torch
    import torch.nn.functional as F
    import peers
except ImportError:
    torch = None
LEAST_PAIRS = 3
refused = set()  # rows whose sides do not compute the same


def use_threads(n):
    os.sched_setaffinity(0, set(cores[-n:]))
    if torch:
        torch.set_num_threads(n)


# ---- ours: a library and a process that runs it
def tensors(folder, kind, file):
    flat = numpy.fromfile(os.path.join(folder, file), dtype=numpy.float32)
    out = {}
    for t in json.load(open(os.path.join(folder, "model.json")))[kind]:
        n = int(numpy.prod(t["shape"])) if t["shape"] else 1
        out[t["name"]] = flat[t["offset"]:t["offset"] + n].reshape(t["shape"])
    return out


def call_of(folder):  # 10^9 operations a sample, floats of each output
    lines = open(os.path.join(folder, "call")).read().split("\n")
    return float(lines[0]), [[int(v) for v in l.split()] for l in lines[1:] if l]


def prepare(program, options, entry, batch):
    folder = os.path.join(work, "rows", "-".join([os.path.basename(program), entry, str(batch)] + ["%s=%s" % o for o in options.items()]))
    if os.path.exists(folder):
        return folder
    os.makedirs(folder)
    subprocess.run([bench + "/bench_entry", os.path.join(source, program), entry, str(batch), "0"] + ["%s=%s" % o for o in options.items()], check=True,
                   env=dict(os.environ, CSC_LIBRARY=folder), capture_output=True)
    return folder


class Ours:
    def __init__(self, folder, entry, batch, threads, prepared=False):  # prepared: what depends on parameters alone is made once
        self.p = subprocess.Popen([bench + "/bench_library", folder, entry, str(batch), "serve", str(threads)] + ["prepared"] * prepared, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        t = self.p.stdout.readline().split()
        self.first = dict(zip(t[::2], map(float, t[1::2])))

    def ask(self, calls):  # median milliseconds
        self.p.stdin.write("%d\n" % calls)
        self.p.stdin.flush()
        return float(self.p.stdout.readline())

    def peak(self):
        return self.ask(0)

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def peak_of(threads):  # of so many at the same time: virtual cores may share a real one
    processes = [subprocess.Popen([bench + "/bench_library", "peak"], stdout=subprocess.PIPE, text=True, preexec_fn=lambda c=c: os.sched_setaffinity(0, {c}))
                 for c in cores[-threads:]]
    return sum(float(p.communicate()[0]) for p in processes)


# ---- the peer
class Peer:
    """how: "eager", "channels last", "oneDNN blocked" (its own tensors, weights packed before), "frozen" (traced, weights
    folded and packed before, by optimize_for_inference), "torch.compile"."""

    def __init__(self, folder, entry, options, net, how="eager", dtype=None, samples=None):
        self.train, self.net, self.options, self.how = entry == "step", net, options, how
        self.p = {k: torch.tensor(v) for k, v in tensors(folder, "params", "params.f32").items()}
        self.s = {k: torch.tensor(v) for k, v in tensors(folder, "states", "states.f32").items()}
        inputs = [e for e in json.load(open(os.path.join(folder, "model.json")))["entries"] if e["name"] == entry][0]["inputs"]
        self.x = torch.tensor(numpy.fromfile(os.path.join(folder, "in0.f32"), dtype=numpy.float32).reshape([-1] + inputs[0]["shape"]))[:samples]
        if self.train:
            self.y = torch.tensor(numpy.fromfile(os.path.join(folder, "in1.f32"), dtype=numpy.float32).astype(numpy.int64))[:samples]
        if dtype:
            self.x, self.p, self.s = self.x.to(dtype), {k: v.to(dtype) for k, v in self.p.items()}, {k: v.to(dtype) for k, v in self.s.items()}
        if how == "channels last":
            self.x = self.x.to(memory_format=torch.channels_last)
            self.p = {k: v.to(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in self.p.items()}
        if how == "oneDNN blocked":
            self.x = self.x.to_mkldnn()
            pack = lambda v: torch._C._nn.mkldnn_reorder_conv2d_weight(v.to_mkldnn(), [1, 1], [1, 1], [1, 1], 1) if v.dim() == 4 else v.to_mkldnn()
            self.p = {k: pack(v) for k, v in self.p.items()}
        if how == "frozen":
            net, p, s = self.net, self.p, self.s

            class Net(torch.nn.Module):
                def forward(self, x):
                    return net(p, s, x, options, False)
            with torch.no_grad():
                frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(Net().eval(), self.x, check_trace=False)))
            self.net = lambda p, s, x, options, train: frozen(x)
        if how == "torch.compile":
            self.net = torch.compile(net)
        for v in self.p.values() if self.train else ():
            v.requires_grad_(True)

    def step(self):
        if not self.train:
            with torch.no_grad():
                self.out = self.net(self.p, self.s, self.x, self.options, False)
            return 0.0
        for v in self.p.values():
            v.grad = None
        loss = F.cross_entropy(self.net(self.p, self.s, self.x, self.options, True), self.y)
        loss.backward()
        return float(loss.detach())

    def time(self, calls, threads):
        clock = time.process_time if threads == 1 else time.perf_counter
        t = []
        for _ in range(calls):
            start = clock()
            self.step()
            t.append(clock() - start)
        return sorted(t)[len(t) // 2] * 1e3


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Clean:
    """A process that has loaded PyTorch and done nothing with it; for each question a copy of it measures by how much three calls make it grow."""

    def __init__(self):
        ask, self.ask = os.pipe()
        self.answer, answer = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(ask), os.close(answer)
            self.answers = os.fdopen(self.answer)
            return
        os.close(self.ask), os.close(self.answer)
        for line in os.fdopen(ask):
            if os.fork() == 0:
                grown = None
                try:
                    folder, entry, options, net, how, batch = json.loads(line)
                    use_threads(1)
                    before = resident()
                    peer = Peer(folder, entry, options, getattr(peers, net), how, samples=batch)
                    for _ in range(3):
                        peer.step()
                    grown = resident() - before - (2 if peer.train else 1) * sum(4 * v.numel() for v in peer.p.values())
                finally:
                    os.write(answer, (json.dumps(grown) + "\n").encode())
                    os._exit(0)
            os.wait()
        os._exit(0)

    def memory_of(self, *question):  # growth less parameters and gradients
        os.write(self.ask, (json.dumps(question) + "\n").encode())
        return json.loads(self.answers.readline())

    def close(self):
        os.close(self.ask)
        os.waitpid(self.pid, 0)


# ---- do they compute the same? In float64 first, which both are compared with: a threshold may cut a rounded value differently.
def relative(got, want, floor=0.0):
    return float(numpy.linalg.norm(got - want) / max(numpy.linalg.norm(want), floor, 1e-30))


def agreement(folder, entry, options, net, n):
    subprocess.run([bench + "/bench_library", folder, entry, str(n), "0"], check=True, capture_output=True)
    exact, single = [Peer(folder, entry, options, net, dtype=d, samples=n) for d in (torch.float64, torch.float32)]
    loss, _ = exact.step(), single.step()
    first = numpy.fromfile(folder + "/out0.f32", dtype=numpy.float32)
    if not exact.train:
        want = exact.out.numpy().reshape(-1)
        return dict(ours=relative(first, want), theirs=relative(single.out.numpy().reshape(-1), want), loss=0.0)
    grads = tensors(folder, "params", "grads.f32")
    for v in list(exact.p.values()) + list(single.p.values()):
        if v.grad is None:  # a parameter that this form of the program does not read
            v.grad = torch.zeros_like(v)
    floor = 1e-2 * max(float(v.grad.norm()) for v in exact.p.values())  # in front of a batch norm some cancel to nothing
    worst = [max(relative(g[k], v.grad.numpy(), floor) for k, v in exact.p.items()) for g in (grads, {k: v.grad.numpy() for k, v in single.p.items()})]
    return dict(ours=worst[0], theirs=worst[1], loss=abs(float(first[0]) - loss) / (1 + abs(loss)))


def agree(a):
    return a["loss"] <= 1e-4 and a["ours"] <= max(1e-2, 5 * a["theirs"])


def others(folder, batch, by):  # the same with other samples in front
    to = "%s.from.%d" % (folder, by)
    shutil.copytree(folder, to, dirs_exist_ok=True)
    for name in os.listdir(to):
        if name.startswith("in") and name.endswith(".f32"):
            x = numpy.fromfile(os.path.join(to, name), dtype=numpy.float32).reshape(batch, -1)
            numpy.roll(x, -by, axis=0).tofile(os.path.join(to, name))
    return to


def checked(folder, entry, options, net, whole):
    """A value at a kink that rounding puts on its other side is one of these samples'; a mistake is in all of them: where the first
    samples disagree two more draws are made, and two of the three have to agree. The one in the middle is reported, and how many were."""
    n = min(whole, 8)
    draws = [agreement(folder, entry, options, net, n)]
    for by in (n, 2 * n) if not agree(draws[0]) and whole >= 3 * n else ():
        draws.append(agreement(others(folder, whole, by), entry, options, net, n))
    middle = sorted(draws, key=lambda a: a["ours"])[len(draws) // 2]
    return dict(middle, draws=len(draws), loss=max(a["loss"] for a in draws))


# ---- rows
def training():
    e = "examples/"
    for u in (0, 2, 6):
        yield "ML-ISTA MNIST, unfold %d" % u, e + "ml_ista_mnist/ml_ista_mnist.csc", dict(unfold=u), 128, "ml_ista", (2.5, 4)
    for u, name in ((0, "plain"), (2, "layered, unfold 2")):
        yield "ML-CSC, " + name, e + "ml_csc_cifar/ml_csc_cifar.csc", dict(unfold=u, form="layered"), 64, "ml_csc", (1.2, 1.6)
    for d in (6, 12):
        for u in (0, 1, 2):
            yield "MSD-CSC d%d, unfold %d" % (d, u), e + "msd_csc/msd_csc.csc", dict(d=d, unfold=u), 128 if d == 6 else 32, "msd_csc", (1.8, 2.5) if u else (1.5, 2)
    yield "ResNet-20", e + "res_csc/res_csc.csc", dict(n=3, form="resnet"), 128, "res_csc", (1.4, 1.8)
    yield "Res-CSC-20", e + "res_csc/res_csc.csc", dict(n=3), 128, "res_csc", (1.4, 1.8)
    yield "ResNet-18", e + "resnet/resnet.csc", dict(layers=18), 32, "resnet", (1, 1.5)
    yield "SDNet-18", e + "sdnet/sdnet.csc", dict(layers=18), 32, "sdnet", (1, 1.5)
    yield "SDNet-18-All", e + "sdnet/sdnet.csc", dict(layers=18, form="all"), 16, "sdnet", (1.2, 1.8)


def inference():
    at = {"MSD-CSC": (2, 2.5), "ML-ISTA": (2.5, 4), "Res-CSC": (1.4, 2), "ResNet-18": (1, 1.5)}
    for name, program, options, batch, net, _ in training():
        if any(name.startswith(k) for k in at) and options.get("unfold") != 0 and name != "ML-ISTA MNIST, unfold 6":
            for b in (128, 1):
                yield name, program, options, b, net, (2, 4) if b == 1 else [v for k, v in at.items() if name.startswith(k)][0]


def lassos():
    t = "tests/bench/"
    for form in ("ista", "fista"):
        yield "convolutional Lasso 7x7, 64 atoms, 3x32x32, %s 50" % form.upper(), t + "conv_lasso.csc", dict(iterations=50, form=form), 32, "conv_lasso", (4, 6)
        yield "the same, one 1x256x256, %s 20" % form.upper(), t + "conv_lasso.csc", dict(iterations=20, form=form, channels=1, size=256), 1, "conv_lasso", (8, 15)
    yield "dense Lasso 256x1024, 4096 signals, FISTA 20", t + "dense_lasso.csc", dict(iterations=20, form="fista"), 4096, "dense_lasso", (1, 1.3)
    yield "six convolutions 64-64 3x3, 28x28", t + "stack.csc", dict(layers=6), 16, "stack", None


def all_rows():
    for threads in (1, 2):
        for group, entry, some in (("training", "step", training), ("inference", "forward", inference), ("lasso", "forward", lassos)):
            for name, program, options, batch, net, needed in some():
                yield dict(group=group, entry=entry, name=name, program=program, options=options, batch=batch, net=net, needed=needed, threads=threads)
        if threads == 1:
            yield dict(group="solve", name="convolutional Lasso to 1e-4, one 1x64x64", peer="SPORCO", needed=(3, 10), threads=1, solve="sporco")
            yield dict(group="solve", name="Lasso 256x1024 to 1e-4, one signal", peer="scikit-learn", needed=None, threads=1, solve="sklearn")


def say(row):
    with open(results, "a") as f:
        f.write(json.dumps(row) + "\n")
    print("%-58s %s" % ("%s, batch %s, %d thread%s" % (row["name"], row.get("batch", 1), row["threads"], "s" * (row["threads"] > 1)),
                        row.get("missing") or "%.2f (%.2f-%.2f, %d pairs)" % (row["ratio"], row["lo"], row["hi"], row["pairs"])), flush=True)


def spread(mine, theirs):
    ratio = sorted(t / m for t, m in zip(theirs, mine))
    return dict(ratio=statistics.median(ratio), lo=ratio[len(ratio) // 4], hi=ratio[len(ratio) - 1 - len(ratio) // 4], pairs=len(ratio))


def memory_of(ours, entry):  # megabytes, less gradients; parameters were there before
    return max(ours.first["grown_bytes"] - (ours.first["param_bytes"] if entry == "step" else 0), 0) * 1e-6


def measure(row, seconds):
    end = time.perf_counter() + seconds
    whole = row["batch"]
    use_threads(row["threads"])
    folder = prepare(row["program"], row["options"], row["entry"], row["batch"])
    gflop, _ = call_of(folder)
    while minutes <= 30 and row["entry"] == "step" and row["batch"] > 4 and gflop * row["batch"] > 64:  # a short run: fewer samples where a step takes long
        row = dict(row, batch=row["batch"] // 2)
    net = getattr(peers, row["net"], None) if torch else None
    out = {k: row[k] for k in ("group", "name", "batch", "threads", "needed")}
    out.update(gflop=gflop)
    if net and row["threads"] == 1:
        out["check"] = checked(folder, row["entry"], row["options"], net, whole)
        if not agree(out["check"]):
            refused.add(folder)
            return dict(out, missing="not the same: %s" % out["check"])
    if folder in refused:
        return dict(out, missing="not the same: see one thread")
    inference = row["group"] == "inference"  # parameters stay from call to call, on both sides
    ours = Ours(folder, row["entry"], row["batch"], row["threads"], inference)
    alone = Ours(folder, row["entry"], row["batch"], 1, inference) if row["threads"] > 1 else None
    try:
        each = ours.first["median_ms"] * 1e-3
        calls = max(1, min(9, int(0.15 / max(each, 1e-6))))
        out.update(memory=memory_of(ours, row["entry"]))
        if net is None:
            t = [ours.ask(calls) for _ in range(LEAST_PAIRS)]
            return dict(out, ours=1e3 * row["batch"] / statistics.median(t), missing="no PyTorch")
        hows = ["eager"]
        if len(tensors(folder, "params", "params.f32")) and row["net"] != "dense_lasso":
            hows.append("channels last")
        if inference:
            hows.append("frozen")
        if row["net"] == "stack":
            hows.append("oneDNN blocked")
        if with_compile and row["threads"] == 1:
            hows.append("torch.compile")
        best = None
        for how in hows:
            try:
                peer = Peer(folder, row["entry"], row["options"], net, how, samples=row["batch"])
                for _ in range(1 if each > 0.5 else 2):
                    peer.step()
                t = peer.time(1, row["threads"])
            except Exception as error:  # a way that this PyTorch does not offer
                print("%s, %s: %s" % (row["name"], how, str(error).split("\n")[0]), file=sys.stderr)
                continue
            if best is None or t < best[0]:
                best = (t, peer)
        peer = best[1]
        mine, theirs, peaks, scaling, gained = [], [], [], [], []
        while len(mine) < most_pairs and (len(mine) < LEAST_PAIRS or time.perf_counter() < end):
            mine.append(ours.ask(calls))
            theirs.append(peer.time(calls, row["threads"]))
            peaks.append(ours.peak() if row["threads"] == 1 else peak_of(row["threads"]))
            if row["threads"] > 1:
                scaling.append(peaks[-1] / peak_of(1))
                gained.append(alone.ask(calls) / mine[-1])
        out.update(spread(mine, theirs), peer=peer.how, over_one=statistics.median(gained) if gained else None, ours=1e3 * row["batch"] / statistics.median(mine), theirs=1e3 * row["batch"] / statistics.median(theirs),
                   peak=statistics.median(peaks), scaling=statistics.median(scaling) if scaling else None)
        out["share"] = out["ours"] * gflop / out["peak"] if out["peak"] else 0
        if row["group"] == "training" and row["threads"] == 1:
            grown = clean.memory_of(folder, row["entry"], row["options"], row["net"], peer.how, whole)
            out["their_memory"] = None if grown is None else max(grown, 0) * 1e-6
            if whole != row["batch"]:  # memory at the batch that the target names, whatever is timed
                ours.close()
                ours = Ours(folder, row["entry"], whole, 1)
                out.update(memory=memory_of(ours, row["entry"]), memory_batch=whole)
        return out
    finally:
        ours.close()
        if alone:
            alone.close()


# ---- solved to an accuracy: each side with the fewest of its own updates that reach it
def objective(x, made, z, lam):
    return 0.5 * float(((x - made) ** 2).sum()) + lam * float(numpy.abs(z).sum())


def ours_solved(program, options, lam, signal, goal=None):
    """(updates, objective) of the first count that reaches the goal; without one: of many updates."""
    for n in (1500,) if goal is None else (30, 60, 90, 120, 150, 180, 210, 240, 280, 320, 360, 400, 440, 480, 560, 640, 800, 960):
        folder = prepare(program, dict(options, iterations=n), "forward", 1)
        x = signal(folder)
        x.astype(numpy.float32).tofile(os.path.join(folder, "in0.f32"))
        subprocess.run([bench + "/bench_library", folder, "forward", "1", "0"], check=True, capture_output=True)
        z, made = (numpy.fromfile(os.path.join(folder, "out%d.f32" % i), dtype=numpy.float32).astype(numpy.float64) for i in (0, 1))
        f = objective(x.reshape(-1), made, z, lam)
        if goal is None or f <= goal:
            return folder, n, f, x
    return None, 0, 0, None


def sparse_signal(made_by):
    def signal(folder):
        r = numpy.random.default_rng(3)
        return made_by(tensors(folder, "params", "params.f32"), r)
    return signal


def conv_signal(size):
    def made(p, r):
        f = p["D.F"][:, 0]
        code = r.standard_normal((f.shape[0], size, size)) * 4 * (r.random((f.shape[0], size, size)) < 0.002)
        big = numpy.zeros_like(code)
        big[:, :f.shape[1], :f.shape[2]] = f
        return numpy.fft.irfft2((numpy.fft.rfft2(code) * numpy.fft.rfft2(big)).sum(0), (size, size)) + 0.05 * r.standard_normal((size, size))
    return made


def dense_made(p, r):
    a = p["A.W"]
    return a @ (r.standard_normal(a.shape[1]) * (r.random(a.shape[1]) < 0.05)) + 0.01 * r.standard_normal(a.shape[0])


def sporco_solver(folder, x, lam):
    import sporco.fft
    from sporco.admm import cbpdn
    try:
        sporco.fft.pyfftw_threads = 1
    except AttributeError:
        pass
    f = numpy.ascontiguousarray(tensors(folder, "params", "params.f32")["D.F"][:, 0].transpose(1, 2, 0))

    def with_rho(rho):  # its own adaptation of rho (AutoRho) moves away from the solution here
        def run(n):
            opt = cbpdn.ConvBPDN.Options({"Verbose": False, "MaxMainIter": n, "RelStopTol": 1e-9, "DataType": numpy.float32, "FastSolve": True, "AutoRho": {"Enabled": False}, "rho": rho})
            b = cbpdn.ConvBPDN(f, x.astype(numpy.float32), lam, opt, dimK=0)
            z = b.solve()
            return z, lambda: objective(x, b.reconstruct(z).squeeze(), z, lam)
        return run
    return [(", rho %g" % rho, with_rho(rho)) for rho in (0.5, 1, 2, 4)], (80, 100, 120, 140, 160, 200, 240)


def sklearn_solver(folder, x, lam):
    from sklearn.linear_model import Lasso
    a = numpy.asfortranarray(tensors(folder, "params", "params.f32")["A.W"])
    y = x.astype(numpy.float32)

    def run(n):
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            z = Lasso(alpha=lam / len(y), fit_intercept=False, tol=1e-12, max_iter=n).fit(a, y).coef_
        return z, lambda: objective(x, a.astype(numpy.float64) @ z, z, lam)
    return [("", run)], (3, 5, 7, 10, 15, 20, 30, 40, 60, 80, 120, 200, 400, 800)


def solve(row, seconds):
    end = time.perf_counter() + seconds
    use_threads(1)
    conv = row["solve"] == "sporco"
    program = "tests/bench/conv_lasso.csc" if conv else "tests/bench/dense_lasso.csc"
    options = dict(channels=1, size=64, boundary="circular") if conv else {}
    lam = 0.5 if conv else 0.1
    signal = sparse_signal(conv_signal(64) if conv else dense_made)
    folder, _, best, x = ours_solved(program, options, lam, signal)
    ways, counts = (sporco_solver if conv else sklearn_solver)(folder, x, lam)
    best = min([best] + [run(counts[-1])[1]() for _, run in ways])
    goal = best * (1 + 1e-4)
    folder, n, _, x = ours_solved(program, options, lam, signal, goal)
    reached = []  # seconds, updates, its setting
    for name, run in ways:
        for k in counts:
            start = time.process_time()
            value = run(k)[1]
            took = time.process_time() - start
            if value() <= goal:
                reached.append((took, k, name, run))
                break
    _, k, how, run = min(reached, key=lambda r: r[0]) if reached else (0, None, "", None)
    out = {k2: row[k2] for k2 in ("group", "name", "threads", "needed", "peer")}
    if not n or k is None:
        return dict(out, missing="not reached: ours %s, theirs %s updates" % (n, k))
    ours, mine, theirs = Ours(folder, "forward", 1, 1), [], []
    while len(mine) < most_pairs and (len(mine) < LEAST_PAIRS or time.perf_counter() < end):
        mine.append(ours.ask(3))
        start = time.process_time()
        run(k)
        theirs.append((time.process_time() - start) * 1e3)
    ours.close()
    return dict(out, batch=1, **spread(mine, theirs), ours=1e3 / statistics.median(mine), theirs=1e3 / statistics.median(theirs), peer="%s%s, %d updates (ours %d)" % (row["peer"], how, k, n))


# ---- the compiler's table
def compiler_rows():
    for name, program, entries, options, cold, warm in (
            ("chain with 20 unfoldings, forward", "tests/bench/compile_chain.csc", "forward", {}, 500, 100),
            ("MSD-CSC d12 unfold 2, forward and gradient", "examples/msd_csc/msd_csc.csc", "forward,step", dict(d=12, unfold=2), 5000, 100)):
        cache, library, times = os.path.join(work, "cold"), os.path.join(work, "made.so"), {0: [], 1: []}
        for turn in range(3):
            shutil.rmtree(cache, ignore_errors=True)
            for again in range(4):
                env = dict(os.environ, CSC_CACHE=cache, **({"CSC_LIBRARY": library} if turn + again == 0 else {}))
                t = subprocess.run([bench + "/bench_compile", os.path.join(source, program), entries] + ["%s=%s" % o for o in options.items()], check=True,
                                   capture_output=True, text=True, env=env).stdout.split()
                times[int(t[3])].append(float(t[1]))
        needed = []
        if shutil.which("readelf"):
            text = subprocess.run(["readelf", "-d", library], capture_output=True, text=True).stdout
            needed = [l.split("[")[1].split("]")[0] for l in text.split("\n") if "NEEDED" in l]
        row = dict(group="compiler", name=name, threads=len(cores), cold=statistics.median(times[0]), warm=statistics.median(times[1]), cold_needed=cold, warm_needed=warm,
                   library=os.path.getsize(library) * 1e-6, needs=needed)
        with open(results, "a") as f:
            f.write(json.dumps(row) + "\n")
        print("%-58s cold %.0f ms, from the cache %.1f ms, library %.2f MB" % (name, row["cold"], row["warm"], row["library"]), flush=True)


def key(row):  # a training step's batch may have been halved
    return row["group"], row["name"], row["threads"], row.get("batch", 1) == 1


def measured():
    with open(results) as f:
        return {key(r) for r in map(json.loads, f) if "ratio" in r or r["group"] == "compiler"}


def main():
    begin = time.perf_counter()
    had = measured()
    if word in "compiler" and not any(k[0] == "compiler" for k in had):
        os.sched_setaffinity(0, set(cores))
        compiler_rows()
    rows = [r for r in all_rows() if word in r["name"] + " " + r["group"] and key(r) not in had]
    for i, row in enumerate(rows):
        left = minutes * 60 - (time.perf_counter() - begin)
        if left < 5:
            say(dict({k: row[k] for k in ("group", "name", "threads")}, batch=row.get("batch", 1), missing="no time was left"))
            continue
        # twice a fair part: many rows end early, with all their pairs
        try:
            say((solve if "solve" in row else measure)(row, min(left / 2, 2 * left / (len(rows) - i)) * 0.5))
        except Exception as error:
            say(dict({k: row[k] for k in ("group", "name", "threads")}, batch=row.get("batch", 1), missing=type(error).__name__ + ": " + str(error).split("\n")[0][:200]))


clean = Clean() if torch else None
main()
if clean:
    clean.close()
