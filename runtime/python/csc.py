"""Loads a library made by `cscc build` and runs it. Needs nothing but Python; gives numpy arrays where numpy is installed.

    import csc
    model = csc.Model("model.so", weights="runs/digits/best.safetensors")
    logits = model.forward(x)["logits"]          # x: a buffer of float32 (numpy, array.array) or nested lists, [batch, ...]
    model.tunables["lambda"] = 0.6

What an entry makes of the parameters alone (packed weights, ...) is made once and kept, until load() or another value of a tunable. A view that
parameter() gave may be written to at any time, so nothing is kept after it, until hold() says that nobody writes to such a view any more.
"""
import array
import ctypes as C
import json
import struct

try:
    import numpy
except ImportError:
    numpy = None

_PARALLEL_FOR = C.CFUNCTYPE(None, C.c_void_p, C.c_int64, C.c_void_p, C.c_void_p, C.c_size_t)


class _Call(C.Structure):
    _fields_ = [
        ("size", C.c_uint32), ("batch", C.c_uint32), ("in_", C.POINTER(C.c_void_p)), ("out", C.POINTER(C.c_void_p)),
        ("params", C.c_void_p), ("grads", C.c_void_p), ("state", C.c_void_p), ("state_out", C.c_void_p), ("tunables", C.c_void_p),
        ("workspace", C.c_void_p), ("seed", C.c_uint64), ("step", C.c_uint64), ("first_sample", C.c_uint64), ("pool", C.c_void_p),
        ("parallel_for", _PARALLEL_FOR), ("threads", C.c_uint32), ("prepared", C.c_void_p),
    ]


class _Entry(C.Structure):
    _fields_ = [
        ("name", C.c_char_p), ("nin", C.c_uint32), ("nout", C.c_uint32), ("fixed_bytes", C.c_uint64), ("batch_bytes", C.c_uint64),
        ("thread_bytes", C.c_uint64), ("lane_bytes", C.c_uint64), ("run", C.CFUNCTYPE(C.c_int, C.POINTER(_Call))),
        ("prepared_bytes", C.c_uint64), ("prepare", C.CFUNCTYPE(C.c_int, C.POINTER(_Call))),
    ]


class _Model(C.Structure):
    _fields_ = [
        ("version", C.c_uint32), ("size", C.c_uint32), ("info", C.c_char_p), ("param_floats", C.c_uint64), ("state_floats", C.c_uint64),
        ("tunable_count", C.c_uint32), ("entry_count", C.c_uint32), ("entries", C.POINTER(_Entry)),
        ("tunable_defaults", C.POINTER(C.c_float)), ("params", C.POINTER(C.c_float)), ("state", C.POINTER(C.c_float)),
        ("error", C.CFUNCTYPE(C.c_char_p)),
    ]


class Error(Exception):
    pass


class _Block:
    """Zeroed floats at an address that is a multiple of 64."""

    def __init__(self, nbytes):
        self.raw = C.create_string_buffer(nbytes + 64)
        self.address = (C.addressof(self.raw) + 63) // 64 * 64

    def floats(self, offset, count):
        return (C.c_float * count).from_address(self.address + 4 * offset)


