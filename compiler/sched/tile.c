/* The register tile: vectors of output channels x pixels, accumulators in registers, driven by a table of
 * taps. */
#include "sched/amx.h"
#include "sched/wino.h"

enum { TAIL_MOST = 8 }; /* channels */
enum { NARROW_MOST = 16 }; /* vectors of one column */
enum { SHARED_MOST = 4 }; /* rows of a tile that share what they load: each has two more inner loops */
enum { SCRATCH_MOST = 512 * 1024, FIRST_LEVEL = 32 * 1024, FAR = 128 * 1024 }; /* bytes */
enum { LINE = 16 }; /* floats */
enum { PAGE = 1024, SAME_SET = 8 }; /* floats; rows of a matrix and columns that lie a multiple of a page apart, in the places of the first cache that one address has (12) */

/* ---- which tile ---- */
static double most(double x, double y) { return x > y ? x : y; }

/* Rows of the result that meet row u of the input under one of n rows of taps, as [*lo, *hi). */
static void meeting_rows(int u, int n, int rows, int *lo, int *hi) {
    *lo = u >= n ? u - n + 1 : 0;
    *hi = u < rows ? u + 1 : rows;
}

static double step_cycles(int kv, int r, int q, bool shared) {
    return most(most(kv * r * q / 2.0, (shared ? kv * r + q : kv + r * q) / 2.0), 4) + 0.7;
}

/* Cycles by a simple model: two FMAs and two loads a cycle, a latency of four; the last tile of a row
 * overlaps its neighbour, which costs some 4 % beyond that. With one vector each FMA loads its number, and the load ports are full, unless rows
 * share what they load; weights that do not fit the first cache are fetched again for each tile; several rows lie apart, and skip fewer
 * rows of taps at the edges. (Measured: 2 x 1 x 8 1.14 to 1.2 times as fast as 1 x 1 x 16, 1.02 to 1.1 times as 2 x 2 x 4. Of dots 3 x 1 x 8 is 1.0 to
 * 1.1 times as fast as 1 x 3 x 8 with shared rows, that and 1 x 2 x 13 1.2 times as fast as 1 x 1 x 26.) */
static void consider(Shape2 *best, const SchedTarget *t, const TileWork *w, bool dots, int kv, int r, int q, int64_t blocks) {
    int p = r * q, n = w->row_taps;
    bool shared = dots && r > 1 && n > 1;
    if (kv * p + (shared ? kv * r + 3 : kv + 1) > t->registers || q > w->cols || r > w->rows || kv > blocks) return;
    if (shared && r > SHARED_MOST) return;
    if (dots && w->dots_free && w->run % PAGE == 0 && kv + p > SAME_SET) return;
    double steps = (double)(w->entries * (dots ? ceil_div(w->run, t->lanes) : w->run)), cycles = 0;
    double fetch = steps * kv * t->lanes * 4 > FIRST_LEVEL ? 0.5 * kv : 0;
    if (shared)
        for (int u = 0; u < n + r - 1; u++) {
            int lo, hi;
            meeting_rows(u, n, r, &lo, &hi);
            cycles += steps / n * (step_cycles(kv, hi - lo, q, true) + fetch);
        }
    else
        cycles = steps * (step_cycles(kv, r, q, false) * (kv == 1 ? 1.15 : 1) + fetch);
    double end = 12 + kv * p * (dots ? 8 : 1.5);
    double cost = (double)(ceil_div(blocks, kv) * ceil_div(w->rows, r) * ceil_div(w->cols, q)) * (cycles + end);
    cost *= shared ? 1.1 : 1 + 0.015 * (r - 1);
    if (w->cols % q) cost *= 1.04;
    if (best->kv == 0 || cost < best->cost * 0.995) *best = (Shape2){kv, r, q, dots, cost};
}

Shape2 tile_choose(const SchedTarget *t, const TileWork *w) {
    Shape2 best[2] = {0};
    int64_t L = t->lanes, vectors = ceil_div(w->out_ch, L);
    double weights = (double)(w->entries * w->run * w->out_ch),
           packing = weights * 1.5 / 64; /* shared by some 64 samples */
    bool dots = !w->no_dots && w->run >= L / 2 && (w->out_ch <= 8 || (w->dots_free && w->run >= 8 * L));
    for (int r = 1; r <= 28; r++)
        for (int q = 1; q * r <= 28; q++)
            for (int kv = 1; kv <= 4; kv++) {
                consider(&best[0], t, w, false, kv, r, q, vectors);
                if (dots) consider(&best[1], t, w, true, kv, r, q, w->out_ch);
            }
    if (!w->vectors_free) best[0].cost += packing;
    if (!w->dots_free) best[1].cost += packing;
    bool in_place = w->one_copy && w->dots_free && weights * 4 * 2 > SECOND_LEVEL;
    return dots && (in_place || best[1].cost < best[0].cost) ? best[1] : best[0];
}

/* Weights beyond the second cache come at 8 bytes a cycle for each group. */
double tile_far_cost(const Ent *e, double bytes) { return bytes > SECOND_LEVEL ? bytes / 8 / (e->group ? (double)e->group : 32) : 0; }

/* The tile reaches some 0.9 of two multiply-adds a cycle. */
double tile_cost(const Ent *e, const TileConv *t) {
    int64_t L = e->s->t.lanes, C = t->x.shape.dim[0], K = t->out.shape.dim[0], taps = (int64_t)t->taps[0].n * t->taps[1].n;
    int64_t each = K <= L / 2 && C >= L / 2 ? ceil_div(C, L) * K : C * ceil_div(K, L); /* few channels: lanes run along the sum */
    return (double)(taps * each * t->out.shape.dim[1] * t->out.shape.dim[2]) / 2 / 0.9 + tile_far_cost(e, (double)(taps * 4 * C * K));
}

/* For few channels that are left beyond whole vectors: lanes along the sum, and rows as the other tile has them. */
static Shape2 choose_tail(const SchedTarget *t, const TileWork *w, int64_t tail, int rows) {
    Shape2 best = {0};
    TileWork rest = *w;
    rest.row_taps = 0;
    for (int q = 1; q * rows <= 28; q++)
        for (int kv = 1; kv <= 4; kv++) consider(&best, t, &rest, true, kv, rows, q, tail);
    return best;
}

