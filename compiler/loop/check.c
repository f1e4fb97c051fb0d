/* Does a module hold what its parts promise: types, numbers in range, unrolled loops with known bounds, launches that fit? */
#include "loop/fold.h"
#include "loop/lxmap.h"
#include <setjmp.h>

typedef struct Check {
    Arena *a;
    const LpModule *m;
    const LpKernel *k; /* NULL: in an entry */
    const LpEntry *e;
    LoopKnown known;
    bool *set_by_loop; /* variables of the loops around */
    bool *over;        /* variables of loops that ended */
    int32_t nvar;
    int64_t statements; /* of the kernel, unrolled */
    int loops;          /* around, not unrolled */
    bool lanes;         /* in an LS_LANES */
    bool prepare;       /* in an LS_PREPARE */
    enum Level { PLAIN, BLOCK, THREAD, WARP } level; /* of code: a kernel without threads or an entry; a block, a thread, a warp's places */
    bool *of_thread;    /* variables that are set in regions */
    int most_lanes;
    LxMap seen;
    jmp_buf leave;
    const char *why;
} Check;

static _Noreturn __attribute__((format(printf, 2, 3))) void wrong(Check *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    const char *name = c->k ? c->k->name : c->e ? c->e->name : NULL;
    const char *kind = c->k ? "kernel" : c->e ? "entry" : "module";
    c->why = arena_printf(c->a, "%s %s: %s", kind, name ? name : "", text);
    longjmp(c->leave, 1);
}

/* ---- expressions ---- */
static void check_x(Check *c, const Lx *x, int width);

static const LpParam *param(Check *c, int64_t i, bool is_int) {
    if (!c->k) wrong(c, "an entry reads memory in an expression");
    if (i < 0 || i >= c->k->nptr) wrong(c, "no pointer %lld", (long long)i);
    if ((c->k->ptr[i].elem == LP_I32) != is_int) wrong(c, "pointer %lld is %s", (long long)i, is_int ? "not to integers" : "to integers");
    if (c->k->ptr[i].thread && (c->level == BLOCK || c->level == WARP)) wrong(c, "a thread's scratch outside of threads");
    return &c->k->ptr[i];
}

static void check_reg(Check *c, int64_t reg, const Lx *at, int width) {
    int64_t plus = 0;
    if (at) {
        check_x(c, at, 0);
        if (!loop_fold(at, &c->known, &plus)) wrong(c, "the number of register %lld + .. is not constant here", (long long)reg);
    }
    reg += plus;
    if (reg < 0 || reg >= c->k->nreg) wrong(c, "no register %lld", (long long)reg);
    if (c->level == BLOCK || c->level == WARP) wrong(c, "uses register %lld outside of threads", (long long)reg);
    if (c->k->reg_width[reg] != width)
        wrong(c, "register %lld has %d lanes, not %d", (long long)reg, (int)c->k->reg_width[reg], width);
}

