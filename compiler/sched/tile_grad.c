/* Gradients of weights as register tiles: vectors of channels of one side x channels of the other, summed
   over positions. A grid point owns a slice of the weights over all samples, or, where the weights are few,
   all of them over an eighth of the samples: then a second kernel adds the eighths. So the order of every sum
   is fixed for any number of threads. An image, or a few small ones, stays near while all taps of the slice are
   done; their sums wait in the scratch. */
#include "sched/internal.h"
#include <string.h>

enum { POINTS_WANTED = 12, PADDED_MOST = 4 * 1024 * 1024, SLOTS = 8, SLOT_MOST = 64 * 1024 };
enum { POSITIONS_WANTED = 128, NEAR_MOST = 512 * 1024 }; /* of a tile's visit; bytes of its images */

typedef struct Side { /* what a tile reads at a position */
    View v;
    int ptr;
    int64_t row, pix, ch; /* strides along output rows, output columns, channels */
    bool taps;            /* it is x: shifted by the tap */
} Side;

typedef struct Grad {
    Ent *e;
    Kb *k;
    Arena *a;
    int64_t L, OH, OW;
    const Taps *taps;
    Side vec, one;      /* read as vectors; as single numbers */
    int64_t nvec, none; /* channels of each; none: floats of a row of taps in run mode */
    bool run;           /* the taps of a row and x's channels are one run of a padded copy */
    int kv, p;
    int acc, vreg, oreg, scratch, padded;
    int64_t wide, high;
    int tabs[2];
    int64_t columns, xcol;
    int64_t slots;                /* shares of the samples */
    const Lx *slot, *first, *end; /* of this grid point: its samples */
    int64_t visit;         /* samples that a tile goes through while its sums stay in registers */
    const Lx *from, *till; /* those of this visit; NULL: there are none */
    int64_t strip;         /* output rows that a tile goes through at a time */
    const Lx *top;         /* the first of them; NULL: all rows */
    int64_t out_stride[2]; /* of lanes of y, of x in the result */
} Grad;

static int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }
static double most(double x, double y) { return x > y ? x : y; }

/* kv vectors x p numbers; see tile.c for the model. */
static double choose(const Grad *g, bool of_x, int64_t vectors, int64_t numbers, int64_t pixels, int *kv,
                     int *p) {
    double best = 0;
    int regs = g->e->s->t.registers;
    int64_t apart = g->out_stride[of_x];
    double way_out = !g->columns || apart == 1 ? 0 : apart < 256 ? 18 : 60;
    for (int v = 1; v <= 4 && v <= vectors; v++)
        for (int n = 1; n <= numbers && v * n + v + 1 <= regs; n++) {
            double step = most(most(v * n / 2.0, (v + n) / 2.0), 4) + 0.7;
            double cost = (double)(ceil_div(vectors, v) * ceil_div(numbers, n)) *
                          ((double)pixels * step + v * n * (2 + way_out) + 30);
            if (best == 0 || cost < best * 0.995) best = cost, *kv = v, *p = n;
        }
    return best;
}

/* For each tap: its shift, and the outputs first .. end-1 that it meets inside of the map. */
static int range_table(Grad *g, int d, int64_t in, int64_t out) {
    const Taps *t = &g->taps[d];
    int32_t *tab = ARENA_ARRAY(g->a, int32_t, 3 * t->n);
    for (int i = 0; i < t->n; i++) {
        int64_t lo = 0, hi = out;
        while (!g->run && lo < hi && lo * t->stride + t->off[i] < 0) lo++;
        while (!g->run && hi > lo && (hi - 1) * t->stride + t->off[i] >= in) hi--;
        tab[3 * i] = g->run ? t->off[i] - t->off[0] : t->off[i];
        tab[3 * i + 1] = (int32_t)lo, tab[3 * i + 2] = (int32_t)hi;
    }
    return kb_table(g->k, tab, 3 * t->n);
}

static const Lx *place(Grad *g, const Side *s, const Lx *sample, const Lx *shift) {
    Arena *a = g->a;
    const Lx *at = INT(0);
    if (sample && s->taps && g->run)
        at = MUL(SUB(sample, g->from), INT(g->wide * g->high * s->v.shape.dim[0]));
    else if (sample && s->v.batched)
        at = MUL(sample, INT(s->v.sample));
    return s->taps ? ADD(at, shift) : at;
}