/* ---- one kernel ---- */
typedef struct Tile {
    const TileConv *t;
    Ent *e;
    Kb *k;
    Arena *a;
    Shape2 s;
    int64_t L, K, C, H, W, OH, OW;
    int64_t first;     /* channel of the result of the K that this tile makes */
    struct Tile *tail; /* makes the channels beyond them; or NULL */
    bool direct; /* x is read where it lies; else from a padded copy of the block's rows */
    bool merged; /* the taps of a row are one run */
    bool shared; /* rows of the input pass one by one, and each feeds all rows of the result that it meets */
    int64_t ring; /* shared, from a copy: so many rows of it are there at a time */
    int64_t run; /* floats of one entry of the table */
    int packed_kv; /* vectors of a tile, when `one` has others */
    int narrow;   /* vectors that few columns are made with, one by one: as many of packed tiles side by side as that takes */
    bool one;     /* ... as now */
    int32_t entries, per_row;
    int64_t xrow, xpix, xch;   /* strides of what is read */
    int64_t xstep;             /* from one column of the result to the next */
    int64_t wtile, wvec, went, wstep; /* strides of the weights: tile (0: its first vector's place), vector
                                         (dots: output), entry, step of the sum */
    bool wtail;                       /* the last vector of weights is not whole */
    int64_t wide;              /* columns of the copy */
    int px, pw, po, tab, scratch;
    int sums;                  /* where the sums wait for an ending that is a loop; -1: it is unrolled */
    int acc, wreg, xreg;
    View weights;
    bool by_samples;             /* a grid point is one tile of channels for all samples, */
    int64_t own; int ptab, pown; /* and packs its weights itself, so many floats; 0: they are packed */
    const Lx *sample, *first_row; /* of the copy, in x's rows */
    const Lx *tap;                /* spread: the one that is being made */
    /* Shared, from a copy of the edges: tiles of columns before `left` and from `right` on read it, in two parts, the first so many columns wide; the
       others read x where it lies. right 0: all read the copy. */
    int64_t left, right, left_wide;
    int from;          /* x, where others are copies of it */
    const Lx *more;    /* shared: the rows of x that the next row of tiles will read, from this tile's share on */
    int64_t lines;     /* ... of which each row of the input asks for so many; 0: for none */
    const Lx *pass; int64_t passes; /* over the weights of a tile of channels: this one, how many there are; 0: nothing is fetched ahead */
} Tile;

bool tile_unit_steps(const Taps *t) {
    for (int i = 1; i < t->n; i++)
        if (t->off[i] != t->off[i - 1] + 1) return false;
    return true;
}

static int32_t spacing(const Taps *t) { /* of equally spaced taps; 0: they are not */
    int32_t d = t->n > 1 ? t->off[1] - t->off[0] : 1;
    for (int i = 2; i < t->n; i++)
        if (t->off[i] - t->off[i - 1] != d) return 0;
    return d;
}

int tile_last_off(const Taps *t) { return t->off[t->n - 1]; }

static bool inside(const Taps *t, int64_t in, int64_t out) {
    return t->off[0] >= 0 && (out - 1) * t->stride + tile_last_off(t) < in;
}

/* In one row of columns of all samples, does the next sample follow the last column? */
bool tile_columns_fit(const View *v, int64_t columns) {
    if (columns <= 1) return true;
    return v->batched ? v->sample == columns * v->stride[2] : v->stride[2] == 0;
}

static bool leaves_fit(const TileConv *t, const Ex *x) {
    if (x->store && !leaves_fit(t, x->store)) return false;
    if (x->op == OP_arg && t->columns > 1 &&
        (x->view.batched ? x->view.sample != t->columns * x->stride[2] : x->stride[2] != 0))
        return false;
    for (int i = 0; i < 3 && x->in[i]; i++)
        if (!leaves_fit(t, x->in[i])) return false;
    return true;
}

bool tile_conv_fits(const TileConv *t) {
    if (t->w.batched || (t->out.batched && !t->x.batched)) return false;
    return !t->epilogue || (finish_ops(t->epilogue) <= TILE_OPS_MOST && leaves_fit(t, t->epilogue));
}

/* Rows of the copy for `tiles` rows of tiles. */
static int64_t copy_rows(const Tile *q, int64_t tiles) {
    int64_t rows = tiles * q->s.rows;
    if (rows > q->OH) rows = q->OH;
    return (rows - 1) * q->t->taps[0].stride + tile_last_off(&q->t->taps[0]) - q->t->taps[0].off[0] + 1;
}

void tile_tap_range(Arena *a, const Taps *t, int64_t in, int64_t out, int32_t per_row, const Lx *y0, const Lx *y1, const Lx **lo, const Lx **hi) {
    int32_t d = spacing(t);
    *lo = INT(0), *hi = INT((int64_t)t->n * per_row);
    if (!d || inside(t, in, out)) return;
    const Lx *top = ADD(MUL(y0, INT(t->stride)), INT(t->off[0])); /* x's row under the first tap of the first row */
    const Lx *bottom = ADD(MUL(y1, INT(t->stride)), INT(t->off[0])); /* ... of the last row */
    const Lx *from = DIV(IMAX(INT(0), SUB(INT(d - 1), bottom)), INT(d));
    const Lx *to = DIV(IMAX(INT(0), SUB(INT(in - 1 + d), top)), INT(d));
    *lo = MUL(from, INT(per_row));
    *hi = MUL(IMIN(to, INT(t->n)), INT(per_row));
}

static int64_t vectors_of(const Tile *q) { return q->s.dots ? q->K : ceil_div(q->K, q->L); }
static int64_t channel_tiles(const Tile *q) { return ceil_div(vectors_of(q), q->s.kv); }

static const Lx *first_vector(Tile *q, const Lx *kt) { /* of a tile of channels (dots: output) */
    Arena *a = q->a;
    return IMIN(MUL(kt, INT(q->s.kv)), INT(vectors_of(q) - q->s.kv));
}

static void clear_sums(Tile *q) {
    Kb *k = q->k;
    Arena *a = q->a;
    const Lx *i = kb_unroll(k, q->s.kv * q->s.rows * q->s.cols);
    kb_set(k, q->acc, i, lx_float(a, 0, (int)q->L));
    kb_end(k);
}

/* An ending waits for what it reads of tensors that the second cache does not hold: the tile at (oy, ox) asks for what the next one in its row will read
   (at the end of a row that is where the next row begins). */
