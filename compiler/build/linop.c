/* Linear operators: sizes, application and adjoint, by structure. A leaf maps x to y; nobody writes an adjoint for a composed one. */
#include "base/trouble.h"
#include "build/value.h"
#include <math.h>

LinOp *lin_new(Build *b, LinKind k, Span at) {
    LinOp *op = ARENA_NEW(b->a, LinOp);
    op->kind = k;
    op->size = 1;
    op->span = at;
    op->groups = op->stride[0] = op->stride[1] = op->dilation[0] = op->dilation[1] = 1;
    return op;
}

LinOp *as_op(Val v) { return v.kind == V_OP ? v.op : NULL; }

/* ---- channels ---- */
/* The first axis of x or y, where the other side's is `other` (-1: not known); -1: not known. */
static int64_t channels_given(Build *b, LinOp *op, bool of_y, int64_t other) {
    int64_t n = 0;
    switch (op->kind) {
    case L_CONV: {
        Shape w = val_shape(b, op->w);
        return of_y ? w.dim[0] : w.dim[1] * op->groups;
    }
    case L_DENSE: return val_shape(b, op->w).dim[of_y ? 0 : 1];
    case L_DIAG: {
        Shape w = val_shape(b, op->w);
        return w.rank ? w.dim[0] : other;
    }
    case L_DCT: case L_HAAR: case L_SHIFT: case L_ID: return other;
    case L_SCALE: return channels_given(b, op->part[0], of_y, other);
    case L_ADJ: return channels_given(b, op->part[0], !of_y, other);
    case L_COMPOSE: return channels_given(b, op->part[of_y ? 0 : 1], of_y, channels_given(b, op->part[of_y ? 1 : 0], of_y, other));
    case L_SUM:
        n = channels_given(b, op->part[0], of_y, other);
        return n >= 0 ? n : channels_given(b, op->part[1], of_y, other);
    case L_HCAT: case L_VCAT:
        if ((op->kind == L_HCAT) == of_y) { /* the side the blocks share */
            for (int i = 0; i < op->nparts; i++)
                if ((n = channels_given(b, op->part[i], of_y, -1)) >= 0) return n;
            return -1;
        }
        if (other < 0) other = channels_given(b, op, !of_y, -1);
        for (int i = 0; i < op->nparts; i++) {
            int64_t k = channels_given(b, op->part[i], of_y, other);
            if (k < 0) return -1;
            n += k;
        }
        return n;
    }
    return -1;
}

int64_t lin_channels(Build *b, LinOp *op, bool of_y) { return channels_given(b, op, of_y, -1); }

int64_t lin_atoms(Build *b, LinOp *D) {
    int64_t n = lin_channels(b, D, false);
    if (n < 0) n = lin_channels(b, D, true);
    return n;
}

GCtx *lin_home(Build *b, LinOp *D, bool *batched) {
    GCtx *c = b->root;
    if (D->w.kind == V_TENSOR) {
        if (D->w.ctx->depth > c->depth) c = D->w.ctx;
        *batched |= val_node(D->w)->batched;
    }
    for (int i = 0; i < D->nparts; i++) {
        GCtx *p = lin_home(b, D->part[i], batched);
        if (p->depth > c->depth) c = p;
    }
    return c;
}

/* ---- convolution ---- */
typedef struct ConvSizes {
    ConvGeom g;       /* of the padded x when the edge is not zero */
    int64_t x[2];     /* height, width before such padding */
    int32_t lo[2], hi[2];
    bool one;         /* 1-D: x is [C, L] */
} ConvSizes;

