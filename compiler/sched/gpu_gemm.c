/* A product as a tile of blocks: both sides are copied chunk by chunk into shared memory, some chunks ahead; each thread adds up its part of the
   tile in registers. The sum of a result runs over r in order, in as many parts as sizes alone say. */
#include "sched/gpu.h"

enum { STAGES = 3, FAR = 1 << 28, TILES_WANTED = 128, PARTS_MOST = 64, PART_LEAST = 256 };

/* ---- addresses ---- */
static bool multiple_of_4(const Lx *x) {
    if (!x) return true;
    if (x->kind == LX_INT) return x->i % 4 == 0;
    if (x->kind == LX_IADD || x->kind == LX_ISUB) return multiple_of_4(x->a) && multiple_of_4(x->b);
    return x->kind == LX_IMUL && (multiple_of_4(x->a) || multiple_of_4(x->b));
}

bool gpu_aligned(Ent *e, const View *v) {
    const Buf *b = &e->bufs.at[v->buf];
    bool ours = b->space == SP_FIXED || b->space == SP_BATCH; /* placed at multiples of 16 floats */
    if (b->space == SP_IN || b->space == SP_OUT || (!ours && b->base % 4)) return false;
    return v->offset % 4 == 0 && (!v->batched || v->sample % 4 == 0) && multiple_of_4(v->plus);
}

static Base base_of(Gemm *g, const Lx *start) {
    Kb *k = g->k;
    Arena *a = g->a;
    Base b = {.start = kb_let(k, start)};
    b.rest = g->OH * g->OW == 1 ? INT(0) : g->batched ? kb_let(k, MOD(b.start, INT(g->OH * g->OW))) : b.start;
    b.sample = !g->batched ? NULL : g->OH * g->OW == 1 ? b.start : kb_let(k, DIV(b.start, INT(g->OH * g->OW)));
    return b;
}

/* The position that is j further than the base. */
static Place place_at(Gemm *g, const Lx *j) {
    Kb *k = g->k;
    Arena *a = g->a;
    if (g->OH * g->OW == 1) return (Place){g->batched ? kb_let(k, ADD(g->base.start, j)) : NULL, INT(0), g->batched ? INT(0) : j};
    const Lx *at = kb_let(k, ADD(g->base.rest, j)), *row = kb_let(k, DIV(at, INT(g->OW)));
    Place p = {.x = g->OW == 1 ? INT(0) : kb_let(k, MOD(at, INT(g->OW)))};
    p.y = !g->batched ? row : g->OH == 1 ? INT(0) : kb_let(k, MOD(row, INT(g->OH)));
    p.sample = g->batched ? kb_let(k, ADD(g->base.sample, DIV(row, INT(g->OH)))) : NULL;
    return p;
}

static const Lx *is_place(Gemm *g, const Place *p) {
    Arena *a = g->a;
    if (g->batched) return ILT(p->sample, kb_batch(g->k));
    return g->OH * g->OW == 1 ? ILT(p->x, INT(1)) : ILT(p->y, INT(g->OH));
}

const Lx *gemm_positions(Gemm *g, const Lx *batch) {
    Arena *a = g->a;
    return g->batched ? MUL(batch, INT(g->OH * g->OW)) : INT(g->OH * g->OW);
}

/* Do the positions follow one another at one distance? */
static bool positions_flat(const Gemm *g, const Side *s) {
    const View *v = &s->v;
    if (s->taps && (s->taps[0].n * s->taps[1].n > 1 || s->taps[0].off[0] || s->taps[1].off[0])) return false;
    int64_t step[2] = {s->taps ? s->taps[0].stride : 1, s->taps ? s->taps[1].stride : 1};
    int64_t dx = v->stride[2] * step[1], dy = v->stride[1] * step[0], unit = g->OW > 1 ? dx : g->OH > 1 ? dy : v->sample;
    if (g->OW > 1 && g->OH > 1 && dy != dx * g->OW) return false;
    return !g->batched || v->sample == unit * g->OH * g->OW;
}

static int64_t position_step(const Gemm *g, const Side *s) {
    if (g->OW > 1) return s->v.stride[2] * (s->taps ? s->taps[1].stride : 1);
    if (g->OH > 1) return s->v.stride[1] * (s->taps ? s->taps[0].stride : 1);
    return g->batched ? s->v.sample : 0;
}

