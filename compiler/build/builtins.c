/* Builtin functions: builtin_<id> for each row of sig/builtins.def. Those of operators and codes: builtins_op.c. */
#include "base/trouble.h"
#include "build/builtins.h"
#include <math.h>
#include <string.h>

const Val *barg(const BArgs *a, const char *label) {
    for (uint32_t i = 0; i < a->nlab; i++)
        if (!strcmp(a->label[i], label)) return &a->lab[i];
    return NULL;
}

Span arg_span(const BArgs *a, const Val *labelled) { return a->lab_span[labelled - a->lab]; }

/* ---- arguments ---- */
bool arg_tensor(Build *b, const BArgs *a, uint32_t i, NodeId *out) { return to_node(b, a->pos[i], a->span[i], out); }

bool arg_int(Build *b, Val v, Span at, const char *what, int64_t lo, int64_t hi, int64_t *out) {
    if (v.kind == V_INT && v.i >= lo && v.i <= hi) return *out = v.i, true;
    if (v.kind == V_TENSOR) diag_error(b->cx, E_KNOWN, at, "%s must be known while compiling", what);
    else if (v.kind != V_BAD) diag_error(b->cx, v.kind == V_INT ? E_VALUE : E_TYPE, at, "%s is a whole number from %lld to %lld, found %s", what, (long long)lo, (long long)hi, v_text(b, v));
    return false;
}

static bool shape_arg(Build *b, Val v, Span at, Shape *out) {
    Shape s = {0};
    if (v.kind == V_INT) {
        Val one = v;
        v = v_list(b, &one, 1);
    }
    if (v.kind != V_LIST || v.list->item.len > RANK_MAX) {
        if (v.kind != V_BAD) diag_error(b->cx, E_TYPE, at, "a shape is a list of at most %d sizes, found %s", RANK_MAX, v_text(b, v));
        return false;
    }
    for (size_t i = 0; i < v.list->item.len; i++)
        if (!arg_int(b, v.list->item.at[i], at, "a size", 1, SIZE_MOST, &s.dim[s.rank++])) return false;
    if (size_fits(s)) return *out = s, true;
    diag_error(b->cx, E_TOO_LARGE, at, "%s has more than %d entries", shape_text(b->a, s), SIZE_MOST);
    return false;
}

/* The axis named by `axis:` (from 1), from 0; -1: none given. */
static bool axis_arg(Build *b, const BArgs *a, Shape s, int otherwise, int *axis) {
    const Val *v = barg(a, "axis");
    int64_t k = otherwise + 1;
    if (v && !arg_int(b, *v, arg_span(a, v), "an axis", 1, s.rank > 0 ? s.rank : 1, &k)) return false;
    if (k > s.rank) {
        diag_error(b->cx, E_SHAPE, a->at, "a number has no axes");
        return false;
    }
    *axis = (int)k - 1;
    return true;
}

/* ---- entry by entry ---- */
static Val elementwise(Build *b, const BArgs *a, OpKind k, double (*known)(double)) {
    double x;
    if (known && v_known_number(a->pos[0], &x)) {
        if (a->pos[0].kind == V_INT && (k == OP_abs || k == OP_relu || k == OP_sign || k == OP_floor)) return v_int((int64_t)known(x));
        return v_real(known(x));
    }
    if (a->pos[0].kind == V_ZERO && k != OP_exp && k != OP_cos && k != OP_log && k != OP_sigmoid && k != OP_log1pexp) return a->pos[0];
    return apply1(b, k, a->pos[0], a->at);
}
static double k_sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static double k_relu(double x) { return x < 0 ? 0 : x; }
static double k_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double k_softplus(double x) { return x > 30 ? x : log1p(exp(x)); }
#define ELEMENTWISE(id, op, known) \
    Val builtin_##id(Build *b, const BArgs *a) { return elementwise(b, a, OP_##op, known); }