static bool conv_sizes_of_x(Build *b, LinOp *op, Shape x, ConvSizes *out, Shape *y, Span at) {
    Shape w = val_shape(b, op->w);
    ConvSizes s = {.one = w.rank == 3};
    if (x.rank != (s.one ? 2 : 3)) {
        diag_error(b->cx, E_SHAPE, at, "this convolution takes a tensor with %d axes, found %s", s.one ? 2 : 3, shape_text(b->a, x));
        return false;
    }
    int64_t C = w.dim[1] * op->groups;
    if (x.dim[0] != C) {
        diag_error(b->cx, E_SHAPE, at, "this convolution takes %lld channel%s, found %s", (long long)C, C == 1 ? "" : "s", shape_text(b->a, x));
        return false;
    }
    for (int a = 0; a < 2; a++) {
        bool flat = s.one && a == 0; /* the height of a 1-D signal */
        int32_t k = flat ? 1 : (int32_t)w.dim[s.one ? 2 : 2 + a];
        int32_t reach = (k - 1) * (flat ? 1 : op->dilation[a]);
        s.x[a] = flat ? 1 : x.dim[s.one ? 1 : 1 + a];
        s.g.kernel[a] = k;
        s.g.stride[a] = flat ? 1 : op->stride[a];
        s.g.dilation[a] = flat ? 1 : op->dilation[a];
        s.lo[a] = flat ? 0 : op->pad == PAD_SAME ? reach / 2 : op->pad == PAD_FULL ? reach : op->pad == PAD_NUMBER ? op->pad_n : 0;
        s.hi[a] = op->pad == PAD_SAME && !flat ? reach - reach / 2 : s.lo[a];
        if (op->edge != EDGE_ZERO && (s.lo[a] > s.x[a] - (op->edge == EDGE_REFLECT) || s.hi[a] > s.x[a] - (op->edge == EDGE_REFLECT))) {
            diag_error(b->cx, E_SHAPE, at, "a signal of %lld is too small for the boundary of this convolution", (long long)s.x[a]);
            return false;
        }
        s.g.in[a] = s.x[a] + (op->edge == EDGE_ZERO ? 0 : s.lo[a] + s.hi[a]);
        s.g.pad_lo[a] = op->edge == EDGE_ZERO ? s.lo[a] : 0;
        s.g.pad_hi[a] = op->edge == EDGE_ZERO ? s.hi[a] : 0;
        s.g.out[a] = sig_conv_out(s.g.in[a], k, s.g.stride[a], s.g.dilation[a], s.g.pad_lo[a], s.g.pad_hi[a]);
        if (s.g.out[a] < 1) {
            diag_error(b->cx, E_SHAPE, at, "the kernel reaches over %d pixels, the signal %s is smaller", reach + 1, shape_text(b->a, x));
            return false;
        }
    }
    s.g.groups = op->groups;
    s.g.in_ch = C;
    s.g.out_ch = w.dim[0];
    *out = s;
    *y = s.one ? shape_of(2, w.dim[0], s.g.out[1]) : shape_of(3, w.dim[0], s.g.out[0], s.g.out[1]);
    Meeting m = {x, *y};
    for (size_t i = 0; i < op->met.len; i++) /* the latest last */
        if (shape_eq(op->met.at[i].x, x)) {
            for (; i + 1 < op->met.len; i++) op->met.at[i] = op->met.at[i + 1];
            op->met.len--;
        }
    vec_push(b->a, &op->met, m);
    return true;
}

/* From the output's shape: the signal it was made of where one was met, else the smallest that fits. */
static bool conv_sizes_of_y(Build *b, LinOp *op, Shape y, ConvSizes *out, Shape *x, Span at) {
    Shape w = val_shape(b, op->w), again;
    int rank = w.rank == 3 ? 2 : 3;
    if (y.rank != rank || y.dim[0] != w.dim[0]) {
        diag_error(b->cx, E_SHAPE, at, "the adjoint of this convolution takes %lld channels and %d axes, found %s", (long long)w.dim[0], rank,
                   shape_text(b->a, y));
        return false;
    }
    for (size_t i = op->met.len; i-- > 0;)
        if (shape_eq(op->met.at[i].y, y)) return *x = op->met.at[i].x, conv_sizes_of_x(b, op, *x, out, &again, at);
    Shape s = {.rank = rank, .dim = {w.dim[1] * op->groups}};
    for (int a = rank == 2 ? 1 : 0; a < 2; a++) {
        int ax = rank == 2 ? 1 : 1 + a;
        int64_t reach = (w.dim[rank == 2 ? 2 : 2 + a] - 1) * op->dilation[a];
        int64_t pads = op->pad == PAD_SAME ? reach : op->pad == PAD_FULL ? 2 * reach : op->pad == PAD_NUMBER ? 2 * op->pad_n : 0;
        s.dim[ax] = (y.dim[ax] - 1) * op->stride[a] + reach + 1 - pads;
        if (s.dim[ax] < 1) {
            diag_error(b->cx, E_SIZE, at, "no signal has a code %s under this convolution", shape_text(b->a, y));
            return false;
        }
    }
    *x = s;
    return conv_sizes_of_x(b, op, s, out, &again, at);
}

