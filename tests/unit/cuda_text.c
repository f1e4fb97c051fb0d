/* The text of block kernels, run on the host, against the evaluator of loop nests: the same bits. */
#include "unit/host_kernels.h"
#include "unit/block_samples.h"
#include "unit/loop_random.h"

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1, KERNELS = 4 }; /* the C compiler takes its time over checked code */
#else
enum { SANITIZED = 0, KERNELS = 20 };
#endif

static void fill(float *x, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-30f;
    }
}

static float *floats(Arena *a, int64_t n) { /* 64-byte aligned; freed by itself, so that a sanitizer sees its end */
    char *f = arena_alloc(a, (size_t)n * 4 + 128);
    return (float *)(f + (64 - (uintptr_t)f % 64) % 64);
}

/* Runs the first entry both ways on the same inputs. */
static void compare(Arena *a, const LpModule *m, uint32_t batch, const char *what) {
    const LpEntry *e = &m->entries.at[0];
    const float **in = ARENA_ARRAY(a, const float *, e->nin + 1);
    float **out[2];
    HostRun h = host_build(a, m);
    for (int32_t i = 0; i < e->nin; i++) {
        int64_t n = e->in[i].floats * (e->in[i].batched ? batch : 1);
        float *x = floats(a, n);
        fill(x, (size_t)n, (uint32_t)i + 1);
        in[i] = x;
    }
    for (int k = 0; k < 2; k++) {
        out[k] = ARENA_ARRAY(a, float *, e->nout + 1);
        for (int32_t i = 0; i < e->nout; i++) {
            int64_t n = e->out[i].floats * (e->out[i].batched ? batch : 1);
            out[k][i] = floats(a, n);
            fill(out[k][i], (size_t)n, 7);
        }
        csc_call c = {.size = sizeof c, .batch = batch, .in = in, .out = out[k], .seed = 5, .step = 6, .first_sample = 7};
        c.workspace = floats(a, e->fixed_floats + batch * e->batch_floats);
        const char *why = "";
        if (k) host_run(&h, 0, &c);
        else if (!loop_eval(a, m, 0, &c, &why)) FAIL("%s: %s", what, why);
    }
    for (int32_t i = 0; i < e->nout; i++)
        for (int64_t n = e->out[i].floats * (e->out[i].batched ? batch : 1), q = 0; q < n; q++) {
            float x = out[0][i][q], y = out[1][i][q];
            if (memcmp(&x, &y, 4) && !(isnan(x) && isnan(y)))
                FAIL("%s: output %d[%lld] is %.9g, the evaluator's %.9g", what, (int)i, (long long)q, (double)y, (double)x);
        }
    host_close(&h);
}

TEST(samples) {
    Cx *cx = cx_new();
    const char *all[] = {block_sum, block_last, block_product, block_mma_tf32, block_mma_bf16, block_mma_bf16_across, block_mma_bf16_odd, block_mma_bf16_wide, block_group_tf32, block_group_tf32_wide, block_group_bf16,
                         block_group_bf16_wide, block_group_across, block_group_mixed, block_odds};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        LpModule *m = loop_read(cx, cx->keep, cx_add_source(cx, "sample", all[i], strlen(all[i])));
        CHECK(m);
        compare(cx->keep, m, 3, m->kernels.at[0].name);
    }
    cx_free(cx);
}

/* A kernel of one thread for each point becomes a block of which the first thread works. */
static void make_block(Arena *a, LpKernel *k) {
    k->threads = 32;
    k->body = ls_threads(a, ls_if(a, lx_i2(a, LX_IEQ, lx_thread(a), lx_int(a, 0)), k->body, NULL));
}

TEST(operations) {
    Arena *a = arena_new();
    for (int width = 1; width <= 4; width *= 2) {
        LpModule *m = sample_operations(a, width);
        for (size_t i = 0; i < m->kernels.len; i++) make_block(a, &m->kernels.at[i]);
        LpEntry *e = &m->entries.at[0];
        LpArg in[] = {{width, false}, {width, false}, {width, false}}, out[] = {{SAMPLE_OPS * width, false}};
        e->in = in;
        e->out = out;
        compare(a, m, 1, "operations");
    }
    arena_free(a);
}

TEST(random_kernels) {
    Arena *a = arena_new();
    for (int seed = 1; seed <= (SANITIZED ? 1 : 3); seed++) {
        LpModule *m = random_kernels(a, KERNELS, (uint64_t)seed);
        for (size_t i = 0; i < m->kernels.len; i++) make_block(a, &m->kernels.at[i]);
        LpArg in = {RK_IN, false}, out = {KERNELS * RK_OUT, false};
        m->entries.at[0].in = &in;
        m->entries.at[0].out = &out;
        compare(a, m, 1, arena_printf(a, "seed %d", seed));
    }
    arena_free(a);
}

TEST(wide_indices) { /* the same kernels with indices of 64 bits */
    Cx *cx = cx_new();
    LpModule *m = loop_read(cx, cx->keep, cx_add_source(cx, "sample", block_product, strlen(block_product)));
    CHECK(m);
    host_more_flags = "-DCSC_WIDE";
    compare(cx->keep, m, 1, "wide");
    host_more_flags = "";
    cx_free(cx);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(samples), T(wide_indices), T(operations), T(random_kernels)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