/* Where entry (i0 + i, r0 + r) lies; *exists: 1 where it is one, or NULL. */
static const Lx *at(Gemm *g, const Side *s, const Lx *i0, const Lx *i, const Lx *r0, const Lx *r, const Lx **exists) {
    Arena *a = g->a;
    const View *v = &s->v;
    *exists = NULL;
    const Lx *far_i = ADD(i0, i), *far_r = ADD(r0, r);
    if (s->matrix) {
        i = kb_let(g->k, far_i), r = kb_let(g->k, far_r);
        if (s->n % s->tile) *exists = ILT(i, INT(s->n));
        if (g->entries % g->chunk) *exists = *exists ? IAND(*exists, ILT(r, INT(g->entries))) : ILT(r, INT(g->entries));
        const Lx *where = ADD(MUL(i, INT(v->stride[0])), MUL(r, INT(v->stride[1])));
        return g->plane ? ADD(where, MUL(g->z, INT(g->plane))) : where;
    }
    const Lx *j = s->r_is_position ? r : i, *ent = kb_let(g->k, s->r_is_position ? far_i : far_r);
    Place p = place_at(g, j);
    const Lx *ok = is_place(g, &p);
    int64_t channels = v->shape.dim[0];
    bool one = !s->taps || s->taps[0].n * s->taps[1].n == 1;
    if (one) {
        int64_t count = s->taps ? g->entries : channels;
        if (s->r_is_position ? count % s->tile : count % g->chunk) ok = IAND(ok, ILT(ent, INT(count)));
    }
    if (one && s->inside && positions_flat(g, s)) {
        *exists = ok;
        return ADD(MUL(g->base.start, INT(position_step(g, s))), ADD(MUL(j, INT(position_step(g, s))), MUL(ent, INT(v->stride[0]))));
    }
    const Lx *base = p.sample ? MUL(p.sample, INT(v->sample)) : INT(0);
    if (!s->taps) {
        *exists = ok;
        return ADD(base, ADD(ADD(MUL(p.y, INT(v->stride[1])), MUL(p.x, INT(v->stride[2]))), MUL(ent, INT(v->stride[0]))));
    }
    const Lx *y = MUL(p.y, INT(s->taps[0].stride)), *x = MUL(p.x, INT(s->taps[1].stride));
    base = ADD(base, ADD(MUL(y, INT(v->stride[1])), MUL(x, INT(v->stride[2]))));
    if (one) {
        int64_t dy = s->taps[0].off[0], dx = s->taps[1].off[0];
        base = ADD(base, ADD(MUL(ent, INT(v->stride[0])), INT(dy * v->stride[1] + dx * v->stride[2])));
        y = ADD(y, INT(dy)), x = ADD(x, INT(dx));
    } else {
        const Lx *row = MUL(ent, INT(3));
        base = ADD(base, lx_itab(a, s->tab, row));
        y = ADD(y, lx_itab(a, s->tab, ADD(row, INT(1)))), x = ADD(x, lx_itab(a, s->tab, ADD(row, INT(2))));
    }
    if (!one || !s->inside) {
        ok = IAND(ok, IAND(ILT(INT(-1), y), ILT(y, INT(v->shape.dim[1]))));
        ok = IAND(ok, IAND(ILT(INT(-1), x), ILT(x, INT(v->shape.dim[2]))));
    }
    *exists = ok;
    return base;
}

/* Offset and shift of each tap and channel; what makes the last tile or chunk whole lies far off. */
static void tap_table(Gemm *g, Side *s) {
    const Taps *ty = &s->taps[0], *tx = &s->taps[1];
    int64_t C = s->v.shape.dim[0], n = g->entries, unit = s->r_is_position ? s->tile : g->chunk, whole = ceil_div(n, unit) * unit;
    int32_t *tab = ARENA_ARRAY(g->a, int32_t, 3 * whole);
    for (int64_t i = 0; i < whole; i++) {
        int64_t t = i / C, y = i < n ? ty->off[t / tx->n] : FAR, x = i < n ? tx->off[t % tx->n] : FAR;
        tab[3 * i] = i < n ? (int32_t)(y * s->v.stride[1] + x * s->v.stride[2] + i % C * s->v.stride[0]) : 0;
        tab[3 * i + 1] = (int32_t)y, tab[3 * i + 2] = (int32_t)x;
    }
    s->tab = kb_table(g->k, tab, 3 * whole);
}

