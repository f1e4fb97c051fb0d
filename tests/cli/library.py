# A built model through ctypes: forward against `cscc run`, backward against differences. usage: library.py MODEL.so IMAGES LOGITS.npy
import ctypes as C, json, random, struct, sys

class Call(C.Structure):
    _fields_ = [("size", C.c_uint32), ("batch", C.c_uint32), ("inputs", C.POINTER(C.POINTER(C.c_float))), ("out", C.POINTER(C.POINTER(C.c_float))),
                ("params", C.c_void_p), ("grads", C.c_void_p), ("state", C.c_void_p), ("state_out", C.c_void_p), ("tunables", C.c_void_p), ("workspace", C.c_void_p),
                ("seed", C.c_uint64), ("step", C.c_uint64), ("first_sample", C.c_uint64), ("pool", C.c_void_p), ("parallel_for", C.c_void_p), ("threads", C.c_uint32),
                ("prepared", C.c_void_p)]
class Entry(C.Structure):
    _fields_ = [("name", C.c_char_p), ("nin", C.c_uint32), ("nout", C.c_uint32), ("fixed", C.c_uint64), ("per", C.c_uint64), ("thread", C.c_uint64), ("lane", C.c_uint64),
                ("run", C.CFUNCTYPE(C.c_int, C.POINTER(Call))), ("prepared", C.c_uint64), ("prepare", C.CFUNCTYPE(C.c_int, C.POINTER(Call)))]
class Model(C.Structure):
    _fields_ = [("version", C.c_uint32), ("size", C.c_uint32), ("info", C.c_char_p), ("param_floats", C.c_uint64), ("state_floats", C.c_uint64),
                ("tunable_count", C.c_uint32), ("entry_count", C.c_uint32), ("entries", C.POINTER(Entry)), ("tunables", C.c_void_p),
                ("params", C.c_void_p), ("state", C.c_void_p)]

def block(n):  # n floats, 64-byte aligned
    raw = (C.c_float * (n + 16))()
    at = C.addressof(raw)
    shift = -at % 64
    return raw, (C.c_float * n).from_buffer(raw, shift), at + shift

lib = C.CDLL(sys.argv[1])
lib.csc_model_query.restype = C.POINTER(Model)
assert not lib.csc_model_query(0), "version 0 does not exist"
m = lib.csc_model_query(1).contents
info = json.loads(m.info)
entries = {m.entries[i].name.decode(): m.entries[i] for i in range(m.entry_count)}
n = 7
x = [b / 16 for b in open(sys.argv[2], "rb").read()]
npy = open(sys.argv[3], "rb").read()
head = struct.unpack("<H", npy[8:10])[0]
want = struct.unpack("<70f", npy[10 + head:10 + head + 280])

_p, params, params_at = block(m.param_floats)
C.memmove(params_at, m.params, m.param_floats * 4)
_g, grads, grads_at = block(m.param_floats)

def run(name, ins, outs, batch=n, kept=None):
    e = entries[name]
    assert e.nin == len(ins) and e.nout == len(outs), (name, e.nin, e.nout)
    raw, _, at = block((e.fixed + batch * e.per + e.thread) // 4 + 16)
    P = C.POINTER(C.c_float)
    call = Call(C.sizeof(Call), batch, (P * len(ins))(*[C.cast(i, P) for i in ins]), (P * len(outs))(*[C.cast(o, P) for o in outs]),
                params_at, grads_at, m.state, None, m.tunables, at, 1, 0, 0, None, None, 0, kept)
    return e.run(C.byref(call))

X = (C.c_float * (64 * n))(*x)
Y = (C.c_float * (10 * n))()
assert run("forward", [X], [Y]) == 0
assert all(abs(a - b) <= 1e-4 * (1 + abs(b)) for a, b in zip(Y, want)), list(zip(Y, want))[:10]
assert run("forward", [X], [Y], 0) != 0, "a batch of 0 must be refused"

# what is made of the parameters alone, in a block of ours: the same bits, until it is made again of others
e = entries["forward"]
assert e.prepared > 0 and entries["backward"].prepared == 0
_k, kept, kept_at = block(e.prepared // 4)
raw, _, at = block((e.fixed + e.thread) // 4 + 16)
def prepare(to):
    return e.prepare(C.byref(Call(C.sizeof(Call), 1, None, None, params_at, None, m.state, None, m.tunables, at, 0, 0, 0, None, None, 0, to)))
def logits(to):
    assert run("forward", [X], [Y], kept=to) == 0
    return list(Y)
assert prepare(None) == 1 and prepare(kept_at) == 0
first = logits(None)
assert logits(kept_at) == first
for i in range(m.param_floats): params[i] *= 1.5
other = logits(None)
assert other != first and logits(kept_at) != other
assert prepare(kept_at) == 0 and logits(kept_at) == other
C.memmove(params_at, m.params, m.param_floats * 4)

random.seed(1)
dY = (C.c_float * (10 * n))(*[random.uniform(-1, 1) for _ in range(10 * n)])
dX = (C.c_float * (64 * n))()
assert run("backward", [X, dY], [dX]) == 0
def value():
    assert run("forward", [X], [Y]) == 0
    return sum(a * b for a, b in zip(Y, dY))
scale = max(abs(g) for g in grads)
h = 1e-2
bad = 0
for p in info["params"]:
    size = 1
    for d in p["shape"]: size *= d
    for _ in range(3):
        i = p["offset"] + random.randrange(size)
        keep = params[i]
        params[i] = keep + h; up = value()
        params[i] = keep - h; down = value()
        params[i] = keep
        if abs((up - down) / (2 * h) - grads[i]) > 0.05 * scale: bad += 1
for _ in range(10):
    i = random.randrange(64 * n)
    keep = X[i]
    X[i] = keep + h; up = value()
    X[i] = keep - h; down = value()
    X[i] = keep
    if abs((up - down) / (2 * h) - dX[i]) > 0.05 * max(abs(g) for g in dX): bad += 1
assert bad <= 2, f"{bad} gradients disagree"  # a kink of relu may lie within h
print("forward equal, gradients equal")