ELEMENTWISE(abs, abs, fabs)
ELEMENTWISE(sign, sign, k_sign)
ELEMENTWISE(relu, relu, k_relu)
ELEMENTWISE(exp, exp, exp)
ELEMENTWISE(log, log, log)
ELEMENTWISE(sqrt, sqrt, sqrt)
ELEMENTWISE(tanh, tanh, tanh)
ELEMENTWISE(sigmoid, sigmoid, k_sigmoid)
ELEMENTWISE(softplus, log1pexp, k_softplus)
ELEMENTWISE(sin, sin, sin)
ELEMENTWISE(cos, cos, cos)
ELEMENTWISE(floor, floor, floor)

Val builtin_stop(Build *b, const BArgs *a) {
    double x;
    return v_known_number(a->pos[0], &x) ? a->pos[0] : apply1(b, OP_stop, a->pos[0], a->at);
}

Val largest_entry(Build *b, const BArgs *a, Val x, bool all, int axis) {
    NodeId n;
    if (!to_node(b, x, a->at, &n)) return v_bad();
    Shape s = graph_shape(b->ctx->g, n);
    if (s.rank == 0) return x;
    Attr at = {.axes = all ? (1u << s.rank) - 1 : 1u << axis};
    return v_tensor(b, graph_add(b->ctx->g, OP_amax, &n, 1, &at, a->at));
}

static Val extreme(Build *b, const BArgs *a, bool largest) {
    double x, y;
    if (a->npos == 2) {
        Val p = a->pos[0], q = a->pos[1];
        if (p.kind == V_ZERO) p = v_real(0);
        if (q.kind == V_ZERO) q = v_real(0);
        if (v_known_number(p, &x) && v_known_number(q, &y)) return (x < y) == largest ? q : p;
        return apply2(b, largest ? OP_max : OP_min, p, q, a->at);
    }
    Val v = a->pos[0];
    if (v.kind == V_LIST && v.list->item.len) {
        Val m = v.list->item.at[0];
        for (size_t i = 1; i < v.list->item.len; i++) {
            Val two[2] = {m, v.list->item.at[i]};
            Span at[2] = {a->at, a->at};
            BArgs again = {two, at, 2, 0, NULL, NULL, NULL, a->at};
            m = extreme(b, &again, largest);
        }
        return m;
    }
    if (v.kind != V_TENSOR) return to_node(b, v, a->at, &(NodeId){0}) ? v : v_bad();
    int axis = 0;
    bool all = !barg(a, "axis");
    if (!all && !axis_arg(b, a, val_shape(b, v), 0, &axis)) return v_bad();
    if (!largest) v = apply1(b, OP_neg, v, a->at);
    v = largest_entry(b, a, v, all, axis);
    return largest ? v : apply1(b, OP_neg, v, a->at);
}
Val builtin_max(Build *b, const BArgs *a) { return extreme(b, a, true); }
Val builtin_min(Build *b, const BArgs *a) { return extreme(b, a, false); }

/* ---- sums ---- */
static Val add_known(Build *b, Val x, Val y, Span at) {
    double p, q;
    int64_t sum;
    if (x.kind == V_INT && y.kind == V_INT && !__builtin_add_overflow(x.i, y.i, &sum)) return v_int(sum);
    if (v_known_number(x, &p) && v_known_number(y, &q)) return v_real(p + q);
    return apply2(b, OP_add, x, y, at);
}
static Val sum_or_mean(Build *b, const BArgs *a, bool mean) {
    Val v = a->pos[0];
    if (v.kind == V_LIST) {
        Val s = v_int(0);
        for (size_t i = 0; i < v.list->item.len; i++) s = i ? add_known(b, s, v.list->item.at[i], a->at) : v.list->item.at[i];
        double n = (double)v.list->item.len, x;
        if (!mean || n == 0 || s.kind == V_BAD) return s;
        return v_known_number(s, &x) ? v_real(x / n) : apply2(b, OP_mul, s, v_real(1 / n), a->at);
    }
    NodeId n;
    if (!arg_tensor(b, a, 0, &n)) return v_bad();
    if (v.kind != V_TENSOR) v = v_tensor(b, n);
    if (!barg(a, "axis")) return mean ? mean_entries(b, v, a->at) : sum_entries(b, v, a->at);
    int axis;
    Shape s = val_shape(b, v);
    if (!axis_arg(b, a, s, 0, &axis)) return v_bad();
    Val r = sum_axis(b, v, axis, a->at);
    return mean ? apply2(b, OP_mul, r, v_real(1 / (double)s.dim[axis]), a->at) : r;
}
Val builtin_sum(Build *b, const BArgs *a) { return sum_or_mean(b, a, false); }
Val builtin_mean(Build *b, const BArgs *a) { return sum_or_mean(b, a, true); }

