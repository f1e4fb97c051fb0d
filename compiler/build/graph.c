/* Tensors of the graph under construction: captures into bodies, alignment, and operators with the user's errors. */
#include "base/trouble.h"
#include "build/value.h"

GCtx *gctx_new(Build *b, GCtx *parent) {
    GCtx *c = ARENA_NEW(b->a, GCtx);
    c->g = graph_new(b->a);
    c->parent = parent;
    c->depth = parent ? parent->depth + 1 : 0;
    c->turn = NO_NODE;
    c->turns = c->full_turns = 1;
    return c;
}

GCtx *enter(Build *b, GCtx *ctx) {
    GCtx *old = b->ctx;
    b->ctx = ctx;
    return old;
}

const Node *val_node(Val v) { return graph_at(v.ctx->g, v.node); }

/* The node of `ctx` that carries a value of an enclosing graph: an argument of each body on the way. */
static bool bring(Build *b, GCtx *ctx, GCtx *from, NodeId n, NodeId *out) {
    if (ctx == from) return *out = n, true;
    if (ctx->depth <= from->depth) return false;
    NodeId outer;
    if (!bring(b, ctx->parent, from, n, &outer)) return false;
    for (size_t i = 0; i < ctx->captures.len; i++)
        if (ctx->captures.at[i].outer == outer) return *out = ctx->captures.at[i].arg, true;
    const Node *o = graph_at(ctx->parent->g, outer);
    if (o->op == OP_constant) return *out = op_const(ctx->g, o->a.value, o->shape), true;
    Capture c = {outer, op_leaf(ctx->g, OP_arg, 0, o->shape, o->batched, o->span, o->name)}; /* numbered when the body is done */
    vec_push(b->a, &ctx->captures, c);
    return *out = c.arg, true;
}

bool to_node(Build *b, Val v, Span at, NodeId *out) {
    double x;
    if (v.kind == V_TENSOR) {
        if (bring(b, b->ctx, v.ctx, v.node, out)) return true;
        diag_error(b->cx, E_LOOP_USE, at, "a value of one turn of a `repeat` is used outside of it");
        return false;
    }
    if (v_known_number(v, &x) || (v.kind == V_BOOL && (x = (double)v.i, true))) {
        *out = op_const(b->ctx->g, x, shape_of(0));
        return true;
    }
    if (v.kind == V_ZERO) {
        *out = op_const(b->ctx->g, 0, shape_of(0));
        return true;
    }
    if (v.kind != V_BAD) diag_error(b->cx, E_TYPE, at, "expected a tensor or a number, found %s", v_text(b, v));
    return false;
}

Shape val_shape(Build *b, Val v) {
    (void)b;
    return v.kind == V_TENSOR ? val_node(v)->shape : shape_of(0);
}

bool node_checked(Build *b, OpKind k, const NodeId *in, uint32_t n, const Attr *attr, Span at, Val *out) {
    SigIn *s = ARENA_ARRAY(b->a, SigIn, n + 1);
    for (uint32_t i = 0; i < n; i++) s[i] = (SigIn){graph_shape(b->ctx->g, in[i]), graph_batched(b->ctx->g, in[i])};
    Shape shape;
    bool batched;
    const char *why = "";
    Attr none = {0};
    if (!sig_infer(b->a, k, s, (int)n, attr ? attr : &none, &shape, &batched, &why)) {
        diag_error(b->cx, E_SHAPE, at, "%s", why);
        *out = v_bad();
        return false;
    }
    *out = v_tensor(b, graph_add(b->ctx->g, k, in, n, attr, at));
    return true;
}

Val apply1(Build *b, OpKind k, Val x, Span at) {
    NodeId n;
    if (!to_node(b, x, at, &n)) return v_bad();
    return v_tensor(b, graph_add(b->ctx->g, k, &n, 1, NULL, at));
}