static void ask_for_ending(Tile *q, const Lx *kb, const Lx *oy, const Lx *ox) {
    Kb *k = q->k;
    Arena *a = q->a;
    int64_t samples = q->e->group ? q->e->group : 1;
    if (q->t->columns || q->s.dots || !q->t->epilogue || !finish_reads_far(k, q->t->epilogue, samples)) return;
    const Lx *r = kb_unroll(k, q->s.rows), *p = kb_unroll(k, q->s.cols), *v = kb_unroll(k, q->s.kv);
    const Lx *at[3] = {ADD(INT(q->first), MUL(ADD(kb, v), INT(q->L))), ADD(oy, r), ADD(ADD(ox, p), INT(q->s.cols))};
    Finish f = {.k = k, .sample = q->sample, .acc = q->t->acc, .axes = 3, .at = at};
    finish_ask(&f, q->t->epilogue, samples);
    for (int n = 0; n < 3; n++) kb_end(k);
}

/* The sums of the tile at (oy, ox), channels from vector kb on, to where they go. */
static void emit_ending(Tile *q, const Lx *kb, const Lx *oy, const Lx *ox) {
    Kb *k = q->k;
    Arena *a = q->a;
    const Taps *tx = &q->t->taps[1];
    int kv = q->s.kv, R = q->s.rows, Q = q->s.cols, L = (int)q->L;
    bool waits = q->sums >= 0;
    if (waits) {
        const Lx *n = kb_unroll(k, kv * R * Q);
        kb_store(k, q->sums, MUL(n, INT(L)), lx_reg(a, q->acc, n, L), NULL);
        kb_end(k);
    }
    const Lx *r = waits ? kb_for(k, INT(0), INT(R), 1) : kb_unroll(k, R), *p = waits ? kb_for(k, INT(0), INT(Q), 1) : kb_unroll(k, Q);
    const Lx *v = waits && q->one ? kb_for(k, INT(0), INT(kv), 1) : kb_unroll(k, kv), *which = ADD(MUL(ADD(MUL(r, INT(Q)), p), INT(kv)), v), *count = NULL;
    const Lx *acc = waits ? lx_load(a, q->sums, MUL(which, INT(L)), L, NULL) : lx_reg(a, q->acc, which, L);
    int width = q->s.dots ? 1 : L;
    const Lx *ch = ADD(kb, v);
    if (q->s.dots)
        acc = lx_f1(a, LX_HSUM, acc);
    else {
        ch = MUL(ch, INT(L));
        if (q->K % L) count = SUB(INT(q->K), ch);
    }
    ch = ADD(INT(q->first), ch);
    const Lx *at[3] = {ch, ADD(oy, r), ADD(ox, p)}, *sample = q->sample;
    if (q->t->columns == 1) {
        sample = at[2];
        at[1] = q->tap ? MUL(DIV(q->tap, INT(tx->n)), INT(q->t->spread[0])) : INT(0);
        at[2] = q->tap ? MUL(MOD(q->tap, INT(tx->n)), INT(q->t->spread[1])) : INT(0);
    }
    const View *out = &q->t->out;
    Finish f = {.k = k,
                .sample = sample,
                .acc = q->t->acc,
                .value = acc,
                .axes = 3,
                .lanes = 0,
                .at = at,
                .width = width,
                .count = count};
    const Lx *value = q->t->epilogue ? finish(&f, q->t->epilogue) : acc;
    const Lx *to = q->t->columns > 1 ? INT(0) : NULL;
    for (int d = 0; to && d < 3; d++) to = ADD(to, MUL(at[d], INT(out->stride[d])));
    kb_store_strided(k, q->po, to ? to : kb_at(k, out, sample, at), out->stride[0], value, count);
    for (int n = 0; n < 3; n++) kb_end(k);
}

/* acc[(row * cols + column) * kv + v]; oy, ox: of the tile; kt: the tile of channels. */
static void emit_tile(Tile *q, const Lx *kt, const Lx *oy, const Lx *ox) {
    Kb *k = q->k;
    Arena *a = q->a;
    const Lx *kb = first_vector(q, kt);
    int kv = q->s.kv, R = q->s.rows, Q = q->s.cols, L = (int)q->L;
    const Taps *ty = &q->t->taps[0], *tx = &q->t->taps[1];
    ask_for_ending(q, kb, oy, ox);
    clear_sums(q);
    const Lx *y0 = MUL(oy, INT(ty->stride)), *x0 = MUL(ox, INT(q->xstep));
    const Lx *start;
    if (q->direct) {
        start = ADD(MUL(ADD(y0, INT(ty->off[0])), INT(q->xrow)), ADD(x0, INT(tx->off[0] * q->xpix)));
        if (q->sample) start = ADD(start, MUL(q->sample, INT(q->t->x.sample)));
    } else
        start = ADD(MUL(SUB(ADD(y0, INT(ty->off[0])), q->first_row), INT(q->xrow)), x0);
    const Lx *lo = q->tap, *hi = lo ? ADD(lo, INT(1)) : NULL;
    if (!lo) tile_tap_range(a, ty, q->H, q->OH, q->per_row, oy, ADD(oy, INT(R - 1)), &lo, &hi);
    int32_t xb = kb_var(k), wb = kb_var(k);
    const Lx *e = kb_for(k, lo, hi, 1);
    Ls *s = code_add(a, &k->code, LS_SETVAR);
    s->var = xb, s->cond = ADD(start, lx_itab(a, q->tab, e));
    s = code_add(a, &k->code, LS_SETVAR);
    int own = q->one ? q->packed_kv : kv; /* vectors of a packed tile */
    s->var = wb,
    s->cond = ADD(q->own ? INT(0) : q->wtile ? MUL(kt, INT(kv / own * q->wtile)) : MUL(kb, INT(q->wvec)), MUL(e, INT(q->went)));
    int64_t step = q->s.dots ? L : 1, main = q->run / step * step;
    int64_t ahead = q->passes ? ceil_div(q->wstep, q->passes) : 0; /* floats of each step */
    int32_t next = q->passes ? kb_var(k) : 0;
    if (q->passes)
        kb_setvar(k, next, ADD(MUL(ADD(kt, INT(1)), INT(q->wtile)), DIV(ADD(MUL(q->pass, INT(q->wtile)), MUL(e, INT(q->went))), INT(q->passes))));
    for (int part = 0; part < 2; part++) {
        const Lx *count = part ? INT(q->run - main) : NULL, *c = INT(main);
        if (part ? main == q->run : main == 0) continue;
        if (!part) c = kb_for(k, INT(0), INT(main), step);
        for (int64_t n = 0; n < ahead; n += LINE) kb_prefetch(k, q->pw, ADD(ADD(IVAR(next), MUL(c, INT(ahead))), INT(n)), false);
        const Lx *v = kb_unroll(k, kv);
        const Lx *wat = ADD(ADD(IVAR(wb), ADD(MUL(DIV(v, INT(own)), INT(q->wtile ? q->wtile : own * q->wvec)), MUL(MOD(v, INT(own)), INT(q->wvec)))), MUL(c, INT(q->wstep)));
        const Lx *whole = q->wtail ? SUB(INT(q->K), MUL(ADD(kb, v), INT(L))) : count;
        kb_set(k, q->wreg, v, lx_load(a, q->pw, wat, L, whole));
        kb_end(k);
        const Lx *r = kb_unroll(k, R), *p = kb_unroll(k, Q);
        const Lx *xat = ADD(ADD(ADD(IVAR(xb), MUL(c, INT(q->xch))), MUL(r, INT(q->xrow * ty->stride))),
                            MUL(p, INT(q->xstep)));
        kb_set(k, q->xreg, NULL,
               q->s.dots ? lx_load(a, q->px, xat, L, count)
                         : lx_splat(a, lx_load(a, q->px, xat, 1, NULL), L));
        v = kb_unroll(k, kv);
        const Lx *at = ADD(MUL(ADD(MUL(r, INT(Q)), p), INT(kv)), v);
        kb_set(k, q->acc, at,
               lx_f3(a, LX_FMA, lx_reg(a, q->wreg, v, L), lx_reg(a, q->xreg, NULL, L),
                     lx_reg(a, q->acc, at, L)));
        for (int n = 0; n < 3 + !part; n++) kb_end(k);
    }
    kb_end(k);
    emit_ending(q, kb, oy, ox);
}