static void check_float(Check *c, const Lx *x) {
    int w = x->width;
    if (w > c->most_lanes || (w & (w - 1))) wrong(c, "a vector of %d lanes", w);
    if (!c->k) wrong(c, "an entry computes with floats");
    switch ((int)x->kind) {
    case LX_FLOAT: case LX_LANES: return;
    case LX_REG: check_reg(c, x->i, x->a, w); return;
    case LX_LOAD:
        param(c, x->i, false);
        check_x(c, x->a, 0);
        if (x->b && x->f != 0) wrong(c, "an aligned load with a count");
        if (x->b) check_x(c, x->b, 0);
        return;
    case LX_GATHER:
        param(c, x->i, false);
        check_x(c, x->a, 0);
        check_x(c, x->b, 0);
        if (x->c) check_x(c, x->c, 0);
        return;
    case LX_SPLAT: check_x(c, x->a, 1); return;
    case LX_LANE:
        if (w != 1 || !x->a || x->i < 0 || x->i >= x->a->width) wrong(c, "no lane %lld", (long long)x->i);
        check_x(c, x->a, x->a->width);
        return;
    case LX_PACK:
        if (!x->list) wrong(c, "a vector without its lanes");
        for (int i = 0; i < w; i++) check_x(c, x->list[i], 1);
        return;
    case LX_I2F: check_x(c, x->a, 0); return;
    case LX_HSUM: case LX_HMAX:
        if (w != 1) wrong(c, "a sum across lanes is a scalar");
        if (!x->a || x->a->width < 1) wrong(c, "a sum across lanes of no vector");
        check_x(c, x->a, x->a->width);
        return;
    case LX_NOISE:
        if (!x->list) wrong(c, "noise without its arguments");
        for (int i = 0; i < 5; i++) check_x(c, x->list[i], 0);
        return;
    case LX_FMA: case LX_SELECT:
        check_x(c, x->a, w);
        check_x(c, x->b, w);
        check_x(c, x->c, w);
        return;
    case LX_BF16:
        if (c->level != PLAIN) wrong(c, "rounds to bf16 in a block");
        check_x(c, x->a, w);
        return;
    case LX_NEG: case LX_ABS: case LX_SQRT: case LX_FLOOR: case LX_EXP: case LX_LOG: case LX_TANH: case LX_SIN: case LX_COS:
        check_x(c, x->a, w);
        return;
    case LX_ADD: case LX_SUB: case LX_MUL: case LX_DIV: case LX_POW: case LX_MAX: case LX_MIN: case LX_LT: case LX_LE: case LX_EQ:
        check_x(c, x->a, w);
        check_x(c, x->b, w);
        return;
    default: wrong(c, "an expression of kind %d has %d lanes", (int)x->kind, w);
    }
}

static void check_int(Check *c, const Lx *x) {
    switch ((int)x->kind) {
    case LX_INT: return;
    case LX_VAR:
        if (x->i < 0 || x->i >= c->nvar) wrong(c, "no variable %lld", (long long)x->i);
        if (c->of_thread[x->i] && c->level != THREAD) wrong(c, "reads variable %lld, which threads set, outside of them", (long long)x->i);
        if (c->over[x->i]) wrong(c, "reads variable %lld after its loop", (long long)x->i);
        if (c->prepare && x->i < LP_VARS) wrong(c, "what is prepared depends on the call (variable %lld)", (long long)x->i);
        return;
    case LX_ITAB:
        param(c, x->i, true);
        check_x(c, x->a, 0);
        return;
    case LX_THREAD:
        if (c->level != THREAD && c->level != WARP) wrong(c, "asks for the thread where there is none");
        return;
    case LX_F2I:
        if (!c->k) wrong(c, "an entry computes with floats");
        check_x(c, x->a, 1);
        return;
    case LX_INOT: check_x(c, x->a, 0); return;
    case LX_ISELECT:
        check_x(c, x->a, 0);
        check_x(c, x->b, 0);
        check_x(c, x->c, 0);
        return;
    case LX_IADD: case LX_ISUB: case LX_IMUL: case LX_IDIV: case LX_IMOD: case LX_IMIN: case LX_IMAX: case LX_ILT: case LX_IEQ: case LX_IAND:
    case LX_IOR: {
        check_x(c, x->a, 0);
        check_x(c, x->b, 0);
        int64_t v;
        if ((x->kind == LX_IDIV || x->kind == LX_IMOD) && lx_is_const(x->b, &v) && v <= 0) wrong(c, "division by %lld", (long long)v);
        return;
    }
    default: wrong(c, "an expression of kind %d is not an integer", (int)x->kind);
    }
}

static void check_x(Check *c, const Lx *x, int width) {
    if (!x) wrong(c, "an expression is missing");
    if (x->width != width) wrong(c, "an expression of kind %d has %d lanes where %d are needed", (int)x->kind, (int)x->width, width);
    LxCell *cell = lx_map_cell(c->a, &c->seen, x);
    if (cell->turn == c->seen.turn) return;
    cell->turn = c->seen.turn;
    if (width) check_float(c, x);
    else check_int(c, x);
}