static bool stays_inside(const Gemm *g, const Side *s) {
    int64_t out[2] = {g->OH, g->OW};
    for (int d = 0; s->taps && d < 2; d++) {
        const Taps *t = &s->taps[d];
        for (int i = 0; i < t->n; i++)
            if (t->off[i] < 0 || (out[d] - 1) * t->stride + t->off[i] >= s->v.shape.dim[d + 1]) return false;
    }
    return true;
}

/* ---- how it is copied ---- */
static int64_t core_along(const Gemm *g) { return g->precision == SCHED_BF16 ? 8 : 4; } /* entries of r in the 16 bytes of a core matrix */

static void set_side(Gemm *g, Side *s, int64_t tile) {
    const View *v = &s->v;
    s->tile = tile;
    int64_t near, run; /* the stride of what neighbouring threads copy, and how many lie in a row */
    bool all4 = gpu_aligned(g->e, v);
    if (s->matrix) {
        s->r_near = v->stride[0] != 1 && v->stride[1] == 1;
        near = s->r_near ? v->stride[1] : v->stride[0], run = s->r_near ? g->entries : s->n;
        all4 &= (s->r_near ? v->stride[0] : v->stride[1]) % 4 == 0 && g->plane % 4 == 0;
    } else {
        bool channels = v->stride[0] == 1 && (v->shape.dim[0] > 1 || s->taps); /* else positions are neighbours */
        s->r_near = channels != s->r_is_position;
        near = channels ? 1 : 0, run = v->shape.dim[0];
        all4 &= v->stride[1] % 4 == 0 && v->stride[2] % 4 == 0;
        s->inside = stays_inside(g, s);
    }
    s->vec = near == 1 && run % 4 == 0 && all4 ? 4 : 1;
    if (g->group) {
        int64_t each = core_along(g), core = 8 * each; /* padding: threads that store neighbours use different banks */
        s->flips = g->precision == SCHED_TF32 && !s->r_near;
        s->across = s->r_near ? core : g->chunk * 8 + each;
        s->along = s->r_near ? tile * each + 2 * each : core;
        s->stage_size = s->r_near ? g->chunk / each * s->along : tile / 8 * s->across;
        return;
    }
    /* matrix units read 8 rows of 4 words at a time: no two in one bank */
    int pad = g->precision == SCHED_BF16 || (g->precision == SCHED_TF32 && !s->r_near) ? 8 : 4;
    s->pitch = (s->r_near ? g->chunk : tile) + pad;
    s->stage_size = (s->r_near ? tile : g->chunk) * s->pitch;
}

static const Lx *shared_at(Gemm *g, const Side *s, const Lx *slot, const Lx *i, const Lx *r) {
    Arena *a = g->a;
    if (g->group) {
        int64_t each = core_along(g);
        const Lx *core = ADD(MUL(DIV(i, INT(8)), INT(s->across)), MUL(DIV(r, INT(each)), INT(s->along))), *i8 = MOD(i, INT(8)), *r8 = MOD(r, INT(each));
        const Lx *inside = s->r_near || s->flips ? ADD(MUL(i8, INT(each)), r8) : ADD(MUL(r8, INT(8)), i8);
        return ADD(MUL(slot, INT(s->stage_size)), ADD(core, inside));
    }
    const Lx *in = s->r_near ? ADD(MUL(i, INT(s->pitch)), r) : ADD(MUL(r, INT(s->pitch)), i);
    return ADD(MUL(slot, INT(s->stage_size)), in);
}

/* In a region: a chunk of one side, from `first` and r0 on, into its slot; or, where shared memory has other elements, into registers (`load`)
   and from there (`store`). A side that flips has four neighbours in r in registers side by side. */
typedef enum Way { COPY, LOAD, STORE } Way;

static int64_t copied_together(const Side *s) { return s->flips ? 4 * s->vec : s->vec; }

