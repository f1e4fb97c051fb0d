/* Convolutions in their plain form: loops over the kernel, vectors of channels. Any geometry. */
#include "sched/internal.h"

typedef struct Conv {
    Kb *k;
    Arena *a;
    const ConvGeom *g;
    const Lx *sample;
    int width;
    const Lx *count;
    View x, y, w; /* conv's input, output, weights; one of them is the result */
    int px, py, pw;
} Conv;

static const Lx *load(Conv *c, int ptr, const View *v, const Lx *const *idx, int axis) {
    const Lx *at = kb_at(c->k, v, c->sample, idx);
    if (axis < 0) return lx_splat(c->a, lx_load(c->a, ptr, at, 1, NULL), c->width);
    return lx_gather(c->a, ptr, at, lx_int(c->a, v->stride[axis]), c->width, c->count);
}

/* conv reads i * stride + t * dilation - pad; its adjoint the reverse. */
const Lx *conv_meet(Arena *a, const ConvGeom *g, int d, const Lx *i, const Lx *t, bool back, const Lx **cond) {
    const Lx *at;
    if (!back) {
        at = SUB(ADD(MUL(i, INT(g->stride[d])), MUL(t, INT(g->dilation[d]))), INT(g->pad_lo[d]));
        *cond = IAND(ILT(INT(-1), at), ILT(at, INT(g->in[d])));
        return at;
    }
    const Lx *far = SUB(ADD(i, INT(g->pad_lo[d])), MUL(t, INT(g->dilation[d]))), *s = INT(g->stride[d]),
             *pos = IMAX(INT(0), far);
    at = DIV(pos, s);
    *cond = IAND(IAND(ILT(INT(-1), far), IEQ(MOD(pos, s), INT(0))), ILT(at, INT(g->out[d])));
    return at;
}

/* One vector of results: conv: channels k.. of y at (i, j); conv_adj: channels ch.. of x. */
static void sum_at(Conv *c, bool back, const Lx *group, const Lx *ch, const Lx *i, const Lx *j) {
    Kb *k = c->k;
    Arena *a = c->a;
    const ConvGeom *g = c->g;
    int64_t cg = g->in_ch / g->groups, kg = g->out_ch / g->groups;
    int acc = kb_reg(k, c->width, 1);
    const Lx *A = lx_reg(a, acc, NULL, c->width), *cy, *cx;
    kb_set(k, acc, NULL, lx_float(a, 0, c->width));
    const Lx *ty = kb_for(k, INT(0), INT(g->kernel[0]), 1), *iy = conv_meet(a, g, 0, i, ty, back, &cy);
    kb_if(k, cy);
    const Lx *tx = kb_for(k, INT(0), INT(g->kernel[1]), 1), *ix = conv_meet(a, g, 1, j, tx, back, &cx);
    kb_if(k, cx);
    const Lx *f = kb_for(k, INT(0), INT(back ? kg : cg), 1);
    const Lx *out_ch = ADD(MUL(group, INT(kg)), back ? f : ch), *in_c = back ? ch : f;
    const Lx *w = load(c, c->pw, &c->w, (const Lx *const[]){out_ch, in_c, ty, tx}, back ? 1 : 0);
    const Lx *v = back ? load(c, c->py, &c->y, (const Lx *const[]){out_ch, iy, ix}, -1)
                       : load(c, c->px, &c->x, (const Lx *const[]){ADD(MUL(group, INT(cg)), f), iy, ix}, -1);
    kb_set(k, acc, NULL, lx_f3(a, LX_FMA, w, v, A));
    for (int n = 0; n < 5; n++) kb_end(k);
    const View *out = back ? &c->x : &c->y;
    const Lx *first = ADD(MUL(group, INT(back ? cg : kg)), ch);
    kb_store_strided(k, back ? c->px : c->py, kb_at(k, out, c->sample, (const Lx *const[]){first, i, j}),
                     out->stride[0], A, c->count);
}

static void over_channels(Conv *c, int64_t n, void (*fn)(Conv *, const Lx *, const Lx *const *),
                          const Lx *const *rest) {
    Arena *a = c->a;
    int64_t L = c->k->e->s->t.lanes, main = n / L * L;
    c->width = (int)L, c->count = NULL;
    if (c->k->e->s->t.gpu) {
        fn(c, kb_each(c->k, n), rest);
        return;
    }
    if (n < L / 2) c->width = 1, L = 1, main = n;
    if (main) {
        const Lx *ch = kb_for(c->k, INT(0), INT(main), L);
        fn(c, ch, rest);
        kb_end(c->k);
    }
    if (main < n) {
        c->count = INT(n - main);
        fn(c, INT(main), rest);
    }
}

