/* Gradients of weights as register tiles: vectors of channels of one side x channels of the other, summed
   over positions. A grid point owns a slice of the weights over all samples, or, where the weights are few,
   all of them over an eighth of the samples: then a second kernel adds the eighths. So the order of every sum
   is fixed for any number of threads. An image, or a few small ones, stays near while all taps of the slice are
   done; their sums wait in the scratch. With many channels a visit copies what it reads of both sides, so that
   the positions of a tap are one loop through near memory. */
#include "sched/wino.h"
#include <string.h>

enum { POINTS_WANTED = 12, PADDED_MOST = 4 * 1024 * 1024, SLOTS = 8, SLOT_MOST = 64 * 1024 };
enum { POSITIONS_WANTED = 128, NEAR_MOST = 512 * 1024 }; /* of a tile's visit; bytes of its images */
enum { PACK_TAPS = 4, PACK_CHANNELS = 256, RUN_MOST = 16 };
enum { TURN_MOST = 16 * 1024, SUMS_MOST = 8 * 1024 }; /* floats of a tile; of a grid point's sums where no other thread runs */

typedef struct Side { /* what a tile reads at a position */
    View v;
    int ptr;
    int64_t row, pix, ch; /* strides along output rows, output columns, channels */
    bool taps;            /* it is x: shifted by the tap */
    int64_t pitch, tile;  /* packed: floats of a position, of all positions of a tile */
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
    bool packed;        /* the tile's channels of both sides are copied to where positions follow one another: [row][column][sample of
                           the visit], x's columns by their rest to the stride, so that a row of outputs and all samples are one loop */
    int64_t half;       /* packed: x's columns of each rest */
    const Lx *several;  /* packed: samples of this visit */
    int kv, p;
    int acc, vreg, oreg, scratch, padded, turned;
    bool once; /* one visit sees all samples of a group: the sums of a tile are written as soon as they are there */
    int64_t wide, high;
    int tabs[2];
    int64_t columns, xcol;
    int64_t rows, cols; /* of taps; of runs */
    int64_t slots;                /* shares of the samples */
    const Lx *slot, *first, *end; /* of this grid point: its samples */
    int64_t visit;         /* samples that a tile goes through while its sums stay in registers */
    const Lx *from, *till; /* those of this visit; NULL: there are none */
    int64_t strip;         /* output rows that a tile goes through at a time */
    const Lx *top;         /* the first of them; NULL: all rows */
    int64_t out_stride[2]; /* of lanes of y, of x in the result */
} Grad;

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
        int64_t lo = 0, hi = out, last = in - 1 - t->off[i];
        if (!g->run && t->off[i] < 0) lo = ceil_div(-(int64_t)t->off[i], t->stride);
        if (lo > out) lo = out;
        if (!g->run && (last < 0 || last / t->stride + 1 < hi)) hi = last < 0 ? lo : last / t->stride + 1;
        if (hi < lo) hi = lo;
        int rest = ((t->off[i] % t->stride) + t->stride) % t->stride;
        tab[3 * i] = !g->packed ? t->off[i] - (g->run ? t->off[0] : 0)
                     : d ? (int32_t)(rest * g->half + (t->off[i] - rest) / t->stride)
                         : t->off[i] - t->off[0];
        tab[3 * i + 1] = (int32_t)lo, tab[3 * i + 2] = (int32_t)hi;
    }
    return kb_table(g->k, tab, 3 * t->n);
}