static Val along(Build *b, const BArgs *a, OpKind k) {
    NodeId n;
    int axis;
    if (!arg_tensor(b, a, 0, &n) || !axis_arg(b, a, graph_shape(b->ctx->g, n), 0, &axis)) return v_bad();
    return v_tensor(b, graph_add(b->ctx->g, k, &n, 1, &(Attr){.axis = axis}, a->at));
}
Val builtin_argmax(Build *b, const BArgs *a) { return along(b, a, OP_argmax); }
Val builtin_sort(Build *b, const BArgs *a) { return along(b, a, OP_sort); }

Val builtin_pick(Build *b, const BArgs *a) {
    NodeId n[2];
    Val out;
    if (!arg_tensor(b, a, 0, &n[0]) || !arg_tensor(b, a, 1, &n[1])) return v_bad();
    node_checked(b, OP_pick, n, 2, NULL, a->at, &out);
    return out;
}
Val builtin_one_hot(Build *b, const BArgs *a) {
    NodeId n[2];
    int64_t classes;
    if (!arg_tensor(b, a, 0, &n[1]) || !arg_int(b, a->pos[1], a->span[1], "the number of classes", 1, 1 << 24, &classes)) return v_bad();
    n[0] = op_const(b->ctx->g, 1, graph_shape(b->ctx->g, n[1]));
    return v_tensor(b, graph_add(b->ctx->g, OP_place, n, 2, &(Attr){.size = classes}, a->at));
}

Val builtin_solve_positive(Build *b, const BArgs *a) {
    NodeId n[2];
    Val out;
    if (!arg_tensor(b, a, 0, &n[0]) || !arg_tensor(b, a, 1, &n[1])) return v_bad();
    node_checked(b, OP_solve, n, 2, NULL, a->at, &out);
    return out;
}

/* x - max - log(sum(exp(x - max))): the largest is a constant here, its gradient cancels */
static Val log_softmax(Build *b, const BArgs *a) {
    Val x = a->pos[0];
    int axis;
    NodeId n;
    if (!arg_tensor(b, a, 0, &n) || !axis_arg(b, a, graph_shape(b->ctx->g, n), 0, &axis)) return v_bad();
    Span at = a->at;
    int64_t size = graph_shape(b->ctx->g, n).dim[axis];
    Val top = apply1(b, OP_stop, largest_entry(b, a, x, false, axis), at);
    Val low = apply2(b, OP_sub, x, expand_axis(b, top, axis, size, at), at);
    Val total = apply1(b, OP_log, sum_axis(b, apply1(b, OP_exp, low, at), axis, at), at);
    return apply2(b, OP_sub, low, expand_axis(b, total, axis, size, at), at);
}
Val builtin_log_softmax(Build *b, const BArgs *a) { return log_softmax(b, a); }
Val builtin_softmax(Build *b, const BArgs *a) {
    Val l = log_softmax(b, a);
    return l.kind == V_BAD ? l : apply1(b, OP_exp, l, a->at);
}

