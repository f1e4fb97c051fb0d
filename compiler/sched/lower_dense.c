/* Products with a matrix: as register tiles whose pixels are the other axes, of all samples where they follow
 * one another; else plain. */
#include "sched/internal.h"

/* dense: axes n (folded), m, rest. dense_grad: axes m, n, rest (folded). */
static void lower_plain(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Ent *e = x->e;
    View p = gx_view(x, n->in[0]), q = gx_view(x, n->in[1]), out = gx_result(x, id);
    bool grad = n->op == OP_dense_grad;
    int rest = (grad ? p.shape.rank : q.shape.rank) - 1, pa[RANK_MAX], qa[RANK_MAX];
    Dom d = {.rank = rest + 2, .batched = n->batched};
    int64_t stride[DOM_MAX] = {0};
    d.dim[0] = grad ? p.shape.dim[0] : q.shape.dim[0];
    d.dim[1] = grad ? q.shape.dim[0] : n->shape.dim[0];
    for (int i = 0; i < rest; i++) {
        d.dim[i + 2] = q.shape.dim[i + 1];
        d.fold[i + 2] = grad;
        qa[i + 1] = pa[i + 1] = i + 2;
        if (!grad) stride[i + 2] = out.stride[i + 1];
    }
    if (grad) {
        pa[0] = 0, qa[0] = 1;
        stride[0] = out.stride[0], stride[1] = out.stride[1];
        d.fold_batch = n->a.flag && (p.batched || q.batched);
    } else {
        d.fold[0] = true;
        qa[0] = 0;
        pa[0] = n->a.flag ? 0 : 1, pa[1] = n->a.flag ? 1 : 0;
        stride[1] = out.stride[0];
    }
    lower_map(e, &d, FOLD_SUM, ex_op(e, OP_mul, ex_leaf(e, &p, pa), ex_leaf(e, &q, qa), NULL), &out, stride,
              op_info[n->op].id);
}

/* [n, rest..] as [n, 1, product of rest]; what does not lie so is copied. */
static View as_map(Gx *x, View v) {
    View r;
    Shape s = shape_of(3, v.shape.dim[0], (int64_t)1, shape_size(v.shape) / v.shape.dim[0]);
    if (view_reshape(&v, s, &r)) return r;
    View copy = view_channels_last(buf_new(x->e, v.batched, shape_size(v.shape), NULL, (Span){0}), v.shape,
                                   v.batched);
    lower_copy(x->e, &v, &copy);
    MUST(view_reshape(&copy, s, &r));
    return r;
}

static View stand(View v) { /* columns become rows, which are what blocks are made of */
    return view_permute(&v, (const int32_t[]){0, 2, 1});
}

static bool leaf_as_map(const View *v, void *shape, View *out) {
    return view_reshape(v, *(const Shape *)shape, out);
}
static bool leaf_stands(const View *v, void *none, View *out) {
    (void)none;
    *out = stand(*v);
    return true;
}

static Taps no_tap(Arena *a) {
    return (Taps){.n = 1, .stride = 1, .at = ARENA_ARRAY(a, int32_t, 1), .off = ARENA_ARRAY(a, int32_t, 1)};
}

/* Does another product take the same matrix, transposed? */
static bool both_ways(const Gx *x, const Node *n) {
    for (NodeId i = 0; i < x->g->nodes.len; i++) {
        const Node *o = graph_at(x->g, i);
        if (x->uses[i] && o->op == OP_dense && o->in[0] == n->in[0] && o->a.flag != n->a.flag) return true;
    }
    return false;
}

static bool lower_tiled(Gx *x, NodeId id, Ending end) {
    const Node *n = graph_at(x->g, id);
    View w = gx_view(x, n->in[0]), p = gx_view(x, n->in[1]), out = gx_result(x, end.into), o;
    if (w.batched || (n->batched && !p.batched)) return false;
    Shape s = shape_of(3, n->shape.dim[0], (int64_t)1, shape_size(n->shape) / n->shape.dim[0]);
    if (!view_reshape(&out, s, &o)) return false;
    View in = as_map(x, p);
    if (n->a.flag) w = view_permute(&w, (const int32_t[]){1, 0});
    TileConv t = {.x = in, .out = o, .what = "dense", .in_place = true, .one_copy = both_ways(x, n)};
    t.w = w;
    t.w.shape = shape_of(4, w.shape.dim[0], w.shape.dim[1], (int64_t)1, (int64_t)1);
    t.w.stride[2] = t.w.stride[3] = 0;
    t.taps[0] = t.taps[1] = no_tap(x->a);
    if (end.tree) {
        t.acc = end.acc;
        t.epilogue = ex_change(x->e, end.tree, &t.acc, leaf_as_map, &s);
        if (!t.epilogue) return false;
    }
    int64_t each = s.dim[2];
    if (!x->e->s->t.gpu && n->batched && tile_columns_fit(&in, each) && tile_columns_fit(&o, each))
        t.columns = each;
    else {
        t.x = stand(t.x), t.out = stand(t.out);
        if (end.tree) t.epilogue = ex_change(x->e, t.epilogue, &t.acc, leaf_stands, NULL);
    }
    if (!tile_conv_fits(&t)) return false;
    tile_conv(x->e, &t);
    return true;
}

static bool leaf_matrix(const View *v, void *none, View *out) { /* [m, n] as [m, n, 1, 1] */
    (void)none;
    *out = *v;
    out->shape = shape_of(4, v->shape.dim[0], v->shape.dim[1], (int64_t)1, (int64_t)1);
    out->stride[2] = out->stride[3] = 0;
    return true;
}

static bool lower_tiled_grad(Gx *x, NodeId id, Ending end) {
    const Node *n = graph_at(x->g, id);
    View y = gx_view(x, n->in[0]), v = gx_view(x, n->in[1]);
    if (n->batched || y.batched != v.batched) return false;
    View ys = as_map(x, y), xs = as_map(x, v);
    if (!x->e->s->t.gpu && ys.stride[0] != 1 && xs.stride[0] != 1) return false;
    View out = gx_result(x, end.into), w;
    leaf_matrix(&out, NULL, &w);
    Taps taps[2] = {no_tap(x->a), no_tap(x->a)};
    int64_t each = ys.shape.dim[2];
    bool columns = y.batched && tile_columns_fit(&ys, each) && tile_columns_fit(&xs, each);
    TileGrad t = {.x = xs, .y = ys, .out = w, .taps = taps, .columns = columns ? each : 0, .acc = end.acc};
    if (end.tree) t.epilogue = ex_change(x->e, end.tree, &t.acc, leaf_matrix, NULL);
    return tile_grad(x->e, &t);
}

bool lower_dense(Gx *x, NodeId id, Ending end) {
    if (graph_at(x->g, id)->op == OP_dense ? lower_tiled(x, id, end) : lower_tiled_grad(x, id, end))
        return true;
    if (end.tree) return false;
    lower_plain(x, id);
    return true;
}
