/* Kernels through NVRTC, without a device: no warnings, no spills, no memory of the thread's own, no static shared memory. */
#include "gpu_rig.h"
#include "unit/nvrtc.h"
#include "unit/block_samples.h"
#include "unit/loop_samples.h"

TEST(samples) {
    Nvrtc v;
    if (!nvrtc_open(&v)) SKIP("no NVRTC");
    Cx *cx = cx_new();
    static const char *const archs[] = {"sm_80", "sm_90a"};
    const char *all[] = {block_sum, block_product, block_mma_tf32, block_mma_bf16, block_mma_bf16_across, block_mma_bf16_odd, block_mma_bf16_wide, block_odds};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int q = 0; q < 2; q++) {
            LpModule *m = loop_read(cx, cx->keep, cx_add_source(cx, "sample", all[i], strlen(all[i])));
            CHECK(m);
            KernelFigures f = nvrtc_kernel(&v, cx->keep, &m->kernels.at[0], archs[q]);
            printf("  %-8s %-6s %3d registers\n", m->kernels.at[0].name, archs[q], f.registers);
            CHECK(f.registers > 0 && f.registers <= 128 && f.spills == 0 && f.shared == 0);
            CHECK(f.stack == 0 || i == 7); /* block_odds has scratch */
        }
    cx_free(cx);
}

TEST(operations) {
    Nvrtc v;
    if (!nvrtc_open(&v)) SKIP("no NVRTC");
    Arena *a = arena_new();
    LpKernel *k = &sample_operations(a, 1)->kernels.at[0];
    k->threads = 32;
    k->body = ls_threads(a, k->body);
    CHECK(nvrtc_kernel(&v, a, k, "sm_80").registers > 0);
    arena_free(a);
}

/* Every distinct kernel of an example, for both architectures. */
static void *sweep(Arena *a, const LpModule *m) {
    static const char *const archs[] = {"sm_80", "sm_90a"};
    Nvrtc v;
    int kernels = 0, most = 0;
    if (!nvrtc_open(&v)) SKIP("no NVRTC");
    for (size_t i = 0; i < m->kernels.len; i++) {
        const LpKernel *k = &m->kernels.at[i];
        size_t first = 0;
        while (loop_kernel_hash(&m->kernels.at[first]) != loop_kernel_hash(k)) first++;
        for (int q = 0; q < 2 && first == i; q++) {
            KernelFigures f = nvrtc_kernel(&v, a, k, archs[q]);
            bool scratch = lp_thread_bytes(k) > 0;
            if (f.spills || (f.stack && !scratch) || f.shared || f.registers < 1)
                FAIL("%s (%s) for %s: %d bytes spilled, %d of stack, %d of static shared memory", host_kernel_name(a, k), k->name, archs[q], f.spills, f.stack, f.shared);
            most = f.registers > most ? f.registers : most;
            kernels++;
        }
    }
    printf("  %d kernels, at most %d registers\n", kernels, most);
    return NULL;
}

static bool skip_run(void *how, Arena *a, const LpModule *m, int entry, const csc_call *call, const char **why) {
    (void)how, (void)a, (void)m, (void)entry, (void)call, (void)why;
    return true;
}

static void compiles(const char *program, const char *args, const char *which) {
    static const GpuRunner r = {sweep, skip_run, NULL};
    gpu_agrees(&r, program, args, which, 2, INFINITY, INT64_MAX);
}

