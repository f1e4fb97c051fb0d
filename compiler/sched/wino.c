/* Convolutions of 3 x 3 taps by Winograd's transforms: when, and the kernel that does them for a block of tiles. */
#include "sched/wino.h"

enum { BLOCK_BYTES = 512 * 1024, BLOCK_MOST = 48 /* tiles */ };
enum { ONE_CUT = 4 }; /* parts of a product with one map alone */
enum { WEIGHTS_MOST = 9 << 19 /* bytes: a sample alone would wait for more */, SLICE = 32 /* channels */, ENOUGH = 512 /* positions of a group that share transformed weights */ };

/* From one of the matrices of weights to the next. Here as for tiles: an odd number of lines, else all meet in one set of the first cache. */
static int64_t matrix_floats(int64_t C, int kv, int64_t L) { return (C * kv | 1) * L; }

typedef struct Wino {
    const TileConv *t;
    Ent *e;
    Kb *k;
    Arena *a;
    int m, n;            /* a tile makes m x m results from n x n entries of x, dilation[] apart */
    int kv, cols;        /* of the products' register tile: vectors x tiles */
    int64_t L, K, C, Cp; /* channels; those of x in whole vectors */
    WinoTiles in;
    int64_t per; /* tiles of a sample */
    int64_t block;       /* tiles that a grid point transforms at a time, at most */
    int64_t pnext;       /* products: from one of the n x n matrices to the next */
    bool split;          /* grid points share the channels, not the tiles */
    View weights;
    int pw, po, products, sums; /* parameters; sums: results that wait for an ending that is a loop, or -1 */
    int acc, wreg, xreg;
    const Lx *first, *tiles; /* of this grid point */
} Wino;

/* ---- which ---- */
static int64_t weight_bytes(const TileConv *t, int m) {
    return (m + 2) * (m + 2) * t->x.shape.dim[0] * t->out.shape.dim[0] * 4;
}

/* By a model: the products of transformed tiles reach some 0.75 of two multiply-adds a cycle; each vector of a tile costs what its transforms load, compute
   and store; all weights are transformed, at 2 bytes a cycle, once for some 32 samples. */
double wino_cost(const Ent *e, const TileConv *t, int m) {
    int64_t L = e->s->t.lanes, C = t->x.shape.dim[0], vectors = ceil_div(t->out.shape.dim[0], L);
    double n = m + 2, bytes = (double)weight_bytes(t, m);
    WinoTiles w = {.m = m};
    wino_counts(&w, t->taps, &t->out.shape.dim[1]);
    double tiles = (double)(w.count[0] * w.count[1]);
    double in = (double)ceil_div(C, L) * n * n * 4.5, out = (double)vectors * n * n * 3;
    return tiles * (n * n * (double)(C * vectors) / 2 / 0.75 + in + out) + tile_far_cost(e, bytes) + bytes / 2 / 32;
}

int wino_choose(Ent *e, const TileConv *t) {
    int64_t C = t->x.shape.dim[0], K = t->out.shape.dim[0];
    if (e->s->t.gpu || t->columns || t->spread[0] || !wino_taps(&t->taps[0]) || !wino_taps(&t->taps[1])) return 0;
    e->products++;
    if (t->x.stride[0] != 1) return 0; /* the transforms load vectors of channels */
    if (e->s->t.winograd) return e->s->t.winograd < 0 ? 0 : e->s->t.winograd;
    if (C < e->s->t.lanes || K < e->s->t.lanes) return 0;
    int best = 0;
    double least = 0.85 * tile_cost(e, t);
    for (int m = 2; m <= 4; m += 2)
        if (weight_bytes(t, m) <= WEIGHTS_MOST && wino_cost(e, t, m) < least) best = m, least = 0.9 * wino_cost(e, t, m);
    return best;
}

/* As many tiles as what is made of them lies in the second cache with; large weights are read for each block, so it is larger. */
static void choose_block(Wino *q) {
    int64_t each = q->n * q->n * (q->Cp + 2 * q->L) * 4, all = (q->e->group && q->t->out.batched ? q->e->group : 1) * q->per;
    if (!q->e->group && q->t->out.batched) all = BLOCK_MOST;
    q->split = weight_bytes(q->t, q->m) > SECOND_LEVEL;
    int64_t most = (q->split ? 2 : 1) * BLOCK_BYTES / each;
    if (most > BLOCK_MOST) most = BLOCK_MOST;
    if (most < 4) most = 4;
    q->block = ceil_div(all, ceil_div(all, most));
    Shape2 s = tune_tile(q->e->s, &(TileWork){.out_ch = q->K, .rows = 1, .cols = q->block, .entries = 1, .run = q->C, .no_dots = true});
    q->kv = s.kv, q->cols = s.cols;
    q->block = ceil_div(q->block, s.cols) * s.cols;
}

