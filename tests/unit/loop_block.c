/* Tests of block kernels and of lanes: text, checker, evaluator and its race check. */
#include "loop/scalar.h"
#include "csc_model.h"
#include "unit/block_samples.h"
#include "unit/loop_text.h"

static const char *run_text(Cx *cx, const char *text, uint32_t batch, const float *const *in, float *out) { /* NULL: it went well */
    LpModule *m = loop_must(cx, text);
    const LpEntry *e = &m->entries.at[0];
    const char *why = "";
    void *work = arena_alloc(cx->keep, 4 * (size_t)(e->fixed_floats + batch * e->batch_floats) + 64);
    csc_call c = {.size = sizeof c, .batch = batch, .in = in, .out = (float *[]){out}, .workspace = work};
    return loop_eval(cx->keep, m, 0, &c, &why) ? NULL : why;
}

static void fill(float *x, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-30f;
    }
}

TEST(text_round_trip) {
    Cx *cx = cx_new();
    const char *all[] = {block_sum, block_last, block_product, block_mma_tf32, block_mma_bf16, block_mma_bf16_across, block_mma_bf16_odd, block_mma_bf16_wide, block_group_tf32, block_group_tf32_wide, block_group_bf16,
                         block_group_bf16_wide, block_group_across, block_group_mixed, block_odds,
                         LANES("lanes v4 alone v5 .. (v0 + 2) { launch 0 (1; in.0[0, v4], lane[0]) }")};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) round_trip(cx, all[i]);
    CHECK(!loop_kernel_equal(&loop_must(cx, block_mma_tf32)->kernels.at[0], &loop_must(cx, block_mma_bf16)->kernels.at[0]));
    cx_free(cx);
}

TEST(sum_of_a_block) {
    Cx *cx = cx_new();
    float x[3000], y[3];
    fill(x, 3000, 1);
    const char *why = run_text(cx, block_sum, 3, (const float *[]){x}, y);
    if (why) FAIL("%s", why);
    for (int s = 0; s < 3; s++) {
        double want = 0;
        for (int i = 0; i < 1000; i++) want += x[s * 1000 + i];
        CHECK_NEAR(y[s], want, 1e-5);
    }
    cx_free(cx);
}

TEST(end_of_the_last_block) {
    Cx *cx = cx_new();
    float x[3000], y[3];
    double all = 0, want[3] = {0};
    fill(x, 3000, 1);
    const char *why = run_text(cx, block_last, 3, (const float *[]){x}, y);
    if (why) FAIL("%s", why);
    for (int s = 0; s < 3; s++) {
        for (int i = 0; i < 1000; i++) want[s] += x[s * 1000 + i];
        all += want[s];
    }
    for (int s = 0; s < 3; s++) CHECK_NEAR(y[s], want[s] - all, 1e-5);
    cx_free(cx);
}

TEST(product_of_a_block) { /* the same sums in the same order */
    Cx *cx = cx_new();
    float x[4096], w[2048], y[2048];
    fill(x, 4096, 1);
    fill(w, 2048, 2);
    const char *why = run_text(cx, block_product, 1, (const float *[]){x, w}, y);
    if (why) FAIL("%s", why);
    for (int r = 0; r < 64; r++)
        for (int c = 0; c < 32; c++) {
            float want = 0;
            for (int d = 0; d < 64; d++) want = fmaf(x[r * 64 + d], w[d * 32 + c], want);
            CHECK(y[r * 32 + c] == want);
        }
    cx_free(cx);
}