/* ---- shapes ---- */
bool lin_block_sizes(Build *b, LinOp *op, Shape in, int64_t *size, Span at) {
    bool hcat = op->kind == L_HCAT;
    int64_t shared = lin_channels(b, op, hcat), total = 0, open = 0;
    if (shared < 0 && hcat && op->has_signal && op->signal.rank) shared = op->signal.dim[0]; /* [I | [I | dct]]: as it was met */
    for (int i = 0; i < op->nparts; i++) {
        size[i] = channels_given(b, op->part[i], !hcat, shared);
        if (size[i] < 0) open++;
        else total += size[i];
    }
    if (open == 1)
        for (int i = 0; i < op->nparts; i++)
            if (size[i] < 0) size[i] = in.rank ? in.dim[0] - total : -1, total = in.rank ? in.dim[0] : 0;
    if (open > 1 && in.rank && in.dim[0] % op->nparts == 0 && total == 0) { /* all blocks alike: [I | I] */
        for (int i = 0; i < op->nparts; i++) size[i] = in.dim[0] / op->nparts;
        total = in.dim[0];
    }
    bool fits = in.rank > 0 && total == in.dim[0];
    for (int i = 0; i < op->nparts; i++) fits &= size[i] > 0;
    if (!fits) diag_error(b->cx, E_SHAPE, at, "the blocks of this operator have %lld channels in all, found %s", (long long)total, shape_text(b->a, in));
    return fits;
}

static bool shape_of_kind(Build *b, LinOp *op, Shape in, bool adjoint, Shape *out, Span at);

/* Shape of D x or D' x. On the way each part learns the signal it is used with. */
static bool lin_shape(Build *b, LinOp *op, Shape in, bool adjoint, Shape *out, Span at) {
    if (!shape_of_kind(b, op, in, adjoint, out, at)) return false;
    if (!size_fits(*out)) {
        diag_error(b->cx, E_TOO_LARGE, at, "this makes a tensor %s, of more than %d entries", shape_text(b->a, *out), SIZE_MOST);
        return false;
    }
    if (adjoint) op->signal = in, op->has_signal = true;
    else if (!op->has_signal) op->signal = *out, op->has_signal = true;
    return true;
}

