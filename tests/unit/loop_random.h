/* Random kernels: nested loops, unrolled or not, branches, breaks, integer variables, registers of two widths, loads and stores in range. */
#ifndef CSC_TESTS_LOOP_RANDOM_H
#define CSC_TESTS_LOOP_RANDOM_H
#include "unit/loop_samples.h"

enum { RK_IN = 64, RK_OUT = 64, RK_TAB = 16, RK_REGS = 4 /* of each width */, RK_VARS = 24, RK_WIDTH = 4 };

typedef struct Rk {
    Arena *a;
    uint64_t s;
    int32_t readable[RK_VARS], nreadable; /* variables that may be read here */
    int32_t settable[4];
    int32_t next_var;
    int loops, unrolled; /* around; not unrolled, unrolled */
    int32_t unroll_var;  /* of the innermost unrolled loop */
} Rk;

static inline int rk_int(Rk *r, int n) { /* 0 .. n-1 */
    r->s = r->s * 6364136223846793005u + 1442695040888963407u;
    return (int)((r->s >> 33) % (uint64_t)n);
}

static const Lx *rk_float(Rk *r, int depth, int width);

static const Lx *rk_i(Rk *r, int depth) {
    Arena *a = r->a;
    if (depth <= 0 || rk_int(r, 4) == 0)
        return rk_int(r, 3) ? lx_var(a, r->readable[rk_int(r, r->nreadable)]) : lx_int(a, rk_int(r, 13) - 3);
    static const LxKind plain[] = {LX_IADD, LX_IADD, LX_ISUB, LX_IMUL, LX_IMIN, LX_IMAX, LX_ILT, LX_IEQ, LX_IAND, LX_IOR};
    const Lx *x = rk_i(r, depth - 1);
    switch (rk_int(r, 7)) {
    case 0: return lx_i2(a, rk_int(r, 2) ? LX_IDIV : LX_IMOD, lx_i2(a, LX_IMAX, x, lx_int(a, 0)), lx_int(a, 1 + rk_int(r, 7)));
    case 1: return lx_iselect(a, x, rk_i(r, depth - 1), rk_i(r, depth - 1));
    case 2: return lx_itab(a, 2, lx_i2(a, LX_IMOD, lx_i2(a, LX_IMAX, x, lx_int(a, 0)), lx_int(a, RK_TAB)));
    case 3: return rk_int(r, 2) ? lx_i2(a, LX_INOT, x, NULL) : lx_f2i(a, rk_float(r, depth - 1, 1));
    default: return lx_i2(a, plain[rk_int(r, 10)], x, rk_i(r, depth - 1));
    }
}

static inline const Lx *rk_index(Rk *r, int size) { /* 0 .. size-1 */
    return lx_i2(r->a, LX_IMOD, lx_i2(r->a, LX_IMAX, rk_i(r, 2), lx_int(r->a, 0)), lx_int(r->a, size));
}

static inline const Lx *rk_reg(Rk *r, int width, int32_t *reg, const Lx **at) { /* at: an unrolled index, sometimes */
    *reg = (width == 1 ? 0 : RK_REGS) + rk_int(r, RK_REGS - 1);
    *at = r->unrolled && rk_int(r, 2) ? lx_i2(r->a, LX_IMOD, lx_var(r->a, r->unroll_var), lx_int(r->a, 2)) : NULL;
    return lx_reg(r->a, *reg, *at, width);
}

static const Lx *rk_float(Rk *r, int depth, int width) {
    Arena *a = r->a;
    int32_t reg;
    const Lx *at;
    if (depth <= 0 || rk_int(r, 4) == 0) {
        if (rk_int(r, 3)) return rk_reg(r, width, &reg, &at);
        return rk_int(r, 2) ? lx_float(a, rk_int(r, 9) - 4, width) : lx_i2f(a, rk_i(r, 1), width);
    }
    static const LxKind two[] = {LX_ADD, LX_SUB, LX_MUL, LX_MAX, LX_MIN, LX_LT, LX_EQ};
    switch (rk_int(r, 6)) {
    case 0: return lx_load(a, 0, rk_index(r, RK_IN - width), width, rk_int(r, 3) ? NULL : rk_i(r, 1));
    case 1: return lx_f3(a, LX_FMA, rk_float(r, depth - 1, width), rk_float(r, depth - 1, width), rk_float(r, depth - 1, width));
    case 2: return lx_f3(a, LX_SELECT, rk_float(r, depth - 1, width), rk_float(r, depth - 1, width), rk_float(r, depth - 1, width));
    case 3: return width == 1 ? lx_f1(a, LX_HSUM, rk_float(r, depth - 1, RK_WIDTH)) : lx_splat(a, rk_float(r, depth - 1, 1), width);
    default: return lx_f2(a, two[rk_int(r, 7)], rk_float(r, depth - 1, width), rk_float(r, depth - 1, width));
    }
}

static Ls *rk_list(Rk *r, int depth);