/* ---- the kernel ---- */
/* The products with a tile of channels: n x n matrices. Columns beyond the tiles that there are hold anything, and nobody reads them. */
static void emit_products(Wino *q, const Lx *kt) {
    Kb *k = q->k;
    Arena *a = q->a;
    int L = (int)q->L, kv = q->kv, Q = q->cols;
    int64_t step = kv * q->L;
    const Lx *i = kb_for(k, INT(0), INT(q->n * q->n), 1), *ct = kb_for(k, INT(0), q->tiles, Q), *v, *p, *at;
    const Lx *w = kb_let(k, MUL(ADD(MUL(kt, INT(q->n * q->n)), i), INT(matrix_floats(q->C, kv, L))));
    const Lx *x = kb_let(k, ADD(MUL(i, INT(q->in.next)), MUL(ct, INT(q->Cp))));
    p = kb_unroll(k, kv * Q);
    kb_set(k, q->acc, p, lx_float(a, 0, L));
    kb_end(k);
    const Lx *c = kb_for(k, INT(0), INT(q->C), 1);
    v = kb_unroll(k, kv);
    kb_set(k, q->wreg, v, lx_load(a, q->pw, ADD(ADD(w, MUL(c, INT(step))), MUL(v, INT(L))), L, NULL));
    kb_end(k);
    p = kb_unroll(k, Q);
    kb_set(k, q->xreg, NULL, lx_splat(a, lx_load(a, q->in.to, ADD(ADD(x, c), MUL(p, INT(q->Cp))), 1, NULL), L));
    v = kb_unroll(k, kv);
    at = ADD(MUL(p, INT(kv)), v);
    kb_set(k, q->acc, at, lx_f3(a, LX_FMA, lx_reg(a, q->wreg, v, L), lx_reg(a, q->xreg, NULL, L), lx_reg(a, q->acc, at, L)));
    for (int n = 0; n < 3; n++) kb_end(k);
    p = kb_unroll(k, kv * Q);
    kb_store(k, q->products, ADD(ADD(MUL(i, INT(q->pnext)), MUL(ct, INT(step))), MUL(p, INT(L))), lx_reg(a, q->acc, p, L), NULL);
    for (int n = 0; n < 3; n++) kb_end(k);
}

typedef struct Put {
    Wino *q;
    const Lx *channel, *from, *have; /* float of the first matrix's sums; columns inside of the map, where there are sums */
    const WinoPlace *place;
} Put;

/* A result, from the sum to where it goes. */
static void put_result(Put *p, const Lx *i, const Lx *j, const Lx *value) {
    Wino *q = p->q;
    Arena *a = q->a;
    const Lx *at[3] = {p->channel, ADD(p->place->at[0], MUL(i, INT(q->in.step[0]))), ADD(p->place->at[1], MUL(j, INT(q->in.step[1])))};
    const Lx *count = q->K % q->L ? SUB(INT(q->K), p->channel) : NULL;
    Finish f = {.k = q->k, .sample = p->place->sample, .acc = q->t->acc, .value = value, .axes = 3, .at = at, .width = (int)q->L, .count = count};
    if (q->t->epilogue) value = finish(&f, q->t->epilogue);
    kb_store_strided(q->k, q->po, kb_at(q->k, &q->t->out, p->place->sample, at), q->t->out.stride[0], value, count);
}

static const Lx *get_output(void *how, int i, const Lx *j) {
    Put *p = how;
    Arena *a = p->q->a;
    return lx_load(a, p->q->products, ADD(ADD(p->from, MUL(j, INT(p->q->pnext))), INT(i * p->q->n * p->q->pnext)), (int)p->q->L, NULL);
}

static void put_output(void *how, const Lx *i, int j, const Lx *v) {
    Put *p = how;
    Wino *q = p->q;
    Arena *a = q->a;
    if (q->sums < 0) {
        put_result(p, i, INT(j), v);
        return;
    }
    kb_store(q->k, q->sums, INT(j * q->L), v, NULL);
    if (j + 1 < q->m) return;
    const Lx *each = kb_for(q->k, INT(0), p->have, 1);
    put_result(p, i, each, lx_load(a, q->sums, MUL(each, INT(q->L)), (int)q->L, NULL));
    kb_end(q->k);
}