static int64_t first_column(const Tile *q, int64_t ct) {
    int64_t last = q->OW - q->s.cols;
    return ct * q->s.cols < last ? ct * q->s.cols : last;
}

/* Of wide maps only the edges are copied: zeros are nowhere else. */
static void copy_edges(Tile *q) {
    const Taps *tx = &q->t->taps[1];
    const View *x = &q->t->x;
    int64_t n = ceil_div(q->OW, q->s.cols), from = 0, to = n, span = tile_last_off(tx) - tx->off[0] + (q->s.cols - 1) * tx->stride + 1;
    if (x->stride[0] != 1 || x->stride[2] != q->C) return;
    while (from < n && first_column(q, from) * tx->stride + tx->off[0] < 0) from++;
    while (to > from && first_column(q, to - 1) * tx->stride + tx->off[0] + span > q->W) to--;
    if (from == 0 || to == n || to - from < n * 3 / 4) return;
    q->left = from, q->right = to;
    q->left_wide = first_column(q, from - 1) * tx->stride + span;
    q->wide = q->left_wide + (first_column(q, n - 1) - first_column(q, to)) * tx->stride + span;
    q->xrow = q->wide * q->C;
}

/* What is read at xb, under the entry at wb and those of the rows of taps after it, into rows lo .. hi-1 of the tile, the last of them first. */
static void emit_shared_run(Tile *q, const Lx *xb, const Lx *wb, int lo, int hi) {
    Kb *k = q->k;
    Arena *a = q->a;
    int kv = q->s.kv, Q = q->s.cols, L = (int)q->L;
    int64_t main = q->run / L * L, row = q->per_row * q->went; /* of weights */
    for (int part = 0; part < 2; part++) {
        const Lx *count = part ? INT(q->run - main) : NULL, *c = INT(main);
        if (part ? main == q->run : main == 0) continue;
        if (!part) c = kb_for(k, INT(0), INT(main), L);
        const Lx *r = kb_unroll(k, hi - lo), *v = kb_unroll(k, kv);
        const Lx *wat = ADD(ADD(ADD(wb, c), MUL(v, INT(q->wvec))), MUL(SUB(INT(hi - lo - 1), r), INT(row)));
        kb_set(k, q->wreg, ADD(MUL(r, INT(kv)), v), lx_load(a, q->pw, wat, L, count));
        kb_end(k);
        kb_end(k);
        const Lx *p = kb_unroll(k, Q);
        kb_set(k, q->xreg, NULL, lx_load(a, q->px, ADD(ADD(xb, MUL(c, INT(q->xch))), MUL(p, INT(q->xstep))), L, count));
        r = kb_unroll(k, hi - lo), v = kb_unroll(k, kv);
        const Lx *at = ADD(MUL(ADD(MUL(ADD(INT(lo), r), INT(Q)), p), INT(kv)), v);
        kb_set(k, q->acc, at,
               lx_f3(a, LX_FMA, lx_reg(a, q->wreg, ADD(MUL(r, INT(kv)), v), L), lx_reg(a, q->xreg, NULL, L), lx_reg(a, q->acc, at, L)));
        for (int n = 0; n < 3 + !part; n++) kb_end(k);
    }
}

/* The same sums in the same order, rows of the input outermost: what is loaded of a row feeds each row of the tile that it meets, under one row of
 * taps after the other. */
