/* Makes expressions and statements; integers fold as they are built. */
#include "base/trouble.h"
#include "loop/fold.h"
#include "loop/lxmap.h"
#include <string.h>

static Lx *lx_new(Arena *a, LxKind k, int width) {
    Lx *x = ARENA_NEW(a, Lx);
    x->kind = k;
    x->width = width;
    return x;
}

const Lx *lx_int(Arena *a, int64_t v) {
    Lx *x = lx_new(a, LX_INT, 0);
    x->i = v;
    return x;
}

const Lx *lx_var(Arena *a, int32_t var) {
    Lx *x = lx_new(a, LX_VAR, 0);
    x->i = var;
    return x;
}

bool lx_is_const(const Lx *x, int64_t *v) {
    if (!x || x->kind != LX_INT) return false;
    if (v) *v = x->i;
    return true;
}

static int64_t wrap(LxKind k, int64_t x, int64_t y) {
    int64_t r = 0;
    MUST(loop_fold_op(k, x, y, &r));
    return r;
}

static const Lx *lx_binary(Arena *a, LxKind k, int width, const Lx *x, const Lx *y) {
    Lx *r = lx_new(a, k, width);
    r->a = x;
    r->b = y;
    return r;
}

/* A number that divides x whatever its variables are; 0 divides 0 only. */
static int64_t divisor(const Lx *x, int depth) {
    if (x->kind == LX_INT) return x->i < 0 ? -(x->i + 1) < INT32_MAX ? -x->i : 1 : x->i;
    if (depth == 0) return 1;
    switch ((int)x->kind) {
    case LX_IADD: case LX_ISUB: case LX_IMIN: case LX_IMAX: return loop_gcd(divisor(x->a, depth - 1), divisor(x->b, depth - 1));
    case LX_ISELECT: return loop_gcd(divisor(x->b, depth - 1), divisor(x->c, depth - 1));
    case LX_IMUL: {
        int64_t p = divisor(x->a, depth - 1), q = divisor(x->b, depth - 1);
        return p <= INT32_MAX && q <= INT32_MAX ? p * q : 1;
    }
    default: return 1;
    }
}

const Lx *lx_i2(Arena *a, LxKind k, const Lx *x, const Lx *y) {
    int64_t cx, cy = 0, v;
    MUST(x && x->width == 0 && (!y || y->width == 0) && (y || k == LX_INOT));
    bool kx = lx_is_const(x, &cx), ky = !y || lx_is_const(y, &cy);
    if (kx && ky && loop_fold_op(k, cx, cy, &v)) return lx_int(a, v);
    switch ((int)k) {
    case LX_IADD:
        if (kx) return lx_i2(a, k, y, x); /* constants to the right */
        if (ky && cy == 0) return x;
        if (ky && x->kind == LX_IADD && lx_is_const(x->b, &v)) return lx_i2(a, k, x->a, lx_int(a, wrap(LX_IADD, v, cy)));
        if (x->kind == LX_IADD && x->b->kind == LX_INT) /* (p + 1) + q: the constant goes outermost, into the address */
            return lx_i2(a, k, lx_i2(a, k, x->a, y), x->b);
        if (y && y->kind == LX_IADD && y->b->kind == LX_INT) return lx_i2(a, k, lx_i2(a, k, x, y->a), y->b);
        break;
    case LX_ISUB:
        if (ky && cy != INT64_MIN) return lx_i2(a, LX_IADD, x, lx_int(a, -cy));
        break;
    case LX_IMUL:
        if (kx) return lx_i2(a, k, y, x);
        if (ky && cy == 0) return y;
        if (ky && cy == 1) return x;
        if (ky && x->kind == LX_IMUL && lx_is_const(x->b, &v)) return lx_i2(a, k, x->a, lx_int(a, wrap(LX_IMUL, v, cy)));
        if (ky && x->kind == LX_IADD && lx_is_const(x->b, &v))
            return lx_i2(a, LX_IADD, lx_i2(a, k, x->a, y), lx_int(a, wrap(LX_IMUL, v, cy)));
        break;
    case LX_IDIV:
        if (ky && cy == 1) return x;
        break;
    case LX_IMOD:
        if (ky && cy > 0 && divisor(x, 8) % cy == 0) return lx_int(a, 0);
        break;
    case LX_IMIN: case LX_IMAX:
        if (x == y) return x;
        break;
    case LX_IAND:
        if ((kx && !cx) || (ky && !cy)) return lx_int(a, 0);
        break;
    case LX_IOR:
        if ((kx && cx) || (ky && cy)) return lx_int(a, 1);
        break;
    default: break;
    }
    return lx_binary(a, k, 0, x, y);
}