TEST(omp_short) { compiles("omp", "--set atoms=24 --set side=5 --set most=3", "f"); }
TEST(digits) { compiles("digits", "", "fbes"); }
TEST(digits_unfolded_0) { compiles("digits", "--set unfold=0", "fbs"); }
TEST(digits_unfolded_20) { compiles("digits", "--set unfold=20", "fbs"); }
TEST(ml_ista_mnist) { compiles("ml_ista_mnist", "--set unfold=1", "fes"); }
TEST(msd_csc) { compiles("msd_csc", "--set d=3 --set w=4 --set unfold=2", "fbes"); }
TEST(res_csc) { compiles("res_csc", "--set n=1", "fs"); }
TEST(res_csc_simplified) { compiles("res_csc", "--set n=1 --set form=simplified", "s"); }
TEST(res_csc_plain) { compiles("res_csc", "--set n=1 --set form=plain", "f"); }
TEST(new_structure_pyramid) { compiles("new_structure", "", "fb"); }
TEST(new_structure_separable) { compiles("new_structure", "--set form=separable", "fb"); }
TEST(new_structure_gated) { compiles("new_structure", "--set form=gated", "fb"); }
TEST(lista_cp) { compiles("lista_cp", "--set m=25 --set n=50 --set layers=3", "fbesy"); }
TEST(denoise) { compiles("denoise", "--set atoms=6 --set k=5 --set H=14 --set W=17", "fbes"); }
TEST(unet) { compiles("unet", "--set base=2 --set H=18 --set W=32", "fes"); }
TEST(lista) { compiles("lista", "--set m=12 --set n=20 --set layers=3", "fes"); }
TEST(lista_cpss) { compiles("lista", "--set m=12 --set n=20 --set layers=3 --set form=cpss", "fs"); }
TEST(alista) { compiles("alista", "--set m=12 --set n=20 --set layers=3", "fes"); }
TEST(omp) { compiles("omp", "--set atoms=24 --set side=5 --set most=3", "fes"); }
TEST(dictionary_learning_patch) { compiles("dictionary_learning", "--set atoms=24 --set side=5 --set k=5", "fs"); }
TEST(dictionary_learning_convolutional) { compiles("dictionary_learning", "--set atoms=5 --set side=13 --set k=5", "fes"); }
TEST(multilayer_dictionary) { compiles("multilayer_dictionary", "--set a=4 --set b=6 --set c=8", "fs"); }
TEST(double_sparsity_dct) { compiles("double_sparsity", "--set atoms=24 --set side=6", "fs"); }
TEST(double_sparsity_haar) { compiles("double_sparsity", "--set atoms=24 --set side=8 --set base=haar", "fs"); }
TEST(inpainting) { compiles("inpainting", "--set atoms=6 --set k=5 --set H=14 --set W=13", "fes"); }
TEST(super_resolution) { compiles("super_resolution", "--set atoms=5 --set H=14 --set W=12 --set updates=3", "fes"); }
TEST(reconstruction) { compiles("reconstruction", "--set d=2 --set w=3 --set unfold=2", "fes"); }
TEST(crate) { compiles("crate", "--set depth=2 --set width=8 --set heads=2 --set p=4 --set updates=2", "fbes"); }
TEST(scale_groups) { compiles("scale_groups", "--set w=4", "fes"); }
TEST(sparse_wavelets) { compiles("sparse_wavelets", "--set w=4", "fes"); }
TEST(coarse_to_fine) { compiles("coarse_to_fine", "--set w=4", "fes"); }
TEST(mirrored_atoms) { compiles("mirrored_atoms", "--set w=4", "fes"); }

int main(int argc, char **argv) {
    static const Case cases[] = {T(samples), T(operations), T(omp_short),
                                 T(digits), T(digits_unfolded_0), T(digits_unfolded_20), T(ml_ista_mnist), T(msd_csc), T(res_csc),
                                 T(res_csc_simplified), T(res_csc_plain), T(new_structure_pyramid), T(new_structure_separable), T(new_structure_gated), T(lista_cp),
                                 T(denoise), T(unet), T(lista), T(lista_cpss), T(alista), T(omp),
                                 T(dictionary_learning_patch), T(dictionary_learning_convolutional), T(multilayer_dictionary), T(double_sparsity_dct), T(double_sparsity_haar), T(inpainting),
                                 T(super_resolution), T(reconstruction), T(crate), T(scale_groups), T(sparse_wavelets), T(coarse_to_fine),
                                 T(mirrored_atoms)};
    const char *full = getenv("CSC_FULL");
    return run_tests(argc, argv, cases, argc > 1 || (full && *full) ? sizeof cases / sizeof *cases : 3);
}
