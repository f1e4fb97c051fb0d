/* What a block of a kernel costs on its multiprocessor, by counting what its statements issue: an estimate by which launches are put together. It
   decides about speed alone, and depends on nothing but the kernel. */
#include "loop/fold.h"
#include "loop/lxmap.h"
#include "sched/gpu_join.h"

typedef struct Cost {
    Arena *a;
    const LpKernel *k;
    LxMap seen;
    int64_t *var;
    int32_t statements;
} Cost;

/* An integer, for the first block and thread. */
static int64_t guess(const Cost *c, const Lx *x) {
    if (!x) return 0;
    int64_t v;
    switch ((int)x->kind) {
    case LX_INT: return x->i;
    case LX_VAR: return c->var[x->i];
    case LX_THREAD: case LX_ITAB: case LX_F2I: return 0;
    case LX_ISELECT: return guess(c, x->a) ? guess(c, x->b) : guess(c, x->c);
    default: break;
    }
    return loop_fold_op(x->kind, guess(c, x->a), guess(c, x->b), &v) ? v : 0;
}

static double issued(Cost *c, const Lx *x) {
    if (!x) return 0;
    LxCell *cell = lx_map_cell(c->a, &c->seen, x);
    if (cell->turn == c->seen.turn) return 0;
    cell->turn = c->seen.turn;
    double n = issued(c, x->a) + issued(c, x->b) + issued(c, x->c);
    for (int i = 0; i < lx_list_len(x); i++) n += issued(c, x->list[i]);
    switch ((int)x->kind) {
    case LX_INT: case LX_VAR: case LX_THREAD: case LX_FLOAT: case LX_REG: case LX_LANE: case LX_PACK: case LX_SPLAT: return n;
    case LX_IDIV: case LX_IMOD: return n + (x->b->kind == LX_INT ? 2 : 12);
    case LX_LOAD: return n + (c->k->ptr[x->i].shared ? 1 : 3) * (x->f != 0 ? 1 : x->width);
    case LX_GATHER: return n + 3 * x->width;
    case LX_DIV: case LX_SQRT: return n + 10 * x->width;
    case LX_EXP: case LX_LOG: case LX_TANH: return n + 20 * x->width;
    case LX_SIN: case LX_COS: case LX_POW: return n + 40 * x->width;
    case LX_NOISE: return n + 80 * x->width;
    default: return n + (x->width ? x->width : 0.5);
    }
}

static double of_list(Cost *c, const Ls *s) { /* of a thread */
    double n = 0;
    for (; s; s = s->next) {
        const Lx *x[] = {s->lo, s->hi, s->cond, s->index, s->value, s->count, s->stride};
        c->seen.turn++;
        c->statements++;
        for (size_t i = 0; i < sizeof x / sizeof *x; i++) n += issued(c, x[i]);
        if (s->kind == LS_SETVAR) c->var[s->var] = guess(c, s->cond);
        if (s->kind == LS_STORE || s->kind == LS_STORE_STRIDED) n += s->aligned ? 1 : s->value->width;
        if (s->kind == LS_SYNC || s->kind == LS_WAIT || s->kind == LS_WARP) n += 15;
        if (s->kind == LS_MMA) n += (double)s->mma->m * s->mma->n * s->mma->depth * (s->mma->precision == LP_TF32 ? 1 : 0.5);
        if (s->kind == LS_FOR) {
            int64_t lo = guess(c, s->lo), hi = guess(c, s->hi), step = s->step->i, turns = hi > lo ? (hi - lo + step - 1) / step : 0;
            int32_t before = c->statements;
            c->var[s->var] = lo;
            n += (double)turns * (1 + of_list(c, s->body));
            if (s->unroll && turns > 1) c->statements += (int32_t)(turns - 1) * (c->statements - before);
        } else {
            double one = of_list(c, s->body), other = of_list(c, s->orelse);
            n += one > other ? one : other;
        }
    }
    return n;
}

GpuCost gpu_cost(Ent *e, const Launch *l) {
    enum { START = 800 }; /* until the first loads are there, and after the last stores */
    const LpKernel *k = join_kernel(e, l);
    Cost c = {.a = arena_new(), .k = k, .seen.turn = 1};
    c.var = ARENA_ARRAY(c.a, int64_t, k->nvar);
    c.var[lp_batch_var(k)] = GPU_BATCH;
    double warps = (k->threads + 127) / 128; /* on each of the four schedulers */
    double each = of_list(&c, k->body) * warps;
    arena_free(c.a);
    return (GpuCost){.busy = 1.2 * each, .start = START, .alone = 2 * each, .statements = c.statements};
}

double gpu_launch_cost(const Launch *l, const GpuCost *c, int64_t batch) {
    int64_t grid;
    double blocks = l->per ? (double)(batch * l->each) / (double)l->per * (double)l->times : lx_is_const(l->s.grid, &grid) ? (double)grid : (double)batch;
    double all = blocks / GPU_PROCESSORS * c->busy, one = c->start + c->alone;
    return GPU_LAUNCH + (one > all ? one : all);
}