/* Where a row of a side begins: the first of the positions that the innermost loop goes through, if they began at output column 0. */
static const Lx *row_of(Grad *g, const Side *s, const Lx *sample, const Lx *oy, const Lx *tap_row, const Lx *tap_col) {
    Arena *a = g->a;
    const Taps *ty = &g->taps[0];
    if (g->packed) {
        const Lx *row = g->top ? SUB(oy, g->top) : oy;
        if (s->taps) row = ADD(MUL(row, INT(ty->stride)), tap_row);
        const Lx *at = MUL(row, INT(s->taps ? g->half * g->taps[1].stride : g->OW));
        return MUL(MUL(s->taps ? ADD(at, tap_col) : at, g->several), INT(s->pitch));
    }
    const Lx *at = MUL(oy, INT(s->row));
    if (sample && s->taps && g->run)
        at = ADD(at, MUL(SUB(sample, g->from), INT(g->wide * g->high * s->v.shape.dim[0])));
    else if (sample && s->v.batched)
        at = ADD(at, MUL(sample, INT(s->v.sample)));
    if (s->taps) at = ADD(at, MUL(tap_row, INT(s->row / ty->stride)));
    return s->taps && !g->run ? ADD(at, MUL(tap_col, INT(g->xcol))) : at;
}

typedef struct Share { /* what a grid point owns: tiles of vectors, tiles of numbers, rows of taps */
    const Lx *v0, *v1, *p0, *p1, *i0, *i1;
} Share;

/* Where the sums of a tile and tap wait: the taps of a tile together. */
static const Lx *waits_at(Grad *g, const Share *w, const Lx *vb, const Lx *pb, const Lx *i, const Lx *j) {
    Arena *a = g->a;
    const Lx *tile = g->once ? INT(0) : ADD(MUL(SUB(vb, w->v0), SUB(w->p1, w->p0)), SUB(pb, w->p0));
    return MUL(ADD(MUL(ADD(MUL(tile, SUB(w->i1, w->i0)), SUB(i, w->i0)), INT(g->cols)), j), INT(g->kv * g->p * g->L));
}

/* The first channel of a tile; the last tile overlaps the one before it. Vectors reach beyond the channels. */
static const Lx *tile_first(Grad *g, const Lx *tile, int64_t width, int64_t channels) {
    Arena *a = g->a;
    return IMIN(MUL(tile, INT(width)), INT(channels - width));
}
static const Lx *first_of_vec(Grad *g, const Lx *vb) { return tile_first(g, vb, g->kv * g->L, ceil_div(g->nvec, g->L) * g->L); }
static const Lx *first_of_one(Grad *g, const Lx *pb) { return tile_first(g, pb, g->p, g->none); }

