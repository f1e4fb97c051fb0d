/* Examples scheduled for a GPU in the loop evaluator, which runs blocks thread by thread and finds races, against the float64 evaluator; and how
   many launches their steps take. */
#include "gpu_rig.h"

static bool evaluate(void *how, Arena *a, const LpModule *m, int entry, const csc_call *call, const char **why) {
    (void)how;
    return loop_eval(a, m, entry, call, why);
}
static const GpuRunner evaluator = {NULL, evaluate, NULL, SCHED_FLOAT32};

static void agrees(const char *program, const char *args, const char *which, int64_t batch, double tolerance, int64_t launches) {
    gpu_agrees(&evaluator, program, args, which, batch, tolerance, launches);
}

TEST(lista_cpss) { agrees("lista", "--set m=12 --set n=20 --set layers=3 --set form=cpss", "fs", 4, 2e-3, 13); }
TEST(alista) { agrees("alista", "--set m=12 --set n=20 --set layers=3", "fes", 4, 2e-3, 10); }
TEST(dense_ista) { agrees("tests/bench/dense_lasso", "--set m=12 --set n=20 --set iterations=7 --set form=ista", "f", 70, 2e-4, 3); } /* all iterations but the first: one */
TEST(unrolled_until) { agrees("tests/accept/unrolled_until", "--set side=3 --set atoms=2", "s", 1, 2e-3, 28); } /* backward, turns that did not count are left out */
TEST(omp) { agrees("omp", "--set atoms=24 --set side=5 --set most=3", "fes", 3, 2e-3, 14); }
TEST(digits) { agrees("digits", "--set unfold=0", "bs", 2, 1e-3, 12); }
TEST(crate) { agrees("crate", "--set depth=1 --set width=8 --set heads=2 --set p=14 --set updates=1", "fs", 2, 2e-3, 24); }
TEST(unet) { agrees("unet", "--set base=2 --set H=16 --set W=16", "s", 2, 3e-2, 177); } /* batch normalisation */

int main(int argc, char **argv) {
    static const Case cases[] = {T(lista_cpss), T(alista), T(dense_ista), T(unrolled_until), T(omp), T(digits), T(crate), T(unet)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
