/* Convolutions in many groups (depthwise ones): lanes run along the groups, each of which has few channels. */
#include "sched/internal.h"

enum { COLUMNS_MOST = 8, TAPS_MOST = 16 /* in a row, of a gradient */ };

typedef struct Deep {
    Kb *k;
    Arena *a;
    const ConvGeom *g;
    bool back; /* the adjoint */
    int64_t G, cg, kg; /* groups; channels of a group, of conv's input and output */
    View s, r, w;      /* what is read beside the weights, the result, the weights as [kh, kw, cg, kg, G] */
    int ps, pr, pw, acc, wreg, sums; /* sums: scratch, where the ending is long; or -1 */
    int width;
    int64_t columns; /* made together */
    Ending end;
    const Lx *sample, *first, *count, *o; /* first: the group of lane 0; o: which of the result's channels of a group */
} Deep;

/* Columns of the result whose taps are all inside of the map. */
static void inside_columns(const Deep *d, int64_t *lo, int64_t *hi) {
    const ConvGeom *g = d->g;
    int64_t reach = (int64_t)(g->kernel[1] - 1) * g->dilation[1], pad = g->pad_lo[1], cols = d->back ? g->in[1] : g->out[1];
    *lo = *hi = 0;
    if (!d->back) {
        int64_t last = g->in[1] - 1 + pad - reach;
        *lo = ceil_div(pad, g->stride[1]), *hi = last < 0 ? 0 : last / g->stride[1] + 1;
    } else if (g->stride[1] == 1)
        *lo = reach > pad ? reach - pad : 0, *hi = g->out[1] - pad;
    if (*hi > cols) *hi = cols;
    if (*hi <= *lo) *lo = *hi = 0;
}

static const Lx *vector(const Deep *d, int ptr, const Lx *at, int64_t stride) {
    return lx_gather(d->a, ptr, at, lx_int(d->a, stride), d->width, d->count);
}

/* Lanes of v, whose groups have n channels each: channel c of each at row y, column x. */
static const Lx *lanes_at(Deep *d, int ptr, const View *v, int64_t n, const Lx *c, const Lx *y, const Lx *x) {
    Arena *a = d->a;
    const Lx *channel = ADD(MUL(d->first, INT(n)), c);
    return vector(d, ptr, kb_at(d->k, v, d->sample, (const Lx *const[]){channel, y, x}), n * v->stride[0]);
}

static void put(Deep *d, const Lx *i, const Lx *j, const Lx *value) {
    Arena *a = d->a;
    int64_t n = d->back ? d->cg : d->kg;
    const Lx *at[3] = {ADD(MUL(d->first, INT(n)), d->o), i, j};
    Finish f = {.k = d->k, .sample = d->sample, .acc = d->end.acc, .value = value, .axes = 3, .at = at, .width = d->width, .count = d->count};
    if (d->end.tree) value = finish(&f, d->end.tree);
    kb_store_strided(d->k, d->pr, kb_at(d->k, &d->r, d->sample, at), n * d->r.stride[0], value, d->count);
}

/* n results of row i, from column j on; inside: no tap of theirs is beyond a side. */
static void emit_results(Deep *d, const Lx *i, const Lx *j, int64_t n, bool inside) {
    Kb *k = d->k;
    Arena *a = d->a;
    const ConvGeom *g = d->g;
    int64_t few = d->back ? d->kg : d->cg;
    const Lx *p = kb_unroll(k, n), *in_rows, *in_columns;
    kb_set(k, d->acc, p, lx_float(a, 0, d->width));
    kb_end(k);
    const Lx *ty = kb_for(k, INT(0), INT(g->kernel[0]), 1), *y = conv_meet(a, g, 0, i, ty, d->back, &in_rows);
    kb_if(k, in_rows);
    const Lx *tx = kb_for(k, INT(0), INT(g->kernel[1]), 1), *x = conv_meet(a, g, 1, j, tx, d->back, &in_columns);
    if (!inside) kb_if(k, in_columns);
    const Lx *f = kb_for(k, INT(0), INT(few), 1), *in[5] = {ty, tx, d->back ? d->o : f, d->back ? f : d->o, d->first};
    kb_set(k, d->wreg, NULL, vector(d, d->pw, kb_at(k, &d->w, NULL, in), 1));
    p = kb_unroll(k, n);
    const Lx *v = lanes_at(d, d->ps, &d->s, few, f, y, inside ? conv_meet(a, g, 1, ADD(j, p), tx, d->back, &in_columns) : x);
    kb_set(k, d->acc, p, lx_f3(a, LX_FMA, lx_reg(a, d->wreg, NULL, d->width), v, lx_reg(a, d->acc, p, d->width)));
    for (int q = inside ? 1 : 0; q < 6; q++) kb_end(k);
    bool waits = d->sums >= 0 && n > 1;
    p = kb_unroll(k, n);
    if (waits) {
        kb_store(k, d->sums, MUL(p, INT(d->width)), lx_reg(a, d->acc, p, d->width), NULL);
        kb_end(k);
        p = kb_for(k, INT(0), INT(n), 1);
    }
    put(d, i, ADD(j, p), waits ? lx_load(a, d->sums, MUL(p, INT(d->width)), d->width, NULL) : lx_reg(a, d->acc, p, d->width));
    kb_end(k);
}

