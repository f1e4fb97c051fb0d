/* Runs the blocks of a launch: regions thread by thread, collectives warp by warp. */
#include "base/trouble.h"
#include "loop/eval.h"
#include "loop/scalar.h"
#include <math.h>
#include <string.h>

enum { WARP = 32 };

void eval_open_block(Ev *e) {
    const LpKernel *k = e->k;
    arena_reset(e->blocks);
    e->tile_len = 0;
    int32_t first = lp_launch_ptrs(k), local = 0;
    for (int32_t i = first; i < k->nptr; i++) {
        const LpParam *p = &k->ptr[i];
        local += p->thread;
        if (!p->shared) continue;
        Region *r = ARENA_NEW(e->blocks, Region);
        *r = (Region){.name = "shared memory", .base = arena_alloc(e->blocks, (size_t)p->bytes), .len = p->bytes / 4, .writable = true};
        r->marks = ARENA_ARRAY(e->blocks, Mark, r->len * e->marks_per_float);
        e->ptr[i] = (Mem){.r = r, .name = p->name, .elem = p->elem, .hi = p->bytes / lp_elem_bytes(p->elem)};
    }
    e->regs = arena_alloc(e->blocks, sizeof *e->regs * (size_t)k->nreg * (size_t)k->threads);
    e->scratch = ARENA_ARRAY(e->blocks, Mem, local * k->threads);
    for (int32_t t = 0; t < k->threads; t++)
        for (int32_t i = 0; i < local; i++) {
            const LpParam *p = &k->ptr[k->nptr - local + i];
            Region *r = ARENA_NEW(e->blocks, Region);
            *r = (Region){.name = "thread scratch", .base = arena_alloc(e->blocks, (size_t)p->bytes), .len = p->bytes / 4, .writable = true};
            e->scratch[t * local + i] = (Mem){.r = r, .name = p->name, .elem = p->elem, .hi = p->bytes / lp_elem_bytes(p->elem)};
        }
}

static void spoil(const Region *r, size_t marks) { /* what holds anything holds NaN */
    eval_spoil(r->base, r->len);
    if (r->marks) memset(r->marks, 0, sizeof *r->marks * marks);
}

void eval_block(Ev *e) {
    const LpKernel *k = e->k;
    int32_t first = lp_launch_ptrs(k), local = 0;
    for (int32_t i = first; i < k->nptr; i++) {
        local += k->ptr[i].thread;
        if (k->ptr[i].shared) spoil(e->ptr[i].r, (size_t)(e->ptr[i].r->len * e->marks_per_float));
    }
    for (int32_t i = 0; i < local * k->threads; i++) spoil(e->scratch[i].r, 0);
    memset(e->regs, 0, sizeof *e->regs * (size_t)k->nreg * (size_t)k->threads);
    memset(e->var + k->nint + 2, 0, sizeof *e->var * (size_t)(k->nvar - k->nint - 2));
    e->var[lp_grid_var(k)] = e->point;
    e->var[lp_batch_var(k)] = e->batch;
    e->thread = ALL;
    e->epoch = 1;
    e->groups = e->arrived = 0;
    e->arrival.len = 0;
    e->mmas = e->mmas_done = 0;
    e->mma_done.len = 0;
    e->busy_from = e->busy_to = 0;
    eval_list(e, k->body);
    if (e->arrived < e->groups) eval_fail(e, "ends while copies are under way");
    if (e->mmas_done < e->mmas) eval_fail(e, "ends while products are under way");
}

static void clear_vars(Ev *e, const Ls *s) { /* those that the region sets */
    for (; s; s = s->next) {
        if (s->kind == LS_FOR || s->kind == LS_SETVAR) e->var[s->var] = 0;
        clear_vars(e, s->body);
        clear_vars(e, s->orelse);
    }
}

static void run_threads(Ev *e, const Ls *s) {
    const LpKernel *k = e->k;
    int32_t local = 0;
    while (local < k->nptr && k->ptr[k->nptr - 1 - local].thread) local++;
    for (e->thread = 0; e->thread < k->threads; e->thread++) {
        e->reg = e->regs + (size_t)e->thread * (size_t)k->nreg;
        for (int32_t i = 0; i < local; i++) e->ptr[k->nptr - local + i] = e->scratch[e->thread * local + i];
        clear_vars(e, s->body);
        eval_list(e, s->body);
    }
    e->thread = ALL;
}

/* ---- collectives ---- */
static EvReg *reg_of(const Ev *e, int32_t thread, int32_t reg) { return &e->regs[(size_t)thread * (size_t)e->k->nreg + (size_t)reg]; }

/* One operand of a product: `wide` rows of A or columns of B, the sum `depth` long. to[w * depth + d]. Any thread of the block that wrote it since
   the last barrier may be another warp's. */
typedef struct Operand {
    int32_t ptr;
    int64_t at, wide, across, along; /* first entry, how many, distances (in groups: of core matrices) */
    bool turned;                     /* LsMma's a_across, b_across */
} Operand;

static void read_operand(Ev *e, float *to, const LsMma *m, const Operand *o) {
    const Mem *p = &e->ptr[o->ptr];
    int64_t each = m->group ? 16 / lp_elem_bytes(p->elem) : 0; /* of the sum, in a core matrix */
    if (m->group) eval_aligned(e, p, o->at, 16);
    for (int64_t w = 0; w < o->wide; w++)
        for (int64_t d = 0; d < m->depth; d++) {
            int64_t in = !each ? 0 : o->turned ? w % 8 + d % each * 8 : w % 8 * each + d % each;
            int64_t at = o->at + in + (each ? w / 8 * o->across + d / each * o->along : w * o->across + d * o->along);
            float f = eval_read(e, p, at);
            *to++ = m->precision == LP_TF32 ? loop_tf32(f) : loop_bf16(f);
            if (!each || !p->r->marks) continue;
            int n;
            for (Mark *k = eval_marks(e, p, eval_locate(e, p, at), &n); n > 0; n--, k++) k->mma = e->mmas;
        }
}