/* One tile: sums over the positions of the visit's samples, added to what waits at `wait` of the scratch. */
static void emit_tile(Grad *g, const Lx *vfirst, const Lx *ofirst, const Lx *ti, const Lx *tj, const Lx *wait) {
    Kb *k = g->k;
    Arena *a = g->a;
    int L = (int)g->L;
    const Side *xs = g->vec.taps ? &g->vec : &g->one;
    const Taps *ty = &g->taps[0];
    const Lx *i = kb_unroll(k, g->kv * g->p);
    kb_set(k, g->acc, i, lx_load(a, g->scratch, ADD(wait, MUL(i, INT(L))), L, NULL));
    kb_end(k);
    bool several = g->from && g->visit > 1;
    const Lx *sample = several ? kb_for(k, g->from, g->till, 1) : g->from;
    const Lx *row3 = MUL(ti, INT(3)), *col3 = MUL(tj, INT(3));
    const Lx *shift = MUL(lx_itab(a, g->tabs[0], row3), INT(xs->row / ty->stride));
    if (!g->run) shift = ADD(shift, MUL(lx_itab(a, g->tabs[1], col3), INT(g->xcol)));
    int32_t vb = kb_var(k), ob = kb_var(k), x0 = kb_var(k), x1 = kb_var(k);
    Ls *s = code_add(a, &k->code, LS_SETVAR);
    s->var = x0, s->cond = g->run || g->columns ? INT(0) : lx_itab(a, g->tabs[1], ADD(col3, INT(1)));
    s = code_add(a, &k->code, LS_SETVAR);
    s->var = x1, s->cond = g->columns ? MUL(kb_batch(k), INT(g->columns))
                           : g->run   ? INT(g->OW)
                                      : lx_itab(a, g->tabs[1], ADD(col3, INT(2)));
    const Lx *lo = lx_itab(a, g->tabs[0], ADD(row3, INT(1))), *hi = lx_itab(a, g->tabs[0], ADD(row3, INT(2)));
    if (g->top) lo = IMAX(lo, g->top), hi = IMIN(hi, ADD(g->top, INT(g->strip)));
    const Lx *oy = kb_for(k, lo, hi, 1);
    s = code_add(a, &k->code, LS_SETVAR);
    s->var = vb,
    s->cond = ADD(ADD(place(g, &g->vec, sample, shift), MUL(oy, INT(g->vec.row))), MUL(vfirst, INT(g->L)));
    s = code_add(a, &k->code, LS_SETVAR);
    s->var = ob, s->cond = ADD(ADD(place(g, &g->one, sample, shift), MUL(oy, INT(g->one.row))),
                               MUL(ofirst, INT(g->one.ch)));
    const Lx *ox = kb_for(k, IVAR(x0), IVAR(x1), 1);
    const Lx *v = kb_unroll(k, g->kv);
    const Lx *count = g->nvec % L ? SUB(INT(g->nvec), MUL(ADD(vfirst, v), INT(L))) : NULL;
    kb_set(k, g->vreg, v,
           lx_load(a, g->vec.ptr, ADD(ADD(IVAR(vb), MUL(ox, INT(g->vec.pix))), MUL(v, INT(L))), L, count));
    kb_end(k);
    const Lx *p = kb_unroll(k, g->p);
    const Lx *at = ADD(ADD(IVAR(ob), MUL(ox, INT(g->one.pix))), MUL(p, INT(g->one.ch)));
    kb_set(k, g->oreg, NULL, lx_splat(a, lx_load(a, g->one.ptr, at, 1, NULL), L));
    v = kb_unroll(k, g->kv);
    const Lx *r = ADD(MUL(p, INT(g->kv)), v), *acc = lx_reg(a, g->acc, r, L);
    kb_set(k, g->acc, r, lx_f3(a, LX_FMA, lx_reg(a, g->vreg, v, L), lx_reg(a, g->oreg, NULL, L), acc));
    for (int n = 0; n < 4 + several; n++) kb_end(k);
    i = kb_unroll(k, g->kv * g->p);
    kb_store(k, g->scratch, ADD(wait, MUL(i, INT(L))), lx_reg(a, g->acc, i, L), NULL);
    kb_end(k);
}

typedef struct Share { /* what a grid point owns */
    const Lx *vb, *vfirst, *p0, *p1, *i0, *i1;
    int64_t cols, per_point, tile;
} Share;

static const Lx *waits_at(Grad *g, const Share *s, const Lx *i, const Lx *j, const Lx *pb) {
    Arena *a = g->a;
    return MUL(ADD(MUL(ADD(MUL(SUB(i, s->i0), INT(s->cols)), j), INT(s->per_point)), SUB(pb, s->p0)),
               INT(s->tile));
}

