/* Tests of tiles and short floats in kernels without threads: text, checker, evaluator. */
#include "loop/scalar.h"
#include "csc_model.h"
#include "unit/loop_text.h"
#include "unit/tile_samples.h"

static const char *run(Cx *cx, const LpModule *m, const float *const *in, float *out) { /* NULL: it went well */
    const char *why = "";
    void *work = arena_alloc(cx->keep, 4 * (size_t)m->entries.at[0].fixed_floats + 64);
    csc_call c = {.size = sizeof c, .batch = 1, .in = in, .out = (float *[]){out}, .workspace = work};
    return loop_eval(cx->keep, m, 0, &c, &why) ? NULL : why;
}

TEST(text_round_trip) {
    Cx *cx = cx_new();
    static const char *const all[] = {tile_product, tile_split, tile_odds};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) round_trip(cx, all[i]);
    cx_free(cx);
}

static LpModule *with(Cx *cx, const char *was, const char *is) { /* the product with something else in a place */
    const char *at = strstr(tile_product, was);
    CHECK(at);
    return loop_of(cx, arena_printf(cx->keep, "%.*s%s%s", (int)(at - tile_product), tile_product, is, at + strlen(was)));
}

TEST(what_is_refused) {
    Cx *cx = cx_new();
    static const char *const wrong[][2] = {
        {"tile clear 0", "tile clear 8"},
        {"tile dot 0 4 6", "tile dot 0 4 4"},
        {"tile dot 0 4 6", "tile dot 4 4 6"},
        {"tile dot 0 4 6", "tile dot 0 9 6"},
        {"tile load 4 (p2", "tile load 4 (p0"},  /* floats */
        {"tile store 0 (p1", "tile store 0 (p2"}, /* short floats */
        {"ptr p1 \"y\" writes", "ptr p1 \"y\""},
        {"pairs(p3", "pairs(p1"},
        {"pairs(p3, (32 * v2), load:16(p0, (32 * v2)), load:16(p0, ((32 * v2) + 16)))", "pairs(p3, (32 * v2), load:16(p0, 0), 1:8)"},
        {"vars 3", "vars 3 threads 32"},
        {"thread 1024", "shared 1024"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (with(cx, wrong[i][0], wrong[i][1])) FAIL("%s", wrong[i][1]);
    CHECK(with(cx, "tile clear 0", "tile clear 0")); /* the text itself is well */
    /* places outside of what is passed, and numbers that nobody wrote */
    float x[512] = {0}, y[256];
    LpModule *m = with(cx, "tile load 4 (p2, 0, 32)", "tile load 4 (p2, 1, 32)");
    const char *why = run(cx, m, (const float *[]){x}, y);
    CHECK(why && strstr(why, "outside"));
    m = with(cx, "tile store 0 (p1, 0, 16)", "tile store 0 (p1, 0, 17)");
    why = run(cx, m, (const float *[]){x}, y);
    CHECK(why && strstr(why, "outside"));
    m = with(cx, "tile clear 0", "tile clear 1");
    CHECK(!run(cx, m, (const float *[]){x}, y) && isnan(y[0]) && isnan(y[255]));
    m = with(cx, "pairs(p3, (32 * v2)", "pairs(p3, 0");
    CHECK(!run(cx, m, (const float *[]){x}, y) && isnan(y[0]));
    cx_free(cx);
}

TEST(product) { /* small whole numbers: any order of the sums gives the same */
    Cx *cx = cx_new();
    float x[512], y[256];
    for (int i = 0; i < 512; i++) x[i] = (float)(i * 7 % 23 - 11);
    LpModule *m = loop_of(cx, tile_product);
    const char *why = run(cx, m, (const float *[]){x}, y);
    if (why) FAIL("%s", why);
    for (int r = 0; r < 16; r++)
        for (int n = 0; n < 16; n++) {
            float want = 0;
            for (int k = 0; k < 32; k++) want += x[32 * r + k] * x[16 * k + n];
            CHECK(y[16 * r + n] == want);
        }
    cx_free(cx);
}

/* One entry of the product, as the instruction adds it up. */
static float entry(Cx *cx, const LpModule *m, const float *a, const float *b) {
    float x[1024] = {0}, y[256];
    memcpy(x, a, 32 * sizeof *x);
    for (int k = 0; k < 32; k++) x[16 * k + 512] = b[k];
    const char *why = run(cx, m, (const float *[]){x, x + 512}, y);
    if (why) FAIL("%s", why);
    return y[0];
}

TEST(roundings) {
    Cx *cx = cx_new();
    const LpModule *m = loop_of(cx, tile_two);
    float a[32] = {0}, b[32] = {0}, tiny = 0x1p-126f;
    for (int k = 0; k < 4; k++) b[k] = 1;
    a[0] = 1, a[1] = 0x1p-24f, a[2] = 0x1p-24f, a[3] = 0x1p-24f; /* even: 1 + 2^-24, a tie, is 1; odd: 2^-23 */
    CHECK(entry(cx, m, a, b) == 1 + 0x1p-23f);
    a[1] = 0, a[3] = 0, a[0] = 0x1p-24f, a[2] = 1, a[4] = 0x1p-24f, b[4] = 1; /* in order */
    CHECK(entry(cx, m, a, b) == 1);
    memset(a, 0, sizeof a);
    a[0] = tiny / 2, b[0] = 4; /* denormal: 0 */
    CHECK(entry(cx, m, a, b) == 0);
    a[0] = tiny, b[0] = 0.5f;
    CHECK(entry(cx, m, a, b) == 0);
    a[0] = 0x1p-63f, b[0] = 0x1p-63f, a[2] = -0x1p-75f, b[2] = 0x1p-75f; /* 2^-126 - 2^-150 */
    CHECK(entry(cx, m, a, b) == 0);
    a[2] = -0x1p-76f; /* less 2^-151: a tie among numbers of 24 bits */
    CHECK(entry(cx, m, a, b) == tiny);
    a[0] = INFINITY, b[0] = 0;
    CHECK(isnan(entry(cx, m, a, b)));
    a[0] = INFINITY, b[0] = -1;
    CHECK(entry(cx, m, a, b) == -INFINITY);
    cx_free(cx);
}

TEST(short_floats) {
    CHECK(loop_bf16_flushed(1.00390625f) == 0x3f80 && loop_bf16_flushed(1.01171875f) == 0x3f82); /* ties */
    CHECK(loop_bf16_flushed(1e-40f) == 0 && loop_bf16_flushed(-1e-40f) == 0x8000 && loop_bf16_flushed(0x1p-126f) == 0x80);
    CHECK(loop_bf16_flushed(INFINITY) == 0x7f80 && loop_bf16_flushed(3.4e38f) == 0x7f80 && isnan(loop_widened(loop_bf16_flushed(NAN))));
    Cx *cx = cx_new();
    float x[512], y[512];
    for (int i = 0; i < 512; i++) x[i] = ldexpf(1 + (float)(i * 37 % 512) / 511, i % 60 - 30) * (i & 1 ? -1 : 1);
    x[7] = 0, x[8] = 1e-40f, x[9] = -INFINITY;
    const char *why = run(cx, loop_of(cx, tile_split), (const float *[]){x}, y);
    if (why) FAIL("%s", why);
    for (int i = 0; i < 512; i++) /* three short floats are the float */
        if (i == 9 ? !isnan(y[i]) : y[i] != (i == 8 ? 0 : x[i])) FAIL("%d: %.9g, expected %.9g", i, (double)y[i], (double)x[i]);
    why = run(cx, loop_of(cx, tile_odds), (const float *[]){x}, y);
    if (why) FAIL("%s", why);
    for (int i = 0; i < 32; i++) {
        float want = i < 24 ? loop_widened(loop_bf16_flushed(x[i / 2 + (i & 1 ? 12 : 0)])) : i < 30 ? loop_widened(loop_bf16_flushed(x[i])) : 0;
        if (y[i] != want) FAIL("%d: %.9g, expected %.9g", i, (double)y[i], (double)want);
    }
    cx_free(cx);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(text_round_trip), T(what_is_refused), T(product), T(roundings), T(short_floats)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