/* ---- pointers ---- */
static void check_lptr(Check *c, const Lptr *p, bool is_int, bool writes) {
    int64_t n = 1;
    switch (p->space) {
    case SP_IN: n = c->e->nin; break;
    case SP_OUT: n = c->e->nout; break;
    case SP_TABLE: case SP_FTABLE: n = (int64_t)c->m->tables.len; break;
    case SP_LANE:
        if (!c->lanes) wrong(c, "memory of a lane where none runs");
        break;
    case SP_FIXED: case SP_BATCH: case SP_PREPARED: case SP_PARAM: case SP_GRAD: case SP_STATE: case SP_STATE_OUT: case SP_TUNABLE: break;
    case SP_KINDS: wrong(c, "no such space");
    }
    if (p->which < 0 || p->which >= n) wrong(c, "no number %d in space %d", (int)p->which, (int)p->space);
    if ((p->space == SP_TABLE) != is_int) wrong(c, "a pointer to %s is given %s", is_int ? "integers" : "floats", is_int ? "floats" : "integers");
    if (p->space == SP_TABLE || p->space == SP_FTABLE) {
        const LpTable *t = &c->m->tables.at[p->which];
        if (t->is_int != is_int) wrong(c, "table %d is %s", (int)p->which, t->is_int ? "of integers" : "of floats");
    }
    bool of_call = p->space == SP_BATCH || p->space == SP_IN || p->space == SP_OUT || p->space == SP_GRAD || p->space == SP_STATE_OUT;
    if (c->prepare && of_call) wrong(c, "what is prepared touches space %d", (int)p->space);
    bool writable = p->space == SP_FIXED || p->space == SP_BATCH || (p->space == SP_PREPARED && c->prepare) || p->space == SP_LANE || p->space == SP_OUT || p->space == SP_GRAD || p->space == SP_STATE_OUT;
    if (writes && !writable) wrong(c, "a kernel writes to space %d", (int)p->space);
    if (p->plus) check_x(c, p->plus, 0);
}

/* ---- statements ---- */
static void check_list(Check *c, const Ls *s);

static void check_var(Check *c, int32_t var) {
    int32_t first = c->k ? c->k->nint + 2 : LP_VARS;
    bool samples = !c->k && (var == LP_VAR_BATCH || var == LP_VAR_FIRST_SAMPLE);
    if ((var < first && !samples) || var >= c->nvar) wrong(c, "sets variable %d", (int)var);
    if (c->of_thread[var] && c->level == BLOCK) wrong(c, "sets variable %d both in threads and outside", (int)var);
    if (c->set_by_loop[var]) wrong(c, "sets variable %d, which a loop around it sets", (int)var);
    c->known.known[var] = false;
    c->over[var] = false;
}

static void count_statement(Check *c) {
    if (++c->statements > LOOP_MAX_UNROLLED) wrong(c, "more than %d statements once unrolled", LOOP_MAX_UNROLLED);
}

static void check_for(Check *c, const Ls *s) {
    int64_t lo, hi, step;
    check_x(c, s->lo, 0);
    check_x(c, s->hi, 0);
    if (!lx_is_const(s->step, &step) || step <= 0) wrong(c, "the step of a loop is not a constant above 0");
    check_var(c, s->var);
    c->set_by_loop[s->var] = true;
    if (s->unroll) {
        if (!c->k) wrong(c, "an unrolled loop in an entry");
        if (!loop_fold(s->lo, &c->known, &lo) || !loop_fold(s->hi, &c->known, &hi))
            wrong(c, "the bounds of the unrolled loop over variable %d are not constant", (int)s->var);
        for (int64_t i = lo; i < hi; i = i > INT64_MAX - step ? INT64_MAX : i + step) {
            c->known.known[s->var] = true;
            c->known.value[s->var] = i;
            count_statement(c);
            check_list(c, s->body);
        }
    } else {
        c->loops++;
        check_list(c, s->body);
        c->loops--;
    }
    c->known.known[s->var] = false;
    c->set_by_loop[s->var] = false;
    c->over[s->var] = true;
}

static void check_lanes(Check *c, const Ls *s) {
    if (c->k || c->lanes) wrong(c, c->k ? "a kernel runs lanes" : "lanes in lanes");
    int loops = c->loops;
    check_x(c, s->hi, 0);
    check_var(c, s->var);
    check_var(c, s->alone);
    c->set_by_loop[s->var] = c->set_by_loop[s->alone] = c->lanes = true;
    c->loops = 0;
    check_list(c, s->body);
    c->loops = loops;
    c->set_by_loop[s->var] = c->set_by_loop[s->alone] = c->lanes = false;
    c->over[s->var] = c->over[s->alone] = true;
}

