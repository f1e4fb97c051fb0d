/* Gradients of 3 x 3 weights by Winograd's transforms: tiles of x and of the result's gradient are transformed, each matrix of theirs is a product
   summed over the tiles, and the sums go back to nine taps. A grid point owns some channels of x over all samples of the group. */
#include "sched/wino.h"

enum { VISIT_BYTES = 3 << 19, SUMS_MOST = 1 << 20 /* bytes */, SHARES = 8 };

static double most_of(double x, double y) { return x > y ? x : y; }

typedef struct Grad {
    const TileGrad *t;
    Ent *e;
    Kb *k;
    Arena *a;
    int m, nn, kv, p;     /* a tile of products: vectors of x's channels x channels of y */
    int64_t L, C, K, per; /* tiles of a sample */
    int64_t visit;        /* tiles that are transformed at a time */
    bool once;            /* that is all of the group; else sums wait for the last visit */
    WinoTiles x, y;
    int sums, turned, wait, out;
    int acc, vreg, oreg;
    TileGrad flat; /* out and the epilogue with x's channels and the taps as one axis */
} Grad;

static void choose_tile(Grad *g) {
    int64_t vectors = ceil_div(g->C, g->L);
    double best = 0;
    for (int v = 1; v <= 4; v++)
        for (int n = 1; vectors % v == 0 && n <= g->K && v * n + v + 1 <= g->e->s->t.registers; n++) {
            double step = most_of(most_of(v * n / 2.0, (v + n) / 2.0), 4) + 0.7;
            double cost = (double)(vectors / v * ceil_div(g->K, n)) * step;
            if (best == 0 || cost < best * 0.995) best = cost, g->kv = v, g->p = n;
        }
}

/* Cycles for a sample, as in wino.c; the register tile reaches 0.6 of the peak in gradients, and each vector of sums costs some 350 cycles a visit on
   its way back. */
static double cost(const Grad *g, int m) {
    const TileGrad *t = g->t;
    double out = (double)(t->y.shape.dim[1] * t->y.shape.dim[2]), vectors = (double)ceil_div(g->C, g->L), n = m + 2;
    if (!m) return 9 * out * (double)g->K * vectors / 2 / 0.6;
    WinoTiles w = {.m = m};
    wino_counts(&w, t->taps, &t->y.shape.dim[1]);
    double tiles = (double)(w.count[0] * w.count[1]), each = n * n * 4 * (double)(g->C + g->K), samples = VISIT_BYTES / (tiles * each);
    if (samples > (double)g->e->group) samples = (double)g->e->group;
    return tiles * n * n * ((double)g->K * vectors / 2 / 0.75 + ((double)(g->C + g->K) / (double)g->L) * 4.5) + (double)g->K * vectors * 350 / samples;
}

static bool choose(Grad *g) {
    const TileGrad *t = g->t;
    Ent *e = g->e;
    int forced = e->s->t.winograd;
    if (e->s->t.gpu || forced < 0 || t->columns || !e->group || !t->x.batched || !t->y.batched) return false;
    if (!wino_taps(&t->taps[0]) || !wino_taps(&t->taps[1]) || t->x.stride[0] != 1 || t->y.stride[0] != 1) return false;
    if (g->C < g->L || g->K < g->L || (t->epilogue && finish_ops(t->epilogue) > TILE_OPS_MOST)) return false;
    e->products++;
    if (!forced && g->K * g->C * 9 * 4 > SUMS_MOST) return false; /* measured to gain little: tiles of the maps do not stay near */
    double least = 0.85 * cost(g, 0);
    for (int m = 2; m <= 4; m += 2)
        if (forced ? m == forced : cost(g, m) < least) g->m = m, least = 0.9 * cost(g, m);
    if (!g->m || !grad_flat(e, t, &g->flat)) return false;
    g->nn = (g->m + 2) * (g->m + 2);
    g->x = (WinoTiles){.v = &t->x, .what = WINO_INPUT, .m = g->m, .batched = true, .off = {t->taps[0].off[0], t->taps[1].off[0]}, .channels = g->C};
    g->y = (WinoTiles){.v = &t->y, .what = WINO_SPREAD, .m = g->m, .batched = true, .channels = g->K};
    wino_counts(&g->x, t->taps, &t->y.shape.dim[1]), wino_counts(&g->y, t->taps, &t->y.shape.dim[1]);
    g->per = g->x.count[0] * g->x.count[1];
    int64_t all = e->group * g->per, each = g->nn * 4 * (g->C + g->K), visits = ceil_div(all * each, VISIT_BYTES);
    g->visit = ceil_div(all, visits), g->once = visits == 1;
    return true;
}