const Lx *lx_addk(Arena *a, const Lx *x, int64_t k) { return lx_i2(a, LX_IADD, x, lx_int(a, k)); }
const Lx *lx_mulk(Arena *a, const Lx *x, int64_t k) { return lx_i2(a, LX_IMUL, x, lx_int(a, k)); }

const Lx *lx_iselect(Arena *a, const Lx *cond, const Lx *x, const Lx *y) {
    int64_t v;
    if (lx_is_const(cond, &v)) return v ? x : y;
    Lx *r = lx_new(a, LX_ISELECT, 0);
    r->a = cond;
    r->b = x;
    r->c = y;
    return r;
}

const Lx *lx_itab(Arena *a, int32_t ptr, const Lx *index) {
    Lx *r = lx_new(a, LX_ITAB, 0);
    r->i = ptr;
    r->a = index;
    return r;
}

const Lx *lx_f2i(Arena *a, const Lx *x) {
    Lx *r = lx_new(a, LX_F2I, 0);
    r->a = x;
    return r;
}

const Lx *lx_thread(Arena *a) { return lx_new(a, LX_THREAD, 0); }

const Lx *lx_float(Arena *a, double v, int width) {
    Lx *x = lx_new(a, LX_FLOAT, width);
    x->f = (float)v;
    return x;
}

const Lx *lx_lanes(Arena *a, int width) { return lx_new(a, LX_LANES, width); }

const Lx *lx_reg(Arena *a, int32_t reg, const Lx *at, int width) {
    int64_t v;
    Lx *x = lx_new(a, LX_REG, width);
    x->i = reg;
    x->a = at;
    if (lx_is_const(at, &v)) {
        x->i += v;
        x->a = NULL;
    }
    return x;
}

const Lx *lx_load(Arena *a, int32_t ptr, const Lx *index, int width, const Lx *count) {
    int64_t n;
    Lx *x = lx_new(a, LX_LOAD, width);
    x->i = ptr;
    x->a = index;
    x->b = lx_is_const(count, &n) && n >= width ? NULL : count;
    return x;
}

const Lx *lx_load_aligned(Arena *a, int32_t ptr, const Lx *index, int width) {
    Lx *x = lx_new(a, LX_LOAD, width);
    x->i = ptr;
    x->a = index;
    x->f = width > 1;
    return x;
}

const Lx *lx_gather(Arena *a, int32_t ptr, const Lx *index, const Lx *stride, int width, const Lx *count) {
    int64_t n;
    if (width == 1 || (lx_is_const(stride, &n) && n == 1)) return lx_load(a, ptr, index, width, count);
    Lx *x = lx_new(a, LX_GATHER, width);
    x->i = ptr;
    x->a = index;
    x->b = stride;
    x->c = lx_is_const(count, &n) && n >= width ? NULL : count;
    return x;
}

const Lx *lx_splat(Arena *a, const Lx *x, int width) {
    if (x->width == width) return x;
    if (x->kind == LX_FLOAT) return lx_float(a, x->f, width);
    return lx_binary(a, LX_SPLAT, width, x, NULL);
}

const Lx *lx_lane(Arena *a, const Lx *x, int lane) {
    if (x->width == 1) return x;
    if (x->kind == LX_PACK) return x->list[lane];
    Lx *r = lx_new(a, LX_LANE, 1);
    r->i = lane;
    r->a = x;
    return r;
}