static void forward(Conv *c, const Lx *ch, const Lx *const *r) { sum_at(c, false, r[0], ch, r[1], r[2]); }
static void backward(Conv *c, const Lx *ch, const Lx *const *r) { sum_at(c, true, r[0], ch, r[1], r[2]); }

/* A vector of input channels of the gradient of one output channel and tap: summed over positions, and over
 * samples if asked. */
static void weights(Conv *c, const Lx *ch, const Lx *const *r) {
    Kb *k = c->k;
    Arena *a = c->a;
    const ConvGeom *g = c->g;
    int64_t cg = g->in_ch / g->groups, kg = g->out_ch / g->groups;
    int acc = kb_reg(k, c->width, 1);
    const Lx *A = lx_reg(a, acc, NULL, c->width), *own = c->sample, *cy, *cx;
    kb_set(k, acc, NULL, lx_float(a, 0, c->width));
    if (!own) c->sample = c->x.batched || c->y.batched ? kb_for(k, INT(0), kb_batch(k), 1) : INT(0);
    bool over = !own && (c->x.batched || c->y.batched);
    const Lx *oy = kb_for(k, INT(0), INT(g->out[0]), 1), *iy = conv_meet(a, g, 0, oy, r[1], false, &cy);
    kb_if(k, cy);
    const Lx *ox = kb_for(k, INT(0), INT(g->out[1]), 1), *ix = conv_meet(a, g, 1, ox, r[2], false, &cx);
    kb_if(k, cx);
    const Lx *first = ADD(MUL(DIV(r[0], INT(kg)), INT(cg)), ch);
    const Lx *x = load(c, c->px, &c->x, (const Lx *const[]){first, iy, ix}, 0);
    const Lx *y = load(c, c->py, &c->y, (const Lx *const[]){r[0], oy, ox}, -1);
    kb_set(k, acc, NULL, lx_f3(a, LX_FMA, x, y, A));
    for (int n = 0; n < 4 + over; n++) kb_end(k);
    c->sample = own;
    const Lx *at = kb_at(k, &c->w, own, (const Lx *const[]){r[0], ch, r[1], r[2]});
    kb_store_strided(k, c->pw, at, c->w.stride[1], A, c->count);
}

/* ---- as register tiles ---- */
static Taps forward_taps(Arena *a, const ConvGeom *g, int d) {
    Taps t = {.n = g->kernel[d], .stride = g->stride[d]};
    t.at = ARENA_ARRAY(a, int32_t, t.n), t.off = ARENA_ARRAY(a, int32_t, t.n);
    for (int i = 0; i < t.n; i++) t.at[i] = i, t.off[i] = i * g->dilation[d] - g->pad_lo[d];
    return t;
}

/* Of the adjoint, at positions phase, phase + stride, ...: taps that meet them, from the last to the first.
 */
static Taps phase_taps(Arena *a, const ConvGeom *g, int d, int phase) {
    Taps t = {.stride = 1};
    t.at = ARENA_ARRAY(a, int32_t, g->kernel[d]), t.off = ARENA_ARRAY(a, int32_t, g->kernel[d]);
    for (int i = g->kernel[d] - 1; i >= 0; i--) {
        int far = phase + g->pad_lo[d] - i * g->dilation[d], s = g->stride[d];
        if (far % s) continue;
        t.at[t.n] = i, t.off[t.n] = far / s;
        t.n++;
    }
    return t;
}

static void group_views(const View *in, const View *out, const View *w, int64_t groups, int64_t i,
                        View r[3]) {
    int64_t cin = in->shape.dim[0] / groups, cout = out->shape.dim[0] / groups,
            rows = w->shape.dim[0] / groups;
    r[0] = view_slice(in, 0, i * cin, 1, cin);
    r[1] = view_slice(out, 0, i * cout, 1, cout);
    r[2] = view_slice(w, 0, i * rows, 1, rows);
}

/* One output position that reads no padding: a product with a matrix, in which the samples are the columns.
 */