static bool shape_of_kind(Build *b, LinOp *op, Shape in, bool adjoint, Shape *out, Span at) {
    ConvSizes cs;
    Shape mid;
    switch (op->kind) {
    case L_CONV: return adjoint ? conv_sizes_of_y(b, op, in, &cs, out, at) : conv_sizes_of_x(b, op, in, &cs, out, at);
    case L_DENSE: {
        Shape w = val_shape(b, op->w);
        if (in.rank < 1 || in.dim[0] != w.dim[adjoint ? 0 : 1]) {
            diag_error(b->cx, E_SHAPE, at, "this matrix%s takes %lld entries along the first axis, found %s", adjoint ? "'s adjoint" : "",
                       (long long)w.dim[adjoint ? 0 : 1], shape_text(b->a, in));
            return false;
        }
        *out = in;
        out->dim[0] = w.dim[adjoint ? 1 : 0];
        return true;
    }
    case L_DIAG:
        if (!shape_is_prefix(val_shape(b, op->w), in)) {
            diag_error(b->cx, E_SHAPE, at, "a diagonal of %s does not fit %s", shape_text(b->a, val_shape(b, op->w)), shape_text(b->a, in));
            return false;
        }
        return *out = in, true;
    case L_DCT: case L_HAAR: case L_SHIFT:
        if (in.rank < 1) {
            diag_error(b->cx, E_SHAPE, at, "this transform needs a signal, found a number");
            return false;
        }
        return *out = in, true;
    case L_ID: return *out = in, true;
    case L_SCALE: return lin_shape(b, op->part[0], in, adjoint, out, at);
    case L_ADJ: return lin_shape(b, op->part[0], in, !adjoint, out, at);
    case L_COMPOSE:
        return lin_shape(b, op->part[adjoint ? 0 : 1], in, adjoint, &mid, at) && lin_shape(b, op->part[adjoint ? 1 : 0], mid, adjoint, out, at);
    case L_SUM:
        if (!lin_shape(b, op->part[0], in, adjoint, out, at) || !lin_shape(b, op->part[1], in, adjoint, &mid, at)) return false;
        if (shape_eq(*out, mid)) return true;
        diag_error(b->cx, E_SHAPE, at, "the operators of this sum give %s and %s", shape_text(b->a, *out), shape_text(b->a, mid));
        return false;
    case L_HCAT: case L_VCAT: {
        bool split = (op->kind == L_HCAT) != adjoint; /* the input is stacked, results are added; else the results are stacked */
        int64_t *size = ARENA_ARRAY(b->a, int64_t, op->nparts);
        if (split && !lin_block_sizes(b, op, in, size, at)) return false;
        for (int i = 0; i < op->nparts; i++) {
            Shape part = in;
            if (split) part.dim[0] = size[i];
            if (!lin_shape(b, op->part[i], part, adjoint, &mid, at)) return false;
            if (i == 0) *out = mid;
            else {
                Shape want = *out;
                if (!split) want.dim[0] = mid.rank ? mid.dim[0] : 0;
                if (!shape_eq(want, mid) || !mid.rank) {
                    diag_error(b->cx, E_SHAPE, at, "the blocks of this operator give %s and %s", shape_text(b->a, *out), shape_text(b->a, mid));
                    return false;
                }
                if (!split) out->dim[0] += mid.dim[0];
            }
        }
        return true;
    }
    }
    return false;
}

bool lin_meet(Build *b, LinOp *D, Shape signal, Span at, Shape *code) {
    return lin_shape(b, D, signal, true, code, at);
}

/* ---- application ---- */
static Val reshaped(Build *b, Val x, Shape s, Span at) {
    NodeId n;
    if (!to_node(b, x, at, &n)) return v_bad();
    return v_tensor(b, op_reshape(b->ctx->g, n, s));
}

static Val gathered(Build *b, Val x, int axis, const int32_t *list, int64_t n, Span at) {
    NodeId in;
    if (!to_node(b, x, at, &in)) return v_bad();
    Attr a = {.axis = axis, .list = list, .list_len = n};
    return v_tensor(b, graph_add(b->ctx->g, OP_gather, &in, 1, &a, at));
}

static Val scattered(Build *b, Val x, int axis, const int32_t *list, int64_t n, int64_t size, Span at) {
    NodeId in;
    if (!to_node(b, x, at, &in)) return v_bad();
    Attr a = {.axis = axis, .list = list, .list_len = n, .size = size};
    return v_tensor(b, graph_add(b->ctx->g, OP_scatter, &in, 1, &a, at));
}

/* Where entry i of a padded axis comes from. */
static int32_t *edge_list(Build *b, const LinOp *op, int64_t n, int32_t lo, int32_t hi) {
    int32_t *list = ARENA_ARRAY(b->a, int32_t, n + lo + hi);
    for (int64_t i = -lo; i < n + hi; i++) {
        int64_t from = op->edge == EDGE_CIRCULAR ? (i + n) % n : i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
        list[i + lo] = (int32_t)from;
    }
    return list;
}