static void emit_shared(Tile *q, const Lx *kt, const Lx *oy, const Lx *ox) {
    Kb *k = q->k;
    Arena *a = q->a;
    const Taps *ty = &q->t->taps[0], *tx = &q->t->taps[1];
    int R = q->s.rows, rows = ty->n + R - 1;
    const Lx *kb = first_vector(q, kt), *top = kb_let(k, ADD(oy, INT(ty->off[0]))), *x0 = MUL(ox, INT(q->xstep));
    bool near = inside(ty, q->H, q->OH);
    if (q->right && !q->direct) {
        const Lx *first = INT(first_column(q, q->right)), *there = ADD(INT(q->left_wide * q->xpix), MUL(SUB(ox, first), INT(q->xstep)));
        x0 = kb_let(k, lx_iselect(a, ILT(ox, first), x0, there));
    }
    clear_sums(q);
    for (int u = 0, next; u < rows; u = next) { /* rows of the input that meet the same rows of the tile */
        int lo, hi, l, h;
        meeting_rows(u, ty->n, R, &lo, &hi);
        for (next = u + 1; next < rows; next++) {
            meeting_rows(next, ty->n, R, &l, &h);
            if (l != lo || h != hi) break;
        }
        const Lx *from = near ? INT(u) : IMAX(INT(u), SUB(INT(0), top)), *to = near ? INT(next) : IMIN(INT(next), SUB(INT(q->H), top));
        const Lx *row = kb_for(k, from, to, 1), *at = ADD(top, row), *x = x0;
        if (q->direct) {
            x = ADD(ADD(x, INT(tx->off[0] * q->xpix)), MUL(at, INT(q->xrow)));
            if (q->sample) x = ADD(x, MUL(q->sample, INT(q->t->x.sample)));
        } else
            x = ADD(x, MUL(MOD(SUB(at, q->first_row), INT(q->ring)), INT(q->xrow)));
        for (int64_t n = 0; n < q->lines; n++) kb_prefetch(k, q->from, ADD(ADD(q->more, MUL(row, INT(q->lines * LINE))), INT(n * LINE)), false);
        const Lx *j = kb_for(k, INT(0), INT(q->per_row), 1), *entry = ADD(MUL(SUB(row, INT(hi - 1)), INT(q->per_row)), j);
        emit_shared_run(q, kb_let(k, ADD(x, lx_itab(a, q->tab, j))), kb_let(k, ADD(MUL(kb, INT(q->wvec)), MUL(entry, INT(q->went)))), lo, hi);
        kb_end(k);
        kb_end(k);
    }
    emit_ending(q, kb, oy, ox);
}

static int64_t columns_at_once(const Ent *e, int64_t each) {
    return e->group && e->group * each < 64 ? e->group * each : 64;
}

/* A map's blocks, so that the copy of the input that each of them reads stays near. */
static int64_t blocks_least(const Tile *q) {
    int64_t tiles = ceil_div(q->OH, q->s.rows), least = 1;
    while (!q->direct && !q->shared && least < tiles && copy_rows(q, ceil_div(tiles, least) + 1) * q->xrow * 4 > SCRATCH_MOST) least++;
    return least;
}

/* The weights of this tile's channels in its order; or those beyond the second cache, which are read once a group, are packed tile by tile where they are read. */
static void set_weights(Tile *q) {
    enum { POSITIONS = 64 }; /* that share what is packed */
    View w = view_slice(&q->t->w, 0, q->first, 1, q->K);
    int64_t sum = q->run * q->entries, tile = q->s.kv * q->L * sum;
    if (q->by_samples && q->t->out.batched && !q->s.dots && tile * 4 <= 2 * SECOND_LEVEL && pack_near(q->e, 4.0 * (double)(q->K * sum), q->OH * q->OW, POSITIONS)) {
        q->weights = w, q->own = tile, q->wvec = q->L, q->wstep = q->L * q->s.kv, q->went = q->run * q->wstep;
        return;
    }
    q->weights = pack_weights(q->e, &w, q->t->taps, q->s.dots ? 0 : q->s.kv);
    q->wtile = q->s.dots ? 0 : q->weights.stride[0];
    q->wvec = q->s.dots ? q->weights.stride[0] : q->L;
    q->wstep = q->s.dots ? 1 : q->L * q->s.kv, q->went = q->run * q->wstep;
}

/* 67 channels: five vectors would be a quarter more work than four and three sums of products. */
static void split_tail(Tile *q, TileWork *w) {
    const SchedTarget *target = &q->e->s->t;
    int64_t tail = q->K % q->L;
    int64_t taps = (int64_t)q->t->taps[0].n * q->t->taps[1].n;
    if (q->t->columns || w->no_dots || taps == 1 || w->run < q->L / 2) return;
    if (q->K < q->L || tail == 0 || tail > TAIL_MOST || q->K * q->C * taps * 4 > SECOND_LEVEL) return;
    TileWork whole = *w;
    whole.out_ch -= tail;
    Shape2 all = tile_choose(target, w), most = tile_choose(target, &whole), rest = choose_tail(target, w, tail, most.rows);
    if (all.dots || most.dots || !rest.kv || most.cost + rest.cost > 0.97 * all.cost) return;
    *w = whole;
    q->K -= tail;
    q->tail = ARENA_NEW(q->a, Tile);
}

static void geometry(Tile *q) {
    const TileConv *t = q->t;
    const Taps *ty = &t->taps[0], *tx = &t->taps[1];
    q->K = t->out.shape.dim[0], q->OH = t->out.shape.dim[1], q->OW = t->out.shape.dim[2];
    q->C = t->x.shape.dim[0], q->H = t->x.shape.dim[1], q->W = t->x.shape.dim[2];
    q->wide = (q->OW - 1) * tx->stride + tile_last_off(tx) - tx->off[0] + 1;
    bool near = t->spread[0] || (inside(tx, q->W, q->OW) && inside(ty, q->H, q->OH));
    q->direct = near && (t->in_place || t->columns || t->x.stride[0] == 1 || q->C == 1);
    q->xpix = q->direct ? t->x.stride[2] : q->C;
    q->xrow = q->direct ? t->x.stride[1] : q->wide * q->C;
    q->xch = q->direct ? t->x.stride[0] : 1;
    q->xstep = q->xpix * tx->stride;
    if (t->columns == 1) q->xstep = t->x.sample;
    q->merged = !t->spread[0] && ((tile_unit_steps(tx) && q->xpix == q->C && q->xch == 1) || tx->n == 1);
    q->per_row = q->merged ? 1 : tx->n;
    q->entries = ty->n * q->per_row;
    q->run = q->merged ? tx->n * q->C : q->C;
    bool one = tx->n * ty->n == 1;
    TileWork w = {.out_ch = q->K,
                  .rows = t->columns ? 1 : q->OH,
                  .cols = t->columns ? columns_at_once(q->e, t->columns) : q->OW,
                  .entries = t->spread[0] ? 1 : q->entries,
                  .run = q->run,
                  .no_dots = q->xch != 1,
                  .dots_free = one && t->w.stride[1] == 1,
                  .one_copy = t->one_copy,
                  .vectors_free = one && t->w.stride[0] == 1};
    if (!t->columns && ty->stride == 1 && spacing(ty) == 1 && q->K * q->C * ty->n * tx->n * 4 <= SECOND_LEVEL) w.row_taps = ty->n;
    split_tail(q, &w);
    q->s = tune_tile(q->e->s, &w);
    q->shared = q->s.dots && q->s.rows > 1 && q->s.rows <= SHARED_MOST && w.row_taps > 1;
    if (q->shared && !q->direct) {
        q->ring = ty->n + q->s.rows - 1;
        copy_edges(q);
    }
    q->by_samples = !t->columns && q->K * q->C * ty->n * tx->n * 4 > SECOND_LEVEL && blocks_least(q) == 1;
    q->wtail = false;
    if (one && (q->s.dots ? w.dots_free : w.vectors_free)) {
        q->weights = t->w;
        q->weights.offset += t->taps[0].at[0] * t->w.stride[2] + t->taps[1].at[0] * t->w.stride[3];
        q->weights.shape.dim[2] = q->weights.shape.dim[3] = 1;
        q->wvec = q->s.dots ? t->w.stride[0] : q->L;
        q->wstep = q->s.dots ? 1 : t->w.stride[1];
        q->wtail = !q->s.dots && q->K % q->L;
        return;
    }
    set_weights(q);
    if (q->tail) {
        Tile *rest = q->tail;
        int64_t first = q->K, K = t->out.shape.dim[0] - q->K;
        *rest = *q;
        rest->tail = NULL, rest->first = first, rest->K = K;
        rest->s = choose_tail(&q->e->s->t, &w, K, q->s.rows);
        set_weights(rest);
    }
}