/* The sums to where the gradient lies; the taps of an entry are neighbours there, so they are the innermost
 * loop. */
static void write_out(Grad *g, const TileGrad *t, int po, const Share *s) {
    Kb *k = g->k;
    Arena *a = g->a;
    int vaxis = g->vec.taps ? 1 : 0;
    int64_t C = t->out.shape.dim[1];
    const Lx *pb = kb_for(k, s->p0, s->p1, 1), *ofirst = IMIN(MUL(pb, INT(g->p)), INT(g->none - g->p));
    const Lx *p = kb_for(k, INT(0), INT(g->p), 1), *v = kb_for(k, INT(0), INT(g->kv), 1);
    /* the last tiles overlap their neighbours, which write what both have */
    kb_if(k, IAND(ILT(SUB(MUL(s->vb, INT(g->kv)), INT(1)), ADD(s->vfirst, v)),
                  ILT(SUB(MUL(pb, INT(g->p)), INT(1)), ADD(ofirst, p))));
    const Lx *i = kb_for(k, s->i0, s->i1, 1), *j = kb_for(k, INT(0), INT(s->cols), 1);
    const Lx *wait = waits_at(g, s, i, j, pb);
    const Lx *value =
        lx_load(a, g->scratch, ADD(wait, MUL(ADD(MUL(p, INT(g->kv)), v), INT(g->L))), (int)g->L, NULL);
    const Lx *lane = MUL(ADD(s->vfirst, v), INT(g->L)), *n = ADD(ofirst, p), *at[4];
    at[vaxis] = lane, at[1 - vaxis] = g->run ? MOD(n, INT(C)) : n, at[2] = i,
    at[3] = g->run ? DIV(n, INT(C)) : j;
    const Lx *count = SUB(INT(g->nvec), lane);
    Finish f = {.k = k,
                .acc = t->acc,
                .value = value,
                .axes = 4,
                .lanes = vaxis,
                .at = at,
                .width = (int)g->L,
                .count = count};
    if (t->epilogue) value = finish(&f, t->epilogue);
    const Lx *to =
        ADD(MUL(g->slot, INT(g->slots > 1 ? shape_size(t->out.shape) : 0)), kb_at(k, &t->out, NULL, at));
    kb_store_strided(k, po, to, t->out.stride[vaxis], value, count);
    for (int m = 0; m < 6; m++) kb_end(k);
}

static bool set_sides(Grad *g, const View *x, const View *y) {
    const Taps *ty = &g->taps[0], *tx = &g->taps[1];
    int64_t C = x->shape.dim[0], K = y->shape.dim[0], L = g->L, pixels = g->OH * g->OW * g->visit;
    if (g->columns) pixels = g->e->group ? g->e->group * g->columns : 128;
    g->wide = (g->OW - 1) * tx->stride + tile_last_off(tx) - tx->off[0] + 1;
    g->high = (g->OH - 1) * ty->stride + tile_last_off(ty) - ty->off[0] + 1;
    Side xs = {.v = *x,
               .row = x->stride[1] * ty->stride,
               .pix = x->stride[2] * tx->stride,
               .ch = x->stride[0],
               .taps = true};
    Side ys = {.v = *y, .row = y->stride[1], .pix = y->stride[2], .ch = y->stride[0]};
    if (g->columns == 1) xs.pix = x->sample, ys.pix = y->sample;
    g->xcol = x->stride[2];
    int kv[3], p[3];
    double cost[3] = {0};
    if (y->stride[0] == 1) {
        cost[0] = (double)tx->n * choose(g, false, ceil_div(K, L), C, pixels, &kv[0], &p[0]);
        if (!g->columns && tile_unit_steps(tx) && tx->n > 1 && g->wide * g->high * C * 4 <= PADDED_MOST)
            cost[1] = choose(g, false, ceil_div(K, L), C * tx->n, pixels, &kv[1], &p[1]) +
                      (double)(g->wide * g->high * C) / 4;
    }
    if (x->stride[0] == 1)
        cost[2] = (double)tx->n * choose(g, true, ceil_div(C, L), K, pixels, &kv[2], &p[2]);
    int best = -1;
    for (int i = 0; i < 3; i++)
        if (cost[i] > 0 && (best < 0 || cost[i] < cost[best])) best = i;
    if (best < 0) return false;
    g->kv = kv[best], g->p = p[best], g->run = best == 1;
    if (g->run) xs.row = g->wide * C * ty->stride, xs.pix = C * tx->stride, xs.ch = 1;
    g->vec = best == 2 ? xs : ys;
    g->one = best == 2 ? ys : xs;
    g->nvec = best == 2 ? C : K;
    g->none = best == 2 ? K : g->run ? C * tx->n : C;
    return true;
}