static Val conv_apply(Build *b, LinOp *op, Val x, bool adjoint, Span at) {
    ConvSizes s;
    Shape in = val_shape(b, x), out;
    if (!(adjoint ? conv_sizes_of_y(b, op, in, &s, &out, at) : conv_sizes_of_x(b, op, in, &s, &out, at))) return v_bad();
    Val w = op->w;
    if (s.one) {
        Shape ws = val_shape(b, w);
        w = reshaped(b, w, shape_of(4, ws.dim[0], ws.dim[1], (int64_t)1, ws.dim[2]), at);
        x = reshaped(b, x, shape_of(3, in.dim[0], (int64_t)1, in.dim[1]), at);
    }
    bool edges = op->edge != EDGE_ZERO;
    for (int a = s.one; edges && !adjoint && a < 2; a++)
        x = gathered(b, x, 1 + a, edge_list(b, op, s.x[a], s.lo[a], s.hi[a]), s.g.in[a], at);
    NodeId n[2];
    if (!to_node(b, x, at, &n[0]) || !to_node(b, w, at, &n[1])) return v_bad();
    Attr attr = {.conv = &s.g};
    Val y;
    if (!node_checked(b, adjoint ? OP_conv_adj : OP_conv, n, 2, &attr, at, &y)) return y;
    for (int a = 1; edges && adjoint && a >= (int)s.one; a--)
        y = scattered(b, y, 1 + a, edge_list(b, op, s.x[a], s.lo[a], s.hi[a]), s.g.in[a], s.x[a], at);
    return s.one ? reshaped(b, y, out, at) : y;
}

bool table_fits(Build *b, int64_t n, Span at) {
    if (n <= TABLE_MOST) return true;
    diag_error(b->cx, E_TOO_LARGE, at, "this needs a table of %lld numbers in the code, more than %d", (long long)n, TABLE_MOST);
    return false;
}

/* A known orthonormal matrix along one axis. */
static Val matrix_along(Build *b, LinOp *op, Val x, int axis, bool adjoint, Span at) {
    Shape s = val_shape(b, x);
    int64_t n = s.dim[axis];
    if (!table_fits(b, n * n, at)) return v_bad();
    double *m = ARENA_ARRAY(b->a, double, n * n);
    if (op->kind == L_DCT) {
        for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < n; i++)
                m[k * n + i] = sqrt((k ? 2.0 : 1.0) / (double)n) * cos(M_PI * ((double)i + 0.5) * (double)k / (double)n);
    } else {
        if (n & (n - 1)) {
            diag_error(b->cx, E_SHAPE, at, "haar needs sizes that are powers of two, found %s", shape_text(b->a, s));
            return v_bad();
        }
        for (int64_t i = 0; i < n; i++) m[i] = 1 / sqrt((double)n);
        for (int64_t row = 1, blocks = 1; blocks < n; blocks *= 2) /* blocks of n/blocks entries: first half up, second down */
            for (int64_t k = 0; k < blocks; k++, row++)
                for (int64_t len = n / blocks, i = 0; i < len; i++)
                    m[row * n + k * len + i] = (i < len / 2 ? 1 : -1) / sqrt((double)len);
    }
    Attr table = {.shape = shape_of(2, n, n), .data = m};
    NodeId t = graph_add(b->ctx->g, OP_table, NULL, 0, &table, at), xn;
    if (!to_node(b, x, at, &xn)) return v_bad();
    int32_t order[RANK_MAX], back[RANK_MAX]; /* the axis to the front, and back */
    order[0] = axis;
    for (int i = 0, k = 1; i < s.rank; i++)
        if (i != axis) order[k++] = i;
    for (int i = 0; i < s.rank; i++) back[order[i]] = i;
    Attr po = {.list = order, .list_len = s.rank}, pb = {.list = back, .list_len = s.rank}, flag = {.flag = adjoint};
    if (axis) xn = graph_add(b->ctx->g, OP_permute, &xn, 1, &po, at);
    NodeId in[2] = {t, xn}, y = graph_add(b->ctx->g, OP_dense, in, 2, &flag, at);
    if (axis) y = graph_add(b->ctx->g, OP_permute, &y, 1, &pb, at);
    return v_tensor(b, y);
}