/* One tile: sums over the positions of the visit's samples, added to what waits at `wait` of the scratch. */
static void emit_tile(Grad *g, const Share *w, const Lx *vb, const Lx *pb, const Lx *ti, const Lx *tj) {
    Kb *k = g->k;
    Arena *a = g->a;
    int L = (int)g->L;
    const Lx *wait = waits_at(g, w, vb, pb, ti, tj), *i = kb_unroll(k, g->kv * g->p);
    kb_set(k, g->acc, i, g->once ? lx_float(a, 0, L) : lx_load(a, g->scratch, ADD(wait, MUL(i, INT(L))), L, NULL));
    kb_end(k);
    bool loop = g->from && g->visit > 1 && !g->packed;
    const Lx *sample = loop ? kb_for(k, g->from, g->till, 1) : g->from;
    const Lx *row3 = MUL(ti, INT(3)), *col3 = MUL(tj, INT(3));
    const Lx *tap_row = lx_itab(a, g->tabs[0], row3), *tap_col = lx_itab(a, g->tabs[1], col3);
    const Lx *x0 = lx_itab(a, g->tabs[1], ADD(col3, INT(1))), *x1 = lx_itab(a, g->tabs[1], ADD(col3, INT(2)));
    if (g->columns || g->run) x0 = INT(0), x1 = g->run ? INT(g->OW) : MUL(kb_batch(k), INT(g->columns));
    if (g->packed) x0 = MUL(x0, g->several), x1 = MUL(x1, g->several);
    x0 = kb_let(k, x0), x1 = kb_let(k, x1);
    const Lx *lo = lx_itab(a, g->tabs[0], ADD(row3, INT(1))), *hi = lx_itab(a, g->tabs[0], ADD(row3, INT(2)));
    if (g->top) lo = IMAX(lo, g->top), hi = IMIN(hi, ADD(g->top, INT(g->strip)));
    const Lx *oy = kb_for(k, lo, hi, 1);
    const Side *vs = &g->vec, *os = &g->one;
    const Lx *vat = row_of(g, vs, sample, oy, tap_row, tap_col), *oat = row_of(g, os, sample, oy, tap_row, tap_col);
    const Lx *vch = first_of_vec(g, vb);
    if (g->packed)
        oat = ADD(oat, MUL(SUB(pb, w->p0), INT(os->tile)));
    else
        vat = ADD(vat, vch), oat = ADD(oat, MUL(first_of_one(g, pb), INT(os->ch)));
    vat = kb_let(k, vat), oat = kb_let(k, oat);
    const Lx *ox = kb_for(k, x0, x1, 1);
    const Lx *v = kb_unroll(k, g->kv);
    const Lx *count = g->nvec % L && !g->packed ? SUB(INT(g->nvec), ADD(vch, MUL(v, INT(L)))) : NULL;
    kb_set(k, g->vreg, v, lx_load(a, vs->ptr, ADD(ADD(vat, MUL(ox, INT(vs->pix))), MUL(v, INT(L))), L, count));
    kb_end(k);
    const Lx *p = kb_unroll(k, g->p);
    const Lx *at = ADD(ADD(oat, MUL(ox, INT(os->pix))), MUL(p, INT(os->ch)));
    kb_set(k, g->oreg, NULL, lx_splat(a, lx_load(a, os->ptr, at, 1, NULL), L));
    v = kb_unroll(k, g->kv);
    const Lx *r = ADD(MUL(p, INT(g->kv)), v), *acc = lx_reg(a, g->acc, r, L);
    kb_set(k, g->acc, r, lx_f3(a, LX_FMA, lx_reg(a, g->vreg, v, L), lx_reg(a, g->oreg, NULL, L), acc));
    for (int n = 0; n < 4 + loop; n++) kb_end(k);
    i = kb_unroll(k, g->kv * g->p);
    kb_store(k, g->scratch, ADD(wait, MUL(i, INT(L))), lx_reg(a, g->acc, i, L), NULL);
    kb_end(k);
}

/* What the tiles `first` .. `end` - 1 of a side read in this visit, to the scratch: tile after tile. */
static void pack_side(Grad *g, const Side *s, int from, const Lx *first, const Lx *end) {
    Kb *k = g->k;
    Arena *a = g->a;
    const View *v = &s->v;
    bool vec = s == &g->vec;
    int64_t L = g->L, step = s->taps ? g->taps[1].stride : 1, width = vec ? g->kv * L : g->p;
    const Lx *top = g->top ? g->top : INT(0), *base = top, *rows = INT(g->strip), *y0 = top;
    if (s->taps) {
        const Taps *t = &g->taps[0];
        base = ADD(MUL(top, INT(t->stride)), INT(t->off[0]));
        rows = INT((g->strip - 1) * t->stride + tile_last_off(t) - t->off[0] + 1);
        y0 = IMAX(base, INT(0));
    }
    const Lx *sample = g->from ? kb_for(k, g->from, g->till, 1) : NULL;
    const Lx *at = sample && v->batched ? MUL(sample, INT(v->sample)) : INT(0);
    const Lx *y = kb_for(k, y0, IMIN(ADD(base, rows), INT(v->shape.dim[1])), 1);
    at = kb_let(k, ADD(at, MUL(y, INT(v->stride[1]))));
    const Lx *row = MUL(MUL(SUB(y, base), INT(s->taps ? g->half * step : g->OW)), g->several);
    row = kb_let(k, sample ? ADD(row, SUB(sample, g->from)) : row);
    for (int64_t rest = 0; rest < step && rest < v->shape.dim[2]; rest++) {
        const Lx *x = kb_for(k, INT(0), INT(ceil_div(v->shape.dim[2] - rest, step)), 1);
        const Lx *to = kb_let(k, MUL(ADD(row, MUL(ADD(x, INT(rest * g->half)), g->several)), INT(s->pitch)));
        const Lx *src = kb_let(k, ADD(at, MUL(ADD(MUL(x, INT(step)), INT(rest)), INT(v->stride[2]))));
        const Lx *tile = kb_for(k, first, end, 1);
        const Lx *ch = vec ? first_of_vec(g, tile) : first_of_one(g, tile), *dst = ADD(to, MUL(SUB(tile, first), INT(s->tile)));
        for (int64_t i = 0; i < width; i += L) {
            const Lx *count = i + L > width ? INT(width - i) : NULL;
            if (vec && g->nvec % L) count = SUB(INT(g->nvec), ADD(ch, INT(i)));
            kb_store(k, s->ptr, ADD(dst, INT(i)), lx_load(a, from, ADD(src, ADD(ch, INT(i))), (int)L, count), NULL);
        }
        kb_end(k);
        kb_end(k);
    }
    kb_end(k);
    if (sample) kb_end(k);
}

