/* Examples scheduled for a GPU, written as text and built by the C compiler, against the float64 evaluator; some of them against the loop
   evaluator too, bit by bit. */
#include "gpu_rig.h"
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

static void agrees(const char *program, const char *args, const char *which, int64_t batch, double tolerance) {
    static const GpuRunner host = {build, run, shut};
    gpu_agrees(&host, program, args, which, batch, tolerance, INT64_MAX);
}

static void same_bits(const char *program, const char *args, const char *which, int64_t batch, double tolerance) {
    static const GpuRunner both = {build, run_both, shut};
    gpu_agrees(&both, program, args, which, batch, tolerance, INT64_MAX);
}

TEST(bits_of_lista_cpss) { same_bits("lista", "--set m=12 --set n=20 --set layers=3 --set form=cpss", "fs", 4, 2e-3); }
TEST(bits_of_omp) { same_bits("omp", "--set atoms=24 --set side=5 --set most=3", "fes", 3, 2e-3); }
TEST(bits_of_digits) { same_bits("digits", "--set unfold=0", "bs", 2, 1e-3); }
TEST(bits_of_crate) { same_bits("crate", "--set depth=1 --set width=8 --set heads=2 --set p=14 --set updates=1", "fs", 2, 2e-3); }
TEST(digits) { agrees("digits", "", "fbes", 5, 1e-3); }
TEST(digits_unfolded_0) { agrees("digits", "--set unfold=0", "fbs", 3, 1e-3); }
TEST(digits_unfolded_20) { agrees("digits", "--set unfold=20", "fbs", 2, 5e-3); }
TEST(ml_ista_mnist) { agrees("ml_ista_mnist", "--set unfold=1", "fes", 2, 2e-3); }
TEST(msd_csc) { agrees("msd_csc", "--set d=3 --set w=4 --set unfold=2", "fbes", 2, 2e-3); }
TEST(res_csc) { agrees("res_csc", "--set n=1", "fs", 2, 2e-3); }
TEST(res_csc_simplified) { agrees("res_csc", "--set n=1 --set form=simplified", "s", 2, 2e-3); }
TEST(res_csc_plain) { agrees("res_csc", "--set n=1 --set form=plain", "f", 2, 2e-3); }
TEST(new_structure_pyramid) { agrees("new_structure", "", "fb", 1, 2e-3); }
TEST(new_structure_separable) { agrees("new_structure", "--set form=separable", "fb", 1, 2e-3); }
TEST(new_structure_gated) { agrees("new_structure", "--set form=gated", "fb", 1, 2e-3); }
TEST(lista_cp) { agrees("lista_cp", "--set m=25 --set n=50 --set layers=3", "fbesy", 4, 2e-3); }
TEST(denoise) { agrees("denoise", "--set atoms=6 --set k=5 --set H=14 --set W=17", "fbes", 2, 1e-2); }
TEST(unet) { agrees("unet", "--set base=2 --set H=18 --set W=32", "fes", 2, 3e-2); }
TEST(lista) { agrees("lista", "--set m=12 --set n=20 --set layers=3", "fes", 4, 2e-3); }
TEST(lista_cpss) { agrees("lista", "--set m=12 --set n=20 --set layers=3 --set form=cpss", "fs", 4, 2e-3); }
TEST(alista) { agrees("alista", "--set m=12 --set n=20 --set layers=3", "fes", 4, 2e-3); }
TEST(omp) { agrees("omp", "--set atoms=24 --set side=5 --set most=3", "fes", 3, 2e-3); }
TEST(dictionary_learning_patch) { agrees("dictionary_learning", "--set atoms=24 --set side=5 --set k=5", "fs", 3, 1e-2); }
TEST(dictionary_learning_convolutional) { agrees("dictionary_learning", "--set atoms=5 --set side=13 --set k=5", "fes", 2, 1e-2); }
TEST(multilayer_dictionary) { agrees("multilayer_dictionary", "--set a=4 --set b=6 --set c=8", "fs", 2, 1e-2); }
TEST(double_sparsity_dct) { agrees("double_sparsity", "--set atoms=24 --set side=6", "fs", 3, 1e-2); }
TEST(double_sparsity_haar) { agrees("double_sparsity", "--set atoms=24 --set side=8 --set base=haar", "fs", 3, 1e-2); }
TEST(inpainting) { agrees("inpainting", "--set atoms=6 --set k=5 --set H=14 --set W=13", "fes", 2, 1e-2); }
TEST(super_resolution) { agrees("super_resolution", "--set atoms=5 --set H=14 --set W=12 --set updates=3", "fes", 2, 2e-3); }
TEST(reconstruction) { agrees("reconstruction", "--set d=2 --set w=3 --set unfold=2", "fes", 2, 2e-3); }
TEST(crate) { agrees("crate", "--set depth=2 --set width=8 --set heads=2 --set p=4 --set updates=2", "fbes", 3, 2e-3); }
TEST(scale_groups) { agrees("scale_groups", "--set w=4", "fes", 3, 2e-3); }
TEST(sparse_wavelets) { agrees("sparse_wavelets", "--set w=4", "fes", 3, 2e-3); }
TEST(coarse_to_fine) { agrees("coarse_to_fine", "--set w=4", "fes", 3, 2e-3); }
TEST(mirrored_atoms) { agrees("mirrored_atoms", "--set w=4", "fes", 3, 2e-3); }

int main(int argc, char **argv) {
    Case cases[] = {T(bits_of_lista_cpss), T(bits_of_omp), T(bits_of_digits), T(bits_of_crate),
                    T(digits), T(digits_unfolded_0), T(digits_unfolded_20), T(ml_ista_mnist), T(msd_csc), T(res_csc),
                    T(res_csc_simplified), T(res_csc_plain), T(new_structure_pyramid), T(new_structure_separable), T(new_structure_gated), T(lista_cp),
                    T(denoise), T(unet), T(lista), T(lista_cpss), T(alista), T(omp),
                    T(dictionary_learning_patch), T(dictionary_learning_convolutional), T(multilayer_dictionary), T(double_sparsity_dct), T(double_sparsity_haar), T(inpainting),
                    T(super_resolution), T(reconstruction), T(crate), T(scale_groups), T(sparse_wavelets), T(coarse_to_fine),
                    T(mirrored_atoms)};
    size_t n = sizeof cases / sizeof *cases;
    const char *full = getenv("CSC_FULL");
    if (argc < 2 && !(full && *full)) n = SANITIZED ? 1 : 4; /* the others take minutes; a word on the command line asks for them */
    return run_tests(argc, argv, cases, n);
}
