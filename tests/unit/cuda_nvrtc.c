/* Kernels through NVRTC, without a device: registers, no spills, no memory of the thread's own, no static shared memory. */
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

int main(int argc, char **argv) {
    static const Case cases[] = {T(samples), T(operations)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