/* The sums to where the gradient lies; the taps of an entry are neighbours there, so they are the innermost
 * loop. */
static void write_out(Grad *g, const TileGrad *t, int po, const Share *s, const Lx *vb, const Lx *pb) {
    Kb *k = g->k;
    Arena *a = g->a;
    int vaxis = g->vec.taps ? 1 : 0;
    int64_t C = t->out.shape.dim[1];
    const Lx *vfirst = first_of_vec(g, vb), *ofirst = first_of_one(g, pb);
    const Lx *p = kb_for(k, INT(0), INT(g->p), 1), *v = kb_for(k, INT(0), INT(g->kv), 1), *lane = ADD(vfirst, MUL(v, INT(g->L)));
    /* the last tiles overlap their neighbours, which write what both have */
    kb_if(k, IAND(ILT(SUB(MUL(vb, INT(g->kv * g->L)), INT(1)), lane), ILT(SUB(MUL(pb, INT(g->p)), INT(1)), ADD(ofirst, p))));
    const Lx *i = kb_for(k, s->i0, s->i1, 1), *j = kb_for(k, INT(0), INT(g->cols), 1);
    const Lx *wait = waits_at(g, s, vb, pb, i, j);
    const Lx *value =
        lx_load(a, g->scratch, ADD(wait, MUL(ADD(MUL(p, INT(g->kv)), v), INT(g->L))), (int)g->L, NULL);
    const Lx *n = ADD(ofirst, p), *at[4];
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
    for (int m = 0; m < 5; m++) kb_end(k);
}

static bool leaf_flat(const View *v, void *shape, View *out) { return view_reshape(v, *(const Shape *)shape, out); }

bool grad_flat(Ent *e, const TileGrad *t, TileGrad *flat) {
    int64_t K = t->out.shape.dim[0];
    Shape s = shape_of(4, K, shape_size(t->out.shape) / K, (int64_t)1, (int64_t)1);
    *flat = *t;
    if (!view_reshape(&t->out, s, &flat->out) || flat->out.stride[1] != 1) return false;
    if (t->epilogue) flat->epilogue = ex_change(e, t->epilogue, &flat->acc, leaf_flat, &s);
    return !t->epilogue || flat->epilogue;
}

/* Are sums turned, and not a tile too large for that? */
static bool turns(const Grad *g, const TileGrad *t) {
    return !g->run && g->slots == 1 && t->out.stride[g->vec.taps] != 1 && g->kv * g->p * g->L * g->rows * g->cols <= TURN_MOST;
}

/* The sums to where the gradient lies, channels and taps of x being neighbours there: each tile is turned in the
 * scratch first, so that only near memory is written in strides. */