static Val transform(Build *b, LinOp *op, Val x, bool adjoint, Span at) {
    int rank = val_shape(b, x).rank;
    for (int a = rank > 1 ? 1 : 0; a < rank && x.kind != V_BAD; a++) x = matrix_along(b, op, x, a, adjoint, at);
    return x;
}

static Val shifted(Build *b, LinOp *op, Val x, bool adjoint, Span at) {
    Shape s = val_shape(b, x);
    int axis = op->axis ? op->axis - 1 : s.rank - 1;
    if (axis >= s.rank) {
        diag_error(b->cx, E_SHAPE, at, "shift is along axis %d, found %s", axis + 1, shape_text(b->a, s));
        return v_bad();
    }
    if (!table_fits(b, s.dim[axis], at)) return v_bad();
    int64_t n = s.dim[axis], by = ((adjoint ? -op->by : op->by) % n + n) % n;
    int32_t *list = ARENA_ARRAY(b->a, int32_t, n);
    for (int64_t i = 0; i < n; i++) list[i] = (int32_t)((i - by + n) % n);
    return gathered(b, x, axis, list, n, at);
}

static Val blocks_apply(Build *b, LinOp *op, Val x, bool adjoint, Span at) {
    bool split = (op->kind == L_HCAT) != adjoint;
    int64_t *size = ARENA_ARRAY(b->a, int64_t, op->nparts), start = 0;
    Val *y = ARENA_ARRAY(b->a, Val, op->nparts);
    if (split && !lin_block_sizes(b, op, val_shape(b, x), size, at)) return v_bad();
    for (int i = 0; i < op->nparts; i++) {
        Val part = split ? slice_axis(b, x, 0, start, size[i], at) : x;
        start += size[i];
        y[i] = lin_apply(b, op->part[i], part, adjoint, at);
        if (y[i].kind == V_BAD) return y[i];
    }
    if (!split) return concat_axis(b, y, op->nparts, 0, at);
    for (int i = 1; i < op->nparts; i++) y[0] = apply2(b, OP_add, y[0], y[i], at);
    return y[0];
}

static Val apply_part(Build *b, LinOp *op, Val x, bool adjoint, Span at) {
    if (x.kind == V_BAD) return x;
    switch (op->kind) {
    case L_CONV: return conv_apply(b, op, x, adjoint, at);
    case L_DENSE: {
        NodeId n[2];
        if (!to_node(b, op->w, at, &n[0]) || !to_node(b, x, at, &n[1])) return v_bad();
        Attr a = {.flag = adjoint};
        Val y;
        node_checked(b, OP_dense, n, 2, &a, at, &y);
        return y;
    }
    case L_DIAG: return apply2(b, OP_mul, op->w, x, at);
    case L_DCT: case L_HAAR: return transform(b, op, x, adjoint, at);
    case L_SHIFT: return shifted(b, op, x, adjoint, at);
    case L_ID: return x;
    case L_SCALE: return apply2(b, OP_mul, op->w, apply_part(b, op->part[0], x, adjoint, at), at);
    case L_ADJ: return apply_part(b, op->part[0], x, !adjoint, at);
    case L_COMPOSE: return apply_part(b, op->part[adjoint ? 1 : 0], apply_part(b, op->part[adjoint ? 0 : 1], x, adjoint, at), adjoint, at);
    case L_SUM: return apply2(b, OP_add, apply_part(b, op->part[0], x, adjoint, at), apply_part(b, op->part[1], x, adjoint, at), at);
    case L_HCAT: case L_VCAT: return blocks_apply(b, op, x, adjoint, at);
    }
    return v_bad();
}

Val lin_apply(Build *b, LinOp *op, Val x, bool adjoint, Span at) {
    if (x.kind == V_BAD) return x;
    if (x.kind != V_TENSOR) {
        NodeId n; /* a number where a tensor is due: say so through the shape */
        if (!to_node(b, x, at, &n)) return v_bad();
        x = v_tensor(b, n);
    }
    Shape in = val_shape(b, x), out;
    if (!build_step(b, op->size, at) || !lin_shape(b, op, in, adjoint, &out, at)) return v_bad();
    return apply_part(b, op, x, adjoint, at);
}
