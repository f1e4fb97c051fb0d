/* Rewriting of operators that move entries along axes: most vanish against each other. */
#include "op/rewrite.h"
#include <string.h>

static const Node *at(const Build *b, NodeId x) { return graph_at(b->g, x); }
static NodeId make(Build *b, const Node *n, OpKind k, NodeId x, Attr a) {
    return build_node(b, k, &x, 1, &a, n->span);
}
static NodeId reshape(Build *b, const Node *n, NodeId x, Shape s) {
    return shape_eq(graph_shape(b->g, x), s) ? x : make(b, n, OP_reshape, x, (Attr){.shape = s});
}
static int64_t dims_of(Shape s, uint32_t axes) { /* product of these dims */
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++)
        if (axes >> i & 1) n *= s.dim[i];
    return n;
}
/* Axes of the shape that is left without `gone`, as axes of the whole one. */
static uint32_t spread(uint32_t axes, uint32_t gone, int rank) {
    uint32_t r = 0;
    for (int i = 0, k = 0; i < rank; i++)
        if (!(gone >> i & 1)) r |= (axes >> k++ & 1) << i;
    return r;
}
/* The reverse: axes of the whole shape (none of them in `gone`), as axes of what is left. */
static uint32_t gather_axes(uint32_t axes, uint32_t gone, int rank) {
    uint32_t r = 0;
    for (int i = 0, k = 0; i < rank; i++)
        if (!(gone >> i & 1)) r |= (axes >> i & 1) << k++;
    return r;
}
static Shape without(Shape s, uint32_t axes) {
    Shape o = {0};
    for (int i = 0; i < s.rank; i++)
        if (!(axes >> i & 1)) o.dim[o.rank++] = s.dim[i];
    return o;
}

static NodeId of_constant(Build *b, const Node *n, double v) {
    switch ((int)n->op) {
    case OP_sum:
        v *= (double)dims_of(graph_shape(b->g, n->in[0]), n->a.axes);
        break;
    case OP_expand:
    case OP_amax:
    case OP_sort:
    case OP_reshape:
    case OP_permute:
    case OP_slice:
        break;
    case OP_gather:
        for (int64_t i = 0; i < n->a.list_len; i++)
            if (n->a.list[i] < 0) return NO_NODE;
        break;
    default:
        return NO_NODE;
    }
    return build_const(b, v, n->shape, n->batched);
}

static NodeId rewrite_expand(Build *b, const Node *n) {
    const Node x = *at(b, n->in[0]);
    if (dims_of(n->shape, n->a.axes) == 1) return reshape(b, n, n->in[0], n->shape);
    if (x.op == OP_expand)
        return make(
            b, n, OP_expand, x.in[0],
            (Attr){.axes = n->a.axes | spread(x.a.axes, n->a.axes, n->shape.rank), .shape = n->shape});
    return NO_NODE;
}

static NodeId rewrite_sum(Build *b, const Node *n) {
    const Node x = *at(b, n->in[0]);
    uint32_t axes = n->a.axes, common;
    if (dims_of(x.shape, axes) == 1) return reshape(b, n, n->in[0], n->shape);
    if (x.op == OP_sum) {
        Shape whole = graph_shape(b->g, x.in[0]);
        return make(b, n, OP_sum, x.in[0], (Attr){.axes = x.a.axes | spread(axes, x.a.axes, whole.rank)});
    }
    if (x.op == OP_expand && (common = axes & x.a.axes)) { /* the sum of k equal entries is k of them */
        NodeId y = x.in[0];
        uint32_t sums = axes & ~common, news = x.a.axes & ~common;
        if (sums) y = make(b, n, OP_sum, y, (Attr){.axes = gather_axes(sums, x.a.axes, x.shape.rank)});
        NodeId k = build_const(b, (double)dims_of(x.shape, common), graph_shape(b->g, y), false);
        y = build_node(b, OP_mul, (NodeId[]){k, y}, 2, NULL, n->span);
        return news ? make(b, n, OP_expand, y,
                           (Attr){.axes = gather_axes(news, axes, x.shape.rank), .shape = n->shape})
                    : y;
    }
    if (x.op == OP_neg) return make(b, n, OP_neg, make(b, n, OP_sum, x.in[0], n->a), (Attr){0});
    if (x.op == OP_embed && axes >> x.a.axis & 1) return make(b, n, OP_sum, x.in[0], (Attr){.axes = axes});
    return NO_NODE;
}

