/* Examples scheduled for a GPU, written as text and built by the C compiler, against the float64 evaluator; some of them against the loop
   evaluator too, bit by bit. */
#include "gpu_rig.h"
#include "unit/gpu_programs.h"
#include "unit/host_kernels.h"

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static void *build(Arena *a, const LpModule *m) {
    HostRun *h = ARENA_NEW(a, HostRun);
    *h = host_build(a, m);
    return h;
}
static void shut(void *how) { host_close(how); }

static bool run(void *how, Arena *a, const LpModule *m, int entry, const csc_call *call, const char **why) {
    (void)a, (void)m, (void)why;
    host_run(how, entry, call);
    return true;
}

/* Both ways, in the same memory. */
static bool run_both(void *how, Arena *a, const LpModule *m, int entry, const csc_call *call, const char **why) {
    const LpEntry *e = &m->entries.at[entry];
    int64_t sizes[64], n = 0;
    float *at[64], *first[64];
    for (int32_t i = 0; i < e->nout && n < 60; i++) at[n] = call->out[i], sizes[n++] = e->out[i].floats * (e->out[i].batched ? call->batch : 1);
    at[n] = call->grads, sizes[n++] = m->param_floats;
    at[n] = call->state_out, sizes[n++] = m->state_floats;
    if (!loop_eval(a, m, entry, call, why)) return false;
    for (int64_t i = 0; i < n; i++) first[i] = arena_copy(a, at[i], (size_t)sizes[i] * sizeof(float));
    host_run(how, entry, call);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < sizes[i]; k++)
            if (memcmp(&first[i][k], &at[i][k], 4) && !(isnan(first[i][k]) && isnan(at[i][k]))) {
                *why = arena_printf(a, "result %d[%lld] is %.9g, the loop evaluator's %.9g", (int)i, (long long)k, (double)at[i][k], (double)first[i][k]);
                return false;
            }
    return true;
}

static void agrees(SchedPrecision precision, const char *program, const char *args, const char *which, int64_t batch, double tolerance) {
    const GpuRunner host = {build, run, shut, precision};
    farthest = 0;
    gpu_agrees(&host, program, args, which, batch, tolerance, INT64_MAX);
    printf("  at most %.1e off\n", farthest);
}

static void same_bits(SchedPrecision precision, const char *program, const char *args, const char *which, int64_t batch, double tolerance) {
    const GpuRunner both = {build, run_both, shut, precision};
    farthest = 0;
    gpu_agrees(&both, program, args, which, batch, tolerance, INT64_MAX);
    printf("  at most %.1e off\n", farthest);
}

TEST(bits_of_lista_cpss) { same_bits(SCHED_FLOAT32, "lista", "--set m=12 --set n=20 --set layers=3 --set form=cpss", "fs", 4, 2e-3); }
TEST(bits_of_dense_ista) { same_bits(SCHED_FLOAT32, "tests/bench/dense_lasso", "--set m=12 --set n=20 --set iterations=6 --set form=ista", "f", 37, 2e-4); }
TEST(bits_of_omp) { same_bits(SCHED_FLOAT32, "omp", "--set atoms=24 --set side=5 --set most=3", "fes", 3, 2e-3); }
TEST(bits_of_digits) { same_bits(SCHED_FLOAT32, "digits", "--set unfold=0", "bs", 2, 1e-3); }
TEST(bits_of_crate) { same_bits(SCHED_FLOAT32, "crate", "--set depth=1 --set width=8 --set heads=2 --set p=14 --set updates=1", "fs", 2, 2e-3); }
TEST(bits_of_digits_in_bf16) { same_bits(SCHED_BF16, "digits", "--set unfold=0", "bs", 2, 2e-5); }
TEST(bits_of_crate_in_tf32) { same_bits(SCHED_TF32, "crate", "--set depth=1 --set width=8 --set heads=2 --set p=14 --set updates=1", "fs", 2, 2e-5); }
TEST(bits_of_res_csc_in_bf16) { same_bits(SCHED_BF16, "res_csc", "--set n=1 --set form=plain", "f", 1, 2e-5); } /* products of groups of warps */
TEST(bits_of_ml_ista_in_tf32) { same_bits(SCHED_TF32, "ml_ista_mnist", "--set unfold=0", "s", 1, 2e-5); }
#define PROGRAM(name, program, args, which, batch, tolerance) TEST(name) { agrees(SCHED_FLOAT32, program, args, which, batch, tolerance); }
GPU_PROGRAMS(PROGRAM)
/* The evaluator rounds where kernels round. What is left is chance: an operand in the middle between two short floats is cut up here and down
   there, for its last bit in float32, and what follows makes more of it, most of all where entries cross a threshold and are counted. In these
   programs, at these sizes, that does not happen. */
static double in_short(const char *name) {
    static const char *const calm[] = {"digits", "digits_unfolded_0", "ml_ista_mnist", "res_csc_plain", "lista_cp", "lista", "lista_cpss", "alista", "omp", "crate", "lenet",
                                       "super_resolution", "scale_groups", "sparse_wavelets", "scn", "resnet"};
    for (size_t i = 0; i < sizeof calm / sizeof *calm; i++)
        if (!strcmp(calm[i], name)) return 1e-4;
    return 2e-2;
}
#define SHORT_PROGRAM(name, program, args, which, batch, tolerance) TEST(bf16_##name) { agrees(SCHED_BF16, program, args, which, batch, in_short(#name)); }
GPU_PROGRAMS(SHORT_PROGRAM)

int main(int argc, char **argv) {
#define CASE(name, program, args, which, batch, tolerance) T(name), T(bf16_##name),
    Case cases[] = {T(bits_of_lista_cpss), T(bits_of_dense_ista), T(bits_of_omp), T(bits_of_digits), T(bits_of_crate), T(bits_of_digits_in_bf16), T(bits_of_crate_in_tf32), T(bits_of_res_csc_in_bf16), T(bits_of_ml_ista_in_tf32), GPU_PROGRAMS(CASE)};
    size_t n = sizeof cases / sizeof *cases;
    const char *full = getenv("CSC_FULL");
    if (argc < 2 && !(full && *full)) n = SANITIZED ? 1 : 9; /* the others take minutes; a word on the command line asks for them */
    return run_tests(argc, argv, cases, n);
}