static void emit_row(Deep *d, const Lx *i) {
    Kb *k = d->k;
    Arena *a = d->a;
    int64_t lo, hi, cols = d->back ? d->g->in[1] : d->g->out[1];
    inside_columns(d, &lo, &hi);
    const int64_t side[2][2] = {{0, lo}, {hi, cols}};
    for (int n = 0; n < 2; n++) {
        if (side[n][0] == side[n][1]) continue;
        emit_results(d, i, kb_for(k, INT(side[n][0]), INT(side[n][1]), 1), 1, false);
        kb_end(k);
    }
    if (lo == hi) return;
    const Lx *b = kb_for(k, INT(0), INT(ceil_div(hi - lo, d->columns)), 1); /* the last overlaps the one before it */
    emit_results(d, i, ADD(INT(lo), IMIN(MUL(b, INT(d->columns)), INT(hi - lo - d->columns))), d->columns, true);
    kb_end(k);
}

static const Lx *lanes_left(const Deep *d) { /* NULL: all lanes are groups */
    Arena *a = d->a;
    return d->G % d->width ? IMIN(INT(d->width), SUB(INT(d->G), d->first)) : NULL;
}

/* [kh, kw, cg, kg, G]: the same for the convolution and its adjoint. */
static View pack_groups(Ent *e, const ConvGeom *g, const View *w) {
    Taps taps[2];
    for (int d = 0; d < 2; d++) {
        taps[d] = (Taps){.n = g->kernel[d], .at = ARENA_ARRAY(e->a, int32_t, g->kernel[d])};
        for (int i = 0; i < g->kernel[d]; i++) taps[d].at[i] = i;
    }
    enum { GROUPED = -1 };
    const View *had = pack_find(e, w, taps, GROUPED, 0);
    if (had) return *had;
    View apart, to = view_new_row_major(e, shape_of(5, (int64_t)g->kernel[0], (int64_t)g->kernel[1], g->in_ch / g->groups, g->out_ch / g->groups, g->groups), false, NULL, (Span){0});
    int level = pack_hoist(e, w);
    MUST(view_reshape(w, shape_of(5, g->groups, g->out_ch / g->groups, g->in_ch / g->groups, (int64_t)g->kernel[0], (int64_t)g->kernel[1]), &apart));
    apart = view_permute(&apart, (const int32_t[]){3, 4, 2, 1, 0});
    lower_copy(e, &apart, &to);
    return pack_keep(e, w, taps, GROUPED, 0, level, to);
}

/* With channels side by side, so that lanes are. */
static View together(Ent *e, View v, Span span) {
    if (v.stride[0] == 1) return v;
    View to = view_channels_last(buf_new(e, v.batched, shape_size(v.shape), NULL, span), v.shape, v.batched);
    lower_copy(e, &v, &to);
    return to;
}

static void open_kernel(Deep *d, const Gx *x, const Node *n) {
    d->a = x->a, d->g = n->a.conv, d->back = n->op == OP_conv_adj, d->width = x->e->s->t.lanes, d->sums = -1;
    d->G = d->g->groups, d->cg = d->g->in_ch / d->G, d->kg = d->g->out_ch / d->G;
}