static void check_prepare(Check *c, const Ls *s) {
    if (c->k || s != c->e->body) wrong(c, "prepares anywhere but at the start of an entry");
    if (!c->e->prepared_floats) wrong(c, "prepares nothing");
    c->prepare = true;
    check_list(c, s->body);
    c->prepare = false;
}

static void check_launch(Check *c, const Ls *s) {
    if (c->k) wrong(c, "a kernel launches");
    if (s->kernel < 0 || (size_t)s->kernel >= c->m->kernels.len) wrong(c, "launches no kernel (%d)", (int)s->kernel);
    const LpKernel *k = &c->m->kernels.at[s->kernel];
    check_x(c, s->grid, 0);
    for (int32_t i = 0; i < lp_launch_ptrs(k); i++) check_lptr(c, &s->ptrs[i], k->ptr[i].elem == LP_I32, k->ptr[i].writes);
    for (int32_t i = 0; i < k->nint; i++) check_x(c, s->ints[i], 0);
    if (c->prepare && lp_reads_batch(k)) wrong(c, "what is prepared depends on the batch");
    if (lp_thread_bytes(k) > c->e->thread_bytes)
        wrong(c, "kernel %s needs %lld bytes of scratch", k->name ? k->name : "?", (long long)lp_thread_bytes(k));
}

static void check_store(Check *c, const Ls *s) {
    if (c->level == BLOCK) wrong(c, "a block stores; its threads do");
    if (!s->value || s->value->width < 1) wrong(c, "stores no float");
    if (!param(c, s->ptr, false)->writes) wrong(c, "stores to pointer %d, which it does not write", (int)s->ptr);
    check_x(c, s->value, s->value->width);
    check_x(c, s->index, 0);
    if (s->count) check_x(c, s->count, 0);
    if (s->kind == LS_STORE_STRIDED) check_x(c, s->stride, 0);
    if (s->aligned && (s->count || s->kind != LS_STORE)) wrong(c, "an aligned store with a count or a stride");
}

/* ---- tiles ---- */
static void check_pairs(Check *c, const Ls *s) {
    if (c->level != PLAIN) wrong(c, "stores pairs in a block");
    if (!s->value || s->value->width < 1) wrong(c, "stores no float");
    const LpParam *to = param(c, s->ptr, false);
    if (!to->writes || to->elem != LP_BF16) wrong(c, "stores pairs to pointer %d", (int)s->ptr);
    check_x(c, s->value, s->value->width);
    check_x(c, s->other, s->value->width);
    check_x(c, s->index, 0);
}

static void check_tile(Check *c, const Ls *s) {
    if (!c->k || c->level != PLAIN) wrong(c, "a tile where there is none");
    if (s->reg < 0 || s->reg >= LOOP_TILES) wrong(c, "no tile %d", (int)s->reg);
    if (s->kind == LS_TILE_DOT) {
        if (s->tile_a < 0 || s->tile_a >= LOOP_TILES || s->tile_b < 0 || s->tile_b >= LOOP_TILES) wrong(c, "multiplies tiles %d and %d", (int)s->tile_a, (int)s->tile_b);
        if (s->reg == s->tile_a || s->reg == s->tile_b || s->tile_a == s->tile_b) wrong(c, "a product of tiles %d and %d in tile %d", (int)s->tile_a, (int)s->tile_b, (int)s->reg);
    }
    if (s->kind != LS_TILE_LOAD && s->kind != LS_TILE_STORE) return;
    bool store = s->kind == LS_TILE_STORE;
    const LpParam *p = param(c, s->ptr, false);
    if (p->elem != (store ? LP_F32 : LP_BF16)) wrong(c, "pointer %d of a tile has other elements", (int)s->ptr);
    if (store && !p->writes) wrong(c, "stores to pointer %d, which it does not write", (int)s->ptr);
    check_x(c, s->index, 0);
    check_x(c, s->stride, 0);
}

/* ---- blocks ---- */
static void check_level(Check *c, enum Level l, const char *what) {
    if (c->level != l) wrong(c, "%s %s", what, l == BLOCK ? "stands at block level only" : "stands in threads only");
}