static void emit_output(Wino *q, const Lx *kt) {
    Kb *k = q->k;
    Arena *a = q->a;
    int64_t step = q->kv * q->L;
    const Lx *tile = kb_for(k, INT(0), q->tiles, 1), *have[2] = {0};
    WinoPlace place = wino_place(&q->in, ADD(q->first, tile));
    for (int d = 0; d < 2 && q->sums >= 0; d++) { /* a tile may reach over the edge */
        const Lx *left = IMAX(INT(0), SUB(INT(q->t->out.shape.dim[1 + d] + q->in.step[d] - 1), place.at[d]));
        have[d] = kb_let(k, IMIN(INT(q->m), DIV(left, INT(q->in.step[d]))));
    }
    const Lx *first = IMIN(MUL(kt, INT(q->kv)), INT(ceil_div(q->K, q->L) - q->kv));
    const Lx *v = kb_for(k, INT(0), INT(q->kv), 1), *at = kb_let(k, ADD(MUL(tile, INT(step)), MUL(v, INT(q->L))));
    WinoPlane p = {.k = k, .what = WINO_OUTPUT, .m = q->m, .width = (int)q->L, .reg = q->in.reg, .between = q->in.between};
    Put put = {.q = q, .channel = kb_let(k, MUL(ADD(first, v), INT(q->L))), .from = at, .have = have[1], .place = &place};
    wino_columns(&p, get_output, &put);
    wino_rows(&p, have[0], put_output, &put);
    kb_end(k);
    kb_end(k);
}

static void open_parameters(Wino *q) {
    Kb *k = q->k;
    const TileConv *t = q->t;
    bool edges = t->out.shape.dim[1] % (q->m * q->in.step[0]) || t->out.shape.dim[2] % (q->m * q->in.step[1]);
    int64_t nn = q->n * q->n;
    q->in.k = k, q->in.from = kb_ptr(k, &t->x, false), q->pw = kb_ptr(k, &q->weights, false), q->po = kb_ptr(k, &t->out, true);
    if (t->epilogue) finish_pointers(k, t->epilogue);
    if (t->epilogue && ceil_div(q->K, q->L) % q->kv == 0) finish_over(k, t->epilogue, &t->out, q->po, (const int[]){q->in.from, q->pw}, 2);
    wino_tiles_open(&q->in, q->block);
    q->pnext = (q->block * q->kv | 1) * q->L;
    q->products = kb_scratch(k, nn * q->pnext);
    q->sums = edges || (t->epilogue && finish_parts(t->epilogue) >= ENDING_LOOP) ? kb_scratch(k, q->m * q->L) : -1;
    q->in.between = wino_between(k);
    q->acc = kb_reg(k, (int)q->L, q->kv * q->cols), q->wreg = kb_reg(k, (int)q->L, q->kv), q->xreg = kb_reg(k, (int)q->L, 1);
    q->in.reg = kb_reg(k, (int)q->L, WINO_REGISTERS);
}

void wino_conv(Ent *e, const TileConv *t, int m) {
    Arena *a = e->a;
    Wino *q = ARENA_NEW(a, Wino);
    e->transformed++;
    *q = (Wino){.t = t, .e = e, .a = a, .m = m, .n = m + 2, .L = e->s->t.lanes, .K = t->out.shape.dim[0], .C = t->x.shape.dim[0]};
    q->Cp = ceil_div(q->C, q->L) * q->L;
    q->in = (WinoTiles){.v = &t->x, .what = WINO_INPUT, .m = m, .batched = t->out.batched, .off = {t->taps[0].off[0], t->taps[1].off[0]}, .channels = q->C};
    wino_counts(&q->in, t->taps, &t->out.shape.dim[1]);
    q->per = q->in.count[0] * q->in.count[1];
    choose_block(q);
    bool near = pack_near(e, (double)weight_bytes(t, m), t->out.shape.dim[1] * t->out.shape.dim[2], ENOUGH);
    q->weights = pack_wino(e, &t->w, t->taps, q->kv, m, near);

    Kb *k = q->k = kb_new(e, t->what, 2);
    k->detail = arena_printf(a, "%s: %d to %d channels, 3x3 taps on %dx%d, Winograd %dx%d, %d tiles at a time, products in tiles of %d x %d", t->what, (int)q->C, (int)q->K,
                             (int)t->out.shape.dim[1], (int)t->out.shape.dim[2], m, m, (int)q->block, q->kv, q->cols);
    open_parameters(q);
    int64_t parts = ceil_div(ceil_div(q->K, q->L), q->kv);
    const Lx *all = t->out.batched ? MUL(kb_batch(k), INT(q->per)) : INT(q->per), *units = DIV(ADD(all, INT(q->cols - 1)), INT(q->cols));
    const Lx *blocks = IVAR(0), *shares = IVAR(1), *block = DIV(kb_grid(k), shares), *share = MOD(kb_grid(k), shares);
    q->first = kb_let(k, MUL(DIV(MUL(block, units), blocks), INT(q->cols)));
    q->tiles = kb_let(k, SUB(IMIN(all, MUL(DIV(MUL(ADD(block, INT(1)), units), blocks), INT(q->cols))), q->first));
    wino_tiles(&q->in, q->first, q->tiles);
    const Lx *kt = kb_for(k, DIV(MUL(share, INT(parts)), shares), DIV(MUL(ADD(share, INT(1)), INT(parts)), shares), 1);
    emit_products(q, kt);
    emit_output(q, kt);
    kb_end(k);

    /* Few samples (or one map, of a power iteration) for several threads: smaller blocks, or where the weights are large, shares of the channels. */
    const Lx *batch = t->out.batched ? IVAR(LP_VAR_BATCH) : INT(1), *cut = t->out.batched ? IVAR(e->blocks_var) : INT(ONE_CUT);
    const Lx *have = DIV(ADD(MUL(batch, INT(q->per)), INT(q->cols - 1)), INT(q->cols));
    const Lx *least = DIV(ADD(have, INT(q->block / q->cols - 1)), INT(q->block / q->cols));
    k->ints[0] = q->split ? least : lx_iselect(a, ILT(cut, INT(2)), least, IMAX(least, IMIN(have, MUL(batch, cut))));
    k->ints[1] = q->split ? IMIN(INT(parts), cut) : INT(1);
    kb_launch(k, MUL(k->ints[0], k->ints[1]));
}