/* The sums over the tiles of this visit: vectors from `c` on, channels of y from `r` on; beyond them they are anything. */
static void emit_products(Grad *g, const Lx *tiles, const Lx *c, const Lx *r) {
    Kb *k = g->k;
    Arena *a = g->a;
    int L = (int)g->L;
    const Lx *i = kb_for(k, INT(0), INT(g->nn), 1), *n = kb_unroll(k, g->kv * g->p), *v, *p, *at;
    kb_set(k, g->acc, n, lx_float(a, 0, L));
    kb_end(k);
    const Lx *xat = kb_let(k, ADD(MUL(i, INT(g->x.next)), c)), *yat = kb_let(k, ADD(MUL(i, INT(g->y.next)), r)), *t = kb_for(k, INT(0), tiles, 1);
    v = kb_unroll(k, g->kv);
    kb_set(k, g->vreg, v, lx_load(a, g->x.to, ADD(ADD(xat, MUL(t, INT(wino_pitch(&g->x)))), MUL(v, INT(L))), L, NULL));
    kb_end(k);
    p = kb_unroll(k, g->p);
    kb_set(k, g->oreg, NULL, lx_splat(a, lx_load(a, g->y.to, ADD(ADD(yat, MUL(t, INT(wino_pitch(&g->y)))), p), 1, NULL), L));
    v = kb_unroll(k, g->kv);
    at = ADD(MUL(p, INT(g->kv)), v);
    kb_set(k, g->acc, at, lx_f3(a, LX_FMA, lx_reg(a, g->vreg, v, L), lx_reg(a, g->oreg, NULL, L), lx_reg(a, g->acc, at, L)));
    for (int e = 0; e < 3; e++) kb_end(k);
    n = kb_unroll(k, g->kv * g->p);
    kb_store(k, g->sums, MUL(ADD(MUL(i, INT(g->kv * g->p)), n), INT(L)), lx_reg(a, g->acc, n, L), NULL);
    kb_end(k);
    kb_end(k);
}

typedef struct Put {
    Grad *g;
    const Lx *from, *to;
} Put;

static const Lx *get_sum(void *how, int i, const Lx *j) {
    Put *p = how;
    Grad *g = p->g;
    Arena *a = g->a;
    int64_t next = g->kv * g->p * g->L;
    return lx_load(a, g->sums, ADD(ADD(p->from, MUL(j, INT(next))), INT(i * (g->m + 2) * next)), (int)g->L, NULL);
}

static void put_tap(void *how, const Lx *i, int j, const Lx *v) {
    Put *p = how;
    Arena *a = p->g->a;
    kb_store_strided(p->g->k, p->g->turned, ADD(ADD(p->to, MUL(i, INT(3))), INT(j)), 9, v, NULL);
}

static void put_result(Grad *g, const Lx *row, const Lx *at, const Lx *value, const Lx *count) {
    Arena *a = g->a;
    const TileGrad *t = &g->flat;
    const Lx *index[4] = {row, at, INT(0), INT(0)};
    Finish f = {.k = g->k, .acc = t->acc, .value = value, .axes = 4, .lanes = 1, .at = index, .width = (int)g->L, .count = count};
    if (t->epilogue) value = finish(&f, t->epilogue);
    kb_store(g->k, g->out, kb_at(g->k, &t->out, NULL, index), value, count);
}

/* The sums of a tile to where the gradient lies, or to what waits: turned, so that channels and taps are neighbours. */
static void emit_back(Grad *g, const Lx *c, const Lx *r) {
    Kb *k = g->k;
    Arena *a = g->a;
    int L = (int)g->L;
    const Lx *p = kb_for(k, INT(0), IMIN(INT(g->p), SUB(INT(g->K), r)), 1), *v = kb_for(k, INT(0), INT(g->kv), 1);
    Put put = {.g = g, .from = kb_let(k, MUL(ADD(MUL(p, INT(g->kv)), v), INT(L))), .to = kb_let(k, MUL(v, INT(L * 9)))};
    WinoPlane plane = {.k = k, .what = WINO_GATHER, .m = g->m, .width = L, .reg = g->x.reg, .between = g->x.between};
    wino_columns(&plane, get_sum, &put);
    wino_rows(&plane, NULL, put_tap, &put);
    kb_end(k);
    const Lx *row = kb_let(k, ADD(r, p)), *first = MUL(c, INT(9)), *n = IMIN(INT(g->kv * L * 9), SUB(INT(g->C * 9), first));
    const Lx *i = kb_for(k, INT(0), n, L), *value = lx_load(a, g->turned, i, L, NULL), *to = ADD(first, i), *count = g->C % L ? SUB(INT(g->C * 9), to) : NULL;
    if (g->once)
        put_result(g, row, to, value, count);
    else {
        to = ADD(MUL(row, INT(g->C * 9)), to);
        kb_store(k, g->wait, to, lx_f2(a, LX_ADD, lx_load(a, g->wait, to, L, count), value), count);
    }
    kb_end(k);
    kb_end(k);
}