/* Brings two nodes to one shape: the smaller is aligned at the first axis. */
static bool align(Build *b, NodeId *x, NodeId *y, Span at) {
    Graph *g = b->ctx->g;
    Shape sx = graph_shape(g, *x), sy = graph_shape(g, *y);
    if (shape_is_prefix(sx, sy)) *x = op_expand(g, *x, sy);
    else if (shape_is_prefix(sy, sx)) *y = op_expand(g, *y, sx);
    else {
        Diag *d = diag_error(b->cx, E_SHAPE, at, "%s and %s do not fit each other", shape_text(b->a, sx), shape_text(b->a, sy));
        diag_help(b->cx, d, "the smaller one is aligned at the first axis: real[c] is one value per channel");
        return false;
    }
    return true;
}

Val apply2(Build *b, OpKind k, Val x, Val y, Span at) {
    NodeId nx, ny;
    if (x.kind == V_BAD || y.kind == V_BAD) return v_bad();
    if (!to_node(b, x, at, &nx) || !to_node(b, y, at, &ny) || !align(b, &nx, &ny, at)) return v_bad();
    NodeId in[2] = {nx, ny};
    return v_tensor(b, graph_add(b->ctx->g, k, in, 2, NULL, at));
}

Val apply_select(Build *b, Val c, Val x, Val y, Span at) {
    NodeId n[3];
    if (!to_node(b, c, at, &n[0]) || !to_node(b, x, at, &n[1]) || !to_node(b, y, at, &n[2])) return v_bad();
    if (!align(b, &n[1], &n[2], at) || !align(b, &n[0], &n[1], at) || !align(b, &n[1], &n[2], at)) return v_bad();
    return v_tensor(b, graph_add(b->ctx->g, OP_select, n, 3, NULL, at));
}

Val sum_entries(Build *b, Val x, Span at) {
    NodeId n;
    if (!to_node(b, x, at, &n)) return v_bad();
    return v_tensor(b, op_sum_all(b->ctx->g, n));
}

Val mean_entries(Build *b, Val x, Span at) {
    if (x.kind == V_BAD) return x;
    double n = (double)shape_size(val_shape(b, x));
    return apply2(b, OP_mul, sum_entries(b, x, at), v_real(1 / n), at);
}

Val sum_axis(Build *b, Val x, int axis, Span at) {
    NodeId n;
    if (!to_node(b, x, at, &n)) return v_bad();
    return v_tensor(b, op_sum(b->ctx->g, n, 1u << axis));
}

Val expand_axis(Build *b, Val x, int axis, int64_t size, Span at) {
    NodeId n;
    if (!to_node(b, x, at, &n)) return v_bad();
    Shape s = graph_shape(b->ctx->g, n), to = {.rank = s.rank + 1};
    MUST(to.rank <= RANK_MAX);
    for (int i = 0, k = 0; i < to.rank; i++) to.dim[i] = i == axis ? size : s.dim[k++];
    Attr a = {.axes = 1u << axis, .shape = to};
    return v_tensor(b, graph_add(b->ctx->g, OP_expand, &n, 1, &a, at));
}

Val slice_axis(Build *b, Val x, int axis, int64_t start, int64_t size, Span at) {
    NodeId n;
    if (!to_node(b, x, at, &n)) return v_bad();
    return v_tensor(b, op_slice(b->ctx->g, n, axis, start, size));
}

Val concat_axis(Build *b, const Val *x, int n, int axis, Span at) {
    NodeId *in = ARENA_ARRAY(b->a, NodeId, n);
    for (int i = 0; i < n; i++)
        if (!to_node(b, x[i], at, &in[i])) return v_bad();
    Attr a = {.axis = axis};
    Val out;
    node_checked(b, OP_concat, in, (uint32_t)n, &a, at, &out);
    return out;
}

Val val_zeros(Build *b, Shape s) { return v_tensor(b, op_const(b->ctx->g, 0, s)); }