static const int32_t *entry_table(const Tile *q) {
    const Taps *ty = &q->t->taps[0], *tx = &q->t->taps[1];
    int32_t *tab = ARENA_ARRAY(q->a, int32_t, q->entries);
    for (int i = 0; i < ty->n; i++)
        for (int j = 0; j < q->per_row; j++) tab[i * q->per_row + j] = (int32_t)((ty->off[i] - ty->off[0]) * q->xrow + (tx->off[j] - tx->off[0]) * q->xpix);
    return tab;
}

/* The padded copy of the rows of tiles lo .. hi-1. */
static void copy_input(Tile *q, const Lx *lo, const Lx *hi) {
    const TileConv *t = q->t;
    Kb *k = q->k;
    Arena *a = q->a;
    const Lx *last = INT(q->OH - q->s.rows);
    const Lx *y0 = IMIN(MUL(lo, INT(q->s.rows)), last),
             *y1 = IMIN(MUL(SUB(hi, INT(1)), INT(q->s.rows)), last);
    const Taps *ty = &t->taps[0];
    int32_t first = kb_var(k);
    Ls *s = code_add(a, &k->code, LS_SETVAR);
    s->var = first, s->cond = ADD(MUL(y0, INT(ty->stride)), INT(ty->off[0]));
    q->first_row = IVAR(first);
    const Lx *end = ADD(MUL(ADD(y1, INT(q->s.rows - 1)), INT(ty->stride)), INT(tile_last_off(ty) + 1));
    kb_if(k, ILT(lo, hi));
    PadCopy c = {.x = t->x,
                 .from = q->px,
                 .to = q->scratch,
                 .sample = q->sample,
                 .first_row = q->first_row,
                 .rows = SUB(end, q->first_row),
                 .left = t->taps[1].off[0],
                 .wide = q->wide};
    tile_copy_padded(k, &c);
    kb_end(k);
}

/* Weights that other layers push out of the second cache: those of the next tile of channels come while this one's are used, a part in each pass. */
static void fetch_ahead(Tile *q, int64_t tiles) {
    int64_t bytes = q->K * q->C * q->t->taps[0].n * q->t->taps[1].n * 4;
    if (!q->s.dots && q->wtile && bytes > FAR && q->wtile * 4 <= SECOND_LEVEL) q->passes = tiles * ceil_div(q->OW, q->s.cols);
}

/* The tiles kt of channels in rows lo .. hi-1 of tiles; opens no more than it closes. */
static void emit_map(Tile *q, const Lx *kt, const Lx *lo, const Lx *hi) {
    Kb *k = q->k;
    Arena *a = q->a;
    const Lx *rt = kb_for(k, lo, hi, 1), *oy = IMIN(MUL(rt, INT(q->s.rows)), INT(q->OH - q->s.rows));
    const Lx *ct = kb_for(k, INT(0), INT(ceil_div(q->OW, q->s.cols)), 1);
    const Lx *ox = IMIN(MUL(ct, INT(q->s.cols)), INT(q->OW - q->s.cols));
    if (q->passes) q->pass = ADD(MUL(rt, INT(ceil_div(q->OW, q->s.cols))), ct);
    emit_tile(q, kt, oy, ox);
    kb_end(k);
    kb_end(k);
}

/* Tile (oy, ct). Where maps are far, it asks for its share of the rows from `copied` on, which the next row of tiles reads. */
static void emit_shared_tile(Tile *q, const Lx *kt, const Lx *oy, const Lx *ct, int32_t copied) {
    Kb *k = q->k;
    Arena *a = q->a;
    const View *x = &q->t->x;
    int64_t across = ceil_div(q->OW, q->s.cols), rows = q->t->taps[0].n + q->s.rows - 1;
    q->lines = 0;
    if (q->ring && x->stride[0] == 1 && x->sample * 4 > SECOND_LEVEL) {
        q->lines = ceil_div(q->s.rows * x->stride[1], across * channel_tiles(q) * rows * LINE);
        q->more = ADD(MUL(IVAR(copied), INT(x->stride[1])), MUL(ADD(MUL(kt, INT(across)), ct), INT(q->lines * rows * LINE)));
        if (q->sample) q->more = ADD(q->more, MUL(q->sample, INT(x->sample)));
        q->more = kb_let(k, q->more);
    }
    emit_shared(q, kt, oy, IMIN(MUL(ct, INT(q->s.cols)), INT(q->OW - q->s.cols)));
}