TEST(matrix_units) {
    Cx *cx = cx_new();
    const char *all[] = {block_mma_tf32, block_mma_bf16, block_mma_bf16_across, block_mma_bf16_odd, block_mma_bf16_wide};
    float x[1024], w[1024], y[1024];
    fill(x, 1024, 1);
    fill(w, 1024, 2);
    for (int i = 0; i < 5; i++) {
        const char *why = run_text(cx, all[i], 1, (const float *[]){x, w}, y);
        if (why) FAIL("%s", why);
        for (int r = 0; r < 32; r++)
            for (int c = 0; c < 32; c++) {
                float want = 0;
                for (int d = 0; d < 32; d++) {
                    float a = x[r * 32 + d], b = w[d * 32 + c];
                    want += i ? loop_bf16(a) * loop_bf16(b) : loop_tf32(a) * loop_tf32(b);
                }
                if (y[r * 32 + c] != want) FAIL("kernel %d, entry %d %d: %.9g, expected %.9g", i, r, c, (double)y[r * 32 + c], (double)want);
            }
    }
    cx_free(cx);
}

TEST(groups_of_warps) {
    Cx *cx = cx_new();
    float *x = arena_alloc(cx->keep, GROUP_FLOATS * 4), *w = arena_alloc(cx->keep, GROUP_FLOATS * 4), *y = arena_alloc(cx->keep, GROUP_FLOATS * 4);
    fill(x, GROUP_FLOATS, 1);
    fill(w, GROUP_FLOATS, 2);
    for (const GroupSample *s = group_samples; s < group_samples + GROUP_SAMPLES; s++) {
        const char *why = run_text(cx, s->text, 1, (const float *[]){x, w}, y);
        if (why) FAIL("%s", why);
        for (int i = 0; i < GROUP_FLOATS; i++) {
            float want = 0;
            for (int d = 0; d < 64; d++) {
                float a = x[i / s->columns * 64 + d], b = w[d * s->columns + i % s->columns];
                want = s->tf32 ? fmaf(loop_tf32(a), loop_tf32(b), want) : fmaf(loop_bf16(a), loop_bf16(b), want);
            }
            if (y[i] != want) FAIL("%s, entry %d %d: %.9g, expected %.9g", s->name, i / s->columns, i % s->columns, (double)y[i], (double)want);
        }
    }
    cx_free(cx);
}

/* What happens while such a product may be under way. */
TEST(groups_that_are_not_waited_for) {
    static const struct {
        const char *text, *why;
    } all[] = {
        {BLOCK_GROUP("mma wait 1", GROUP_BF16("2", "8")), "touches register 0"},
        {BLOCK_GROUP("threads { store(p3, (thread * 8), 0:1) } mma wait 0", GROUP_BF16("2", "8")), "may not have read yet"},
        {BLOCK_GROUP("mma wait 0 threads { store(p3, (thread * 8), 0:1) }", GROUP_BF16("2", "8")), "reads before the next barrier"},
        {BLOCK_GROUP("mma wait 0 sync threads { store(p3, (thread * 8), 0:1) }", GROUP_BF16("2", "8")), NULL},
        {BLOCK_GROUP("warp add r3 mma wait 0", GROUP_BF16("2", "8")), "touches register 3"},
        {BLOCK_GROUP("mma group bf16 r0 1 8 32 p3[0, 64, 1040] p4[0, 1040, 64] mma wait 0", GROUP_BF16("2", "8")), "touches register 0"},
        {BLOCK_GROUP("mma wait 0 mma group bf16 r0 1 8 32 p3[4, 64, 1040] p4[0, 1040, 64] mma wait 0", GROUP_BF16("2", "8")), "not aligned to 16 bytes"},
        {BLOCK_GROUP("mma wait 0 mma group bf16 r0 1 8 32 p3[0, 64, 1040] p4[0, 1040, 64]", GROUP_BF16("2", "8")), "touches register 0"},
    };
    Cx *cx = cx_new();
    float *x = arena_alloc(cx->keep, GROUP_FLOATS * 4), *w = arena_alloc(cx->keep, GROUP_FLOATS * 4), *y = arena_alloc(cx->keep, GROUP_FLOATS * 4);
    fill(x, GROUP_FLOATS, 1);
    fill(w, GROUP_FLOATS, 2);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *why = run_text(cx, all[i].text, 1, (const float *[]){x, w}, y);
        if (all[i].why ? !why || !strstr(why, all[i].why) : why != NULL) FAIL("case %d: %s", (int)i, why ? why : "nothing was found");
    }
    cx_free(cx);
}

