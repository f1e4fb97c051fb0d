"""Training steps on the device, ours and PyTorch's: the same weights and batch, SGD with momentum, the batch copied from pinned memory.
compare.py TREE SOURCE WORK RESULTS SECONDS [--shim]: adds lines of JSON to RESULTS as they come, none for what is there already. First ours and
PyTorch's quick ways for each row, then torch.compile, until the time is over. --shim: a small row on the processor, to try the script.
compare.py --table RESULTS: the table. compare.py --worker [--shim]: a process that measures PyTorch, one question a line."""
import json, os, select, subprocess, sys, time

shim = "--shim" in sys.argv
PRECISIONS = ("float32", "tf32", "bf16")
QUICK, SLOW = ("eager", "channels last", "graph", "channels last, graph"), ("compile", "compile, channels last", "compile, graph")
AGREE = {"float32": 5e-3, "tf32": 1e-1, "bf16": 2e-1}  # gradients may be so far from float64's, or 5 times as far as PyTorch's


def rows():
    e = "examples/"
    if shim:
        return [("ML-ISTA MNIST, unfold 0", e + "ml_ista_mnist/ml_ista_mnist.csc", dict(unfold=0), 2, "ml_ista", 2.0)]
    out = [("ML-ISTA MNIST, unfold %d" % u, e + "ml_ista_mnist/ml_ista_mnist.csc", dict(unfold=u), b, "ml_ista", 2.0) for u, b in ((2, 128), (2, 1024))]
    for n in (3, 9):
        out.append(("ResNet-%d" % (6 * n + 2), e + "res_csc/res_csc.csc", dict(n=n, form="resnet"), 128, "res_csc", 1.3))
        out.append(("Res-CSC-%d" % (6 * n + 2), e + "res_csc/res_csc.csc", dict(n=n), 128, "res_csc", 1.3))
    out += [("MSD-CSC d%d, unfold %d" % (d, u), e + "msd_csc/msd_csc.csc", dict(d=d, unfold=u), b, "msd_csc", 2.0) for b in (128, 512) for d in (6, 12) for u in (1, 2)]
    out.append(("ResNet-18", e + "resnet/resnet.csc", dict(layers=18), 128, "resnet", 0.7))
    out.append(("SDNet-18", e + "sdnet/sdnet.csc", dict(layers=18), 128, "sdnet", 0.7))
    out.append(("SDNet-18-All", e + "sdnet/sdnet.csc", dict(layers=18, form="all"), 128, "sdnet", 1.3))
    return out