const Lx *lx_pack(Arena *a, const Lx *const *lanes, int width) {
    if (width == 1) return lanes[0];
    Lx *r = lx_new(a, LX_PACK, width);
    r->list = arena_copy(a, lanes, (size_t)width * sizeof(const Lx *));
    return r;
}

const Lx *lx_i2f(Arena *a, const Lx *x, int width) {
    int64_t v;
    if (lx_is_const(x, &v)) return lx_float(a, (float)v, width);
    return lx_binary(a, LX_I2F, width, x, NULL);
}

const Lx *lx_f1(Arena *a, LxKind k, const Lx *x) {
    bool across = k == LX_HSUM || k == LX_HMAX;
    if (across && x->width == 1) return x;
    return lx_binary(a, k, across ? 1 : x->width, x, NULL);
}

const Lx *lx_f2(Arena *a, LxKind k, const Lx *x, const Lx *y) {
    if ((k == LX_MAX || k == LX_MIN) && x->kind == LX_FLOAT && y->kind != LX_FLOAT) return lx_binary(a, k, x->width, y, x); /* constants to the right */
    return lx_binary(a, k, x->width, x, y);
}

const Lx *lx_f3(Arena *a, LxKind k, const Lx *x, const Lx *y, const Lx *z) {
    Lx *r = lx_new(a, k, y->width);
    r->a = x;
    r->b = y;
    r->c = z;
    return r;
}

const Lx *lx_noise(Arena *a, bool normal, int width, const Lx *seed, const Lx *step, const Lx *sample, const Lx *index, const Lx *entry) {
    const Lx *args[] = {seed, step, sample, index, entry};
    Lx *r = lx_new(a, LX_NOISE, width);
    r->f = normal;
    r->list = arena_copy(a, args, sizeof args);
    return r;
}

/* ---- statements ---- */
void ls_add(LsList *l, Ls *s) {
    MUST(s && !s->next);
    if (l->last) l->last->next = s;
    else l->first = s;
    l->last = s;
}

static Ls *ls_new(Arena *a, LsKind k) {
    Ls *s = ARENA_NEW(a, Ls);
    s->kind = k;
    return s;
}

Ls *ls_for(Arena *a, int32_t var, const Lx *lo, const Lx *hi, int64_t step, bool unroll, const Ls *body) {
    Ls *s = ls_new(a, LS_FOR);
    s->var = var;
    s->lo = lo;
    s->hi = hi;
    s->step = lx_int(a, step);
    s->unroll = unroll;
    s->body = body;
    return s;
}

Ls *ls_for_n(Arena *a, int32_t var, int64_t n, bool unroll, const Ls *body) {
    return ls_for(a, var, lx_int(a, 0), lx_int(a, n), 1, unroll, body);
}

Ls *ls_if(Arena *a, const Lx *cond, const Ls *body, const Ls *orelse) {
    Ls *s = ls_new(a, LS_IF);
    s->cond = cond;
    s->body = body;
    s->orelse = orelse;
    return s;
}

Ls *ls_setvar(Arena *a, int32_t var, const Lx *value) {
    Ls *s = ls_new(a, LS_SETVAR);
    s->var = var;
    s->cond = value;
    return s;
}

Ls *ls_break_if(Arena *a, const Lx *cond) {
    Ls *s = ls_new(a, LS_BREAK_IF);
    s->cond = cond;
    return s;
}

Ls *ls_break_if_at(Arena *a, Lptr at) {
    Ls *s = ls_new(a, LS_BREAK_IF);
    s->ptrs = arena_copy(a, &at, sizeof at);
    return s;
}

Ls *ls_set(Arena *a, int32_t reg, const Lx *at, const Lx *value) {
    int64_t v;
    Ls *s = ls_new(a, LS_SET);
    s->reg = reg;
    s->reg_at = at;
    if (lx_is_const(at, &v)) {
        s->reg += (int32_t)v;
        s->reg_at = NULL;
    }
    s->value = value;
    return s;
}