TEST(short_floats) {
    CHECK(loop_bf16(1.00390625f) == 1.0f && loop_bf16(1.01171875f) == 1.015625f); /* ties to even */
    CHECK(loop_tf32(1.00048828125f) == 1.0009765625f && loop_tf32(-1.00048828125f) == -1.0009765625f); /* away from zero */
    CHECK(loop_bf16_bits(NAN) == 0x7fff && isnan(loop_bf16(NAN)) && isnan(loop_tf32(NAN)));
    CHECK(loop_bf16(INFINITY) == INFINITY && loop_tf32(-INFINITY) == -INFINITY);
    CHECK(loop_bf16(3.4e38f) == INFINITY && loop_tf32(3.4028e38f) == INFINITY && loop_bf16(1e-40f) != 0);
}

TEST(odds_and_ends) {
    Cx *cx = cx_new();
    float x[202], y[202];
    fill(x, 202, 3);
    const char *why = run_text(cx, block_odds, 2, (const float *[]){x}, y);
    if (why) FAIL("%s", why);
    for (int i = 0; i < 202; i++) {
        int v = i / 4 * 4;
        float t[4], s[4];
        for (int k = 0; k < 4; k++) t[k] = v + k < 202 ? x[v + k] * 5.0f : 0.0f;
        for (int k = 0; k < 4; k++) s[k] = t[k] < 0.5f ? t[k] : -t[k];
        float sum = (s[0] + s[2]) + (s[1] + s[3]), b = loop_bf16(t[i - v]);
        CHECK(y[i] == t[3 - (i - v)] + (sum < b ? b : sum));
    }
    cx_free(cx);
}

/* ---- what is refused, and where ---- */
static void expect(Cx *cx, const char *text, const char *what) {
    float x[64] = {0}, y[64];
    size_t errors = cx->errors;
    LpModule *m = loop_read(cx, cx->keep, cx_add_source(cx, "race", text, strlen(text)));
    if (!m) {
        char *s = NULL;
        size_t n;
        FILE *f = open_memstream(&s, &n);
        diag_print_all(cx, f, false);
        fclose(f);
        bool found = strstr(s, what);
        if (!found) printf("%s", s);
        free(s);
        if (!found) FAIL("expected: %s", what);
        CHECK(cx->errors > errors);
        return;
    }
    const char *why = run_text(cx, text, 1, (const float *[]){x}, y);
    if (!why) FAIL("went well: %s", what);
    if (!strstr(why, what)) FAIL("%s; expected: %s", why, what);
}

#define PUT "threads { store(p1, thread, 1:1) } "
#define GET "threads { r0 = load:1(p1, ((thread + 1) % 32)) } "