static void lower_sums(Gx *x, const Node *n, Ending end) {
    Ent *e = x->e;
    Arena *a = x->a;
    Deep *d = ARENA_NEW(a, Deep);
    open_kernel(d, x, n);
    View weights = gx_view(x, n->in[1]);
    d->end = end, d->s = together(e, gx_view(x, n->in[0]), n->span), d->w = pack_groups(e, d->g, &weights), d->r = gx_result(x, end.into);
    int64_t lo, hi, rows = d->back ? d->g->in[0] : d->g->out[0];
    inside_columns(d, &lo, &hi);
    d->columns = hi - lo < COLUMNS_MOST ? hi - lo : COLUMNS_MOST;
    Kb *k = d->k = kb_new(e, op_info[n->op].id, 1);
    k->detail = arena_printf(a, "%s: %d groups, %d to %d channels each, %dx%d taps on %dx%d", op_info[n->op].id, (int)d->G, (int)(d->back ? d->kg : d->cg), (int)(d->back ? d->cg : d->kg),
                             d->g->kernel[0], d->g->kernel[1], (int)rows, (int)d->r.shape.dim[2]);
    d->ps = kb_ptr(k, &d->s, false), d->pw = kb_ptr(k, &d->w, false), d->pr = kb_ptr(k, &d->r, true);
    if (end.tree) finish_pointers(k, end.tree);
    if (end.tree && d->columns > 1 && finish_parts(end.tree) >= ENDING_LOOP) d->sums = kb_scratch(k, d->columns * d->width);
    d->acc = kb_reg(k, d->width, d->columns > 1 ? (int)d->columns : 1), d->wreg = kb_reg(k, d->width, 1);

    const Lx *blocks = IVAR(0), *block = n->batched ? MOD(kb_grid(k), blocks) : kb_grid(k); /* of rows */
    d->sample = n->batched ? DIV(kb_grid(k), blocks) : NULL;
    d->first = kb_for(k, INT(0), INT(d->G), d->width), d->count = lanes_left(d);
    d->o = kb_for(k, INT(0), INT(d->back ? d->cg : d->kg), 1);
    emit_row(d, kb_for(k, DIV(MUL(block, INT(rows)), blocks), DIV(MUL(ADD(block, INT(1)), INT(rows)), blocks), 1));
    for (int i = 0; i < 3; i++) kb_end(k);
    k->ints[0] = rows < 8 ? INT(1) : n->batched ? IVAR(e->blocks_var) : INT(8);
    kb_launch(k, n->batched ? MUL(IVAR(LP_VAR_BATCH), k->ints[0]) : k->ints[0]);
}

/* ---- gradients of weights ---- */
typedef struct Shares { /* of a row of taps, the sums: [column of those taken together][tap] */
    Deep d;
    View x, y;
    int px, py, acc, yreg;
    const Lx *c, *b, *ix, *iy; /* channel of a group of x, of y; row of x, of y */
} Shares;

/* Column j of y, and n - 1 more, with all taps of the row. */
static void emit_share(Shares *s, const Lx *j, int64_t n, bool inside) {
    Deep *d = &s->d;
    Kb *k = d->k;
    Arena *a = d->a;
    const Lx *p = kb_unroll(k, n), *col = ADD(j, p), *cond;
    kb_set(k, s->yreg, NULL, lanes_at(d, s->py, &s->y, d->kg, s->b, s->iy, col));
    const Lx *t = kb_unroll(k, d->g->kernel[1]), *x = conv_meet(a, d->g, 1, col, t, false, &cond), *at = ADD(MUL(p, INT(d->g->kernel[1])), t);
    if (!inside) kb_if(k, cond);
    kb_set(k, s->acc, at,
           lx_f3(a, LX_FMA, lanes_at(d, s->px, &s->x, d->cg, s->c, s->ix, x), lx_reg(a, s->yreg, NULL, d->width), lx_reg(a, s->acc, at, d->width)));
    for (int i = inside ? 1 : 0; i < 3; i++) kb_end(k);
}

static void emit_columns(Shares *s, int64_t from, int64_t to, int64_t step, bool inside) {
    Arena *a = s->d.a;
    if (from == to) return;
    emit_share(s, kb_for(s->d.k, INT(from), INT(to), step), step, inside);
    kb_end(s->d.k);
}

