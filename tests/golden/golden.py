"""The golden files: numbers that both sides make, and how results are written down. docs/testing.md is the definition.

A script of this folder states a model from its formulas, in float64, and calls `write`; `sh tests/golden/make` runs them all.
Nothing here comes from the compiler: only the names and shapes of parameters are agreed upon.
"""
import math
import os

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1
SAMPLES = 12


def seed_of(text):
    h = 1469598103934665603
    for c in text.encode():
        h = ((h ^ c) * 1099511628211) & MASK
    return h


def uniform(text, n):
    """n numbers in [-1, 1) that depend on the text and their place alone."""
    a, c = np.uint64(6364136223846793005), np.uint64(1442695040888963407)
    with np.errstate(over="ignore"):
        power = np.cumprod(np.full(n, a))                                       # a, a^2, ...
        s = power * np.uint64(seed_of(text)) + c * np.cumsum(np.concatenate([np.ones(1, np.uint64), power[:-1]]), dtype=np.uint64)
        x = (s ^ (s >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(32)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1


class Margin:
    """How near the arguments of thresholds come to their kinks, relative to their size: float32 must decide alike."""
    least = math.inf

    @classmethod
    def look(cls, z):
        z = z.detach().abs()
        if z.numel():
            cls.least = min(cls.least, float(z.min() / z.max().clamp(min=1e-30)))


def relu(z):
    Margin.look(z)
    return torch.where(z > 0, z, torch.zeros_like(z))


def soft(z, t):
    return relu(z - t) - relu(-z - t)


class Golden:
    def __init__(self, name, program, replace=(), sets="", batch=2, seed=1, compiled=1e-4, evaluated=1e-9, sanitized=False):
        self.name, self.batch, self.seed = name, batch, seed
        self.head = ["program\t" + program] + ["replace\t%s\t%s" % (a.replace("\n", "\\n"), b.replace("\n", "\\n")) for a, b in replace]
        self.head += ["set\t" + s for s in sets.split()]
        self.head += ["seed\t%d" % seed, "batch\t%d" % batch, "compiled\t%g" % compiled, "evaluated\t%g" % evaluated]
        self.head += ["sanitized\tyes"] if sanitized else []
        self.params, self.states, self.inputs = {}, {}, {}
        self.lines = []
        Margin.least = math.inf

    def numbers(self, name, shape):
        return uniform("%s#%d" % (name, self.seed), math.prod(shape)).reshape(shape)

    def tensor(self, kind, name, shape, center, spread, unit=None):
        shape = tuple(shape)
        self.head.append("\t".join([kind, name, words(shape), "%.17g" % center, "%.17g" % spread] + ([unit] if unit else [])))
        x = np.float32(center + spread * self.numbers(name, shape)).astype(np.float64)
        if unit:
            flat = x.reshape(shape[0], -1)
            axis = 1 if unit == "unit_atoms" else 0
            norm = np.sqrt(np.take(np.cumsum(flat * flat, axis=axis), [-1], axis=axis))
            x = np.float32(flat / norm).astype(np.float64).reshape(shape)
        return torch.tensor(x)

    def param(self, name, shape, center=0.0, spread=0.3, unit=None):
        x = self.params[name] = self.tensor("param", name, shape, center, spread, unit).requires_grad_()
        return x

    def state(self, name, shape, center=0.0, spread=0.1):
        x = self.states[name] = self.tensor("state", name, shape, center, spread)
        return x

    def input(self, name, shape, center=0.0, spread=1.0):
        shape = tuple(shape)
        self.head.append("\t".join(["input", name, words(shape), "%.17g" % center, "%.17g" % spread]))
        x = np.float32(center + spread * self.numbers(name, (self.batch,) + shape)).astype(np.float64)
        t = self.inputs[name] = torch.tensor(x).requires_grad_()
        return t

    target = input

    def label(self, name, classes, shape=()):
        self.head.append("\t".join(["label", name, words(shape), str(classes), "0"]))
        return torch.tensor(np.floor((self.numbers(name, (self.batch,) + tuple(shape)) + 1) / 2 * classes)).long()

    def tunable(self, name, value):
        value = float(np.float32(value))
        self.head.append("tunable\t%s\t%.17g" % (name, value))
        return value

    def want(self, entry, what, x):
        x = np.asarray(x.detach() if isinstance(x, torch.Tensor) else x, np.float64)
        shape, x = words(x.shape), x.reshape(-1)
        dots = [float(x @ uniform("dot%d" % k, x.size)) for k in (1, 2, 3)]
        at = range(x.size) if x.size <= SAMPLES else ((uniform("at", SAMPLES) + 1) / 2 * x.size).astype(np.int64)
        numbers = [np.linalg.norm(x), abs(x).max()] + dots + [x[i] for i in at]
        self.lines.append("\t".join(["want", entry, what, shape] + ["%.13g" % v for v in numbers]))

    def write(self, model, entries="forward step"):
        """model(training) gives a dict: every output of the program by name; where it trains, "loss" (one number for each sample; the mean counts), new
        "state:NAME" and "metric:NAME" (one number a sample)."""
        entries = entries.split()
        mean = lambda v: v.mean() if isinstance(v, torch.Tensor) else v
        if "forward" in entries or "backward" in entries:
            r = model(False)
            outputs = {k: v for k, v in r.items() if k != "loss" and ":" not in k}
            for k, v in outputs.items():
                self.want("forward", k, v)
        if "backward" in entries:
            total = sum((v * torch.tensor(np.float32(self.numbers(k + "'", tuple(v.shape))).astype(np.float64))).sum() for k, v in outputs.items())
            self.gradients("backward", total, True)
        for entry in ("eval", "step"):
            if entry not in entries:
                continue
            r = model(entry == "step")
            self.want(entry, "loss", r["loss"].mean())
            for k, v in r.items():
                if k.startswith("metric:"):
                    self.want(entry, k, mean(v))
                if k.startswith("state:") and entry == "step":
                    self.want(entry, k, v)
            if entry == "step":
                self.gradients("step", r["loss"].mean(), False)
        self.save()

    def gradients(self, entry, total, inputs):
        leaves = [("grad:" + k, v) for k, v in self.params.items()] + ([("input:" + k, v) for k, v in self.inputs.items()] if inputs else [])
        grads = torch.autograd.grad(total, [v for _, v in leaves], allow_unused=True, retain_graph=True)
        for (k, v), g in zip(leaves, grads):
            self.want(entry, k, torch.zeros_like(v) if g is None else g)

    def save(self):
        path = os.path.join(HERE, self.name + ".txt")
        with open(path, "w") as f:
            f.write("# Made by `sh tests/golden/make`; what it means: docs/testing.md\n" + "\n".join(self.head + self.lines) + "\n")
        note = "" if Margin.least > 2e-6 or Margin.least == math.inf else "   (a threshold within %.1g of its kink)" % Margin.least
        print("%s: %d bytes%s" % (self.name, os.path.getsize(path), note))


def words(shape):
    return ",".join(map(str, shape)) or "-"


# What several models have in common, as the textbooks say it

def cross_entropy(logits, y):
    return torch.logsumexp(logits, 1) - logits[torch.arange(len(y)), y]


def accuracy(logits, y):
    return (logits.argmax(1) == y).double()


def batch_norm(x, weight, bias, mean, variance, training):
    """Ioffe and Szegedy (2015): the batch's statistics in training (their running mean is kept, variance unbiased), else the running ones. The result, new
    running mean and variance."""
    axes = [0] + list(range(2, x.dim()))
    per = lambda v: v.reshape([1, -1] + [1] * (x.dim() - 2))
    m, v = mean, variance
    if training:
        n = x.numel() // x.shape[1]
        m = x.mean(axes)
        v = ((x - per(m)) ** 2).mean(axes)
        mean, variance = 0.9 * mean + 0.1 * m.detach(), 0.9 * variance + 0.1 * v.detach() * n / (n - 1)
    return (x - per(m)) / torch.sqrt(per(v) + 1e-5) * per(weight) + per(bias), mean, variance


class BatchNorm:
    def __init__(self, g, path, channels):
        self.weight, self.bias = g.param(path + ".weight", (channels,), 1, 0.2), g.param(path + ".bias", (channels,), 0, 0.2)
        self.path = path
        self.mean, self.variance = g.state(path + ".mean", (channels,), 0, 0.1), g.state(path + ".variance", (channels,), 1, 0.3)

    def __call__(self, x, training, states):
        x, mean, variance = batch_norm(x, self.weight, self.bias, self.mean, self.variance, training)
        if training:
            states["state:%s.mean" % self.path], states["state:%s.variance" % self.path] = mean, variance
        return x


def power(adjoint_of_synthesis, v):
    """v <- D'D v / |D'D v|, at most 50 rounds, until |v_new - v|^2 <= 1e-5; the last vector and |D'D v|."""
    for _ in range(50):
        u = adjoint_of_synthesis(v)
        norm = u.norm()
        new = u / norm
        done = ((new - v) ** 2).sum() <= 1e-5
        v = new
        if done:
            break
    return v.detach(), float(norm.detach())