/* The tiles of a block of rows; the copy of the input goes along with them, a ring of as many rows as a row of tiles reads. */
static void emit_shared_rows(Tile *q, const Lx *lo, const Lx *hi) {
    Kb *k = q->k;
    Arena *a = q->a;
    const Taps *ty = &q->t->taps[0];
    int from = q->px;
    int32_t copied = 0;
    if (!q->direct) {
        q->from = from;
        q->first_row = kb_let(k, ADD(IMIN(MUL(lo, INT(q->s.rows)), INT(q->OH - q->s.rows)), INT(ty->off[0])));
        q->px = q->scratch;
        kb_setvar(k, copied = kb_var(k), q->first_row);
    }
    const Lx *rt = kb_for(k, lo, hi, 1), *oy = IMIN(MUL(rt, INT(q->s.rows)), INT(q->OH - q->s.rows));
    if (!q->direct) {
        const Lx *end = ADD(oy, INT(ty->off[0] + ty->n + q->s.rows - 1)), *row = kb_for(k, IVAR(copied), end, 1);
        PadCopy c = {.x = q->t->x,
                     .from = from,
                     .to = q->scratch,
                     .at = MUL(MOD(SUB(row, q->first_row), INT(q->ring)), INT(q->xrow)),
                     .sample = q->sample,
                     .first_row = row,
                     .rows = INT(1),
                     .left = q->t->taps[1].off[0],
                     .wide = q->right ? q->left_wide : q->wide};
        tile_copy_padded(k, &c);
        if (q->right) {
            c.at = ADD(c.at, INT(c.wide * q->C));
            c.left += first_column(q, q->right) * q->t->taps[1].stride, c.wide = q->wide - c.wide;
            tile_copy_padded(k, &c);
        }
        kb_end(k);
        kb_setvar(k, copied, end);
    }
    const Lx *kt = kb_for(k, INT(0), INT(channel_tiles(q)), 1);
    int64_t across = ceil_div(q->OW, q->s.cols), copies = q->right ? q->left + across - q->right : across;
    const Lx *ct = kb_for(k, INT(0), INT(copies), 1);
    if (q->right) ct = lx_iselect(a, ILT(ct, INT(q->left)), ct, ADD(ct, INT(q->right - q->left)));
    emit_shared_tile(q, kt, oy, ct, copied);
    if (q->right) {
        Tile copy = *q;
        kb_end(k);
        ct = kb_for(k, INT(q->left), INT(q->right), 1);
        q->direct = true, q->px = from, q->xrow = q->t->x.stride[1];
        emit_shared_tile(q, kt, oy, ct, copied);
        *q = copy;
    }
    for (int n = 0; n < 3; n++) kb_end(k);
}

/* A grid point: a block of rows of tiles of one sample. */
static void emit_rows(Tile *q, int64_t tiles, int64_t least) {
    const TileConv *t = q->t;
    Ent *e = q->e;
    Kb *k = q->k;
    Arena *a = q->a;
    bool batched = t->out.batched;
    const Lx *blocks = IVAR(0), *block = batched ? MOD(kb_grid(k), blocks) : kb_grid(k);
    q->sample = batched ? DIV(kb_grid(k), blocks) : NULL;
    /* the last tile overlaps the one before it: both belong to one block */
    const Lx *next = ADD(block, INT(1)), *units = INT(q->OH % q->s.rows ? tiles - 1 : tiles);
    const Lx *lo = DIV(MUL(block, units), blocks),
             *hi = lx_iselect(a, IEQ(next, blocks), INT(tiles), DIV(MUL(next, units), blocks));
    if (!q->direct && !q->shared) {
        copy_input(q, lo, hi);
        q->px = q->scratch;
    }
    if (q->shared)
        emit_shared_rows(q, lo, hi);
    else {
        emit_map(q, kb_for(k, INT(0), INT(channel_tiles(q)), 1), lo, hi);
        kb_end(k);
    }
    if (q->tail) {
        q->tail->px = q->px, q->tail->sample = q->sample, q->tail->first_row = q->first_row;
        emit_map(q->tail, kb_for(k, INT(0), INT(channel_tiles(q->tail)), 1), lo, hi);
        kb_end(k);
    }
    if (least > 1)
        k->ints[0] = batched ? IMAX(INT(least), IVAR(e->blocks_var)) : INT(least);
    else
        k->ints[0] = batched && tiles > 1 ? IVAR(e->blocks_var) : INT(!batched && tiles > 8 ? 8 : 1);
    kb_launch(k, batched ? MUL(IVAR(LP_VAR_BATCH), k->ints[0]) : k->ints[0]);
}

/* Weights that do not fit the second cache: a grid point is one tile of channels (two that overlap) for a share of the samples, so that they are read once. */
static void emit_samples(Tile *q, int64_t tiles) {
    Kb *k = q->k;
    Arena *a = q->a;
    bool batched = q->t->out.batched, overlap = vectors_of(q) % q->s.kv != 0;
    int64_t points = channel_tiles(q) - overlap, shares = batched ? ceil_div(8, points) : 1;
    const Lx *kt = DIV(kb_grid(k), INT(shares)), *share = MOD(kb_grid(k), INT(shares));
    if (overlap) kt = kb_for(k, kt, lx_iselect(a, ILT(kt, INT(points - 1)), ADD(kt, INT(1)), INT(points + 1)), 1);
    if (q->own) {
        pack_tile(k, &q->weights, q->t->taps, q->s.kv, q->pw, q->ptab, q->pown, first_vector(q, kt));
        q->pw = q->pown;
    }
    if (batched) q->sample = kb_for(k, DIV(MUL(share, kb_batch(k)), INT(shares)), DIV(MUL(ADD(share, INT(1)), kb_batch(k)), INT(shares)), 1);
    if (!q->direct) {
        copy_input(q, INT(0), INT(tiles));
        q->px = q->scratch;
    }
    emit_map(q, kt, INT(0), INT(tiles));
    if (batched) kb_end(k);
    if (overlap) kb_end(k);
    k->ints[0] = INT(1);
    kb_launch(k, INT(shares * points));
}

/* With how many vectors a single column is made: two or three accumulators would wait for each other, and read weights in crumbs. */
static int narrow_vectors(const Tile *q) {
    int most = q->s.kv;
    int limit = q->s.dots ? NARROW_MOST / 2 : NARROW_MOST;
    for (int n = q->s.kv; !q->wtail && n <= limit && n <= q->s.kv * q->s.rows * q->s.cols; n += q->wtile ? q->s.kv : 1)
        if (vectors_of(q) % n == 0) most = n;
    return most;
}