static void start_product(Ev *e, const Ls *s) { /* of groups: others of the same registers may be under way */
    const LsMma *m = s->mma;
    int32_t to = s->reg + 4 * m->m * m->n;
    for (int32_t r = s->reg; r < to && (!m->group || s->reg != e->busy_from || to != e->busy_to); r++) eval_not_busy(e, r);
    if (!m->group) return;
    if (e->busy_to && s->reg != e->busy_from) eval_fail(e, "adds to registers from %d on while others are added to", (int)s->reg);
    e->busy_from = s->reg, e->busy_to = to;
    e->mmas++;
}

static void run_mma(Ev *e, const Ls *s) {
    const LsMma *m = s->mma;
    int32_t threads = m->group ? 4 * WARP : WARP, warps = threads / WARP;
    int64_t rows = 16 * (int64_t)m->m * warps, cols = 8 * (int64_t)m->n, depth = m->depth;
    if ((rows + cols) * depth > e->tile_len) {
        e->tile_len = (rows + cols) * depth;
        e->tile = ARENA_ARRAY(e->blocks, float, e->tile_len);
    }
    float *a = e->tile, *b = a + rows * depth;
    start_product(e, s);
    for (int32_t first = 0; first < e->k->threads; first += threads) {
        e->memo.turn++;
        e->thread = first; /* in the places */
        int64_t a_at = eval_whole(e, m->a_at), b_at = eval_whole(e, m->b_at);
        e->thread = ALL;
        read_operand(e, a, m, &(Operand){m->a, a_at, rows, m->a_row, m->a_col, m->a_across});
        read_operand(e, b, m, &(Operand){m->b, b_at, cols, m->b_col, m->b_row, m->b_across});
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++) {
                int64_t tile = r / (16 * warps), thread = first + r / 16 % warps * WARP + 4 * (r % 8) + c % 8 / 2, part = 2 * (r % 16 / 8) + c % 2;
                float *acc = *reg_of(e, (int32_t)thread, s->reg + (int32_t)(4 * (tile * m->n + c / 8) + part));
                for (int64_t d = 0; d < depth; d++) *acc = fmaf(a[r * depth + d], b[c * depth + d], *acc);
            }
    }
}

static void run_mma_wait(Ev *e, const Ls *s) {
    for (; (int64_t)e->mmas_done < (int64_t)e->mmas - s->cond->i; e->mmas_done++) vec_push(e->a, &e->mma_done, e->epoch);
    if (e->mmas_done == e->mmas) e->busy_from = e->busy_to = 0;
}

static float larger(float x, float y) { return y != y ? y : x < y ? y : x; }

static void run_warp(Ev *e, const Ls *s) {
    eval_not_busy(e, s->reg);
    for (int32_t warp = 0; warp < e->k->threads; warp += WARP)
        for (int32_t h = WARP / 2; h > 0; h /= 2) {
            float v[WARP];
            for (int32_t t = 0; t < WARP; t++) v[t] = **reg_of(e, warp + t, s->reg);
            for (int32_t t = 0; t < WARP; t++) **reg_of(e, warp + t, s->reg) = s->op == LX_ADD ? v[t] + v[t ^ h] : larger(v[t], v[t ^ h]);
        }
}

static void run_copy(Ev *e, const Ls *s) {
    float v[LOOP_MAX_WIDTH];
    const Lx *x = s->value;
    Mem *to = &e->ptr[s->ptr];
    int64_t at = eval_whole(e, s->index);
    int bytes = x->width * lp_elem_bytes(to->elem), n;
    eval_aligned(e, to, at, bytes);
    if (eval_lanes(e, x->b, x->width) > 0) eval_aligned(e, &e->ptr[x->i], eval_whole(e, x->a), bytes);
    eval_float(e, x, v);
    for (int i = 0; i < x->width; i++) {
        eval_write(e, to, at + i, v[i]);
        int64_t cell = (to->at + at + i) * (to->elem == LP_BF16 ? 1 : e->marks_per_float);
        n = to->elem == LP_BF16 ? 1 : e->marks_per_float;
        for (int q = 0; q < n; q++) to->r->marks[cell + q].copy = e->groups + 1;
    }
}

static void run_wait(Ev *e, const Ls *s) {
    for (; (int64_t)e->arrived < (int64_t)e->groups - s->cond->i; e->arrived++) vec_push(e->a, &e->arrival, e->epoch);
}

static void run_last(Ev *e, const Ls *s) {
    if (e->point < e->points - 1) return;
    e->launch++; /* whatever this one touched is over */
    e->epoch++;
    eval_list(e, s->body);
}

void eval_block_statement(Ev *e, const Ls *s) {
    switch ((int)s->kind) {
    case LS_THREADS: run_threads(e, s); return;
    case LS_SYNC: e->epoch++; return;
    case LS_LAST: run_last(e, s); return;
    case LS_MMA: run_mma(e, s); return;
    case LS_MMA_WAIT: run_mma_wait(e, s); return;
    case LS_WARP: run_warp(e, s); return;
    case LS_COPY: run_copy(e, s); return;
    case LS_GROUP: e->groups++; return;
    case LS_WAIT: run_wait(e, s); return;
    default: BUG("statement of kind %d", (int)s->kind);
    }
}