static void write_turned(Grad *g, const TileGrad *t, int po, const Share *s, const Lx *vb, const Lx *pb) {
    Kb *k = g->k;
    Arena *a = g->a;
    int64_t L = g->L, taps = g->rows * g->cols, lanes = g->kv * L;
    bool of_x = g->vec.taps;
    int64_t row = of_x ? lanes * taps : g->p * taps; /* of what was turned: rows of y's channels */
    const Lx *tap = kb_for(k, INT(0), INT(taps), 1), *p = kb_for(k, INT(0), INT(g->p), 1), *v = kb_for(k, INT(0), INT(g->kv), 1);
    const Lx *wait = ADD(waits_at(g, s, vb, pb, s->i0, INT(0)), MUL(ADD(MUL(ADD(MUL(tap, INT(g->p)), p), INT(g->kv)), v), INT(L)));
    const Lx *first = ADD(MUL(p, INT(of_x ? row : taps)), ADD(MUL(v, INT(L * (of_x ? taps : row))), tap));
    kb_store_strided(k, g->turned, first, of_x ? taps : row, lx_load(a, g->scratch, wait, (int)L, NULL), NULL);
    for (int m = 0; m < 3; m++) kb_end(k);
    /* the last tiles overlap their neighbours, which write what both have */
    const Lx *vfirst = first_of_vec(g, vb), *ofirst = first_of_one(g, pb);
    const Lx *v0 = SUB(MUL(vb, INT(lanes)), vfirst), *v1 = IMIN(SUB(INT(g->nvec), vfirst), INT(lanes));
    const Lx *p0 = SUB(MUL(pb, INT(g->p)), ofirst), *p1 = INT(g->p);
    const Lx *end = kb_let(k, MUL(of_x ? v1 : p1, INT(taps)));
    const Lx *r = kb_for(k, of_x ? p0 : v0, of_x ? p1 : v1, 1), *c = kb_for(k, MUL(of_x ? v0 : p0, INT(taps)), end, L);
    const Lx *count = SUB(end, c), *zero = INT(0);
    const Lx *at[4] = {ADD(of_x ? ofirst : vfirst, r), ADD(MUL(of_x ? vfirst : ofirst, INT(taps)), c), zero, zero};
    const Lx *value = lx_load(a, g->turned, ADD(MUL(r, INT(row)), c), (int)L, count);
    Finish f = {.k = k, .acc = t->acc, .value = value, .axes = 4, .lanes = 1, .at = at, .width = (int)L, .count = count};
    if (t->epilogue) value = finish(&f, t->epilogue);
    kb_store(k, po, kb_at(k, &t->out, NULL, at), value, count);
    for (int m = 0; m < 2; m++) kb_end(k);
}

/* Positions far apart lie in few sets of the first cache. The copies are used for all taps. */
static bool pays_packing(int64_t C, int64_t K, const Taps *taps) {
    return (C >= PACK_CHANNELS || K >= PACK_CHANNELS) && taps[0].n * taps[1].n >= PACK_TAPS;
}

static bool set_sides(Grad *g, const View *x, const View *y) {
    const Taps *ty = &g->taps[0], *tx = &g->taps[1];
    const Taps *taps = g->taps;
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
        if (!g->columns && C < RUN_MOST && tile_unit_steps(tx) && tx->n > 1 && g->wide * g->high * C * 4 <= PADDED_MOST)
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
    g->packed = !g->run && !g->columns && g->vec.ch == 1 && g->one.ch == 1 && pays_packing(C, K, taps);
    if (g->packed) {
        g->half = ceil_div(x->shape.dim[2], tx->stride);
        g->vec.pix = g->vec.pitch = g->kv * L;
        g->one.pix = g->one.pitch = ceil_div(g->p, L) * L;
    }
    return true;
}

typedef struct Cut { /* into how many shares of each kind the tiles go */
    int64_t v, p, rows;
} Cut;

/* Where nobody else would run them, few grid points: each reads both maps again. Their sums stay in the first cache. */
static const Lx *by_threads(Ent *e, int64_t alone, int64_t many) {
    Arena *a = e->a;
    return alone == many ? INT(many) : lx_iselect(a, e->alone, INT(alone), INT(many));
}