/* Fewer columns than a tile is wide, one by one; each sum in the order of the wide tile. */
static void emit_few_columns(Tile *q, const Lx *n, const Lx *block) {
    Kb *k = q->k;
    Arena *a = q->a;
    Shape2 wide = q->s;
    q->packed_kv = wide.kv, q->one = true;
    q->s.kv = q->narrow, q->s.cols = 1;
    kb_if(k, IEQ(block, INT(0)));
    const Lx *kt = kb_for(k, INT(0), INT(channel_tiles(q)), 1), *ox = kb_for(k, INT(0), n, 1);
    emit_tile(q, kt, INT(0), ox);
    for (int i = 0; i < 3; i++) kb_end(k);
    q->s = wide, q->one = false;
}

/* A grid point: a block of the columns of all samples. */
static void emit_columns(Tile *q) {
    Kb *k = q->k;
    Arena *a = q->a;
    int Q = q->s.cols;
    int64_t per = q->t->columns;
    bool spread = q->t->spread[0] > 0;
    const Lx *n = MUL(kb_batch(k), INT(per)), *blocks = IVAR(0);
    const Lx *block = spread ? MOD(kb_grid(k), blocks) : kb_grid(k), *next = ADD(block, INT(1));
    if (spread) q->tap = DIV(kb_grid(k), blocks);
    const Lx *tiles = DIV(ADD(n, INT(Q - 1)), INT(Q)),
             *units = lx_iselect(a, MOD(n, INT(Q)), SUB(tiles, INT(1)), tiles);
    kb_if(k, ILT(n, INT(Q)));
    emit_few_columns(q, n, block);
    kb_else(k);
    const Lx *kt = kb_for(k, INT(0), INT(channel_tiles(q)), 1);
    const Lx *lo = DIV(MUL(block, units), blocks),
             *hi = lx_iselect(a, IEQ(next, blocks), tiles, DIV(MUL(next, units), blocks));
    const Lx *ct = kb_for(k, lo, hi, 1);
    emit_tile(q, kt, INT(0), IMIN(MUL(ct, INT(Q)), SUB(n, INT(Q))));
    for (int i = 0; i < 3; i++) kb_end(k);
    const Lx *most = IMIN(INT(32), DIV(ADD(MUL(IVAR(LP_VAR_BATCH), INT(per)), INT(Q - 1)), INT(Q)));
    bool near = q->e->alone && q->e->group * per * q->C * 4 <= SECOND_LEVEL; /* then one point reads the weights once, and all columns from nearby */
    k->ints[0] = near ? lx_iselect(a, q->e->alone, INT(1), most) : most;
    kb_launch(k, spread ? MUL(k->ints[0], INT((int64_t)q->t->taps[0].n * q->t->taps[1].n)) : k->ints[0]);
}

static void open_registers(Tile *q) {
    Kb *k = q->k;
    int32_t sums = q->s.kv * q->s.rows * q->s.cols;
    bool waits = q->t->epilogue && q->s.rows * q->s.cols >= 4 && finish_parts(q->t->epilogue) >= ENDING_LOOP;
    q->sums = waits ? kb_scratch(k, sums * q->L) : -1;
    q->acc = kb_reg(k, (int)q->L, sums);
    q->narrow = q->t->columns ? narrow_vectors(q) : q->s.kv;
    q->wreg = kb_reg(k, (int)q->L, q->shared ? q->s.kv * q->s.rows : q->narrow);
    q->xreg = kb_reg(k, (int)q->L, 1);
}

void tile_conv(Ent *e, const TileConv *t) {
    if (e->s->t.gpu) {
        gpu_conv(e, t);
        return;
    }
    int m = wino_choose(e, t);
    double cycles = amx_cost(e, t);
    if (cycles && (e->s->t.tiles > 1 || cycles < (m ? wino_cost(e, t, m) : tile_cost(e, t)))) {
        amx_conv(e, t);
        return;
    }
    if (m) {
        wino_conv(e, t, m);
        return;
    }
    Arena *a = e->a;
    Tile *q = ARENA_NEW(a, Tile);
    *q = (Tile){.t = t, .e = e, .a = a, .L = e->s->t.lanes};
    geometry(q);
    int64_t tiles = ceil_div(q->OH, q->s.rows), least = blocks_least(q); /* a grid point is a block of rows of tiles of one sample */
    int64_t most_tiles = ceil_div(tiles, least) + (least > 1);

    Kb *k = q->k = kb_new(e, t->what, 1);
    k->detail = arena_printf(a, "%s: %d to %d channels, %dx%d taps on %dx%d, tile %d%s x %d x %d%s%s%s", t->what, (int)q->C, (int)t->out.shape.dim[0],
                             t->taps[0].n, t->taps[1].n, (int)q->OH, (int)q->OW, q->s.kv, q->s.dots ? " dots" : "", q->s.rows, q->s.cols,
                             q->shared ? ", rows share what they load" : "", q->tail ? " and sums for the rest" : "", q->direct ? "" : q->right ? ", padded copy of the edges" : ", padded copy");
    q->px = kb_ptr(k, &t->x, false);
    q->pw = kb_ptr(k, &q->weights, false);
    q->po = kb_ptr(k, &t->out, true);
    q->tab = kb_table(k, entry_table(q), q->entries);
    if (t->epilogue) finish_pointers(k, t->epilogue);
    if (q->tail) {
        Tile *rest = q->tail;
        rest->k = k, rest->po = q->po, rest->tab = q->tab;
        rest->pw = kb_ptr(k, &rest->weights, false);
    }
    bool once = !t->columns && q->OH % q->s.rows == 0 && q->OW % q->s.cols == 0 && vectors_of(q) % q->s.kv == 0; /* no tile reaches over another's results */
    if (q->tail) once &= q->OW % q->tail->s.cols == 0 && vectors_of(q->tail) % q->tail->s.kv == 0;
    if (once && t->epilogue) finish_over(k, t->epilogue, &t->out, q->po, (const int[]){q->px, q->pw, q->tail ? q->tail->pw : q->pw}, 3);
    if (q->own) q->ptab = pack_table(k, &q->weights, t->taps), q->pown = kb_scratch(k, q->own);
    if (!q->direct) q->scratch = kb_scratch(k, (q->shared ? q->ring : copy_rows(q, most_tiles)) * q->xrow);
    open_registers(q);
    if (q->tail) open_registers(q->tail);

    if (!t->columns) fetch_ahead(q, tiles);
    if (t->columns)
        emit_columns(q);
    else if (q->by_samples)
        emit_samples(q, tiles);
    else
        emit_rows(q, tiles, least);
}
