/* Hand-made loop nests, for the tests of loop and llvm. */
#ifndef CSC_TESTS_LOOP_SAMPLES_H
#define CSC_TESTS_LOOP_SAMPLES_H
#include "csc_model.h"
#include "loop/loop.h"
#include <stdlib.h>

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
    k->ptr[TAB] = (LpParam){.name = "tab", .elem = LP_I32, .extent = lx_var(a, N)};
    k->ptr[W] = (LpParam){.name = "w", .extent = lx_mulk(a, lx_i2(a, LX_IMUL, lx_var(a, N), lx_var(a, CI)), kv * width)};
    k->ptr[Y] = (LpParam){.name = "y", .writes = true};
    int acc = 0, wreg = pw * kv, xreg = wreg + kv;
    const Lx *v = lx_var(a, V), *p = lx_var(a, P), *c = lx_var(a, C), *e = lx_var(a, E), *w8 = lx_var(a, 8);
    const Lx *accat = lx_i2(a, LX_IADD, lx_mulk(a, p, kv), v);
    LsList in = {0}, perp = {0}, pere = {0}, all = {0};
    ls_add(&perp, ls_set(a, xreg, NULL, lx_splat(a, lx_load(a, X, lx_i2(a, LX_IADD, lx_i2(a, LX_IADD, w8, c), lx_mulk(a, p, channels)), 1, NULL), width)));
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
/* Each float operation on three inputs of `width` floats, one result after another: out[result][lane]. SAMPLE_OPS results. */
enum { SAMPLE_OPS = 38 };
static inline LpModule *sample_operations(Arena *a, int width) {
    LpModule *m = sample_module(a);
    LpKernel *k = sample_kernel(m, "ops", 4, 3, 8, 3, width);
    for (int i = 0; i < 3; i++) k->ptr[i] = (LpParam){.name = "x", .extent = lx_int(a, width)};
    k->ptr[3] = (LpParam){.name = "y", .writes = true, .extent = lx_int(a, SAMPLE_OPS * width)};
    LsList l = {0};
    for (int i = 0; i < 3; i++) ls_add(&l, ls_set(a, i, NULL, lx_load(a, i, lx_int(a, 0), width, NULL)));
    const Lx *x = lx_reg(a, 0, NULL, width), *y = lx_reg(a, 1, NULL, width), *z = lx_reg(a, 2, NULL, width);
    const Lx *r[SAMPLE_OPS];
    int n = 0;
    static const LxKind one[] = {LX_NEG, LX_ABS, LX_SQRT, LX_FLOOR, LX_EXP, LX_LOG, LX_TANH, LX_SIN, LX_COS};
    static const LxKind two[] = {LX_ADD, LX_SUB, LX_MUL, LX_DIV, LX_POW, LX_MAX, LX_MIN, LX_LT, LX_LE, LX_EQ};
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) r[n++] = lx_f1(a, one[i], x);
    for (size_t i = 0; i < sizeof two / sizeof *two; i++) r[n++] = lx_f2(a, two[i], x, y);
    r[n++] = lx_f3(a, LX_FMA, x, y, z);
    r[n++] = lx_f3(a, LX_SELECT, x, y, z);
    r[n++] = lx_f3(a, LX_SELECT, lx_f2(a, LX_LT, x, y), lx_f3(a, LX_SELECT, lx_f2(a, LX_LT, y, z), x, z), y);
    r[n++] = lx_f2(a, LX_MAX, lx_float(a, 0.5, width), x);
    r[n++] = lx_f2(a, LX_MIN, x, lx_float(a, 0.5, width));
    r[n++] = lx_lanes(a, width);
    r[n++] = lx_splat(a, lx_f1(a, LX_HSUM, x), width);
    r[n++] = lx_splat(a, lx_f1(a, LX_HMAX, x), width);
    const Lx *top = lx_f2i(a, lx_f1(a, LX_HMAX, z));
    r[n++] = lx_i2f(a, lx_i2(a, LX_IMAX, top, lx_int(a, -3)), width);
    r[n++] = lx_i2f(a, lx_i2(a, LX_IMIN, top, lx_int(a, 3)), width);
    r[n++] = lx_i2f(a, lx_i2(a, LX_IAND, lx_i2(a, LX_ILT, top, lx_int(a, 4)), lx_i2(a, LX_INOT, top, NULL)), width);
    r[n++] = lx_i2f(a, lx_i2(a, LX_IOR, lx_i2(a, LX_IEQ, top, lx_int(a, 2)), lx_i2(a, LX_ILT, lx_int(a, 5), top)), width);
    r[n++] = lx_i2f(a, lx_iselect(a, top, lx_i2(a, LX_IDIV, lx_i2(a, LX_IMUL, top, top), lx_int(a, 3)), lx_int(a, 9)), width);
    r[n++] = lx_i2f(a, lx_i2(a, LX_IMOD, lx_i2(a, LX_IMUL, top, top), lx_int(a, 7)), width);
    const Lx *seed = lx_var(a, 0), *step = lx_var(a, 1), *sample = lx_var(a, 2), *t = lx_int(a, 3);
    r[n++] = lx_noise(a, false, width, seed, step, sample, t, lx_int(a, 100));
    r[n++] = lx_noise(a, true, width, seed, step, sample, t, lx_int(a, 200));
    r[n++] = lx_gather(a, 0, lx_int(a, width - 1), lx_int(a, -1), width, NULL); /* backwards */
    r[n++] = lx_gather(a, 0, lx_int(a, 0), lx_i2(a, LX_IMAX, lx_int(a, 2), lx_int(a, 2)), width, lx_int(a, width / 2));
    r[n++] = lx_load(a, 0, lx_int(a, 0), width, lx_i2(a, LX_ISUB, lx_int(a, width - 1), lx_i2(a, LX_IMUL, step, lx_int(a, 0))));
    for (int i = 0; i < n; i++) ls_add(&l, ls_store(a, 3, lx_int(a, i * width), r[i], NULL));
    k->body = l.first;
    if (n != SAMPLE_OPS) abort();
    Lptr p[] = {{.space = SP_IN}, {.space = SP_IN, .which = 1}, {.space = SP_IN, .which = 2}, {.space = SP_OUT}};
    const Lx *ints[] = {lx_var(a, LP_VAR_SEED), lx_var(a, LP_VAR_STEP), lx_var(a, LP_VAR_FIRST_SAMPLE)};
    sample_entry(m, "forward", 3, 1, ls_launch(a, 0, lx_int(a, 1), p, 4, ints, 3));
    return m;
}