static void check_threads(Check *c, const Ls *s) {
    int loops = c->loops;
    c->level = THREAD;
    c->loops = 0;
    check_list(c, s->body);
    c->loops = loops;
    c->level = BLOCK;
}

static void check_operand(Check *c, int32_t ptr, const Lx *at, LpPrecision precision) {
    if (!param(c, ptr, false)->shared) wrong(c, "multiplies pointer %d, which is not shared memory", (int)ptr);
    if (precision == LP_TF32 && c->k->ptr[ptr].elem != LP_F32 && c->k->ptr[ptr].elem != LP_F19) wrong(c, "multiplies short floats in tf32");
    c->level = WARP;
    check_x(c, at, 0);
    c->level = BLOCK;
}

/* Core matrices of 16 bytes x 8. */
static void check_cores(Check *c, const LsMma *m, int32_t ptr, int64_t row, int64_t col, bool across) {
    LpElem elem = c->k->ptr[ptr].elem;
    int64_t each = 16 / lp_elem_bytes(elem);
    if (elem != (m->precision == LP_TF32 ? LP_F19 : LP_BF16)) wrong(c, "a group multiplies pointer %d, of other elements", (int)ptr);
    if (across && m->precision == LP_TF32) wrong(c, "tf32 across the sum");
    if (row % each || col % each || row < 8 * each || col < 8 * each || row >= 16384 * each || col >= 16384 * each)
        wrong(c, "core matrices %lld and %lld apart", (long long)row, (long long)col);
}

static void check_mma(Check *c, const Ls *s) {
    const LsMma *m = s->mma;
    if (!m || m->m < 1 || m->n < 1 || m->m > 8 || m->n > 32) wrong(c, "a product without tiles");
    if (m->depth < 1 || m->depth % (m->precision == LP_TF32 ? 8 : 16)) wrong(c, "a product of depth %d", (int)m->depth);
    for (int32_t i = 0; i < 4 * m->m * m->n; i++) {
        if (s->reg < 0 || s->reg + i >= c->k->nreg) wrong(c, "no register %d", (int)(s->reg + i));
        if (c->k->reg_width[s->reg + i] != 1) wrong(c, "adds up products in register %d, a vector", (int)(s->reg + i));
    }
    check_operand(c, m->a, m->a_at, m->precision);
    check_operand(c, m->b, m->b_at, m->precision);
    if (!m->group && (m->a_across || m->b_across)) wrong(c, "core matrices of one warp");
    if (!m->group) return;
    if (c->k->threads % 128 || m->m > 4 || (m->n != 8 && m->n != 16)) wrong(c, "a group of warps has %d x %d tiles", (int)m->m, (int)m->n);
    check_cores(c, m, m->a, m->a_row, m->a_col, m->a_across);
    check_cores(c, m, m->b, m->b_col, m->b_row, m->b_across);
}

static void check_warp(Check *c, const Ls *s) {
    if (s->op != LX_ADD && s->op != LX_MAX) wrong(c, "a warp joins with operation %d", (int)s->op);
    if (s->reg < 0 || s->reg >= c->k->nreg || c->k->reg_width[s->reg] != 1) wrong(c, "a warp joins register %d", (int)s->reg);
}

static void check_copy(Check *c, const Ls *s) {
    const LpParam *to = param(c, s->ptr, false), *from;
    if (!s->value || s->value->kind != LX_LOAD) wrong(c, "copies what is no load");
    from = param(c, s->value->i, false);
    int bytes = s->value->width * lp_elem_bytes(to->elem);
    if (!to->shared || from->shared || from->thread) wrong(c, "copies from pointer %d to %d", (int)s->value->i, (int)s->ptr);
    if (!to->writes) wrong(c, "copies to pointer %d, which it does not write", (int)s->ptr);
    if (to->elem != from->elem || (bytes != 4 && bytes != 8 && bytes != 16)) wrong(c, "copies %d bytes", bytes);
    c->most_lanes = 8;
    check_x(c, s->value, s->value->width);
    c->most_lanes = 4;
    check_x(c, s->index, 0);
}

static void check_last(Check *c, const Ls *s) {
    const Ls *end = c->k->body;
    while (end->next) end = end->next;
    if (end != s) wrong(c, "the last block's part is not the end of the kernel");
    check_list(c, s->body);
}