static inline Ls *rk_for(Rk *r, int depth) {
    Arena *a = r->a;
    Rk outer = *r;
    int32_t var = r->next_var++;
    bool unroll = rk_int(r, 3) == 0;
    const Lx *lo = lx_int(a, rk_int(r, 3)), *hi = lx_int(a, rk_int(r, 5));
    if (!unroll && rk_int(r, 2)) hi = lx_i2(a, LX_IMIN, rk_i(r, 2), lx_int(a, 4));
    r->readable[r->nreadable++] = var;
    if (unroll) r->unroll_var = var;
    r->unrolled += unroll;
    r->loops += !unroll;
    Ls *body = rk_list(r, depth - 1);
    outer.s = r->s;
    outer.next_var = r->next_var;
    *r = outer;
    return ls_for(a, var, lo, hi, 1 + rk_int(r, 2), unroll, body);
}

static inline Ls *rk_statement(Rk *r, int depth) {
    Arena *a = r->a;
    int32_t reg;
    const Lx *at;
    int width = rk_int(r, 2) ? 1 : RK_WIDTH;
    switch (rk_int(r, depth > 0 ? 8 : 5)) {
    case 0: return ls_setvar(a, r->settable[rk_int(r, 4)], rk_i(r, 3));
    case 1: return ls_store(a, 1, rk_index(r, RK_OUT - width), rk_float(r, 2, width), rk_int(r, 3) ? NULL : rk_i(r, 1));
    case 2:
        if (r->loops) return ls_break_if(a, lx_i2(a, LX_IEQ, rk_i(r, 2), lx_int(a, rk_int(r, 4))));
        /* fall through */
    case 3: case 4:
        rk_reg(r, width, &reg, &at);
        return ls_set(a, reg, at, rk_float(r, 3, width));
    case 5: {
        const Lx *cond = rk_i(r, 2);
        Ls *yes = rk_list(r, depth - 1);
        return ls_if(a, cond, yes, rk_int(r, 2) ? rk_list(r, depth - 1) : NULL);
    }
    default: return r->next_var + 1 < RK_VARS ? rk_for(r, depth) : ls_setvar(a, r->settable[0], rk_i(r, 2));
    }
}

static Ls *rk_list(Rk *r, int depth) {
    LsList l = {0};
    for (int n = 1 + rk_int(r, 4); n > 0; n--) ls_add(&l, rk_statement(r, depth));
    return l.first;
}

/* n kernels, each with a slice of the output of its own; input 0: RK_IN floats; output 0: n * RK_OUT. */
static inline LpModule *random_kernels(Arena *a, int n, uint64_t seed) {
    LpModule *m = sample_module(a);
    LsList launches = {0};
    int32_t *tab = ARENA_ARRAY(a, int32_t, RK_TAB);
    for (int i = 0; i < RK_TAB; i++) tab[i] = (i * 5) % 11 - 2;
    LpTable t = {.is_int = true, .i = tab, .len = RK_TAB};
    vec_push(a, &m->tables, t);
    for (int i = 0; i < n; i++) {
        LpKernel *k = sample_kernel(m, "random", 3, 1, RK_VARS, 2 * RK_REGS, 1);
        k->ptr[0] = (LpParam){.name = "x", .extent = lx_int(a, RK_IN)};
        k->ptr[1] = (LpParam){.name = "y", .writes = true, .extent = lx_int(a, RK_OUT)};
        k->ptr[2] = (LpParam){.name = "t", .elem = LP_I32, .extent = lx_int(a, RK_TAB)};
        for (int q = RK_REGS; q < 2 * RK_REGS; q++) k->reg_width[q] = RK_WIDTH;
        Rk r = {.a = a, .s = seed + (uint64_t)i * 77, .readable = {0, 2, 3, 4, 5, 6}, .nreadable = 6, .settable = {3, 4, 5, 6}, .next_var = 7};
        LsList l = {0};
        for (int q = 0; q < RK_OUT; q += RK_WIDTH) ls_add(&l, ls_store(a, 1, lx_int(a, q), lx_float(a, -1, RK_WIDTH), NULL));
        for (int q = 0; q < 3; q++) ls_add(&l, rk_statement(&r, 4));
        for (int q = 0; q < 2 * RK_REGS; q++) { /* all that was computed is looked at */
            int w = q < RK_REGS ? 1 : RK_WIDTH;
            ls_add(&l, ls_store(a, 1, lx_int(a, 4 * q), lx_reg(a, q, NULL, w), NULL));
        }
        for (int q = 3; q < 7; q++) ls_add(&l, ls_store(a, 1, lx_int(a, 40 + q), lx_i2f(a, lx_var(a, q), 1), NULL));
        k->body = l.first;
        Lptr p[] = {{.space = SP_IN}, {.space = SP_OUT, .offset = (int64_t)i * RK_OUT}, {.space = SP_TABLE}};
        const Lx *c = lx_int(a, i % 5);
        ls_add(&launches, ls_launch(a, i, lx_int(a, 1), p, 3, &c, 1));
    }
    sample_entry(m, "forward", 1, 1, launches.first);
    return m;
}
#endif