static bool grad_by_slices(Ent *e, const TileGrad *t, int64_t slots) {
    Arena *a = e->a;
    const View *x = &t->x, *y = &t->y, *out = &t->out;
    const Taps *taps = t->taps;
    int64_t columns = t->columns == 1 && pays_packing(x->shape.dim[0], y->shape.dim[0], taps) ? 0 : t->columns;
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
    if (batched && e->group && e->group < g->visit) g->visit = e->group;
    g->strip = columns || g->visit > 1 || g->OH * g->OW <= POSITIONS_WANTED ? g->OH : ceil_div(POSITIONS_WANTED, g->OW);
    if (!set_sides(g, x, y)) return false;
    g->once = batched && e->group && g->visit == e->group && g->strip == g->OH && slots == 1;
    int64_t nvb = ceil_div(ceil_div(g->nvec, g->L), g->kv), npb = ceil_div(g->none, g->p), tile = (int64_t)g->kv * g->p * g->L;
    g->rows = taps[0].n, g->cols = g->run ? 1 : taps[1].n;
    Cut cut = {nvb, ceil_div(POINTS_WANTED, nvb), 1}, few = {1, 1, 1};
    if (slots > 1) cut.p = 1;
    if (cut.p > npb) cut.p = npb;
    if (slots == 1 && !e->alone && nvb * cut.p < POINTS_WANTED / 2) cut.rows = g->rows;
    int64_t shares = g->once ? 1 : ceil_div(nvb * npb * g->rows * g->cols * tile, SUMS_MOST);
    few.v = shares < nvb ? shares : nvb, few.p = ceil_div(shares, few.v);
    if (few.p > cut.p) few.p = cut.p;
    if (!e->alone || slots > 1) few = cut;

    Kb *k = g->k = kb_new(e, "conv_grad", 3);
    k->ints[0] = by_threads(e, few.v, cut.v), k->ints[1] = by_threads(e, few.p, cut.p), k->ints[2] = by_threads(e, few.rows, cut.rows);
    k->detail = arena_printf(a, "conv_grad: %d x %d channels, %dx%d taps on %dx%d, tile %d%s x %d%s", (int)y->shape.dim[0],
                             (int)x->shape.dim[0], taps[0].n, taps[1].n, (int)g->OH, (int)g->OW, g->kv, g->vec.taps ? " of x" : "", g->p,
                             g->run      ? ", runs of taps"
                             : g->packed ? ", packed"
                                         : "");
    int px = kb_ptr(k, x, false), py = kb_ptr(k, y, false),
        po = kb_ptr(k,
                    &(View){.buf = out->buf,
                            .offset = out->offset,
                            .plus = out->plus,
                            .shape = shape_of(1, slots > 1 ? slots * shape_size(out->shape) : view_span(out)),
                            .stride = {1}},
                    true);
    TileGrad flat;
    bool turn = few.rows == 1 && turns(g, t) && grad_flat(e, t, &flat);
    if (turn) t = &flat;
    if (t->epilogue) finish_pointers(k, t->epilogue);
    g->tabs[0] = range_table(g, 0, x->shape.dim[1], g->OH);
    g->tabs[1] = range_table(g, 1, x->shape.dim[2], g->OW);
    int64_t vs = ceil_div(nvb, few.v), ps = ceil_div(npb, few.p);
    int64_t sums = (g->once ? 1 : vs * ps) * ceil_div(g->rows, few.rows) * g->cols * tile;
    g->scratch = kb_scratch(k, sums);
    int64_t plane = g->wide * g->high * x->shape.dim[0];
    if (g->run) g->padded = kb_scratch(k, g->visit * plane);
    g->vec.ptr = g->vec.taps ? px : py;
    g->one.ptr = g->vec.taps ? py : g->run ? g->padded : px;
    int vfrom = g->vec.ptr, ofrom = g->one.ptr;
    if (g->packed) {
        int64_t high = (g->strip - 1) * taps[0].stride + tile_last_off(&taps[0]) - taps[0].off[0] + 1;
        int64_t ny = g->visit * g->strip * g->OW, nx = g->visit * high * g->half * taps[1].stride;
        g->vec.tile = (g->vec.taps ? nx : ny) * g->vec.pitch, g->one.tile = (g->vec.taps ? ny : nx) * g->one.pitch;
        g->vec.ptr = kb_scratch(k, g->vec.tile), g->one.ptr = kb_scratch(k, ps * g->one.tile);
    }
    g->turned = turn ? kb_scratch(k, g->rows * g->cols * tile) : -1;
    g->acc = kb_reg(k, (int)g->L, g->kv * g->p), g->vreg = kb_reg(k, (int)g->L, g->kv),
    g->oreg = kb_reg(k, (int)g->L, 1);

    const Lx *point = DIV(kb_grid(k), INT(slots)), *cuts[3] = {IVAR(0), IVAR(1), IVAR(2)}, *part[3][2];
    int64_t of[3] = {nvb, npb, g->rows};
    for (int i = 2; i >= 0; i--) {
        const Lx *own = MOD(point, cuts[i]);
        for (int end = 0; end < 2; end++) part[i][end] = kb_let(k, DIV(MUL(ADD(own, INT(end)), INT(of[i])), cuts[i]));
        point = DIV(point, cuts[i]);
    }
    Share s = {part[0][0], part[0][1], part[1][0], part[1][1], part[2][0], part[2][1]};
    g->slot = MOD(kb_grid(k), INT(slots));
    g->first = DIV(MUL(g->slot, kb_batch(k)), INT(slots)),
    g->end = DIV(MUL(ADD(g->slot, INT(1)), kb_batch(k)), INT(slots));
    if (!g->once) {
        const Lx *z = kb_for(k, INT(0), INT(sums), g->L);
        kb_store(k, g->scratch, z, lx_float(a, 0, (int)g->L), NULL);
        kb_end(k);
    }
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
    g->several = g->from && g->visit > 1 ? kb_let(k, SUB(g->till, g->from)) : INT(1);
    if (g->packed) pack_side(g, &g->one, ofrom, s.p0, s.p1);
    const Lx *vb = kb_for(k, s.v0, s.v1, 1);
    if (g->packed) pack_side(g, &g->vec, vfrom, vb, ADD(vb, INT(1)));
    const Lx *pb = kb_for(k, s.p0, s.p1, 1), *i = kb_for(k, s.i0, s.i1, 1), *j = kb_for(k, INT(0), INT(g->cols), 1);
    emit_tile(g, &s, vb, pb, i, j);
    kb_end(k);
    kb_end(k);
    if (!g->once) { /* what waits is complete after the last visit */
        for (int n = 0; n < 2 + batched + (g->top != NULL); n++) kb_end(k);
        vb = kb_for(k, s.v0, s.v1, 1), pb = kb_for(k, s.p0, s.p1, 1);
    }
    if (turn)
        write_turned(g, t, po, &s, vb, pb);
    else
        write_out(g, t, po, &s, vb, pb);
    for (int n = 0; n < 2 + (g->once ? batched + (g->top != NULL) : 0); n++) kb_end(k);
    kb_launch(k, MUL(MUL(MUL(k->ints[0], k->ints[1]), k->ints[2]), INT(slots)));
    return true;
}

/* The shares of the samples, added pairwise, and what becomes of the sum. */
static void add_slots(Ent *e, const TileGrad *t, const View *part) {
    Ex *sum = ex_sum(e, NULL, *part, shape_size(part->shape), SLOTS);
    Dom d = dom_of(t->out.shape, false);
    if (t->epilogue) {
        Ex *store = t->acc->store;
        *t->acc = *sum;
        t->acc->store = store;
    }
    lower_map(e, &d, FOLD_NONE, t->epilogue ? t->epilogue : sum, &t->out, t->out.stride, "conv_grad");
}

bool tile_grad(Ent *e, const TileGrad *t) {
    if (e->s->t.gpu) {
        if (t->epilogue && finish_ops(t->epilogue) > TILE_OPS_MOST) return false;
        gpu_grad(e, t);
        return true;
    }
    if (wino_grad(e, t)) return true;
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