static bool grad_by_slices(Ent *e, const TileGrad *t, int64_t slots) {
    Arena *a = e->a;
    const View *x = &t->x, *y = &t->y, *out = &t->out;
    const Taps *taps = t->taps;
    int64_t columns = t->columns;
    if (t->epilogue && finish_ops(t->epilogue) > TILE_OPS_MOST) return false;
    Grad *g = ARENA_NEW(a, Grad);
    *g = (Grad){.e = e,
                .a = a,
                .L = e->s->t.lanes,
                .taps = taps,
                .OH = y->shape.dim[1],
                .OW = y->shape.dim[2],
                .columns = columns,
                .slots = slots};
    g->out_stride[0] = out->stride[0], g->out_stride[1] = out->stride[1];
    bool batched = !columns && (x->batched || y->batched);
    int64_t near = (shape_size(x->shape) + shape_size(y->shape)) * 4;
    g->visit = 1;
    while (batched && g->visit * g->OH * g->OW < POSITIONS_WANTED && (g->visit + 1) * near <= NEAR_MOST) g->visit++;
    g->strip = columns || g->visit > 1 || g->OH * g->OW <= POSITIONS_WANTED ? g->OH : ceil_div(POSITIONS_WANTED, g->OW);
    if (!set_sides(g, x, y)) return false;
    int64_t nvb = ceil_div(ceil_div(g->nvec, g->L), g->kv), npb = ceil_div(g->none, g->p),
            tile = (int64_t)g->kv * g->p * g->L;
    int64_t groups = ceil_div(POINTS_WANTED, nvb), rows = taps[0].n, cols = g->run ? 1 : taps[1].n,
            row_groups = 1;
    if (slots > 1) groups = 1;
    if (groups > npb) groups = npb;
    if (slots == 1 && nvb * groups < POINTS_WANTED / 2) row_groups = rows;

    Kb *k = g->k = kb_new(e, "conv_grad", 0);
    k->detail = arena_printf(a, "conv_grad: %d x %d channels, %dx%d taps on %dx%d, tile %d%s x %d%s", (int)y->shape.dim[0], (int)x->shape.dim[0],
                             taps[0].n, taps[1].n, (int)g->OH, (int)g->OW, g->kv, g->vec.taps ? " of x" : "", g->p, g->run ? ", runs of taps" : "");
    int px = kb_ptr(k, x, false), py = kb_ptr(k, y, false),
        po = kb_ptr(k,
                    &(View){.buf = out->buf,
                            .offset = out->offset,
                            .plus = out->plus,
                            .shape = shape_of(1, slots > 1 ? slots * shape_size(out->shape) : view_span(out)),
                            .stride = {1}},
                    true);
    if (t->epilogue) finish_pointers(k, t->epilogue);
    g->tabs[0] = range_table(g, 0, x->shape.dim[1], g->OH);
    g->tabs[1] = range_table(g, 1, x->shape.dim[2], g->OW);
    int64_t per_point = ceil_div(npb, groups), row_share = ceil_div(rows, row_groups);
    g->scratch = kb_scratch(k, row_share * cols * per_point * tile);
    int64_t plane = g->wide * g->high * x->shape.dim[0];
    if (g->run) g->padded = kb_scratch(k, g->visit * plane);
    g->vec.ptr = g->vec.taps ? px : py;
    g->one.ptr = g->vec.taps ? py : g->run ? g->padded : px;
    g->acc = kb_reg(k, (int)g->L, g->kv * g->p), g->vreg = kb_reg(k, (int)g->L, g->kv),
    g->oreg = kb_reg(k, (int)g->L, 1);

    const Lx *point = DIV(kb_grid(k), INT(slots)), *rg = MOD(point, INT(row_groups)),
             *rest = DIV(point, INT(row_groups));
    const Lx *gr = MOD(rest, INT(groups)), *vb = DIV(rest, INT(groups));
    const Lx *i0 = DIV(MUL(rg, INT(rows)), INT(row_groups)),
             *i1 = DIV(MUL(ADD(rg, INT(1)), INT(rows)), INT(row_groups));
    const Lx *p0 = DIV(MUL(gr, INT(npb)), INT(groups)),
             *p1 = DIV(MUL(ADD(gr, INT(1)), INT(npb)), INT(groups));
    const Lx *vfirst = IMIN(MUL(vb, INT(g->kv)), INT(ceil_div(g->nvec, g->L) - g->kv));
    g->slot = MOD(kb_grid(k), INT(slots));
    g->first = DIV(MUL(g->slot, kb_batch(k)), INT(slots)),
    g->end = DIV(MUL(ADD(g->slot, INT(1)), kb_batch(k)), INT(slots));
    const Lx *z = kb_for(k, INT(0), INT(row_share * cols * per_point * tile), g->L);
    kb_store(k, g->scratch, z, lx_float(a, 0, (int)g->L), NULL);
    kb_end(k);
    Share s = {vb, vfirst, p0, p1, i0, i1, cols, per_point, tile};
    if (batched) {
        g->from = kb_for(k, g->first, g->end, g->visit);
        g->till = IMIN(ADD(g->from, INT(g->visit)), g->end);
    }
    if (g->run) {
        const Lx *sample = g->from ? kb_for(k, g->from, g->till, 1) : NULL;
        PadCopy c = {.x = *x,
                     .from = px,
                     .to = g->padded,
                     .at = sample ? MUL(SUB(sample, g->from), INT(plane)) : INT(0),
                     .sample = sample,
                     .first_row = INT(taps[0].off[0]),
                     .rows = INT(g->high),
                     .left = taps[1].off[0],
                     .wide = g->wide};
        tile_copy_padded(k, &c);
        if (sample) kb_end(k);
    }
    if (g->strip < g->OH) g->top = kb_for(k, INT(0), INT(g->OH), g->strip);
    const Lx *pb = kb_for(k, p0, p1, 1), *i = kb_for(k, i0, i1, 1), *j = kb_for(k, INT(0), INT(cols), 1);
    emit_tile(g, vfirst, IMIN(MUL(pb, INT(g->p)), INT(g->none - g->p)), i, j,
              waits_at(g, &s, i, j, pb));
    for (int n = 0; n < 3 + batched + (g->top != NULL); n++) kb_end(k);
    write_out(g, t, po, &s);
    kb_launch(k, INT(nvb * groups * row_groups * slots));
    return true;
}