static void store_staged(Gemm *g, const Side *s, int64_t j, const Lx *i, const Lx *r, const Lx *slot) {
    Kb *k = g->k;
    Arena *a = g->a;
    if (!s->flips) {
        kb_store_aligned(k, s->shared, shared_at(g, s, slot, i, r), lx_reg(a, s->stage + (int)j, NULL, s->vec));
        return;
    }
    for (int l = 0; l < s->vec; l++) {
        const Lx *part[4];
        for (int q = 0; q < 4; q++) {
            part[q] = lx_reg(a, s->stage + 4 * (int)j + q, NULL, s->vec);
            if (s->vec > 1) part[q] = lx_lane(a, part[q], l);
        }
        kb_store_aligned(k, s->shared, shared_at(g, s, slot, ADD(i, INT(l)), r), lx_pack(a, part, 4));
    }
}

static void copy_chunk(Gemm *g, Side *s, const Lx *first, const Lx *r0, const Lx *slot, Way way) {
    Kb *k = g->k;
    Arena *a = g->a;
    int64_t turns = s->flips ? 4 : 1, wide = (s->r_near ? g->chunk : s->tile) / s->vec, all = s->tile * g->chunk / copied_together(s);
    for (int64_t j = 0; j < ceil_div(all, g->threads); j++) {
        const Lx *e = kb_let(k, ADD(lx_thread(a), INT(j * g->threads)));
        bool rest = (j + 1) * g->threads > all;
        if (rest) kb_if(k, ILT(e, INT(all)));
        const Lx *quick = MUL(MOD(e, INT(wide)), INT(s->vec)), *slow = MUL(DIV(e, INT(wide)), INT(turns));
        const Lx *i = s->r_near ? slow : quick, *r = s->r_near ? quick : slow, *exists;
        if (way == STORE) store_staged(g, s, j, i, r, slot);
        for (int64_t q = 0; q < turns && way != STORE; q++) {
            const Lx *from = at(g, s, first, i, r0, ADD(r, INT(q)), &exists);
            const Lx *count = exists ? MUL(exists, INT(s->vec)) : NULL;
            const Lx *v = s->vec > 1 && !count ? lx_load_aligned(a, s->ptr, from, s->vec) : lx_load(a, s->ptr, from, s->vec, count);
            if (way == LOAD)
                kb_set(k, s->stage + (int)(j * turns + q), NULL, v);
            else {
                Ls *c = code_add(a, &k->code, LS_COPY);
                c->ptr = s->shared, c->index = shared_at(g, s, slot, i, r), c->value = v;
            }
        }
        if (rest) kb_end(k);
    }
}

/* ---- the tile ---- */
/* Row or column number j of a thread that is number `t` of `n` along it. Vectors of up to 4 lie side by side where shared memory allows it. */
static int lanes_of(const Side *s, int64_t each) { return s->r_near ? 1 : each >= 4 ? 4 : (int)each; }
static const Lx *in_tile(Gemm *g, const Side *s, const Lx *t, int64_t n, int64_t each, int64_t j) {
    Arena *a = g->a;
    int L = lanes_of(s, each);
    return ADD(MUL(t, INT(L)), INT(j / L * L * n + j % L));
}

static const Lx *thread_m(Gemm *g) {
    Arena *a = g->a;
    return MOD(lx_thread(a), INT(g->tm / g->m_each));
}
static const Lx *thread_n(Gemm *g) {
    Arena *a = g->a;
    return DIV(lx_thread(a), INT(g->tm / g->m_each));
}

/* Loads what a thread needs of one side for r .. r+3: registers of 4 along r, or along the tile. */
static void load_side(Gemm *g, const Side *s, const Lx *slot, const Lx *t, int64_t n, int64_t each, int reg, const Lx *r, bool along_r) {
    Kb *k = g->k;
    Arena *a = g->a;
    int L = lanes_of(s, each);
    if (s->r_near != along_r) return;
    if (s->r_near) {
        for (int64_t j = 0; j < each; j++)
            kb_set(k, reg + (int)j, NULL, lx_load_aligned(a, s->shared, shared_at(g, s, slot, in_tile(g, s, t, n, each, j), r), 4));
        return;
    }
    for (int64_t j = 0; j < each; j += L) {
        const Lx *at = shared_at(g, s, slot, in_tile(g, s, t, n, each, j), r);
        kb_set(k, reg + (int)(j / L), NULL, L > 1 ? lx_load_aligned(a, s->shared, at, L) : lx_load(a, s->shared, at, 1, NULL));
    }
}