static bool single_output(const ConvGeom *g) {
    for (int d = 0; d < 2; d++)
        if (g->out[d] != 1 || g->pad_lo[d] > 0 || (int64_t)(g->kernel[d] - 1) * g->dilation[d] >= g->in[d])
            return false;
    return true;
}

typedef struct Part {
    int axis;
    int64_t start, step, size;
} Part;
static bool leaf_part(const View *v, void *part, View *out) {
    const Part *p = part;
    *out = view_slice(v, p->axis, p->start, p->step, p->size);
    return true;
}
/* A part of the result, with what its ending reads. */
static void take(Gx *x, TileConv *t, Part p) {
    t->out = view_slice(&t->out, p.axis, p.start, p.step, p.size);
    if (t->epilogue) t->epilogue = ex_change(x->e, t->epilogue, &t->acc, leaf_part, &p);
}

/* From one position: each tap makes a position of its own; what no tap makes is zero. */
static void tile_spread(Gx *x, const ConvGeom *g, TileConv t) {
    if (g->kernel[0] != g->in[0] || g->kernel[1] != g->in[1]) lower_fill(x->e, 0, &t.out);
    t.columns = 1;
    for (int d = 0; d < 2; d++) {
        t.taps[d] = forward_taps(x->a, g, d);
        t.spread[d] = g->dilation[d];
        for (int i = 0; i < t.taps[d].n; i++) t.taps[d].off[i] = 0;
    }
    tile_conv(x->e, &t);
}

/* The adjoint with a stride is one convolution for each phase of the result. */
static void tile_adjoint(Gx *x, const ConvGeom *g, TileConv whole) {
    for (int py = 0; py < g->stride[0] && py < g->in[0]; py++)
        for (int px = 0; px < g->stride[1] && px < g->in[1]; px++) {
            TileConv t = whole;
            take(x, &t, (Part){1, py, g->stride[0], (g->in[0] - py + g->stride[0] - 1) / g->stride[0]});
            take(x, &t, (Part){2, px, g->stride[1], (g->in[1] - px + g->stride[1] - 1) / g->stride[1]});
            t.taps[0] = phase_taps(x->a, g, 0, py), t.taps[1] = phase_taps(x->a, g, 1, px);
            if (t.taps[0].n && t.taps[1].n)
                tile_conv(x->e, &t);
            else
                lower_fill(x->e, 0, &t.out);
        }
}

enum { GROUPS_MOST = 8 };
/* So many groups that each is not a product of its own (the same kernel for all), unless it is a large one. */
static bool many_groups(const Gx *x, const ConvGeom *g) {
    int64_t few = (g->in_ch < g->out_ch ? g->in_ch : g->out_ch) / g->groups;
    return g->groups > GROUPS_MOST && (x->e->s->t.gpu || few < x->e->s->t.lanes / 2);
}

/* Every phase and position has a tap, so that nothing is left to be stored without its ending. */
static bool covers(const ConvGeom *g, bool spread) {
    for (int d = 0; d < 2; d++) {
        if (spread && (g->in[d] != g->kernel[d] || g->dilation[d] != 1)) return false;
        if (!spread && (g->kernel[d] < g->stride[d] || (g->dilation[d] != 1 && g->stride[d] != 1)))
            return false;
    }
    return true;
}

static bool lower_tiled(Gx *x, NodeId id, Ending end) {
    const Node *n = graph_at(x->g, id);
    const ConvGeom *g = n->a.conv;
    View p = gx_view(x, n->in[0]), q = gx_view(x, n->in[1]);
    bool back = n->op == OP_conv_adj;
    if (many_groups(x, g) || q.batched || (n->batched && !p.batched)) return false;
    bool single = single_output(g) && p.batched && n->batched, spread = back && single;
    if (end.tree &&
        ((back && !covers(g, spread)) ||
         !tile_conv_fits(&(TileConv){.x = p, .out = p, .w = q, .epilogue = end.tree, .acc = end.acc})))
        return false;
    View out = gx_result(x, end.into);
    for (int i = 0; i < g->groups; i++) {
        View v[3];
        group_views(&p, &out, &q, g->groups, i, v);
        if (back) { /* w[K, C, ..] of the group: K is summed over */
            v[2] = view_slice(&q, 0, i * (g->out_ch / g->groups), 1, g->out_ch / g->groups);
            v[2] = view_permute(&v[2], (const int32_t[]){1, 0, 2, 3});
        }
        TileConv t = {.x = v[0],
                      .out = out,
                      .w = v[2],
                      .epilogue = end.tree,
                      .acc = end.acc,
                      .what = op_info[n->op].id};
        if (g->groups > 1) take(x, &t, (Part){0, i * v[1].shape.dim[0], 1, v[1].shape.dim[0]});
        if (spread) {
            tile_spread(x, g, t);
            continue;
        }
        if (back) {
            tile_adjoint(x, g, t);
            continue;
        }
        t.columns = single && !back;
        t.taps[0] = forward_taps(x->a, g, 0), t.taps[1] = forward_taps(x->a, g, 1);
        tile_conv(x->e, &t);
    }
    return true;
}