static void check_block_statement(Check *c, const Ls *s) {
    int64_t n;
    if (s->kind == LS_COPY) {
        check_level(c, THREAD, "a copy");
        check_copy(c, s);
        return;
    }
    check_level(c, BLOCK, s->kind == LS_THREADS ? "threads" : s->kind == LS_SYNC ? "a barrier" : s->kind == LS_LAST ? "the last block's part" : "what threads do together");
    if (s->kind == LS_THREADS) check_threads(c, s);
    else if (s->kind == LS_LAST) check_last(c, s);
    else if (s->kind == LS_MMA) check_mma(c, s);
    else if (s->kind == LS_WARP) check_warp(c, s);
    else if ((s->kind == LS_WAIT || s->kind == LS_MMA_WAIT) && (!lx_is_const(s->cond, &n) || n < 0 || n > 7)) wrong(c, "waits until %lld are under way", (long long)n);
}

static void check_one(Check *c, const Ls *s) {
    c->seen.turn++;
    if (c->k) count_statement(c);
    switch (s->kind) {
    case LS_FOR: check_for(c, s); return;
    case LS_IF: {
        int64_t v;
        check_x(c, s->cond, 0);
        bool fixed = loop_fold(s->cond, &c->known, &v);
        if (!fixed || v) check_list(c, s->body);
        if (!fixed || !v) check_list(c, s->orelse);
        return;
    }
    case LS_SETVAR:
        check_x(c, s->cond, 0);
        check_var(c, s->var);
        return;
    case LS_BREAK_IF:
        if (!c->loops) wrong(c, "leaves a loop where none is");
        if (s->cond) check_x(c, s->cond, 0);
        else if (c->k || !s->ptrs) wrong(c, "leaves a loop without a condition");
        else check_lptr(c, s->ptrs, false, false);
        return;
    case LS_SET:
        if (!c->k) wrong(c, "an entry sets a register");
        check_level(c, c->level == BLOCK ? THREAD : c->level, "a register");
        if (!s->value || s->value->width < 1) wrong(c, "sets a register to no float");
        check_x(c, s->value, s->value->width);
        check_reg(c, s->reg, s->reg_at, s->value->width);
        return;
    case LS_STORE: case LS_STORE_STRIDED: check_store(c, s); return;
    case LS_PREFETCH:
        if (c->level != PLAIN || param(c, s->ptr, false)->writes) wrong(c, "prefetches pointer %d", (int)s->ptr);
        check_x(c, s->index, 0);
        return;
    case LS_TILE_CLEAR: case LS_TILE_LOAD: case LS_TILE_DOT: case LS_TILE_STORE: check_tile(c, s); return;
    case LS_STORE_PAIRS: check_pairs(c, s); return;
    case LS_LAUNCH: check_launch(c, s); return;
    case LS_LANES: check_lanes(c, s); return;
    case LS_PREPARE: check_prepare(c, s); return;
    case LS_F2VAR:
        if (c->k || !s->ptrs) wrong(c, "reads a variable from memory in a kernel");
        check_lptr(c, s->ptrs, false, false);
        check_var(c, s->var);
        return;
    case LS_THREADS: case LS_SYNC: case LS_LAST: case LS_MMA: case LS_MMA_WAIT: case LS_WARP: case LS_COPY: case LS_GROUP: case LS_WAIT: check_block_statement(c, s); return;
    case LS_KINDS: break;
    }
    wrong(c, "a statement of kind %d", (int)s->kind);
}

static void check_list(Check *c, const Ls *s) {
    for (; s; s = s->next) check_one(c, s);
}

static void open_vars(Check *c, int32_t nvar) {
    c->nvar = nvar;
    c->known.known = ARENA_ARRAY(c->a, bool, nvar);
    c->known.value = ARENA_ARRAY(c->a, int64_t, nvar);
    c->set_by_loop = ARENA_ARRAY(c->a, bool, nvar);
    c->over = ARENA_ARRAY(c->a, bool, nvar);
    c->of_thread = ARENA_ARRAY(c->a, bool, nvar);
    c->level = PLAIN;
    c->most_lanes = LOOP_MAX_WIDTH;
}