static const Lx *operand(Gemm *g, const Side *s, int reg, int64_t each, int64_t j, int r) {
    Arena *a = g->a;
    int L = lanes_of(s, each);
    if (s->r_near) return lx_lane(a, lx_reg(a, reg + (int)j, NULL, 4), r);
    const Lx *v = lx_reg(a, reg + (int)(j / L), NULL, L);
    return L > 1 ? lx_lane(a, v, (int)(j % L)) : v;
}

static int side_regs(Gemm *g, const Side *s, int64_t each) {
    int L = lanes_of(s, each);
    return s->r_near ? kb_reg(g->k, 4, (int)each) : kb_reg(g->k, L, (int)(each / L));
}

/* In a region: acc += the chunk in the slot. */
static void add_chunk(Gemm *g, const Lx *slot) {
    Kb *k = g->k;
    Arena *a = g->a;
    const Lx *tm = thread_m(g), *tn = thread_n(g);
    int64_t nm = g->tm / g->m_each, nn = g->tn / g->n_each;
    const Lx *q = kb_unroll(k, g->chunk / 4), *r4 = MUL(q, INT(4));
    load_side(g, &g->side[0], slot, tm, nm, g->m_each, g->areg, r4, true);
    load_side(g, &g->side[1], slot, tn, nn, g->n_each, g->breg, r4, true);
    for (int r = 0; r < 4; r++) {
        load_side(g, &g->side[0], slot, tm, nm, g->m_each, g->areg, ADD(r4, INT(r)), false);
        load_side(g, &g->side[1], slot, tn, nn, g->n_each, g->breg, ADD(r4, INT(r)), false);
        for (int64_t j = 0; j < g->n_each; j++)
            for (int64_t i = 0; i < g->m_each; i++) {
                int acc = g->acc + (int)(j * g->m_each + i);
                const Lx *x = operand(g, &g->side[0], g->areg, g->m_each, i, r), *y = operand(g, &g->side[1], g->breg, g->n_each, j, r);
                kb_set(k, acc, NULL, lx_f3(a, LX_FMA, x, y, lx_reg(a, acc, NULL, 1)));
            }
    }
    kb_end(k);
}

/* ---- matrix units: rows are columns of the result, so that neighbours in a thread are neighbouring rows of it ---- */
static int64_t together(const Gemm *g) { return g->group ? 128 : 32; } /* threads that have a tile */

static void multiply_chunk(Gemm *g, const Lx *slot) {
    Arena *a = g->a;
    const Side *rows = &g->side[1], *cols = &g->side[0];
    const Lx *warp = g->threads == together(g) ? INT(0) : DIV(lx_thread(a), INT(together(g))), *across = INT(g->tm / g->m_each);
    const Lx *zero = INT(0), *n0 = MUL(DIV(warp, across), INT(g->n_each)), *m0 = MUL(MOD(warp, across), INT(g->m_each));
    LsMma *x = ARENA_NEW(a, LsMma);
    *x = (LsMma){.precision = g->precision == SCHED_TF32 ? LP_TF32 : LP_BFLOAT16, .m = (int32_t)(g->n_each / 16), .n = (int32_t)(g->m_each / 8), .depth = (int32_t)g->chunk};
    x->a = rows->shared, x->b = cols->shared;
    x->a_at = shared_at(g, rows, slot, n0, zero), x->b_at = shared_at(g, cols, slot, m0, zero);
    if (g->group) {
        x->group = true, x->m = (int32_t)(g->n_each / 64);
        x->a_row = rows->across, x->a_col = rows->along, x->a_across = !rows->r_near && !rows->flips;
        x->b_col = cols->across, x->b_row = cols->along, x->b_across = !cols->r_near && !cols->flips;
    } else {
        x->a_row = rows->r_near ? rows->pitch : 1, x->a_col = rows->r_near ? 1 : rows->pitch;
        x->b_row = cols->r_near ? 1 : cols->pitch, x->b_col = cols->r_near ? cols->pitch : 1;
    }
    Ls *s = code_add(a, &g->k->code, LS_MMA);
    s->reg = g->acc, s->mma = x;
}

/* Column and row of the tile, and register, of a thread's results: number j of n_mine, i of m_mine. */
typedef struct Mine {
    int n, m, lanes; /* how many; how many rows lie side by side */
} Mine;

static Mine mine(const Gemm *g) {
    if (g->precision == SCHED_FLOAT32) return (Mine){(int)g->n_each, (int)g->m_each, lanes_of(&g->side[0], g->m_each)};
    return (Mine){(int)g->n_each / (g->group ? 32 : 8), (int)g->m_each / 4, 2};
}