TEST(races_are_found) {
    Cx *cx = cx_new();
    float x[64] = {0}, y[64];
    CHECK(!run_text(cx, BLOCK_RACE(PUT "sync " GET), 1, (const float *[]){x}, y));
    expect(cx, BLOCK_RACE(PUT GET), "reads entry 1 of shared memory that thread 1 writes before the next barrier");
    expect(cx, BLOCK_RACE(PUT "sync " GET PUT), "writes entry 0 of shared memory that thread 31 reads before the next barrier");
    expect(cx, BLOCK_RACE("threads { store(p1, (thread / 2), 1:1) }"), "writes entry 0 of shared memory that thread 0 writes before");
    expect(cx, BLOCK_RACE(PUT "if f2i(load:1(p1, 3)) { sync }"), "reads entry 3 of shared memory that thread 3 writes before");
    CHECK(!run_text(cx, BLOCK_RACE(PUT "sync if f2i(load:1(p1, 3)) { sync }"), 1, (const float *[]){x}, y));
    CHECK(!run_text(cx, BLOCK_RACE("threads { store(p2, thread, 1:1) }"), 1, (const float *[]){x}, y)); /* halves of one float */
    expect(cx, BLOCK_RACE("threads { if (thread == 0) { r0 = load:1(p0, (1 - v0)) store(p0, v0, 1:1) } }"),
           "reads entry 0 of output 0 that point 0");
    expect(cx, BLOCK_RACE("threads { store(p0, thread, 1:1) }"), "that point 0 of this launch writes too");
    expect(cx, BLOCK_RACE("threads { store(p0, ((v0 * 32) + thread), 1:1) } threads { r0 = load:1(p0, (v0 * 32)) }"),
           "reads entry 0 of output 0 that thread 0 writes before the next barrier");
    CHECK(!run_text(cx, BLOCK_RACE("threads { store(p0, ((v0 * 32) + thread), 1:1) } last { threads { r0 = load:1(p0, (31 - thread)) store(p0, (63 - thread), 2:1) } }"), 1, (const float *[]){x}, y));
    expect(cx, BLOCK_RACE("last { threads { store(p0, thread, 1:1) } threads { r0 = load:1(p0, 0) } }"), "reads entry 0 of output 0 that thread 0 writes before the next barrier");
    expect(cx, BLOCK_RACE(PUT "mma tf32 r0 1 1 8 p1[0, 1, 1] p1[0, 1, 1]"), "reads entry 0 of shared memory that thread 0 writes before");
    expect(cx, BLOCK_RACE("threads { r0 = load:1(p1, 0) } sync threads { r1 = aligned:4(p1, thread) }"), "lanes");
    cx_free(cx);
}

#define COPY "threads { copy(p1, thread, load:1(p0, thread)) } group "
TEST(copies_are_waited_for) {
    Cx *cx = cx_new();
    float x[64] = {0}, y[64] = {0};
    CHECK(!run_text(cx, BLOCK_RACE(COPY "wait 0 sync " GET), 1, (const float *[]){x}, y));
    CHECK(!run_text(cx, BLOCK_RACE(COPY "group wait 1 threads { r0 = load:1(p1, thread) } wait 0"), 1, (const float *[]){x}, y)); /* its own */
    expect(cx, BLOCK_RACE(COPY "wait 0 " GET), "reads entry 1 of shared memory that thread 1 writes before the next barrier");
    expect(cx, BLOCK_RACE(COPY "sync " GET "wait 0"), "which a copy may not have brought yet");
    expect(cx, BLOCK_RACE(COPY "wait 1 sync " GET "wait 0"), "which a copy may not have brought yet");
    expect(cx, BLOCK_RACE(COPY), "ends while copies are under way");
    expect(cx, BLOCK_RACE("threads { copy(p1, (thread * 2), load:2(p0, (thread + 1), 2)) } group wait 0"), "is not aligned to 8 bytes");
    cx_free(cx);
}

/* In any order, with variables and memory of their own. */
TEST(lanes) {
    Cx *cx = cx_new();
    float x[64] = {0}, y[64] = {0};
    for (int i = 0; i < 64; i++) x[i] = (float)i;
    const char *why = run_text(cx, LANES("v6 = 5 lanes v4 alone v5 .. 3 { v6 = 9 launch 0 (1; in.0[0, v4], lane[0]) launch 0 (1; lane[0], out.0[0, v4]) } "
                                         "launch 0 (1; in.0[0], out.0[0, v6])"), 1, (const float *[]){x}, y);
    if (why) FAIL("%s", why);
    CHECK(y[0] == 2 && y[1] == 3 && y[2] == 4 && y[3] == 0 && y[5] == 1);
    CHECK(!run_text(cx, LANES("lanes v4 alone v5 .. 2 { if (v4 == 0) { launch 0 (1; in.0[0], lane[0]) } launch 0 (1; lane[0], out.0[0, v4]) }"), 1,
                    (const float *[]){x}, y));
    CHECK(y[0] == 2 && isnan(y[1])); /* nothing is left of another lane's */
    expect(cx, LANES("lanes v4 alone v5 .. 2 { launch 0 (1; in.0[0], out.0[0]) }"), "that another lane writes");
    expect(cx, LANES("lanes v4 alone v5 .. 2 { if (v4 == 0) { launch 0 (1; in.0[0], fixed[0]) } launch 0 (1; fixed[0], out.0[0, v4]) }"), "that another lane writes");
    expect(cx, LANES("launch 0 (1; in.0[0], fixed[0]) lanes v4 alone v5 .. 2 { if (v4 == 0) { launch 0 (1; fixed[0], out.0[0]) } "
                     "if (v4 == 1) { launch 0 (1; in.0[0], fixed[0]) } }"), "that another lane reads");
    expect(cx, LANES("launch 0 (1; in.0[0], lane[0])"), "memory of a lane where none runs");
    expect(cx, LANES("lanes v4 alone v5 .. 2 { launch 0 (1; in.0[0], fixed[16]) }"), "the end is at 16");
    expect(cx, LANES("lanes v4 alone v5 .. 2 { lanes v6 alone v5 .. 2 { } }"), "lanes in lanes");
    expect(cx, LANES("for v6 = 0 .. 3 { lanes v4 alone v5 .. 1 { break if 1 } }"), "leaves a loop where none is");
    expect(cx, LANES("lanes v4 alone v5 .. 2 { v4 = 1 }"), "sets variable 4, which a loop around it sets");
    cx_free(cx);
}