def median(v):
    return sorted(v)[len(v) // 2]


# ---- the peer: a process that answers questions ----
def worker():
    import numpy, torch
    import torch.nn.functional as F
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
    import peers
    device = "cpu" if shim else "cuda"
    wait = (lambda: None) if shim else torch.cuda.synchronize
    torch.backends.cudnn.benchmark = True

    def set_precision(p):
        for at in (torch.backends.cuda.matmul, torch.backends.cudnn):
            at.allow_tf32 = p == "tf32"

    def floats(folder, file):
        return numpy.fromfile(os.path.join(folder, file), dtype=numpy.float32)

    def tensors(folder, kind, file, dtype):
        flat, out = floats(folder, file), {}
        for t in json.load(open(os.path.join(folder, "model.json")))[kind]:
            n = int(numpy.prod(t["shape"])) if t["shape"] else 1
            out[t["name"]] = torch.tensor(flat[t["offset"]:t["offset"] + n].reshape(t["shape"]), dtype=dtype, device=device)
        return out

    class Net:
        def __init__(self, q, dtype=torch.float32, how="", precision="float32"):
            folder = q["folder"]
            self.p, self.s = tensors(folder, "params", "params.f32", dtype), tensors(folder, "states", "states.f32", dtype)
            inputs = [e for e in json.load(open(os.path.join(folder, "model.json")))["entries"] if e["name"].startswith("step")][0]["inputs"]
            x = torch.tensor(floats(folder, "in0.f32").reshape([-1] + inputs[0]["shape"])).to(dtype)
            y = torch.tensor(floats(folder, "in1.f32").astype(numpy.int64))
            if "channels last" in how:
                x = x.to(memory_format=torch.channels_last)
                self.p = {k: v.to(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in self.p.items()}
            self.x, self.y = x.to(device), y.to(device)  # here the batch lies on the device
            self.from_host = (x, y) if shim else (x.pin_memory(), y.pin_memory())
            for v in self.p.values():
                v.requires_grad_(True)
            self.net, self.options, self.bf16 = getattr(peers, q["net"]), q["options"], precision == "bf16"
            if "compile" in how:
                self.net = torch.compile(self.net, mode="max-autotune-no-cudagraphs" if "graph" in how else None)
            self.optimizer = torch.optim.SGD(self.p.values(), lr=1e-6, momentum=0.9, foreach=True)
            self.graph = None

        def forward_backward(self):
            with torch.autocast(device, dtype=torch.bfloat16, enabled=self.bf16, cache_enabled=self.graph is None):
                loss = F.cross_entropy(self.net(self.p, self.s, self.x, self.options, True), self.y)
            loss.backward()
            return loss.detach()

        def update(self):
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

        def copy(self):
            self.x.copy_(self.from_host[0], non_blocking=True)
            self.y.copy_(self.from_host[1], non_blocking=True)

        def capture(self):  # forward, backward and update as one graph
            self.graph = torch.cuda.CUDAGraph()
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(3):
                    self.forward_backward(), self.update()
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(self.graph):
                self.forward_backward()
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)

        def step(self):
            self.copy()
            if self.graph:
                self.graph.replay()
            else:
                self.forward_backward(), self.update()

    def agreement(q):  # gradients and loss of our first step, from float64's; and theirs of the same precision
        set_precision("float32")
        exact = Net(q, torch.float64)
        loss = exact.forward_backward()
        set_precision(q["precision"])
        rough = Net(q, precision=q["precision"])
        rough.forward_backward()
        grads = lambda n: {k: v.grad.double() if v.grad is not None else torch.zeros_like(v, dtype=torch.float64) for k, v in n.p.items()}
        want = grads(exact)
        floor = 1e-2 * max(float(v.norm()) for v in want.values())  # in front of a batch norm some cancel to nothing
        far = lambda got: max(float((got[k] - v).norm()) / max(float(v.norm()), floor, 1e-30) for k, v in want.items())
        return dict(gradient=far(tensors(q["folder"], "params", "grads.f32", torch.float64)), theirs=far(grads(rough)),
                    loss=abs(float(floats(q["folder"], "out0.f32")[0]) - float(loss)) / (1 + abs(float(loss))))

    def measure(q):
        set_precision(q["precision"])
        if not shim:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        n = Net(q, torch.float32, q["way"], q["precision"])
        for _ in range(3):
            n.step()
        if "graph" in q["way"]:
            n.capture()
        wait()
        start = time.perf_counter()
        n.step()
        wait()
        many = max(1, min(200, int(0.1 / max(time.perf_counter() - start, 1e-5))))
        t, end = [], time.perf_counter() + q["seconds"]
        while len(t) < 3 or (time.perf_counter() < end and len(t) < 50):
            start = time.perf_counter()
            for _ in range(many):
                n.step()
            wait()
            t.append((time.perf_counter() - start) / many)
        return dict(seconds=median(t), best=min(t), runs=len(t), bytes=0 if shim else torch.cuda.max_memory_allocated())

    def ceilings(q):  # what products and copies reach here: operations and bytes a second
        out, n = {}, 256 if shim else 8192
        for p in PRECISIONS:
            set_precision(p)
            a = torch.randn(n, n, device=device, dtype=torch.bfloat16 if p == "bf16" else torch.float32)
            best = 1e30
            for _ in range(8):
                wait()
                start = time.perf_counter()
                a @ a
                wait()
                best = min(best, time.perf_counter() - start)
            out[p] = 2.0 * n ** 3 / best
        a = torch.empty((1 << 20) if shim else (1 << 30), dtype=torch.float32, device=device)
        b, best = torch.empty_like(a), 1e30
        for _ in range(8):
            wait()
            start = time.perf_counter()
            b.copy_(a)
            wait()
            best = min(best, time.perf_counter() - start)
        out["bytes"] = 8.0 * a.numel() / best
        return dict(out, torch=torch.__version__, device=device if shim else torch.cuda.get_device_name(0))

    print("ready", flush=True)
    for line in sys.stdin:
        q = json.loads(line)
        try:
            answer = dict(agreement=agreement, measure=measure, ceilings=ceilings)[q["ask"]](q)
        except Exception as error:  # a way that this PyTorch does not offer, or no memory for it
            answer = dict(missing=type(error).__name__ + ": " + (str(error).split("\n")[0])[:200])
        print(json.dumps(answer), flush=True)


class Process:
    """Asked and answered by lines; ended when an answer takes too long."""

    def __init__(self, words, stderr=None):
        self.p = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        self.rest = b""

    def line(self, seconds):
        end = time.perf_counter() + seconds
        while b"\n" not in self.rest:
            left = end - time.perf_counter()
            if left <= 0 or not select.select([self.p.stdout], [], [], left)[0]:
                self.close()
                return None
            got = os.read(self.p.stdout.fileno(), 1 << 16)
            if not got:
                return None
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def ask(self, text, seconds):
        try:
            self.p.stdin.write((text + "\n").encode())
            self.p.stdin.flush()
        except (BrokenPipeError, ValueError):
            return None
        return self.line(seconds)

    def close(self):
        self.p.kill()
        self.p.wait()


def main():
    tree, source, work, results, budget = sys.argv[1:6]
    deadline = time.perf_counter() + float(budget)
    left = lambda: deadline - time.perf_counter()
    have = set()
    for line in open(results):
        r = json.loads(line)
        have.add((r.get("kind"), r.get("name"), r.get("batch"), r.get("precision"), r.get("way")))
    peer = None
    bad = 0

    def note(**row):
        with open(results, "a") as f:
            f.write(json.dumps(row) + "\n")
        what = row.get("missing") or ("%.3f ms" % (1e3 * row["seconds"]) if "seconds" in row else "")
        print(" ".join(str(row[k]) for k in ("kind", "name", "batch", "precision", "way") if k in row) + ": " + what, flush=True)

    def ask(limit, **q):
        nonlocal peer
        if peer is None or peer.p.poll() is not None:
            peer = Process([sys.executable, os.path.abspath(__file__), "--worker"] + ["--shim"] * shim)
            while (said := peer.line(120)) != "ready":
                if said is None:
                    return dict(missing="PyTorch does not start")
        said = peer.ask(json.dumps(q), max(5, min(limit, left())))
        return json.loads(said) if said else dict(missing="no answer in time")

    def ours(name, program, options, batch, net, precision):
        nonlocal bad
        folder = os.path.join(work, "rows", "%s-%d-%s" % (name.replace(" ", "_"), batch, precision))
        os.makedirs(folder, exist_ok=True)
        p = Process([tree + "/tests/gpu_steps", os.path.join(source, program), str(batch), precision, folder] + ["%s=%s" % o for o in options.items()],
                    open(folder + "/err", "w"))
        said = p.line(min(120, max(5, left())))
        row = dict(kind="ours", name=name, batch=batch, precision=precision)
        if not said:
            p.close()
            return note(**row, missing=(open(folder + "/err").read().strip().split("\n")[-1] or "no answer in time")[:300])
        first = json.loads(said)
        t, many, end = [], 1, time.perf_counter() + (0 if shim else 1)
        while len(t) < 3 or (time.perf_counter() < end and len(t) < 50):
            said = p.ask(str(many), 60)
            if not said:
                break
            t.append(float(said) / many)
            many = max(1, min(200, int(0.1 / t[-1])))
        p.close()
        if len(t) < 3:
            return note(**row, missing=open(folder + "/err").read().strip()[:300])
        check = ask(60, ask="agreement", folder=folder, net=net, options=options, precision=precision)
        wrong = "gradient" in check and (check["gradient"] > max(AGREE[precision], 5 * check["theirs"]) or check["loss"] > AGREE[precision])
        bad |= wrong
        note(**row, seconds=median(t[1:]), best=min(t), runs=len(t), bytes=first["bytes"], launches=first["launches"], gflop=first["gflop"], ready=first["ready"], check=check, ok=not wrong)

    if ("ceilings", None, None, None, None) not in have:
        note(kind="ceilings", **ask(60, ask="ceilings"))
    for ways in ((None,) + (QUICK[:2] if shim else QUICK), () if shim else SLOW):
        for name, program, options, batch, net, needed in rows():
            for precision in ("bf16", "tf32", "float32"):
                for way in ways:
                    kind = "torch" if way else "ours"
                    if (kind, name, batch, precision, way) in have or left() < 10:
                        continue
                    if not way:
                        ours(name, program, options, batch, net, precision)
                        continue
                    folder = os.path.join(work, "rows", "%s-%d-%s" % (name.replace(" ", "_"), batch, precision))
                    if not os.path.exists(folder + "/params.f32"):
                        continue
                    note(kind=kind, name=name, batch=batch, precision=precision, way=way,
                         **ask(90 if "compile" in way else 30, ask="measure", folder=folder, net=net, options=options, precision=precision, way=way, seconds=0.3))
    if peer:
        peer.close()
    return bad


def table(path):
    all_rows = [json.loads(l) for l in open(path) if l.startswith("{")]
    top = next((r for r in all_rows if r["kind"] == "ceilings" and "bytes" in r), None)
    ours = {(r["name"], r["batch"], r["precision"]): r for r in all_rows if r["kind"] == "ours" and "seconds" in r}
    peers = {}
    for r in all_rows:
        if r["kind"] == "torch" and "seconds" in r:
            peers.setdefault((r["name"], r["batch"], r["precision"]), []).append(r)
    if top:
        print("PyTorch %s on %s: products %s TFLOP/s, copies %.2f TB/s\n" % (top["torch"], top["device"], ", ".join("%s %.0f" % (p, top[p] * 1e-12) for p in PRECISIONS), top["bytes"] * 1e-12))
    print("| training step | batch | precision | ours, images/s | launches | memory | share of products | PyTorch, images/s | its way | its memory | ratio | needed |")
    print("| --- " * 12 + "|")
    for name, program, options, batch, net, needed in rows():
        best = []
        for precision in PRECISIONS:
            mine, theirs = ours.get((name, batch, precision)), min(peers.get((name, batch, precision), []), key=lambda r: r["seconds"], default=None)
            best += [(mine, theirs)] if mine and theirs else []
            if not mine and not theirs:
                continue
            cell = ["%.0f" % (batch / mine["seconds"]), str(mine["launches"]), "%.0f MB" % (mine["bytes"] * 1e-6), "%.1f %%" % (100e9 * mine["gflop"] * batch / mine["seconds"] / top[precision]) if top else ""] if mine else ["", "", "", ""]
            cell += ["%.0f" % (batch / theirs["seconds"]), theirs["way"], "%.0f MB" % (theirs["bytes"] * 1e-6)] if theirs else ["", "", ""]
            ratio = "%.2f" % (theirs["seconds"] / mine["seconds"]) if mine and theirs else ""
            print("| %s | %d | %s | %s | %s | %s |" % (name, batch, precision, " | ".join(cell), ratio, "" if not mine or mine["ok"] else "**not the same**"))
        if best:
            ratio = min(t["seconds"] for _, t in best) / min(m["seconds"] for m, _ in best)
            print("| %s | %d | best | | | | | | | | **%.2f** | %.1f %s |" % (name, batch, ratio, needed, "yes" if ratio >= needed else "**no**"))


if "--worker" in sys.argv:
    worker()
elif "--table" in sys.argv:
    table(sys.argv[-1])
else:
    sys.exit(main())