static const Lx *mine_n(Gemm *g, int j) {
    Arena *a = g->a;
    if (g->precision == SCHED_FLOAT32) return in_tile(g, &g->side[1], thread_n(g), g->tn / g->n_each, g->n_each, j);
    const Lx *t = lx_thread(a), *tile = DIV(t, INT(together(g))), *row = DIV(MOD(t, INT(32)), INT(4));
    if (g->group) row = ADD(MUL(MOD(DIV(t, INT(32)), INT(4)), INT(16)), row);
    return ADD(ADD(MUL(DIV(tile, INT(g->tm / g->m_each)), INT(g->n_each)), row), INT(j / 2 * (g->group ? 64 : 16) + j % 2 * 8));
}

static const Lx *mine_m(Gemm *g, int i) {
    Arena *a = g->a;
    if (g->precision == SCHED_FLOAT32) return in_tile(g, &g->side[0], thread_m(g), g->tm / g->m_each, g->m_each, i);
    const Lx *t = lx_thread(a), *tile = DIV(t, INT(together(g))), *lane = MOD(t, INT(32));
    return ADD(ADD(MUL(MOD(tile, INT(g->tm / g->m_each)), INT(g->m_each)), MUL(MOD(lane, INT(4)), INT(2))), INT(i / 2 * 8 + i % 2));
}

static int mine_reg(const Gemm *g, int j, int i) {
    if (g->precision == SCHED_FLOAT32) return g->acc + j * (int)g->m_each + i;
    return g->acc + 4 * (j / 2 * (int)(g->m_each / 8) + i / 2) + 2 * (j % 2) + i % 2;
}

static void write_tile(Gemm *g, const Lx *m0, const Lx *n0, const Lx *columns) {
    Kb *k = g->k;
    Arena *a = g->a;
    Mine w = mine(g);
    int lanes = g->wide && g->M % w.lanes == 0 ? w.lanes : 1;
    kb_threads(k);
    for (int j = 0; j < w.n; j++) {
        const Lx *n = mine_n(g, j);
        if (columns) {
            n = kb_let(k, ADD(n0, n));
            kb_if(k, ILT(n, columns));
        } else {
            g->here = place_at(g, n);
            kb_if(k, is_place(g, &g->here));
        }
        for (int i = 0; i < w.m; i += lanes) {
            const Lx *m = kb_let(k, ADD(m0, mine_m(g, i))), *part[4];
            for (int l = 0; l < lanes; l++) part[l] = lx_reg(a, mine_reg(g, j, i + l), NULL, 1);
            if (g->M % g->tm) kb_if(k, ILT(m, INT(g->M)));
            g->out(g, m, n, lanes > 1 ? lx_pack(a, part, lanes) : part[0]);
            if (g->M % g->tm) kb_end(k);
        }
        kb_end(k);
    }
    kb_end(k);
}

/* Larger tiles use what they copy more often; small products want many blocks. */
static void choose_tile(Gemm *g) {
    typedef struct Tile {
        int32_t least_m, tm, tn, m_each, n_each;
    } Tile;
    static const Tile by_thread[] = {{33, 64, 128, 8, 8}, {33, 64, 64, 8, 4}, {33, 64, 32, 4, 4}, {17, 32, 128, 4, 8}, {17, 32, 32, 4, 2}, {9, 16, 128, 4, 4},
                                     {9, 16, 32, 4, 2},   {5, 8, 128, 4, 2},  {5, 8, 32, 4, 1},   {0, 4, 128, 4, 1},   {0, 4, 32, 4, 1}};
    static const Tile by_warp[] = {{65, 128, 128, 128, 64}, {33, 64, 128, 64, 128}, {33, 64, 64, 64, 64}, {33, 64, 32, 32, 16}, {17, 32, 128, 32, 32}, {17, 32, 32, 16, 16},
                                   {9, 16, 128, 16, 32},  {9, 16, 32, 16, 16},  {0, 8, 128, 8, 32},   {0, 8, 32, 8, 16}};
    bool units = g->precision != SCHED_FLOAT32;
    const Tile *tiles = units ? by_warp : by_thread;
    size_t i = 0, last = (units ? sizeof by_warp : sizeof by_thread) / sizeof(Tile) - 1;
    int64_t columns = g->side[1].r_is_position ? g->entries : g->OH * g->OW * (g->batched ? 64 : 1);
    while (i < last && tiles[i].least_m > g->M) i++;
    if (tiles[i].tm > 64 && ceil_div(g->M, 64) % 2) i++; /* half of the last one would be empty */
    for (; i < last && (tiles[i + 1].tm == tiles[i].tm || tiles[i].tm > 64); i++) {
        bool last_group = units && tiles[i].tn == 64 && tiles[i].tm == 64; /* half as many of those will do */
        int64_t blocks = ceil_div(columns, tiles[i].tn) * ceil_div(g->M, tiles[i].tm) * g->parts * g->planes;
        if (blocks >= (last_group ? TILES_WANTED / 2 : TILES_WANTED)) break;
    }
    g->tm = tiles[i].tm, g->tn = tiles[i].tn, g->m_each = tiles[i].m_each, g->n_each = tiles[i].n_each, g->group = units && g->tm >= 64 && g->tn >= 64;
    g->threads = g->tm / g->m_each * (g->tn / g->n_each) * (units ? together(g) : 1);
}