static void find_thread_vars(Check *c, const Ls *s, bool in) {
    for (; s; s = s->next) {
        if (in && (s->kind == LS_FOR || s->kind == LS_SETVAR) && s->var >= 0 && s->var < c->nvar) c->of_thread[s->var] = true;
        find_thread_vars(c, s->body, in || s->kind == LS_THREADS);
        find_thread_vars(c, s->orelse, in || s->kind == LS_THREADS);
    }
}

static void check_kernel(Check *c, const LpKernel *k) {
    c->k = k;
    c->statements = 0;
    if (k->nint < 0 || k->nvar < k->nint + 2) wrong(c, "%d variables for %d integer parameters", (int)k->nvar, (int)k->nint);
    open_vars(c, k->nvar);
    if (k->threads < 0 || k->threads % 32 || k->threads > 1024) wrong(c, "blocks of %d threads", (int)k->threads);
    if (k->threads) {
        find_thread_vars(c, k->body, false);
        c->level = BLOCK;
        c->most_lanes = 4;
    }
    int rank = 0; /* what is passed, shared memory, scratch */
    for (int32_t i = 0; i < k->nptr; i++) {
        const LpParam *p = &k->ptr[i];
        int r = p->thread ? 2 : p->shared ? 1 : 0;
        if (r < rank) wrong(c, "shared memory comes after what is passed, thread scratch last");
        rank = r;
        if (r && (p->bytes < 0 || p->bytes % 4 || p->elem == LP_I32 || p->thread == p->shared)) wrong(c, "scratch of %lld bytes", (long long)p->bytes);
        if (!k->threads && p->shared) wrong(c, "shared memory without a block");
        if (p->elem == LP_I32 && p->writes) wrong(c, "writes to a table");
        if (p->elem == LP_F19 && !p->shared) wrong(c, "tf32 outside of shared memory");
        c->seen.turn++;
        if (p->extent) check_x(c, p->extent, 0);
    }
    for (int32_t i = 0; i < k->nreg; i++) {
        int w = k->reg_width[i];
        if (w < 1 || w > c->most_lanes || (w & (w - 1))) wrong(c, "register %d has %d lanes", (int)i, w);
    }
    check_list(c, k->body);
    c->k = NULL;
}

static void check_entry(Check *c, const LpEntry *e) {
    c->e = e;
    if (e->nvar < LP_VARS) wrong(c, "%d variables", (int)e->nvar);
    if (e->fixed_floats < 0 || e->batch_floats < 0 || e->fixed_floats % 16 || e->batch_floats % 16)
        wrong(c, "a workspace of %lld + batch * %lld floats (multiples of 16 are needed)", (long long)e->fixed_floats, (long long)e->batch_floats);
    int64_t parts = e->lane_floats + e->prepared_floats;
    if (e->lane_floats < 0 || e->lane_floats % 16 || e->prepared_floats < 0 || e->prepared_floats % 16 || parts > e->fixed_floats)
        wrong(c, "%lld floats of lanes and %lld prepared ones in a workspace of %lld", (long long)e->lane_floats, (long long)e->prepared_floats,
              (long long)e->fixed_floats);
    if (e->prepared_floats && (!e->body || e->body->kind != LS_PREPARE)) wrong(c, "nothing prepares its %lld floats", (long long)e->prepared_floats);
    open_vars(c, e->nvar);
    check_list(c, e->body);
    c->e = NULL;
}

bool loop_check(Arena *a, const LpModule *m, const char **why) {
    Check *c = ARENA_NEW(a, Check);
    c->a = a;
    c->m = m;
    if (setjmp(c->leave)) {
        *why = c->why;
        return false;
    }
    for (size_t i = 0; i < m->tables.len; i++) {
        const LpTable *t = &m->tables.at[i];
        if (t->len < 0 || (t->len && !(t->is_int ? (const void *)t->i : t->f))) wrong(c, "table %d has no entries", (int)i);
    }
    for (size_t i = 0; i < m->kernels.len; i++) check_kernel(c, &m->kernels.at[i]);
    for (size_t i = 0; i < m->entries.len; i++) check_entry(c, &m->entries.at[i]);
    return true;
}