def _count(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def _flatten(x, out):
    if isinstance(x, (int, float)):
        out.append(x)
    else:
        for y in x:
            _flatten(y, out)
    return out


def _input(x, floats):
    """(object that keeps the memory, its address, batch)"""
    try:
        view = memoryview(x)
        if view.format != "f" or not view.c_contiguous:
            raise TypeError
        data = x
    except TypeError:
        data = numpy.ascontiguousarray(x, dtype=numpy.float32) if numpy is not None else array.array("f", _flatten(x, []))
        view = memoryview(data)
    total = view.nbytes // 4
    if total == 0 or total % floats:
        raise Error("an input of %d numbers is no whole number of samples of %d" % (total, floats))
    if view.readonly:
        data = bytearray(view)
        view = memoryview(data)
    return data, C.addressof(C.c_char.from_buffer(view.cast("B"))), total // floats


def read_safetensors(path):
    """name -> (shape, array of float32); only F32 tensors are read."""
    with open(path, "rb") as f:
        data = f.read()
    if len(data) < 8 or struct.unpack("<Q", data[:8])[0] > len(data) - 8:
        raise Error("%s is not a good safetensors file" % path)
    size = struct.unpack("<Q", data[:8])[0]
    header, tensors = json.loads(data[8:8 + size].decode()), {}
    for name, t in header.items():
        if name == "__metadata__" or t["dtype"] != "F32":
            continue
        begin, end = t["data_offsets"]
        if not (0 <= begin <= end <= len(data) - 8 - size and end - begin == 4 * _count(t["shape"])):
            raise Error("%s: tensor %s lies outside the file" % (path, name))
        tensors[name] = (list(t["shape"]), array.array("f", data[8 + size + begin:8 + size + end]))
    return tensors


class Model:
    def __init__(self, path, weights=None):
        self._library = C.CDLL(path)
        query = self._library.csc_model_query
        query.restype, query.argtypes = C.POINTER(_Model), [C.c_uint32]
        found = query(1)
        if not found:
            raise Error("%s offers no version that is known here" % path)
        self._model = found.contents
        self.info = json.loads(self._model.info.decode())
        self._params = _Block(4 * self._model.param_floats)
        self._held, self._prepared = True, {}  # entry -> (tunables, block)
        self._state = _Block(4 * self._model.state_floats)
        self._entries = {self._model.entries[i].name.decode(): self._model.entries[i] for i in range(self._model.entry_count)}
        self._described = {e["name"]: e for e in self.info["entries"]}
        self.tunables = {t["name"]: self._model.tunable_defaults[i] for i, t in enumerate(self.info["tunables"])}
        if self._model.params:
            C.memmove(self._params.address, self._model.params, 4 * self._model.param_floats)
        if self._model.state:
            C.memmove(self._state.address, self._model.state, 4 * self._model.state_floats)
        if weights is not None:
            self.load(weights)
        elif not self._model.params:
            raise Error("%s has no weights inside: give weights=" % path)

    def load(self, path):
        """Parameters and states by name; a turn that the file lacks copies its last."""
        tensors = read_safetensors(path)
        self._prepared = {}
        for block, table in ((self._params, self.info["params"]), (self._state, self.info["states"])):
            for t in table:
                turns, size, last = t.get("turns", 0), _count(t["shape"]), None
                for k in range(max(turns, 1)):
                    name = "%s.%d" % (t["name"], k + 1) if turns else t["name"]
                    shape, values = tensors.get(name, (t["shape"], last))
                    if values is None:
                        raise Error("%s has no tensor %s %s" % (path, name, t["shape"]))
                    if shape != t["shape"]:
                        raise Error("%s: tensor %s is %s, the model has %s" % (path, name, shape, t["shape"]))
                    block.floats(t["offset"] + k * size, size)[:] = values
                    last = values

    def parameter(self, name):
        """A view of a parameter's floats: changing it changes the model. From now on nothing is kept from run to run: see hold()."""
        self._held, self._prepared = False, {}
        for t in self.info["params"]:
            if t["name"] == name:
                count = _count(t["shape"]) * max(t["turns"], 1)
                view = self._params.floats(t["offset"], count)
                shape = ([t["turns"]] if t["turns"] else []) + t["shape"]
                return numpy.ctypeslib.as_array(view).reshape(shape) if numpy is not None else view
        raise Error("the model has no parameter %s" % name)

    def hold(self):
        """The parameters stay as they are now: no view of them is written to any more (or hold() is called again after that)."""
        self._held, self._prepared = True, {}

    def _prepare(self, entry, call, tunables):
        kept = self._prepared.get(entry)
        if kept is None or kept[0] != tunables:
            kept = (tunables, _Block(self._entries[entry].prepared_bytes))
            call.prepared = kept[1].address
            if self._entries[entry].prepare(C.byref(call)) != 0:
                raise Error("%s cannot be prepared" % entry)
            self._prepared[entry] = kept
        call.prepared = kept[1].address

    def run(self, entry, *inputs):
        """Runs an entry; a dictionary of its outputs, each [batch, shape] (or [shape] where it is one for all samples)."""
        if entry not in self._entries:
            raise Error("the model has no entry %s; it has %s" % (entry, ", ".join(sorted(self._entries))))
        e, d = self._entries[entry], self._described[entry]
        if len(inputs) != e.nin:
            raise Error("%s takes %d inputs, not %d" % (entry, e.nin, len(inputs)))
        kept = [_input(x, _count(i["shape"])) for x, i in zip(inputs, d["inputs"])]
        batch = kept[0][2] if kept else 1
        if any(k[2] != batch for k in kept):
            raise Error("the inputs of %s differ in their number of samples" % entry)
        outs = []
        for o in d["outputs"]:
            shape = ([batch] if o.get("per_sample", True) else []) + o["shape"]
            outs.append((o["name"], shape, array.array("f", bytes(4 * _count(shape)))))
        keeps = self._held and e.prepared_bytes > 0
        workspace = _Block(e.fixed_bytes + batch * e.batch_bytes + e.thread_bytes - (e.prepared_bytes if keeps else 0))
        grads, state_out = _Block(4 * self._model.param_floats), _Block(4 * self._model.state_floats)
        call = _Call(size=C.sizeof(_Call), batch=batch, params=self._params.address, grads=grads.address, state=self._state.address,
                     state_out=state_out.address, workspace=workspace.address)
        call.in_ = (C.c_void_p * (len(kept) + 1))(*[k[1] for k in kept])
        call.out = (C.c_void_p * (len(outs) + 1))(*[o[2].buffer_info()[0] for o in outs])
        tunables = (C.c_float * (len(self.tunables) + 1))(*self.tunables.values())
        call.tunables = C.addressof(tunables)
        if keeps:
            self._prepare(entry, call, list(tunables))
        code = e.run(C.byref(call))
        if code == 2:
            raise Error(self._model.error().decode())
        if code != 0:
            raise Error("%s refused the call" % entry)
        self.gradients = grads
        return {name: numpy.array(a, dtype=numpy.float32).reshape(shape) if numpy is not None else a for name, shape, a in outs}

    def forward(self, *inputs):
        return self.run("forward", *inputs)