int64_t gemm_parts(int64_t rows, int64_t columns, int64_t summed) {
    int64_t tiles = ceil_div(rows, 64) * ceil_div(columns, 64), parts = TILES_WANTED / tiles;
    if (parts > summed / PART_LEAST) parts = summed / PART_LEAST;
    return parts < 1 ? 1 : parts > PARTS_MOST ? PARTS_MOST : parts;
}

static void use_chunk(Gemm *g, const Lx *slot) {
    if (g->precision != SCHED_FLOAT32) {
        multiply_chunk(g, kb_let(g->k, slot));
        return;
    }
    kb_threads(g->k);
    add_chunk(g, kb_let(g->k, slot));
    kb_end(g->k);
}

/* A region: both sides of chunk number c, where there is one. */
static void fetch(Gemm *g, const Lx *const first[2], const Lx *c, const Lx *end, const Lx *slot, Way way) {
    Kb *k = g->k;
    Arena *a = g->a;
    const Lx *r0 = kb_let(k, MUL(c, INT(g->chunk)));
    if (g->side[1].r_is_position && way != STORE) g->base = base_of(g, r0);
    kb_threads(k);
    if (end) kb_if(k, ILT(c, end));
    for (int i = 0; i < 2; i++) copy_chunk(g, &g->side[i], first[i], r0, slot, way);
    if (end) kb_end(k);
    kb_end(k);
}

/* The copies of some chunks are under way while one is used. */
static void loop_of_copies(Gemm *g, const Lx *const first[2], const Lx *lo, const Lx *hi) {
    Kb *k = g->k;
    Arena *a = g->a;
    for (int s = 0; s < g->stages - 1; s++) {
        fetch(g, first, ADD(lo, INT(s)), hi, INT(s), COPY);
        code_add(a, &k->code, LS_GROUP);
    }
    const Lx *c = kb_for(k, lo, hi, 1), *turn = SUB(c, lo);
    code_add(a, &k->code, LS_WAIT)->cond = INT(g->stages - 2);
    kb_sync(k);
    fetch(g, first, ADD(c, INT(g->stages - 1)), hi, MOD(ADD(turn, INT(g->stages - 1)), INT(g->stages)), COPY);
    code_add(a, &k->code, LS_GROUP);
    use_chunk(g, MOD(turn, INT(g->stages)));
    kb_end(k);
    code_add(a, &k->code, LS_WAIT)->cond = INT(0);
}

/* The same through registers, where numbers change on the way: the next chunk is loaded while one is used. Groups of warps have two products under
   way: with three slots, the one that is written was read by the last but two, and all threads know that it is done. */