static bool lower_tiled_grad(Gx *x, NodeId id, Ending end) {
    const Node *n = graph_at(x->g, id);
    const ConvGeom *g = n->a.conv;
    if (many_groups(x, g) || n->batched) return false;
    if (end.tree && (g->groups > 1 || finish_ops(end.tree) > TILE_OPS_MOST)) return false;
    View p = gx_view(x, n->in[0]), q = gx_view(x, n->in[1]), out = gx_result(x, end.into);
    if (q.stride[0] != 1 && p.stride[0] != 1) { /* vectors need one side with its channels together */
        View v = view_channels_last(buf_new(x->e, q.batched, shape_size(q.shape), NULL, n->span), q.shape,
                                    q.batched);
        lower_copy(x->e, &q, &v);
        q = v;
    }
    Taps taps[2] = {forward_taps(x->a, g, 0), forward_taps(x->a, g, 1)};
    bool single = single_output(g);
    for (int i = 0; i < g->groups; i++) {
        int64_t cg = g->in_ch / g->groups, kg = g->out_ch / g->groups;
        View xs = view_slice(&p, 0, i * cg, 1, cg), ys = view_slice(&q, 0, i * kg, 1, kg),
             ws = view_slice(&out, 0, i * kg, 1, kg);
        TileGrad t = {.x = xs,
                      .y = ys,
                      .out = ws,
                      .taps = taps,
                      .columns = single && p.batched && q.batched,
                      .epilogue = end.tree,
                      .acc = end.acc};
        MUST(tile_grad(x->e, &t));
    }
    return true;
}

static void lower_plain(Gx *x, NodeId id);

bool lower_conv(Gx *x, NodeId id, Ending end) {
    bool grad = graph_at(x->g, id)->op == OP_conv_grad;
    if (grad ? lower_tiled_grad(x, id, end) : lower_tiled(x, id, end)) return true;
    if (lower_groups(x, id, end)) return true;
    if (end.tree) return false;
    lower_plain(x, id);
    return true;
}