bool wino_grad(Ent *e, const TileGrad *t) {
    Arena *a = e->a;
    Grad *g = ARENA_NEW(a, Grad);
    *g = (Grad){.t = t, .e = e, .a = a, .L = e->s->t.lanes, .C = t->x.shape.dim[0], .K = t->y.shape.dim[0]};
    if (!choose(g)) return false;
    e->transformed++;
    choose_tile(g);
    int64_t width = g->kv * g->L, parts = ceil_div(g->C, width), floats = g->K * g->C * 9;
    Kb *k = g->k = g->x.k = g->y.k = kb_new(e, "conv_grad", 1);
    k->detail = arena_printf(a, "conv_grad: %d x %d channels, 3x3 taps on %dx%d, Winograd %dx%d, %d tiles at a time, tile %d x %d", (int)g->K, (int)g->C, (int)t->y.shape.dim[1],
                             (int)t->y.shape.dim[2], g->m, g->m, (int)g->visit, g->kv, g->p);
    g->x.from = kb_ptr(k, &t->x, false), g->y.from = kb_ptr(k, &t->y, false), g->out = kb_ptr(k, &g->flat.out, true);
    if (g->flat.epilogue) finish_pointers(k, g->flat.epilogue);
    wino_tiles_open(&g->x, g->visit), wino_tiles_open(&g->y, g->visit + 1); /* the last tile of products may reach over the last channel */
    g->sums = kb_scratch(k, g->nn * width * g->p), g->turned = kb_scratch(k, width * 9), g->wait = g->once ? -1 : kb_scratch(k, floats);
    g->x.between = g->y.between = wino_between(k);
    g->acc = kb_reg(k, (int)g->L, g->kv * g->p), g->vreg = kb_reg(k, (int)g->L, g->kv), g->oreg = kb_reg(k, (int)g->L, 1);
    g->x.reg = g->y.reg = kb_reg(k, (int)g->L, WINO_REGISTERS);

    const Lx *lo = kb_let(k, DIV(MUL(kb_grid(k), INT(parts)), IVAR(0))), *hi = kb_let(k, DIV(MUL(ADD(kb_grid(k), INT(1)), INT(parts)), IVAR(0)));
    const Lx *all = kb_let(k, MUL(kb_batch(k), INT(g->per)));
    g->x.lo = kb_let(k, MUL(lo, INT(width))), g->x.hi = kb_let(k, IMIN(INT(g->C), MUL(hi, INT(width))));
    if (!g->once) {
        const Lx *z = kb_for(k, INT(0), INT(floats), g->L);
        kb_store(k, g->wait, z, lx_float(a, 0, (int)g->L), NULL);
        kb_end(k);
    }
    const Lx *first = kb_for(k, INT(0), all, g->visit), *tiles = kb_let(k, IMIN(INT(g->visit), SUB(all, first)));
    wino_tiles(&g->x, first, tiles);
    wino_tiles(&g->y, first, tiles);
    const Lx *c = kb_for(k, g->x.lo, g->x.hi, width), *r = kb_for(k, INT(0), INT(g->K), g->p);
    emit_products(g, tiles, c, r);
    emit_back(g, c, r);
    for (int n = 0; n < 3; n++) kb_end(k);
    if (!g->once) {
        const Lx *row = kb_for(k, INT(0), INT(g->K), 1), *at = kb_for(k, MUL(g->x.lo, INT(9)), MUL(g->x.hi, INT(9)), g->L);
        const Lx *count = g->C % g->L ? SUB(INT(g->C * 9), at) : NULL;
        put_result(g, row, at, lx_load(a, g->wait, ADD(MUL(row, INT(g->C * 9)), at), (int)g->L, count), count);
        kb_end(k);
        kb_end(k);
    }
    int64_t shares = parts < SHARES ? parts : SHARES;
    k->ints[0] = e->alone ? lx_iselect(a, e->alone, INT(1), INT(shares)) : INT(shares);
    kb_launch(k, k->ints[0]);
    return true;
}