TEST(bad_blocks_are_refused) {
    Cx *cx = cx_new();
    expect(cx, BLOCK_RACE("r0 = 1:1"), "stands in threads only");
    expect(cx, BLOCK_RACE("store(p1, 0, 1:1)"), "its threads do");
    expect(cx, BLOCK_RACE("if thread { sync }"), "asks for the thread where there is none");
    expect(cx, BLOCK_RACE("if f2i(r0:1) { sync }"), "outside of threads");
    expect(cx, BLOCK_RACE("threads { sync }"), "a barrier stands at block level only");
    expect(cx, BLOCK_RACE("threads { threads { r0 = 1:1 } }"), "threads stands at block level only");
    expect(cx, BLOCK_RACE("threads { warp add r0 }"), "stands at block level only");
    expect(cx, BLOCK_RACE("last { sync } sync"), "not the end of the kernel");
    expect(cx, BLOCK_RACE("if v0 { last { sync } }"), "not the end of the kernel");
    expect(cx, BLOCK_RACE("copy(p1, 0, load:1(p0, 0))"), "a copy stands in threads only");
    expect(cx, BLOCK_RACE("threads { copy(p1, 0, 1:1) }"), "no load");
    expect(cx, BLOCK_RACE("threads { copy(p0, 0, load:1(p1, 0)) }"), "copies from pointer 1 to 0");
    expect(cx, BLOCK_RACE("threads { v2 = thread } if v2 { sync }"), "reads variable 2, which threads set, outside of them");
    expect(cx, BLOCK_RACE("v2 = 1 threads { v2 = thread }"), "sets variable 2 both in threads and outside");
    expect(cx, BLOCK_RACE("for v2 = 0 .. 3 { threads { break if 1 } }"), "leaves a loop where none is");
    expect(cx, BLOCK_RACE("mma tf32 r0 1 2 8 p1[0, 1, 1] p1[0, 1, 1]"), "no register 4");
    expect(cx, BLOCK_RACE("mma bf16 r0 1 1 8 p1[0, 1, 1] p1[0, 1, 1]"), "a product of depth 8");
    expect(cx, BLOCK_RACE("mma tf32 r0 1 1 8 p0[0, 1, 1] p1[0, 1, 1]"), "not shared memory");
    expect(cx, BLOCK_RACE("mma tf32 r0 1 1 8 p2[0, 1, 1] p1[0, 1, 1]"), "short floats in tf32");
    cx_free(cx);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(text_round_trip), T(sum_of_a_block), T(end_of_the_last_block), T(product_of_a_block), T(matrix_units), T(groups_of_warps), T(groups_that_are_not_waited_for), T(short_floats), T(odds_and_ends),
                                 T(races_are_found), T(copies_are_waited_for), T(lanes), T(bad_blocks_are_refused)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