/* ---- shapes ---- */
static Val dimension(Build *b, const BArgs *a, int axis, const char *what) {
    Val v = a->pos[0];
    if (v.kind == V_OP && axis == 0) {
        int64_t n = lin_channels(b, v.op, true);
        if (n >= 0) return v_int(n);
    }
    if (v.kind == V_TENSOR && val_shape(b, v).rank > axis) return v_int(val_shape(b, v).dim[axis]);
    if (v.kind != V_BAD) diag_error(b->cx, E_TYPE, a->span[0], "%s has no %s", v_text(b, v), what);
    return v_bad();
}
Val builtin_channels(Build *b, const BArgs *a) { return dimension(b, a, 0, "channels"); }
Val builtin_height(Build *b, const BArgs *a) { return dimension(b, a, 1, "height"); }
Val builtin_width(Build *b, const BArgs *a) { return dimension(b, a, 2, "width"); }
Val builtin_size(Build *b, const BArgs *a) {
    NodeId n;
    return arg_tensor(b, a, 0, &n) ? v_int(shape_size(graph_shape(b->ctx->g, n))) : v_bad();
}
Val builtin_shape(Build *b, const BArgs *a) {
    NodeId n;
    if (!arg_tensor(b, a, 0, &n)) return v_bad();
    Shape s = graph_shape(b->ctx->g, n);
    Val l = v_list(b, NULL, 0);
    for (int i = 0; i < s.rank; i++) vec_push(b->a, &l.list->item, v_int(s.dim[i]));
    return l;
}
Val builtin_length(Build *b, const BArgs *a) {
    if (a->pos[0].kind == V_LIST) return v_int((int64_t)a->pos[0].list->item.len);
    if (a->pos[0].kind == V_LAYERS) return v_int(a->pos[0].code->n);
    if (a->pos[0].kind != V_BAD) diag_error(b->cx, E_TYPE, a->span[0], "length is of a list, found %s", v_text(b, a->pos[0]));
    return v_bad();
}
static bool is_known(Val v) {
    bool known = v.kind == V_INT || v.kind == V_REAL || v.kind == V_BOOL || v.kind == V_STRING || v.kind == V_LIST;
    for (size_t i = 0; v.kind == V_LIST && i < v.list->item.len; i++) known &= is_known(v.list->item.at[i]);
    return known;
}
Val builtin_known(Build *b, const BArgs *a) {
    (void)b;
    return v_bool(is_known(a->pos[0]));
}
Val builtin_reshape(Build *b, const BArgs *a) {
    NodeId n;
    Shape s;
    if (!arg_tensor(b, a, 0, &n) || !shape_arg(b, a->pos[1], a->span[1], &s)) return v_bad();
    if (shape_size(s) != shape_size(graph_shape(b->ctx->g, n))) {
        diag_error(b->cx, E_SHAPE, a->at, "%s does not have as many entries as %s", shape_text(b->a, graph_shape(b->ctx->g, n)), shape_text(b->a, s));
        return v_bad();
    }
    return v_tensor(b, op_reshape(b->ctx->g, n, s));
}
Val builtin_flatten(Build *b, const BArgs *a) {
    NodeId n;
    if (!arg_tensor(b, a, 0, &n)) return v_bad();
    return v_tensor(b, op_reshape(b->ctx->g, n, shape_of(1, shape_size(graph_shape(b->ctx->g, n)))));
}
Val builtin_permute(Build *b, const BArgs *a) {
    NodeId n;
    if (!arg_tensor(b, a, 0, &n)) return v_bad();
    int rank = graph_shape(b->ctx->g, n).rank;
    int32_t list[RANK_MAX];
    unsigned seen = 0;
    Val l = a->pos[1];
    bool ok = l.kind == V_LIST && (int)l.list->item.len == rank;
    for (int i = 0; ok && i < rank; i++) {
        Val k = l.list->item.at[i];
        ok = k.kind == V_INT && k.i >= 1 && k.i <= rank && !(seen & 1u << k.i);
        if (ok) seen |= 1u << k.i, list[i] = (int32_t)k.i - 1;
    }
    if (!ok) {
        diag_error(b->cx, E_VALUE, a->span[1], "permute takes the axes 1 to %d in their new order", rank);
        return v_bad();
    }
    return v_tensor(b, graph_add(b->ctx->g, OP_permute, &n, 1, &(Attr){.list = list, .list_len = rank}, a->at));
}
/* Appends the numbers of v, which is of shape s from axis `axis` on. */
static bool list_numbers(Build *b, Val v, Shape s, int axis, double *to, int64_t *n) {
    if (axis == s.rank) return v_known_number(v, &to[*n]) && ++*n;
    if (v.kind != V_LIST || (int64_t)v.list->item.len != s.dim[axis]) return false;
    for (size_t i = 0; i < v.list->item.len; i++)
        if (!list_numbers(b, v.list->item.at[i], s, axis + 1, to, n)) return false;
    return true;
}
Val builtin_tensor(Build *b, const BArgs *a) {
    Shape s = {0};
    Val v = a->pos[0];
    for (; v.kind == V_LIST && v.list->item.len && s.rank < RANK_MAX; v = v.list->item.at[0]) s.dim[s.rank++] = (int64_t)v.list->item.len;
    if (!size_fits(s) || !table_fits(b, shape_size(s), a->at)) return v_bad();
    double *data = ARENA_ARRAY(b->a, double, shape_size(s) + 1);
    int64_t n = 0;
    if (s.rank && list_numbers(b, a->pos[0], s, 0, data, &n)) return v_tensor(b, graph_add(b->ctx->g, OP_table, NULL, 0, &(Attr){.shape = s, .data = data}, a->at));
    if (a->pos[0].kind != V_BAD) diag_error(b->cx, E_TYPE, a->span[0], "tensor takes a list of known numbers, or lists of them that are equally long, found %s", v_text(b, a->pos[0]));
    return v_bad();
}
Val builtin_fill(Build *b, const BArgs *a) {
    Shape s;
    NodeId n;
    if (!arg_tensor(b, a, 0, &n) || !shape_arg(b, a->pos[1], a->span[1], &s)) return v_bad();
    if (graph_shape(b->ctx->g, n).rank) {
        diag_error(b->cx, E_SHAPE, a->span[0], "fill takes a number, found %s", v_text(b, a->pos[0]));
        return v_bad();
    }
    return v_tensor(b, op_expand(b->ctx->g, n, s));
}

