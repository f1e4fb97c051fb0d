/* Measures generated code: the register tile against the peak of fused multiply-adds (measured by a kernel of its own, between the repetitions),
   and what a kernel costs to compile. Usage: bench_tile [cpu] */
#include "llvm/llvm.h"
#include "sched/sched.h"
#include "unit/loop_samples.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* `regs` independent chains of multiply-adds, 1000 turns a grid point. */
static LpModule *peak_module(Arena *a, int width, int regs) {
    LpModule *m = sample_module(a);
    LpKernel *k = sample_kernel(m, "peak", 1, 0, 4, regs + 1, width);
    k->ptr[0] = (LpParam){.name = "y", .writes = true};
    LsList l = {0};
    const Lx *r = lx_reg(a, 0, lx_var(a, 3), width), *c = lx_reg(a, regs, NULL, width);
    ls_add(&l, ls_set(a, regs, NULL, lx_splat(a, lx_load(a, 0, lx_int(a, 0), 1, NULL), width)));
    ls_add(&l, ls_for_n(a, 2, 1000, false, ls_for_n(a, 3, regs, true, ls_set(a, 0, lx_var(a, 3), lx_f3(a, LX_FMA, r, c, c)))));
    ls_add(&l, ls_for_n(a, 3, regs, true, ls_store(a, 0, lx_mulk(a, lx_var(a, 3), width), r, NULL)));
    k->body = l.first;
    Lptr p = {.space = SP_OUT};
    sample_entry(m, "forward", 0, 1, ls_launch(a, 0, lx_var(a, LP_VAR_BATCH), &p, 1, NULL, 0));
    return m;
}

typedef struct Code {
    CodeImage *jit;
    const csc_model *model;
    csc_call call;
    double flop, best, compile_ms;
} Code;

static Code code_of(Arena *a, const LpModule *m, const char *cpu, uint32_t batch, double flop_per_point) {
    Code c = {.flop = flop_per_point * batch, .call = {.size = sizeof(csc_call), .batch = batch}};
    LlvmModelInfo info = {.json = "{}"};
    LlvmOptions o = {.cpu = cpu, .level = 2};
    const char *why;
    double t = now();
    const CodeObject *object = llvm_emit(a, m, &info, &o, NULL, NULL);
    c.compile_ms = 1e3 * (now() - t);
    if (!(c.jit = code_load(a, object, &c.model, &why))) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    return c;
}

static void run(Code *c) {
    double t = now();
    c->model->entries[0].run(&c->call);
    t = c->flop / (now() - t) * 1e-9;
    if (t > c->best) c->best = t;
}

int main(int argc, char **argv) {
    const char *cpu = argc > 1 ? argv[1] : "native";
    SchedTarget target;
    if (!sched_target(cpu, &target)) {
        fprintf(stderr, "unknown processor %s\n", cpu);
        return 1;
    }
    Arena *a = arena_new();
    enum { TAPS = 36, CHANNELS = 16, BATCH = 200 };
    static int32_t tab[TAPS];
    for (int i = 0; i < TAPS; i++) tab[i] = i * 64;
    static const int wide[][2] = {{2, 14}, {2, 12}, {4, 6}, {3, 8}, {2, 8}, {1, 28}}, narrow[][2] = {{2, 6}, {3, 4}, {1, 12}, {2, 5}, {2, 4}};
    const int(*shape)[2] = target.registers == 32 ? wide : narrow;
    size_t n = target.registers == 32 ? sizeof wide / sizeof *wide : sizeof narrow / sizeof *narrow;
    float *x = aligned_alloc(64, 4 * 65536), *w = aligned_alloc(64, 4 * 65536), *y = aligned_alloc(64, 4 * 1000000);
    for (int i = 0; i < 65536; i++) x[i] = w[i] = 1e-3f * (float)(i % 7);
    memset(y, 0, 4 * 1000000);
    const float *in[] = {x, w};
    code_of(a, peak_module(a, target.lanes, 4), cpu, 1, 1); /* warms LLVM */
    Code peak = code_of(a, peak_module(a, target.lanes, target.registers * 3 / 4), cpu, 20, 2000.0 * target.lanes * (target.registers * 3 / 4));
    peak.call.out = &y;
    for (size_t i = 0; i < n; i++) {
        int kv = shape[i][0], pw = shape[i][1];
        Code c = code_of(a, sample_tile(a, target.lanes, kv, pw, CHANNELS, tab, TAPS), cpu, BATCH, 2.0 * TAPS * CHANNELS * kv * pw * target.lanes);
        c.call.in = in;
        c.call.out = &y;
        peak.best = 0;
        for (int turn = 0; turn < 30; turn++) run(&c), run(&peak);
        printf("%s tile %d x %d: %.1f GFLOP/s, %.0f %% of %.1f; compiled in %.1f ms\n", cpu, kv, pw, c.best, 100 * c.best / peak.best, peak.best,
               c.compile_ms);
        code_free(c.jit);
    }
    arena_free(a);
    return 0;
}
