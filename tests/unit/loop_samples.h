/* Hand-made loop nests, for the tests of loop and llvm. */
#ifndef CSC_TESTS_LOOP_SAMPLES_H
#define CSC_TESTS_LOOP_SAMPLES_H
#include "csc_model.h"
#include "loop/loop.h"

static inline LpModule *sample_module(Arena *a) {
    LpModule *m = ARENA_NEW(a, LpModule);
    m->arena = a;
    return m;
}

static inline LpKernel *sample_kernel(LpModule *m, const char *name, int nptr, int nint, int nvar, int nreg, int width) {
    LpKernel k = {.name = name, .nptr = nptr, .nint = nint, .nvar = nvar, .nreg = nreg};
    k.ptr = ARENA_ARRAY(m->arena, LpParam, nptr);
    k.reg_width = ARENA_ARRAY(m->arena, int32_t, nreg);
    for (int i = 0; i < nreg; i++) k.reg_width[i] = width;
    vec_push(m->arena, &m->kernels, k);
    return &m->kernels.at[m->kernels.len - 1];
}

static inline LpEntry *sample_entry(LpModule *m, const char *name, int nin, int nout, const Ls *body) {
    LpEntry e = {.name = name, .nin = nin, .nout = nout, .nvar = 16, .body = body};
    vec_push(m->arena, &m->entries, e);
    return &m->entries.at[m->entries.len - 1];
}

/* out[s, i] = relu(in[s, i] * 2 + 1) for n floats a sample, `width` at a time, masked tail; one grid point a sample */
static inline LpModule *sample_elementwise(Arena *a, int64_t n, int width) {
    LpModule *m = sample_module(a);
    LpKernel *k = sample_kernel(m, "twice", 2, 1, 4, 0, 1);
    k->ptr[0] = (LpParam){.name = "x", .extent = lx_i2(a, LX_IMUL, lx_var(a, 0), lx_var(a, 2))};
    k->ptr[1] = (LpParam){.name = "y", .writes = true, .extent = k->ptr[0].extent};
    const Lx *i = lx_var(a, 3), *at = lx_i2(a, LX_IADD, lx_i2(a, LX_IMUL, lx_var(a, 0), lx_var(a, 1)), i);
    const Lx *left = lx_i2(a, LX_ISUB, lx_var(a, 0), i);
    const Lx *x = lx_load(a, 0, at, width, left);
    const Lx *y = lx_f2(a, LX_MAX, lx_f3(a, LX_FMA, x, lx_float(a, 2, width), lx_float(a, 1, width)), lx_float(a, 0, width));
    k->body = ls_for(a, 3, lx_int(a, 0), lx_var(a, 0), width, false, ls_store(a, 1, at, y, left));
    const Lx *size = lx_int(a, n);
    Lptr p[] = {{.space = SP_IN}, {.space = SP_OUT}};
    LpEntry *e = sample_entry(m, "forward", 1, 1, ls_launch(a, 0, lx_var(a, LP_VAR_BATCH), p, 2, &size, 1));
    LpArg arg = {n, true};
    e->in = e->out = arena_copy(a, &arg, sizeof arg);
    return m;
}

/* out[0] = sum over the samples and entries of in^2, in one grid point, vectors and a scalar tail through registers */
static inline LpModule *sample_reduction(Arena *a, int64_t n, int width) {
    LpModule *m = sample_module(a);
    LpKernel *k = sample_kernel(m, "sum", 2, 0, 4, 2, 1);
    k->reg_width[0] = width;
    const Lx *total = lx_mulk(a, lx_var(a, 1), n), *i = lx_var(a, 2);
    k->ptr[0] = (LpParam){.name = "x", .extent = total};
    k->ptr[1] = (LpParam){.name = "y", .writes = true, .extent = lx_int(a, 1)};
    const Lx *x = lx_load(a, 0, i, width, lx_i2(a, LX_ISUB, total, i));
    LsList body = {0};
    ls_add(&body, ls_for(a, 2, lx_int(a, 0), total, width, false, ls_set(a, 0, NULL, lx_f3(a, LX_FMA, x, x, lx_reg(a, 0, NULL, width)))));
    ls_add(&body, ls_set(a, 1, NULL, lx_f1(a, LX_HSUM, lx_reg(a, 0, NULL, width))));
    ls_add(&body, ls_store(a, 1, lx_int(a, 0), lx_reg(a, 1, NULL, 1), NULL));
    k->body = body.first;
    Lptr p[] = {{.space = SP_IN}, {.space = SP_OUT}};
    LpEntry *e = sample_entry(m, "eval", 1, 1, ls_launch(a, 0, lx_int(a, 1), p, 2, NULL, 0));
    LpArg arg[] = {{n, true}, {1, false}};
    e->in = arena_copy(a, &arg[0], sizeof arg[0]);
    e->out = arena_copy(a, &arg[1], sizeof arg[1]);
    return m;
}