/* The shares of the samples, added pairwise, and what becomes of the sum. */
static void add_slots(Ent *e, const TileGrad *t, const View *part) {
    Ex *sum[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        View v = *part;
        v.offset += i * shape_size(part->shape);
        sum[i] = ex_leaf(e, &v, NULL);
    }
    for (int n = SLOTS / 2; n; n /= 2)
        for (int i = 0; i < n; i++) sum[i] = ex_op(e, OP_add, sum[i], sum[i + n], NULL);
    Dom d = dom_of(t->out.shape, false);
    if (t->epilogue) {
        Ex *store = t->acc->store;
        *t->acc = *sum[0];
        t->acc->store = store;
    }
    lower_map(e, &d, FOLD_NONE, t->epilogue ? t->epilogue : sum[0], &t->out, t->out.stride, "conv_grad");
}

bool tile_grad(Ent *e, const TileGrad *t) {
    if (e->s->t.gpu) {
        if (t->epilogue && finish_ops(t->epilogue) > TILE_OPS_MOST) return false;
        gpu_grad(e, t);
        return true;
    }
    bool batched = !t->columns && (t->x.batched || t->y.batched);
    if (e->group || !batched || shape_size(t->out.shape) > SLOT_MOST) return grad_by_slices(e, t, 1);
    if (t->epilogue && finish_ops(t->epilogue) > TILE_OPS_MOST) return false;
    TileGrad one = *t;
    one.epilogue = one.acc = NULL;
    one.out = view_row_major(buf_new(e, false, SLOTS * shape_size(t->out.shape), NULL, (Span){0}),
                             t->out.shape, false);
    int64_t *st = one.out.stride, *dim = one.out.shape.dim; /* lanes of either side lie together */
    bool of_x = t->y.stride[0] != 1;
    st[of_x] = 1, st[!of_x] = dim[of_x], st[3] = dim[0] * dim[1], st[2] = st[3] * dim[3];
    if (!grad_by_slices(e, &one, SLOTS)) return false;
    add_slots(e, t, &one.out);
    return true;
}