Ls *ls_store(Arena *a, int32_t ptr, const Lx *index, const Lx *value, const Lx *count) {
    int64_t n;
    Ls *s = ls_new(a, LS_STORE);
    s->ptr = ptr;
    s->index = index;
    s->value = value;
    s->count = lx_is_const(count, &n) && n >= value->width ? NULL : count;
    return s;
}

Ls *ls_store_strided(Arena *a, int32_t ptr, const Lx *index, const Lx *stride, const Lx *value, const Lx *count) {
    int64_t n;
    Ls *s = ls_store(a, ptr, index, value, count);
    if (value->width == 1 || (lx_is_const(stride, &n) && n == 1)) return s;
    s->kind = LS_STORE_STRIDED;
    s->stride = stride;
    return s;
}

Ls *ls_store_aligned(Arena *a, int32_t ptr, const Lx *index, const Lx *value) {
    Ls *s = ls_store(a, ptr, index, value, NULL);
    s->aligned = value->width > 1;
    return s;
}

Ls *ls_threads(Arena *a, const Ls *body) {
    Ls *s = ls_new(a, LS_THREADS);
    s->body = body;
    return s;
}

Ls *ls_sync(Arena *a) { return ls_new(a, LS_SYNC); }

Ls *ls_last(Arena *a, const Ls *body) {
    Ls *s = ls_new(a, LS_LAST);
    s->body = body;
    return s;
}

Ls *ls_mma(Arena *a, int32_t reg, LsMma mma) {
    Ls *s = ls_new(a, LS_MMA);
    s->reg = reg;
    s->mma = arena_copy(a, &mma, sizeof mma);
    return s;
}

Ls *ls_warp(Arena *a, LxKind op, int32_t reg) {
    Ls *s = ls_new(a, LS_WARP);
    s->op = op;
    s->reg = reg;
    return s;
}

Ls *ls_copy(Arena *a, int32_t ptr, const Lx *index, const Lx *load) {
    Ls *s = ls_new(a, LS_COPY);
    s->ptr = ptr;
    s->index = index;
    s->value = load;
    return s;
}

Ls *ls_mma_wait(Arena *a, int under_way) {
    Ls *s = ls_new(a, LS_MMA_WAIT);
    s->cond = lx_int(a, under_way);
    return s;
}

Ls *ls_group(Arena *a) { return ls_new(a, LS_GROUP); }

Ls *ls_wait(Arena *a, int under_way) {
    Ls *s = ls_new(a, LS_WAIT);
    s->cond = lx_int(a, under_way);
    return s;
}

Ls *ls_launch(Arena *a, int32_t kernel, const Lx *grid, const Lptr *ptrs, size_t nptrs, const Lx *const *ints, size_t nints) {
    Ls *s = ls_new(a, LS_LAUNCH);
    s->kernel = kernel;
    s->grid = grid;
    s->ptrs = arena_copy(a, ptrs, nptrs * sizeof *ptrs);
    s->ints = arena_copy(a, ints, nints * sizeof *ints);
    return s;
}

Ls *ls_f2var(Arena *a, int32_t var, Lptr at) {
    Ls *s = ls_new(a, LS_F2VAR);
    s->var = var;
    s->ptrs = arena_copy(a, &at, sizeof at);
    return s;
}

Ls *ls_prefetch(Arena *a, int32_t ptr, const Lx *index, bool near) {
    Ls *s = ls_new(a, LS_PREFETCH);
    s->ptr = ptr;
    s->near = near;
    s->index = index;
    return s;
}

Ls *ls_tile_clear(Arena *a, int tile) {
    Ls *s = ls_new(a, LS_TILE_CLEAR);
    s->reg = tile;
    return s;
}

static Ls *tile_memory(Arena *a, LsKind kind, int tile, int32_t ptr, const Lx *index, const Lx *stride) {
    Ls *s = ls_new(a, kind);
    s->reg = tile;
    s->ptr = ptr;
    s->index = index;
    s->stride = stride;
    return s;
}