/* ---- the weights ---- */
typedef struct Weights {
    Kb *k;
    int from, to, n;
    int64_t stride, tap[2][3]; /* between channels; where the taps lie */
    const Lx *count, *in, *out;
    int64_t next;
} Weights;

static const Lx *get_weights(void *how, int i, const Lx *j) {
    Weights *w = how;
    Arena *a = w->k->a;
    const Lx *at = ADD(w->in, INT(w->tap[0][i]));
    at = ADD(at, ADD(INT(w->tap[1][0]), MUL(j, INT(w->tap[1][1] - w->tap[1][0]))));
    return lx_gather(a, w->from, at, INT(w->stride), (int)w->k->e->s->t.lanes, w->count);
}

static void put_weights(void *how, const Lx *i, int j, const Lx *v) {
    Weights *w = how;
    Arena *a = w->k->a;
    kb_store(w->k, w->to, ADD(ADD(w->out, MUL(i, INT(w->n * w->next))), INT(j * w->next)), v, NULL);
}

/* [tile of K][matrix][C][vector][lanes], the last tile overlapping the one before it. A grid point is a tile and a few of the C. */
View wino_weights(Ent *e, const View *w, const Taps taps[2], int kv, int m) {
    Arena *a = e->a;
    int64_t K = w->shape.dim[0], C = w->shape.dim[1], L = e->s->t.lanes, vectors = ceil_div(K, L), tiles = ceil_div(vectors, kv), slices = ceil_div(C, SLICE);
    int64_t next = matrix_floats(C, kv, L), tile_floats = (m + 2) * (m + 2) * next;
    View to = view_new_row_major(e, shape_of(2, tiles, tile_floats), false, NULL, (Span){0});
    Kb *k = kb_new(e, "weights", 0);
    k->detail = arena_printf(a, "weights of %d to %d channels, Winograd %dx%d", (int)C, (int)K, m, m);
    int from = kb_ptr(k, w, false);
    Weights put = {.k = k, .from = from, .to = kb_ptr(k, &to, true), .n = m + 2, .next = next, .stride = w->stride[0]};
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 3; i++) put.tap[d][i] = taps[d].at[i] * w->stride[2 + d];
    WinoPlane p = {.k = k, .what = WINO_WEIGHTS, .m = m, .width = (int)L, .reg = kb_reg(k, (int)L, WINO_REGISTERS), .between = wino_between(k)};
    const Lx *g = kb_grid(k), *tile = DIV(g, INT(slices)), *c0 = MUL(MOD(g, INT(slices)), INT(SLICE));
    const Lx *c = kb_for(k, c0, IMIN(INT(C), ADD(c0, INT(SLICE))), 1), *v = kb_for(k, INT(0), INT(kv), 1);
    const Lx *first = MUL(ADD(IMIN(MUL(tile, INT(kv)), INT(vectors - kv)), v), INT(L));
    put.in = kb_let(k, ADD(MUL(first, INT(w->stride[0])), MUL(c, INT(w->stride[1])))), put.count = K % L ? SUB(INT(K), first) : NULL;
    put.out = kb_let(k, ADD(MUL(tile, INT(tile_floats)), ADD(MUL(c, INT(kv * L)), MUL(v, INT(L)))));
    wino_columns(&p, get_weights, &put);
    wino_rows(&p, NULL, put_weights, &put);
    kb_end(k);
    kb_end(k);
    kb_launch(k, INT(tiles * slices));
    return to;
}