/* A grid point has a row of taps of a vector of groups: the order of its sums does not depend on threads. */
static void lower_gradient(Gx *x, const Node *n, Ending end) {
    Ent *e = x->e;
    Arena *a = x->a;
    Shares *s = ARENA_NEW(a, Shares);
    Deep *d = &s->d;
    open_kernel(d, x, n);
    const ConvGeom *g = d->g;
    int64_t kw = g->kernel[1], step = kw > COLUMNS_MOST ? 1 : 2, lo, hi;
    s->x = together(e, gx_view(x, n->in[0]), n->span), s->y = together(e, gx_view(x, n->in[1]), n->span), d->r = gx_result(x, end.into);
    Kb *k = d->k = kb_new(e, op_info[n->op].id, 0);
    k->detail = arena_printf(a, "%s: %d groups, %d x %d channels each, %dx%d taps on %dx%d", op_info[n->op].id, (int)d->G, (int)d->kg, (int)d->cg, g->kernel[0], g->kernel[1], (int)g->out[0],
                             (int)g->out[1]);
    s->px = kb_ptr(k, &s->x, false), s->py = kb_ptr(k, &s->y, false), d->pr = kb_ptr(k, &d->r, true);
    s->acc = kb_reg(k, d->width, (int)(step * kw)), s->yreg = kb_reg(k, d->width, 1);

    int64_t each = d->kg * d->cg * g->kernel[0];
    const Lx *slice = kb_let(k, MOD(kb_grid(k), INT(each))), *ty = kb_let(k, MOD(slice, INT(g->kernel[0]))), *cond;
    d->first = kb_let(k, MUL(DIV(kb_grid(k), INT(each)), INT(d->width))), d->count = lanes_left(d);
    s->c = kb_let(k, MOD(DIV(slice, INT(g->kernel[0])), INT(d->cg))), s->b = kb_let(k, DIV(slice, INT(g->kernel[0] * d->cg)));
    const Lx *t = kb_unroll(k, step * kw);
    kb_set(k, s->acc, t, lx_float(a, 0, d->width));
    kb_end(k);
    bool over = s->x.batched || s->y.batched;
    d->sample = over ? kb_for(k, INT(0), kb_batch(k), 1) : NULL;
    s->iy = kb_for(k, INT(0), INT(g->out[0]), 1), s->ix = conv_meet(a, g, 0, s->iy, ty, false, &cond);
    kb_if(k, cond);
    inside_columns(d, &lo, &hi);
    int64_t even = lo + (hi - lo) / step * step;
    emit_columns(s, 0, lo, 1, false);
    emit_columns(s, lo, even, step, true);
    emit_columns(s, even, hi, 1, true);
    emit_columns(s, hi, g->out[1], 1, false);
    for (int i = 0; i < (over ? 3 : 2); i++) kb_end(k);
    t = kb_unroll(k, kw);
    const Lx *v = lx_reg(a, s->acc, t, d->width);
    if (step == 2) v = lx_f2(a, LX_ADD, v, lx_reg(a, s->acc, ADD(t, INT(kw)), d->width));
    const Lx *at = kb_at(k, &d->r, NULL, (const Lx *const[]){ADD(MUL(d->first, INT(d->kg)), s->b), s->c, ty, t});
    kb_store_strided(k, d->pr, at, d->kg * d->r.stride[0], v, d->count);
    kb_end(k);
    kb_launch(k, INT(ceil_div(d->G, d->width) * each));
}

bool lower_groups(Gx *x, NodeId id, Ending end) {
    const Node *n = graph_at(x->g, id);
    const ConvGeom *g = n->a.conv;
    if (x->e->s->t.gpu || g->groups < x->e->s->t.lanes / 2) return false;
    if (n->op == OP_conv_grad) {
        if (n->batched || end.tree || g->kernel[1] > TAPS_MOST) return false;
        lower_gradient(x, n, end);
        return true;
    }
    int64_t each = (n->op == OP_conv ? g->out_ch : g->in_ch) / g->groups; /* of the result: an ending has its lanes side by side */
    if (graph_batched(x->g, n->in[1]) || (end.tree && each > 1)) return false;
    lower_sums(x, n, end);
    return true;
}