/* Control: kernels with branches, breaks, integer variables, strided and masked stores, thread scratch; an entry that doubles a number in
   the workspace until it is above 100, at most `turns` times, and writes [the number, the turns run, ...]. */
static inline LpModule *sample_control(Arena *a, int64_t turns) {
    LpModule *m = sample_module(a);
    LpKernel *k = sample_kernel(m, "start", 2, 0, 2, 0, 1);
    k->ptr[0] = (LpParam){.name = "x"};
    k->ptr[1] = (LpParam){.name = "n", .writes = true, .extent = lx_int(a, 2)};
    LsList l = {0};
    ls_add(&l, ls_store(a, 1, lx_int(a, 0), lx_load(a, 0, lx_int(a, 0), 1, NULL), NULL));
    ls_add(&l, ls_store(a, 1, lx_int(a, 1), lx_float(a, 0, 1), NULL));
    k->body = l.first;

    k = sample_kernel(m, "double", 1, 0, 2, 1, 1); /* n[0] *= 2; n[1] = n[0] > 100 */
    k->ptr[0] = (LpParam){.name = "n", .writes = true, .extent = lx_int(a, 2)};
    l = (LsList){0};
    const Lx *r0 = lx_reg(a, 0, NULL, 1);
    ls_add(&l, ls_set(a, 0, NULL, lx_f2(a, LX_MUL, lx_load(a, 0, lx_int(a, 0), 1, NULL), lx_float(a, 2, 1))));
    ls_add(&l, ls_store(a, 0, lx_int(a, 0), r0, NULL));
    ls_add(&l, ls_store(a, 0, lx_int(a, 1), lx_f2(a, LX_LT, lx_float(a, 100, 1), r0), NULL));
    k->body = l.first;

    /* y[0] = n; y[1] = turns; y[2] = the first index with x > 3 (or -1); y[3] = sum of x[i], i odd, less the even ones, up to there;
       y[4..8) = x[0..4) reversed through scratch; y[8], y[10], .. = strided; y[16..19) masked */
    k = sample_kernel(m, "finish", 4, 2, 8, 2, 1);
    k->reg_width[1] = 4;
    k->ptr[0] = (LpParam){.name = "n", .extent = lx_int(a, 2)};
    k->ptr[1] = (LpParam){.name = "x", .extent = lx_int(a, 8)};
    k->ptr[2] = (LpParam){.name = "y", .writes = true, .extent = lx_int(a, 20)};
    k->ptr[3] = (LpParam){.name = "scratch", .thread = true, .writes = true, .bytes = 20};
    enum { TURNS, COUNT, GRID, BATCH, I, FOUND, J };
    l = (LsList){0};
    const Lx *i = lx_var(a, I), *xi = lx_load(a, 1, i, 1, NULL), *r1 = lx_reg(a, 1, NULL, 4);
    ls_add(&l, ls_store(a, 2, lx_int(a, 0), lx_load(a, 0, lx_int(a, 0), 1, NULL), NULL));
    ls_add(&l, ls_store(a, 2, lx_int(a, 1), lx_i2f(a, lx_var(a, TURNS), 1), NULL));
    ls_add(&l, ls_setvar(a, FOUND, lx_int(a, -1)));
    LsList body = {0}, found = {0};
    ls_add(&found, ls_setvar(a, FOUND, i));
    ls_add(&found, ls_break_if(a, lx_int(a, 1)));
    ls_add(&body, ls_if(a, lx_f2i(a, lx_f2(a, LX_LT, lx_float(a, 3, 1), xi)), found.first, NULL));
    ls_add(&body, ls_if(a, lx_i2(a, LX_IMOD, i, lx_int(a, 2)), ls_set(a, 0, NULL, lx_f2(a, LX_ADD, r0, xi)),
                        ls_set(a, 0, NULL, lx_f2(a, LX_SUB, r0, xi))));
    ls_add(&l, ls_for(a, I, lx_int(a, 0), lx_var(a, COUNT), 1, false, body.first));
    ls_add(&l, ls_store(a, 2, lx_int(a, 2), lx_i2f(a, lx_var(a, FOUND), 1), NULL));
    ls_add(&l, ls_store(a, 2, lx_int(a, 3), r0, NULL));
    ls_add(&l, ls_for(a, J, lx_int(a, 0), lx_int(a, 4), 1, false,
                      ls_store(a, 3, lx_i2(a, LX_ISUB, lx_int(a, 3), lx_var(a, J)), lx_load(a, 1, lx_var(a, J), 1, NULL), NULL)));
    ls_add(&l, ls_set(a, 1, NULL, lx_load(a, 3, lx_int(a, 0), 4, NULL)));
    ls_add(&l, ls_store(a, 2, lx_int(a, 4), r1, NULL));
    ls_add(&l, ls_store_strided(a, 2, lx_int(a, 8), lx_int(a, 2), r1, NULL));
    ls_add(&l, ls_store_strided(a, 2, lx_int(a, 9), lx_int(a, 2), r1, lx_int(a, 3)));
    ls_add(&l, ls_store(a, 2, lx_int(a, 16), r1, lx_i2(a, LX_ISUB, lx_var(a, COUNT), lx_int(a, 5))));
    ls_add(&l, ls_store(a, 2, lx_int(a, 15), lx_float(a, 1, 1), NULL));
    ls_add(&l, ls_store(a, 2, lx_int(a, 19), lx_float(a, 2, 1), lx_var(a, BATCH)));
    ls_add(&l, ls_store(a, 2, lx_int(a, 19), lx_float(a, 3, 1), lx_int(a, -1)));
    k->body = l.first;

    LsList e = {0}, turn = {0};
    const Lx *t = lx_var(a, 5), *count = lx_int(a, 8);
    Lptr n = {.space = SP_FIXED, .offset = 32}, x = {.space = SP_IN}, y = {.space = SP_OUT}, stop = {.space = SP_FIXED, .offset = 33};
    ls_add(&e, ls_launch(a, 0, lx_int(a, 1), (Lptr[]){x, n}, 2, NULL, 0));
    ls_add(&turn, ls_launch(a, 1, lx_int(a, 1), &n, 1, NULL, 0));
    ls_add(&turn, ls_setvar(a, 6, lx_addk(a, t, 1)));
    ls_add(&turn, ls_break_if_at(a, stop));
    ls_add(&e, ls_for(a, 5, lx_int(a, 0), lx_int(a, turns), 1, false, turn.first));
    ls_add(&e, ls_f2var(a, 7, n));
    ls_add(&e, ls_if(a, lx_i2(a, LX_ILT, lx_int(a, 100), lx_var(a, 7)), ls_setvar(a, 6, lx_addk(a, lx_var(a, 6), 1000)), NULL));
    const Lx *ints[] = {lx_var(a, 6), count};
    Lptr all[] = {n, x, y};
    ls_add(&e, ls_launch(a, 2, lx_int(a, 1), all, 3, ints, 2));
    LpEntry *entry = sample_entry(m, "forward", 1, 1, e.first);
    entry->fixed_floats = 48;
    entry->thread_bytes = 64;
    return m;
}
/* n different kernels, launched one after another: y = x; y = y * c + k for k = 1 .. n-1; 8 floats. */
static inline LpModule *sample_many(Arena *a, int n) {
    LpModule *m = sample_module(a);
    LsList l = {0};
    for (int i = 0; i < n; i++) {
        LpKernel *k = sample_kernel(m, "step", i ? 1 : 2, 0, 2, 0, 1);
        for (int q = 0; q < k->nptr; q++) k->ptr[q] = (LpParam){.name = "x", .extent = lx_int(a, 8), .writes = q == k->nptr - 1};
        const Lx *x = lx_load(a, 0, lx_int(a, 0), 8, NULL);
        k->body = ls_store(a, i ? 0 : 1, lx_int(a, 0), i ? lx_f3(a, LX_FMA, x, lx_float(a, 0.75, 8), lx_float(a, i, 8)) : x, NULL);
        Lptr p[] = {{.space = SP_IN}, {.space = SP_OUT}};
        ls_add(&l, i ? ls_launch(a, i, lx_int(a, 1), p + 1, 1, NULL, 0) : ls_launch(a, i, lx_int(a, 1), p, 2, NULL, 0));
    }
    sample_entry(m, "forward", 1, 1, l.first);
    return m;
}
#endif
