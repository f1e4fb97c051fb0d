/* Kernels through NVRTC, without a device: no warnings, no static shared memory, nothing spilled. */
#include "gpu_rig.h"
#include "unit/gpu_programs.h"
#include "unit/nvrtc.h"
#include "unit/block_samples.h"
#include "unit/loop_samples.h"

TEST(samples) {
    Nvrtc v;
    if (!nvrtc_open(&v)) SKIP("no NVRTC");
    Cx *cx = cx_new();
    static const char *const archs[] = {"sm_80", "sm_90a"};
    const char *all[] = {block_sum, block_last, block_product, block_mma_tf32, block_mma_bf16, block_mma_bf16_across, block_mma_bf16_odd, block_mma_bf16_wide, block_group_tf32, block_group_tf32_wide, block_group_bf16,
                         block_group_bf16_wide, block_group_across, block_group_mixed, block_odds};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int q = 0; q < 2; q++) {
            LpModule *m = loop_read(cx, cx->keep, cx_add_source(cx, "sample", all[i], strlen(all[i])));
            CHECK(m);
            KernelFigures f = nvrtc_kernel(&v, cx->keep, &m->kernels.at[0], archs[q]);
            printf("  %-8s %-6s %3d registers\n", m->kernels.at[0].name, archs[q], f.registers);
            CHECK(f.registers > 0 && f.registers <= 128 && f.spills == 0 && f.shared == 0);
            CHECK(f.stack == 0 || all[i] == block_odds); /* block_odds has scratch */
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

static bool groups_only;
static int groups;
static bool by_groups(const Ls *s) {
    for (; s; s = s->next)
        if ((s->mma && s->mma->group) || by_groups(s->body) || by_groups(s->orelse)) return true;
    return false;
}

/* Every distinct kernel of an example, for both architectures: none spills. Products of groups of warps are wgmma where there is that. */
static void *sweep(Arena *a, const LpModule *m) {
    static const char *const archs[] = {"sm_80", "sm_90a"};
    Nvrtc v;
    int kernels = 0, most = 0;
    int64_t shared = 0;
    if (!nvrtc_open(&v)) SKIP("no NVRTC");
    for (size_t i = 0; i < m->kernels.len; i++) {
        const LpKernel *k = &m->kernels.at[i];
        size_t first = 0;
        bool group = by_groups(k->body);
        if (groups_only && !group) continue;
        groups += group;
        while (loop_kernel_hash(&m->kernels.at[first]) != loop_kernel_hash(k)) first++;
        for (int q = 0; q < 2 && first == i; q++) {
            KernelFigures f = nvrtc_kernel(&v, a, k, archs[q]);
            bool scratch = lp_thread_bytes(k) > 0;
            if (f.spills || (f.stack && !scratch) || f.shared || f.registers < 1)
                FAIL("%s (%s) for %s: %d bytes spilled, %d of stack, %d of static shared memory", host_kernel_name(a, k), k->name, archs[q], f.spills, f.stack, f.shared);
            if (lp_shared_bytes(k) > 99 << 10) FAIL("%s (%s): %lld bytes of shared memory", host_kernel_name(a, k), k->name, (long long)lp_shared_bytes(k));
            if (group && q ? !f.wgmma : f.wgmma || (group && !f.mma)) FAIL("%s (%s) for %s: %d wgmma, %d mma", host_kernel_name(a, k), k->remark, archs[q], f.wgmma, f.mma);
            most = f.registers > most ? f.registers : most;
            shared = lp_shared_bytes(k) > shared ? lp_shared_bytes(k) : shared;
            kernels++;
        }
    }
    printf("  %d kernels, at most %d registers and %lld bytes of shared memory\n", kernels, most, (long long)shared);
    return NULL;
}

static bool skip_run(void *how, Arena *a, const LpModule *m, int entry, const csc_call *call, const char **why) {
    (void)how, (void)a, (void)m, (void)entry, (void)call, (void)why;
    return true;
}

static void compiles_in(SchedPrecision p, const char *program, const char *args, const char *which) {
    const GpuRunner r = {sweep, skip_run, NULL, p};
    gpu_agrees(&r, program, args, which, 2, INFINITY, INT64_MAX);
}

static void compiles(const char *program, const char *args, const char *which) { compiles_in(SCHED_FLOAT32, program, args, which); }

TEST(groups_of_warps) { /* forward, adjoint and weight gradient */
    groups_only = true, groups = 0;
    compiles_in(SCHED_BF16, "res_csc", "--set n=1", "s");
    compiles_in(SCHED_TF32, "ml_ista_mnist", "--set unfold=1", "s");
    CHECK(groups >= 10);
    groups_only = false;
}

TEST(omp_short) { compiles("omp", "--set atoms=24 --set side=5 --set most=3", "f"); }
TEST(dense_ista) { compiles("tests/bench/dense_lasso", "--set m=24 --set n=40 --set form=ista", "f"); } /* all iterations in one kernel */
#define PROGRAM(name, program, args, which, batch, tolerance) \
    TEST(name) { compiles(program, args, which); } \
    TEST(bf16_##name) { compiles_in(SCHED_BF16, program, args, which); } \
    TEST(tf32_##name) { compiles_in(SCHED_TF32, program, args, which); }
GPU_PROGRAMS(PROGRAM)

int main(int argc, char **argv) {
#define CASE(name, program, args, which, batch, tolerance) T(name), T(bf16_##name), T(tf32_##name),
    static const Case cases[] = {T(samples), T(operations), T(omp_short), T(dense_ista), T(groups_of_warps), GPU_PROGRAMS(CASE)};
    const char *full = getenv("CSC_FULL");
    return run_tests(argc, argv, cases, argc > 1 || (full && *full) ? sizeof cases / sizeof *cases : 5);
}