static void loop_of_registers(Gemm *g, const Lx *const first[2], const Lx *lo, const Lx *hi) {
    Kb *k = g->k;
    Arena *a = g->a;
    for (int i = 0; i < 2; i++) {
        Side *s = &g->side[i];
        s->stage = kb_reg(k, s->vec, (int)ceil_div(s->tile * g->chunk / copied_together(s), g->threads) * (s->flips ? 4 : 1));
    }
    fetch(g, first, lo, hi, INT(0), LOAD);
    if (g->group) kb_if(k, ILT(lo, hi)); /* so that the last wait is on no path around the loop, which would set the sums while products are under way */
    const Lx *c = kb_for(k, lo, hi, 1), *slot = MOD(SUB(c, lo), INT(g->stages));
    fetch(g, first, c, NULL, slot, STORE);
    kb_sync(k);
    if (g->group) use_chunk(g, slot);
    fetch(g, first, ADD(c, INT(1)), hi, slot, LOAD);
    if (!g->group) use_chunk(g, slot);
    if (g->group) code_add(a, &k->code, LS_MMA_WAIT)->cond = INT(1);
    kb_end(k);
    if (!g->group) return;
    code_add(a, &k->code, LS_MMA_WAIT)->cond = INT(0);
    kb_end(k);
}

/* Pointers of what `out` writes must be asked for before; shared memory comes last. */
void gemm_run(Gemm *g) {
    Kb *k = g->k;
    Arena *a = g->a;
    g->precision = g->e->s->t.precision;
    bool shorter = g->precision == SCHED_BF16;
    choose_tile(g);
    k->threads = (int32_t)g->threads;
    bool staged = shorter || g->group; /* rounded on the way */
    g->stages = staged && !g->group ? 2 : STAGES;
    g->chunk = shorter ? 32 : 16;
    bool sum_positions = g->side[1].r_is_position;
    for (int i = 0; i < 2; i++) {
        Side *s = &g->side[i];
        set_side(g, s, i ? g->tn : g->tm);
        s->ptr = kb_ptr(k, &s->v, false);
        if (s->taps && s->taps[0].n * s->taps[1].n > 1) tap_table(g, s);
    }
    for (int i = 0; i < 2; i++) g->side[i].shared = kb_shared(k, shorter ? LP_BF16 : g->group ? LP_F19 : LP_F32, g->stages * g->side[i].stage_size);
    if (g->precision != SCHED_FLOAT32)
        k->detail = arena_printf(a, "%s: tiles of %d x %d, chunks of %d in %s, by %s", g->what, (int)g->tm, (int)g->tn, (int)g->chunk, shorter ? "bf16" : "tf32",
                                 g->group ? "groups of four warps" : "warps");
    g->acc = kb_reg(k, 1, (int)(g->tm * g->tn / g->threads));
    if (g->precision == SCHED_FLOAT32) g->areg = side_regs(g, &g->side[0], g->m_each), g->breg = side_regs(g, &g->side[1], g->n_each);

    const Lx *columns = sum_positions ? INT(g->entries) : NULL;
    const Lx *summed = sum_positions ? gemm_positions(g, kb_batch(k)) : INT(g->entries);
    const Lx *tiles_m = INT(ceil_div(g->M, g->tm)), *point = kb_grid(k);
    const Lx *m0 = kb_let(k, MUL(MOD(point, tiles_m), INT(g->tm)));
    const Lx *rest = kb_let(k, DIV(point, tiles_m)), *z = INT(g->parts * g->planes);
    g->z = kb_let(k, MOD(rest, z));
    const Lx *column = DIV(rest, z);
    if (sum_positions) column = MOD(column, INT(ceil_div(g->entries, g->tn))); /* a number that is known to be small */
    const Lx *n0 = kb_let(k, MUL(column, INT(g->tn)));
    if (!sum_positions) g->base = base_of(g, n0);
    const Lx *chunks = DIV(ADD(summed, INT(g->chunk - 1)), INT(g->chunk)), *lo = INT(0), *hi = chunks;
    if (g->parts > 1) {
        lo = kb_let(k, DIV(MUL(g->z, chunks), INT(g->parts)));
        hi = kb_let(k, DIV(MUL(ADD(g->z, INT(1)), chunks), INT(g->parts)));
    } else
        hi = kb_let(k, hi);
    if (staged)
        loop_of_registers(g, (const Lx *const[]){m0, n0}, lo, hi);
    else
        loop_of_copies(g, (const Lx *const[]){m0, n0}, lo, hi);
    write_tile(g, m0, n0, columns);
    int64_t times = ceil_div(g->M, g->tm) * g->parts * g->planes;
    if (!sum_positions && g->batched) kb_launch_samples(k, g->OH * g->OW, g->tn, times);
    else kb_launch(k, launch_grid(a, INT(1), sum_positions ? g->entries : g->OH * g->OW, g->tn, times));
}