static NodeId rewrite_permute(Build *b, const Node *n) {
    const Node x = *at(b, n->in[0]);
    int32_t list[RANK_MAX];
    int last = -1;
    bool moves = false; /* does an axis longer than 1 pass another? */
    for (int64_t i = 0; i < n->a.list_len; i++) {
        if (n->shape.dim[i] == 1) continue;
        moves |= n->a.list[i] < last;
        last = n->a.list[i];
    }
    if (!moves) return reshape(b, n, n->in[0], n->shape);
    if (x.op == OP_permute) {
        for (int64_t i = 0; i < n->a.list_len; i++) list[i] = x.a.list[n->a.list[i]];
        return make(b, n, OP_permute, x.in[0], (Attr){.list = list, .list_len = n->a.list_len});
    }
    if (x.op == OP_dense_grad)
        return build_node(b, OP_dense_grad, (NodeId[]){x.in[1], x.in[0]}, 2, &x.a, n->span);
    return NO_NODE;
}

static NodeId slice_of(Build *b, const Node *n, NodeId x, int64_t start, int64_t step, int64_t size) {
    return make(b, n, OP_slice, x, (Attr){.axis = n->a.axis, .start = start, .step = step, .size = size});
}
static NodeId rewrite_slice(Build *b, const Node *n) {
    const Node x = *at(b, n->in[0]);
    const Attr a = n->a;
    int64_t last = a.start + (a.size - 1) * a.step;
    if (a.size == x.shape.dim[a.axis]) return n->in[0];
    if (a.size == 1 && a.step != 1) return slice_of(b, n, n->in[0], a.start, 1, 1);
    if (x.op == OP_slice && x.a.axis == a.axis)
        return slice_of(b, n, x.in[0], x.a.start + a.start * x.a.step, a.step * x.a.step, a.size);
    if (x.op == OP_concat && x.a.axis == a.axis) {
        int64_t from = 0;
        for (uint32_t i = 0; i < x.nin; i++) {
            int64_t len = graph_shape(b->g, x.in[i]).dim[a.axis];
            if (a.start >= from && last < from + len)
                return build_as(b, slice_of(b, n, x.in[i], a.start - from, a.step, a.size), n->batched);
            from += len;
        }
    }
    if (x.op == OP_embed && x.a.axis == a.axis && x.a.step == 1) {
        int64_t from = x.a.start, to = from + graph_shape(b->g, x.in[0]).dim[a.axis];
        if (last < from || a.start >= to) return build_const(b, 0, n->shape, n->batched);
        if (a.start >= from && last < to) return slice_of(b, n, x.in[0], a.start - from, a.step, a.size);
    }
    if (x.op == OP_embed && x.a.axis == a.axis && x.a.start == a.start && x.a.step == a.step &&
        graph_shape(b->g, x.in[0]).dim[a.axis] == a.size)
        return x.in[0];
    if (x.op == OP_expand && x.a.axes >> a.axis & 1)
        return make(b, n, OP_expand, x.in[0], (Attr){.axes = x.a.axes, .shape = n->shape});
    return NO_NODE;
}

static NodeId rewrite_embed(Build *b, const Node *n) {
    const Node x = *at(b, n->in[0]);
    int64_t len = x.shape.dim[n->a.axis];
    if (len == n->a.size) return n->in[0];
    if (len == 1 && n->a.step != 1)
        return make(b, n, OP_embed, n->in[0],
                    (Attr){.axis = n->a.axis, .start = n->a.start, .step = 1, .size = n->a.size});
    if (x.op == OP_embed && x.a.axis == n->a.axis)
        return make(b, n, OP_embed, x.in[0],
                    (Attr){.axis = n->a.axis,
                           .start = n->a.start + x.a.start * n->a.step,
                           .step = x.a.step * n->a.step,
                           .size = n->a.size});
    return NO_NODE;
}

/* Two stretches of one axis that do not overlap: one stretch. So a gradient that comes in slices (one per
 * turn) is put together. */
NodeId rewrite_add_embeds(Build *b, const Node *x, const Node *y, Span span) {
    if (x->a.axis != y->a.axis || x->a.step != 1 || y->a.step != 1) return NO_NODE;
    if (x->a.start > y->a.start) {
        const Node *t = x;
        x = y, y = t;
    }
    Shape gap = graph_shape(b->g, x->in[0]);
    int64_t from = x->a.start + gap.dim[x->a.axis];
    if (from > y->a.start) return NO_NODE;
    gap.dim[x->a.axis] = y->a.start - from;
    NodeId in[3];
    uint32_t k = 0;
    in[k++] = x->in[0];
    if (from < y->a.start) in[k++] = build_const(b, 0, gap, false);
    in[k++] = y->in[0];
    NodeId both = build_node(b, OP_concat, in, k, &(Attr){.axis = x->a.axis}, span);
    return build_node(b, OP_embed, &both, 1,
                      &(Attr){.axis = x->a.axis, .start = x->a.start, .step = 1, .size = x->a.size}, span);
}