static Val resample(Build *b, const BArgs *a, bool up) {
    NodeId n;
    int64_t by;
    if (!arg_tensor(b, a, 0, &n) || !arg_int(b, a->pos[1], a->span[1], "the factor", 1, 1024, &by)) return v_bad();
    int rank = graph_shape(b->ctx->g, n).rank;
    if (rank < 2) {
        diag_error(b->cx, E_SHAPE, a->span[0], "expected an image, found %s", v_text(b, a->pos[0]));
        return v_bad();
    }
    for (int axis = 1; axis < rank; axis++) {
        int64_t size = graph_shape(b->ctx->g, n).dim[axis], out = up ? size * by : (size + by - 1) / by;
        if (!table_fits(b, out, a->at)) return v_bad();
        int32_t *list = ARENA_ARRAY(b->a, int32_t, out);
        for (int64_t i = 0; i < out; i++) list[i] = (int32_t)(up ? i / by : i * by);
        n = graph_add(b->ctx->g, OP_gather, &n, 1, &(Attr){.axis = axis, .list = list, .list_len = out}, a->at);
        if (v_tensor(b, n).kind == V_BAD) return v_bad();
    }
    return v_tensor(b, n);
}
Val builtin_upsample(Build *b, const BArgs *a) { return resample(b, a, true); }
Val builtin_downsample(Build *b, const BArgs *a) { return resample(b, a, false); }

static Val pool(Build *b, const BArgs *a, OpKind k) {
    NodeId n;
    int64_t size, stride, pad = 0;
    if (!arg_tensor(b, a, 0, &n) || !arg_int(b, a->pos[1], a->span[1], "the window of a pooling", 1, 4096, &size)) return v_bad();
    stride = size;
    const Val *st = barg(a, "stride"), *pd = barg(a, "pad");
    if (st && !arg_int(b, *st, arg_span(a, st), "the stride", 1, 4096, &stride)) return v_bad();
    if (pd && !arg_int(b, *pd, arg_span(a, pd), "the padding", 0, size / 2, &pad)) return v_bad();
    Shape s = graph_shape(b->ctx->g, n);
    bool one = s.rank == 2; /* a 1-D signal */
    if (one) n = op_reshape(b->ctx->g, n, s = shape_of(3, s.dim[0], (int64_t)1, s.dim[1]));
    PoolGeom p = {0};
    for (int i = 0; i < 2; i++) {
        bool flat = one && i == 0;
        p.kernel[i] = flat ? 1 : (int32_t)size;
        p.stride[i] = flat ? 1 : (int32_t)stride;
        p.pad[i] = flat ? 0 : (int32_t)pad;
        p.in[i] = s.rank == 3 ? s.dim[1 + i] : 0;
        p.out[i] = p.in[i] + 2 * p.pad[i] < p.kernel[i] ? 0 : (p.in[i] + 2 * p.pad[i] - p.kernel[i]) / p.stride[i] + 1;
    }
    if (s.rank != 3 || p.out[0] < 1 || p.out[1] < 1) {
        diag_error(b->cx, E_SHAPE, a->at, "windows of %lld x %lld do not fit %s", (long long)size, (long long)size, v_text(b, a->pos[0]));
        return v_bad();
    }
    Val out;
    if (!node_checked(b, k, &n, 1, &(Attr){.pool = &p}, a->at, &out)) return out;
    return one ? v_tensor(b, op_reshape(b->ctx->g, out.node, shape_of(2, s.dim[0], p.out[1]))) : out;
}
Val builtin_max_pool(Build *b, const BArgs *a) { return pool(b, a, OP_max_pool); }
Val builtin_sum_pool(Build *b, const BArgs *a) { return pool(b, a, OP_sum_pool); }