/* A block for each weight (of each sample): its threads share the positions, then the shares are added pairwise. */
static void gpu_weights(Conv *c, bool batched) {
    enum { THREADS = 128 };
    Kb *k = c->k;
    Arena *a = c->a;
    const ConvGeom *g = c->g;
    int64_t cg = g->in_ch / g->groups, kg = g->out_ch / g->groups, taps = (int64_t)g->kernel[0] * g->kernel[1], each = g->out_ch * cg * taps;
    bool over = !batched && (c->x.batched || c->y.batched);
    int shared = kb_shared(k, LP_F32, THREADS), acc = kb_reg(k, 1, 1);
    const Lx *A = lx_reg(a, acc, NULL, 1), *cy, *cx;
    k->threads = THREADS;
    c->width = 1, c->count = NULL;
    const Lx *number = batched ? MOD(kb_grid(k), INT(each)) : kb_grid(k), *tap = MOD(number, INT(taps));
    const Lx *ty = kb_let(k, DIV(tap, INT(g->kernel[1]))), *tx = kb_let(k, MOD(tap, INT(g->kernel[1])));
    const Lx *ch = kb_let(k, MOD(DIV(number, INT(taps)), INT(cg))), *own = kb_let(k, DIV(number, INT(taps * cg)));
    const Lx *sample = batched ? kb_let(k, DIV(kb_grid(k), INT(each))) : NULL, *positions = INT((int64_t)g->out[0] * g->out[1]);
    kb_threads(k);
    kb_set(k, acc, NULL, lx_float(a, 0, 1));
    const Lx *p = kb_for(k, lx_thread(a), over ? MUL(kb_batch(k), positions) : positions, THREADS);
    const Lx *at = over ? MOD(p, positions) : p;
    c->sample = over ? DIV(p, positions) : batched ? sample : INT(0);
    const Lx *oy = kb_let(k, DIV(at, INT(g->out[1]))), *ox = kb_let(k, MOD(at, INT(g->out[1])));
    const Lx *iy = conv_meet(a, g, 0, oy, ty, false, &cy), *ix = conv_meet(a, g, 1, ox, tx, false, &cx);
    kb_if(k, IAND(cy, cx));
    const Lx *x = load(c, c->px, &c->x, (const Lx *const[]){ADD(MUL(DIV(own, INT(kg)), INT(cg)), ch), iy, ix}, -1);
    const Lx *y = load(c, c->py, &c->y, (const Lx *const[]){own, oy, ox}, -1);
    kb_set(k, acc, NULL, lx_f3(a, LX_FMA, x, y, A));
    kb_end(k);
    kb_end(k);
    kb_store(k, shared, lx_thread(a), A, NULL);
    kb_end(k);
    for (int h = THREADS / 2; h > 0; h /= 2) {
        kb_sync(k);
        kb_threads(k);
        kb_if(k, ILT(lx_thread(a), INT(h)));
        kb_set(k, acc, NULL, lx_f2(a, LX_ADD, A, lx_load(a, shared, ADD(lx_thread(a), INT(h)), 1, NULL)));
        kb_store(k, shared, lx_thread(a), A, NULL);
        if (h == 1) kb_store(k, c->pw, kb_at(k, &c->w, sample, (const Lx *const[]){own, ch, ty, tx}), A, NULL);
        kb_end(k);
        kb_end(k);
    }
    kb_launch(k, batched ? MUL(IVAR(LP_VAR_BATCH), INT(each)) : INT(each));
}

static void lower_plain(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    const ConvGeom *g = n->a.conv;
    Conv c = {.a = a, .g = g};
    View p = gx_view(x, n->in[0]), q = gx_view(x, n->in[1]), out = gx_result(x, id);
    Kb *k = c.k = kb_new(x->e, op_info[n->op].id, 0);
    c.x = n->op == OP_conv_adj ? out : p;
    c.y = n->op == OP_conv ? out : n->op == OP_conv_adj ? p : q;
    c.w = n->op == OP_conv_grad ? out : q;
    c.px = kb_ptr(k, &c.x, n->op == OP_conv_adj);
    c.py = kb_ptr(k, &c.y, n->op == OP_conv);
    c.pw = kb_ptr(k, &c.w, n->op == OP_conv_grad);
    if (n->op == OP_conv_grad && x->e->s->t.gpu) {
        gpu_weights(&c, n->batched);
        return;
    }
    if (n->op == OP_conv_grad) { /* a grid point owns one output channel: the order of its sums does not
                                    depend on threads */
        c.sample = n->batched ? DIV(kb_grid(k), INT(g->out_ch)) : NULL;
        const Lx *own = MOD(kb_grid(k), INT(g->out_ch));
        const Lx *i = kb_for(k, INT(0), INT(g->kernel[0]), 1), *j = kb_for(k, INT(0), INT(g->kernel[1]), 1);
        over_channels(&c, g->in_ch / g->groups, weights, (const Lx *const[]){own, i, j});
        kb_end(k);
        kb_end(k);
        kb_launch(k, n->batched ? MUL(IVAR(LP_VAR_BATCH), INT(g->out_ch)) : INT(g->out_ch));
        return;
    }
    bool back = n->op == OP_conv_adj;
    c.sample = kb_samples(k, n->batched);
    const Lx *group = NULL, *i, *j; /* on a GPU neighbouring threads do neighbouring channels */
    if (!x->e->s->t.gpu) group = kb_each(k, g->groups);
    i = kb_each(k, back ? g->in[0] : g->out[0]), j = kb_each(k, back ? g->in[1] : g->out[1]);
    if (!group) group = kb_each(k, g->groups);
    over_channels(&c, (back ? g->in_ch : g->out_ch) / g->groups, back ? backward : forward,
                  (const Lx *const[]){group, i, j});
    kb_launch_each(k);
}