static NodeId rewrite_concat(Build *b, const Node *n) {
    int axis = n->a.axis;
    if (n->nin == 1) return n->in[0];
    Vec(NodeId) in = {0};
    bool changed = false, alike = true;
    for (uint32_t i = 0; i < n->nin; i++) { /* parts of parts, neighbouring slices, neighbouring zeros */
        const Node x = *at(b, n->in[i]);
        uint32_t parts = x.op == OP_concat && x.a.axis == axis ? x.nin : 1;
        changed |= parts > 1;
        for (uint32_t k = 0; k < parts; k++) {
            NodeId part = parts > 1 ? x.in[k] : n->in[i];
            if (in.len) {
                NodeId *prev = &in.at[in.len - 1];
                const Node p = *at(b, *prev), q = *at(b, part);
                if (p.op == OP_slice && q.op == OP_slice && p.in[0] == q.in[0] && p.a.axis == axis &&
                    q.a.axis == axis && p.a.step == 1 && q.a.step == 1 && q.a.start == p.a.start + p.a.size) {
                    *prev = make(
                        b, n, OP_slice, p.in[0],
                        (Attr){.axis = axis, .start = p.a.start, .step = 1, .size = p.a.size + q.a.size});
                    changed = true;
                    continue;
                }
                if (p.op == OP_constant && q.op == OP_constant && p.a.value == q.a.value) {
                    Shape s = p.shape;
                    s.dim[axis] += q.shape.dim[axis];
                    *prev = build_const(b, p.a.value, s, false);
                    changed = true;
                    continue;
                }
            }
            vec_push(b->a, &in, part);
        }
    }
    if (in.len == 1) return build_as(b, in.at[0], n->batched);
    for (size_t i = 1; i < in.len; i++) alike &= in.at[i] == in.at[0];
    if (alike && graph_shape(b->g, in.at[0]).dim[axis] == 1) /* the same for every turn */
        return make(b, n, OP_expand, reshape(b, n, in.at[0], without(n->shape, 1u << axis)),
                    (Attr){.axes = 1u << axis, .shape = n->shape});
    size_t rest = 0, which = 0;
    int64_t from = 0, start = 0;
    double v;
    for (size_t i = 0; i < in.len; i++) {
        bool zero = build_is_const(b, in.at[i], &v) && v == 0;
        if (!zero) rest++, which = i, start = from;
        from += graph_shape(b->g, in.at[i]).dim[axis];
    }
    if (rest == 1)
        return build_as(
            b,
            make(b, n, OP_embed, in.at[which], (Attr){.axis = axis, .start = start, .step = 1, .size = from}),
            n->batched);
    return changed
               ? build_as(b, build_node(b, OP_concat, in.at, (uint32_t)in.len, &n->a, n->span), n->batched)
               : NO_NODE;
}

static NodeId rewrite_list(Build *b, const Node *n) { /* gather, scatter */
    (void)b;
    if (n->a.list_len != graph_shape(b->g, n->in[0]).dim[n->a.axis] ||
        n->a.list_len != n->shape.dim[n->a.axis])
        return NO_NODE;
    for (int64_t i = 0; i < n->a.list_len; i++)
        if (n->a.list[i] != i) return NO_NODE;
    return n->in[0];
}

NodeId rewrite_axes(Build *b, const Node *n) {
    const Node x = *at(b, n->in[0]);
    if (x.op == OP_constant) {
        NodeId c = of_constant(b, n, x.a.value);
        if (c != NO_NODE) return c;
    }
    switch ((int)n->op) {
    case OP_expand:
        return rewrite_expand(b, n);
    case OP_sum:
        return rewrite_sum(b, n);
    case OP_amax:
        return dims_of(x.shape, n->a.axes) == 1 ? reshape(b, n, n->in[0], n->shape) : NO_NODE;
    case OP_batch_sum: {
        if (x.op == OP_neg)
            return make(b, n, OP_neg, make(b, n, OP_batch_sum, x.in[0], (Attr){0}), (Attr){0});
        if (x.op != OP_per_sample) return NO_NODE;
        NodeId nb = build_node(b, OP_nbatch, NULL, 0, NULL, n->span);
        if (n->shape.rank)
            nb = make(b, n, OP_expand, nb, (Attr){.axes = (1u << n->shape.rank) - 1, .shape = n->shape});
        return build_node(b, OP_mul, (NodeId[]){nb, x.in[0]}, 2, NULL, n->span);
    }
    case OP_reshape:
        if (shape_eq(x.shape, n->shape)) return n->in[0];
        return x.op == OP_reshape ? reshape(b, n, x.in[0], n->shape) : NO_NODE;
    case OP_permute:
        return rewrite_permute(b, n);
    case OP_slice:
        return rewrite_slice(b, n);
    case OP_embed:
        return rewrite_embed(b, n);
    case OP_concat:
        return rewrite_concat(b, n);
    case OP_gather:
    case OP_scatter:
        return rewrite_list(b, n);
    default:
        return NO_NODE;
    }
}