/* ---- the batch, training ---- */
static bool training(const Build *b) { return b->mode == ENTRY_STEP || b->mode == ENTRY_PROBE; }

Val builtin_batch_mean(Build *b, const BArgs *a) {
    NodeId n;
    if (!arg_tensor(b, a, 0, &n)) return v_bad();
    Graph *g = b->ctx->g;
    Shape s = graph_shape(g, n);
    if (s.rank > 1) n = op_sum(g, n, ((1u << s.rank) - 1) & ~1u);
    double pixels = (double)shape_size(s) / (double)(s.rank ? s.dim[0] : 1);
    NodeId r = op_scale(g, 1 / pixels, n);
    if (!graph_batched(g, r)) return v_tensor(b, r);
    NodeId count = graph_add(g, OP_nbatch, NULL, 0, NULL, a->at);
    NodeId sum = op1(g, OP_batch_sum, r);
    return v_tensor(b, op2(g, OP_div, sum, op_expand(g, count, graph_shape(g, sum))));
}
Val builtin_batch_count(Build *b, const BArgs *a) {
    NodeId n;
    if (!arg_tensor(b, a, 0, &n)) return v_bad();
    Shape s = graph_shape(b->ctx->g, n);
    double pixels = (double)shape_size(s) / (double)(s.rank ? s.dim[0] : 1);
    return v_tensor(b, op_scale(b->ctx->g, pixels, graph_add(b->ctx->g, OP_nbatch, NULL, 0, NULL, a->at)));
}
Val builtin_running(Build *b, const BArgs *a) {
    double start, momentum;
    NodeId now;
    if (a->pos[0].kind != V_STRING || !v_known_number(a->pos[2], &start) || !v_known_number(a->pos[3], &momentum)) {
        diag_error(b->cx, E_ARGS, a->at, "running takes a name in quotes, a value, a start and a momentum");
        return v_bad();
    }
    if (!(momentum >= 0 && momentum <= 1)) {
        diag_error(b->cx, E_VALUE, a->span[3], "the momentum of a running mean is a number from 0 to 1, found %s", v_text(b, a->pos[3]));
        return v_bad();
    }
    if (!arg_tensor(b, a, 1, &now)) return v_bad();
    if (graph_batched(b->ctx->g, now)) {
        diag_error(b->cx, E_TYPE, a->span[1], "running keeps one value for all samples, this differs from sample to sample");
        return v_bad();
    }
    int32_t state;
    Val old = state_here(b, scope_name(b, a->pos[0].s), graph_shape(b->ctx->g, now), (Init){INIT_CONST, start, 0}, &state, a->at);
    if (old.kind == V_BAD) return old;
    if (!training(b)) return old;
    Val kept = apply2(b, OP_add, apply2(b, OP_mul, v_real(1 - momentum), old, a->at), apply2(b, OP_mul, v_real(momentum), a->pos[1], a->at), a->at);
    state_keep(b, state, kept, a->at);
    return a->pos[1];
}
Val builtin_random(Build *b, const BArgs *a) {
    Shape s;
    if (!shape_arg(b, a->pos[0], a->span[0], &s)) return v_bad();
    const Val *normal = barg(a, "normal");
    if (normal && normal->kind != V_BOOL) {
        diag_error(b->cx, E_TYPE, a->at, "normal: is true or false, found %s", v_text(b, *normal));
        return v_bad();
    }
    Attr at = {.shape = s, .index = b->noises++, .flag = normal && normal->kind == V_BOOL && normal->i};
    return v_tensor(b, graph_add(b->ctx->g, OP_noise, NULL, 0, &at, a->at));
}