Ls *ls_tile_load(Arena *a, int tile, int32_t ptr, const Lx *index, const Lx *stride) { return tile_memory(a, LS_TILE_LOAD, tile, ptr, index, stride); }
Ls *ls_tile_store(Arena *a, int tile, int32_t ptr, const Lx *index, const Lx *stride) { return tile_memory(a, LS_TILE_STORE, tile, ptr, index, stride); }

Ls *ls_tile_dot(Arena *a, int tile, int tile_a, int tile_b) {
    Ls *s = ls_new(a, LS_TILE_DOT);
    s->reg = tile;
    s->tile_a = tile_a;
    s->tile_b = tile_b;
    return s;
}

Ls *ls_store_pairs(Arena *a, int32_t ptr, const Lx *index, const Lx *value, const Lx *other) {
    Ls *s = ls_new(a, LS_STORE_PAIRS);
    s->ptr = ptr;
    s->index = index;
    s->value = value;
    s->other = other;
    return s;
}

Ls *ls_lanes(Arena *a, int32_t var, int32_t alone, const Lx *n, const Ls *body) {
    Ls *s = ls_new(a, LS_LANES);
    s->var = var;
    s->alone = alone;
    s->hi = n;
    s->body = body;
    return s;
}

Ls *ls_prepare(Arena *a, const Ls *body) {
    Ls *s = ls_new(a, LS_PREPARE);
    s->body = body;
    return s;
}

/* ---- what a kernel needs ---- */
static bool reads(const Lx *x, int32_t var, LxMap *seen, Arena *a) {
    if (!x) return false;
    LxCell *cell = lx_map_cell(a, seen, x);
    if (cell->turn == seen->turn) return false;
    cell->turn = seen->turn;
    if (x->kind == LX_VAR) return x->i == var;
    bool any = reads(x->a, var, seen, a) || reads(x->b, var, seen, a) || reads(x->c, var, seen, a);
    for (int i = 0; !any && i < lx_list_len(x); i++) any = reads(x->list[i], var, seen, a);
    return any;
}

static bool list_reads(const Ls *s, int32_t var, LxMap *seen, Arena *a) {
    for (; s; s = s->next) {
        const Lx *x[] = {s->lo, s->hi, s->cond, s->index, s->value, s->other, s->count, s->stride, s->reg_at};
        for (size_t i = 0; i < sizeof x / sizeof *x; i++)
            if (reads(x[i], var, seen, a)) return true;
        if (list_reads(s->body, var, seen, a) || list_reads(s->orelse, var, seen, a)) return true;
    }
    return false;
}

static bool any_tile(const Ls *s) {
    for (; s; s = s->next) {
        if (s->kind == LS_TILE_CLEAR || s->kind == LS_TILE_LOAD || s->kind == LS_TILE_DOT || s->kind == LS_TILE_STORE) return true;
        if (any_tile(s->body) || any_tile(s->orelse)) return true;
    }
    return false;
}

bool lp_uses_tiles(const LpKernel *k) { return any_tile(k->body); }

bool lp_reads_batch(const LpKernel *k) {
    Arena *a = arena_new();
    LxMap seen = {.turn = 1};
    bool any = list_reads(k->body, lp_batch_var(k), &seen, a);
    for (int32_t i = 0; !any && i < k->nptr; i++) any = reads(k->ptr[i].extent, lp_batch_var(k), &seen, a);
    arena_free(a);
    return any;
}

int32_t lp_launch_ptrs(const LpKernel *k) {
    int32_t n = 0;
    for (int32_t i = 0; i < k->nptr; i++) n += !k->ptr[i].thread && !k->ptr[i].shared;
    return n;
}

int64_t lp_thread_bytes(const LpKernel *k) {
    int64_t n = 0;
    for (int32_t i = 0; i < k->nptr; i++)
        if (k->ptr[i].thread) n += (k->ptr[i].bytes + 63) / 64 * 64;
    return n;
}

int64_t lp_shared_bytes(const LpKernel *k) {
    int64_t n = 0;
    for (int32_t i = 0; i < k->nptr; i++)
        if (k->ptr[i].shared) n += (k->ptr[i].bytes + 127) / 128 * 128;
    return n;
}