/* The table-driven register tile: acc[p][v] += splat(X[tab[e] + p*stride + c]) * W[e][c][v], kv vectors by pw pixels; relu; store.
   One grid point: one tile. Parameters: x, tab, w, y; integers: entries, channels. Y: [pw][kv*width]. */
static inline LpModule *sample_tile(Arena *a, int width, int kv, int pw, int64_t channels, const int32_t *tab, int64_t entries) {
    LpModule *m = sample_module(a);
    LpKernel *k = sample_kernel(m, "tile", 4, 2, 10, pw * kv + kv + 1, width);
    enum { N, CI, GRID, BATCH, E, C, P, V };
    enum { X, TAB, W, Y };
    k->ptr[X] = (LpParam){.name = "x"};
    k->ptr[TAB] = (LpParam){.name = "tab", .is_int = true, .extent = lx_var(a, N)};
    k->ptr[W] = (LpParam){.name = "w", .extent = lx_mulk(a, lx_i2(a, LX_IMUL, lx_var(a, N), lx_var(a, CI)), kv * width)};
    k->ptr[Y] = (LpParam){.name = "y", .writes = true};
    int acc = 0, wreg = pw * kv, xreg = wreg + kv;
    const Lx *v = lx_var(a, V), *p = lx_var(a, P), *c = lx_var(a, C), *e = lx_var(a, E), *w8 = lx_var(a, 8);
    const Lx *accat = lx_i2(a, LX_IADD, lx_mulk(a, p, kv), v);
    LsList in = {0}, perp = {0}, pere = {0}, all = {0};
    ls_add(&perp, ls_set(a, xreg, NULL, lx_splat(a, lx_load(a, X, lx_i2(a, LX_IADD, lx_i2(a, LX_IADD, w8, c), lx_i2(a, LX_IMUL, p, lx_var(a, CI))), 1, NULL), width)));
    ls_add(&perp, ls_for_n(a, V, kv, true, ls_set(a, acc, accat, lx_f3(a, LX_FMA, lx_reg(a, wreg, v, width), lx_reg(a, xreg, NULL, width), lx_reg(a, acc, accat, width)))));
    const Lx *wat = lx_mulk(a, lx_i2(a, LX_IADD, lx_i2(a, LX_IMUL, e, lx_var(a, CI)), c), kv * width);
    ls_add(&in, ls_for_n(a, V, kv, true, ls_set(a, wreg, v, lx_load(a, W, lx_i2(a, LX_IADD, wat, lx_mulk(a, v, width)), width, NULL))));
    ls_add(&in, ls_for_n(a, P, pw, true, perp.first));
    ls_add(&pere, ls_setvar(a, 8, lx_itab(a, TAB, e)));
    ls_add(&pere, ls_for(a, C, lx_int(a, 0), lx_var(a, CI), 1, false, in.first));
    ls_add(&all, ls_for(a, E, lx_int(a, 0), lx_var(a, N), 1, false, pere.first));
    const Lx *yat = lx_i2(a, LX_IADD, lx_mulk(a, lx_var(a, GRID), (int64_t)pw * kv * width), lx_mulk(a, accat, width));
    ls_add(&all, ls_for_n(a, P, pw, true, ls_for_n(a, V, kv, true, ls_store(a, Y, yat, lx_f2(a, LX_MAX, lx_reg(a, acc, accat, width), lx_float(a, 0, width)), NULL))));
    k->body = all.first;
    LpTable t = {.is_int = true, .i = arena_copy(a, tab, sizeof *tab * (size_t)entries), .len = entries};
    vec_push(a, &m->tables, t);
    const Lx *ints[] = {lx_int(a, entries), lx_int(a, channels)};
    Lptr ptr[] = {{.space = SP_IN}, {.space = SP_TABLE}, {.space = SP_IN, .which = 1}, {.space = SP_OUT}};
    sample_entry(m, "forward", 2, 1, ls_launch(a, 0, lx_var(a, LP_VAR_BATCH), ptr, 4, ints, 2));
    return m;
}
#endif