/* What it is of one sample, and a note of both parts for a report. */
static Val ratio(Build *b, Val top, Val bottom, bool db, Span at) {
    NodeId x, y;
    if (!to_node(b, top, at, &x) || !to_node(b, bottom, at, &y)) return v_bad();
    Shape s = graph_shape(b->ctx->g, x), t = graph_shape(b->ctx->g, y);
    if (!shape_eq(s, t) || s.rank > 1) {
        diag_error(b->cx, E_SHAPE, at, "ratio takes two numbers or two vectors of one length, not %s and %s", shape_text(b->a, s), shape_text(b->a, t));
        return v_bad();
    }
    top = v_tensor(b, x), bottom = v_tensor(b, y);
    Val each = apply_select(b, bottom, apply2(b, OP_div, top, bottom, at), v_real(0), at), there = apply_select(b, bottom, v_real(1), v_real(0), at);
    Val v = s.rank ? apply2(b, OP_div, sum_entries(b, each, at), sum_entries(b, there, at), at) : apply2(b, OP_div, top, bottom, at);
    if (db) v = apply2(b, OP_mul, v_real(10 / log(10)), apply1(b, OP_log, v, at), at);
    Ratio r = {v.node, x, y, db};
    if (v.kind == V_TENSOR && b->ctx == b->root) vec_push(b->a, &b->ratios, r);
    return v;
}

Val builtin_ratio(Build *b, const BArgs *a) { return ratio(b, a->pos[0], a->pos[1], false, a->at); }

Val builtin_nmse_db(Build *b, const BArgs *a) {
    Val d = apply2(b, OP_sub, a->pos[0], a->pos[1], a->at);
    Val e = sum_entries(b, apply2(b, OP_mul, d, d, a->at), a->at), x = sum_entries(b, apply2(b, OP_mul, a->pos[1], a->pos[1], a->at), a->at);
    return ratio(b, e, x, true, a->at);
}

/* ---- the table ---- */
#define BUILTIN(id, name, min, max, labels, what) {name, min, max, labels},
const BuiltinInfo builtin_info[] = {
#include "sig/builtins.def"
};
#undef BUILTIN
#define BUILTIN(id, name, min, max, labels, what) builtin_##id,
static Val (*const builtin_fn[])(Build *, const BArgs *) = {
#include "sig/builtins.def"
};
#undef BUILTIN

enum { NBUILTINS = sizeof builtin_info / sizeof *builtin_info };

int builtin_find(Name n) {
    for (int i = 0; i < NBUILTINS; i++)
        if (!strcmp(builtin_info[i].name, n)) return i;
    return -1;
}

static bool label_known(const char *labels, const char *l) {
    size_t n = strlen(l);
    for (const char *p = labels; (p = strstr(p, l)); p += n)
        if ((p == labels || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return true;
    return false;
}

Val builtin_call(Build *b, int which, const BArgs *a) {
    const BuiltinInfo *f = &builtin_info[which];
    if ((int)a->npos < f->min || (f->max >= 0 && (int)a->npos > f->max)) {
        diag_error(b->cx, E_ARGS, a->at, "'%s' takes %d%s argument%s, found %u", f->name, f->min, f->max > f->min ? " or more" : "", f->min == 1 ? "" : "s", a->npos);
        return v_bad();
    }
    for (uint32_t i = 0; i < a->nlab; i++)
        if (!label_known(f->labels, a->label[i])) {
            Diag *d = diag_error(b->cx, E_ARGS, a->lab_span[i], "'%s' has no argument '%s'", f->name, a->label[i]);
            if (*f->labels) diag_help(b->cx, d, "it has: %s", f->labels);
            return v_bad();
        }
    for (uint32_t i = 0; i < a->npos; i++)
        if (a->pos[i].kind == V_BAD) return v_bad();
    return builtin_fn[which](b, a);
}
