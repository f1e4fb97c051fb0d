/* Tests of loop: constructors, checker, evaluator, the polynomials. */
#include "loop/loop.h"
#include "loop/noise.h"
#include "loop/scalar.h"
#include "check.h"
#include "unit/loop_random.h"

static csc_call call_of(uint32_t batch, const float *const *in, float *const *out, void *work) {
    return (csc_call){.size = sizeof(csc_call), .batch = batch, .in = in, .out = out, .workspace = work};
}

TEST(folding) {
    Arena *a = arena_new();
    const Lx *x = lx_var(a, 3);
    CHECK(lx_addk(a, x, 0) == x);
    CHECK(lx_mulk(a, x, 1) == x);
    int64_t v;
    CHECK(lx_is_const(lx_mulk(a, x, 0), &v) && v == 0);
    CHECK(lx_is_const(lx_i2(a, LX_IDIV, lx_int(a, 7), lx_int(a, 2)), &v) && v == 3);
    const Lx *y = lx_mulk(a, lx_addk(a, lx_addk(a, x, 1), 2), 4); /* (x + 3) * 4 = x * 4 + 12 */
    CHECK(y->kind == LX_IADD && y->b->i == 12 && y->a->kind == LX_IMUL && y->a->b->i == 4);
    CHECK(lx_is_const(lx_i2(a, LX_IMUL, lx_int(a, INT64_MAX), lx_int(a, 2)), &v) && v == -2);
    CHECK(!lx_is_const(lx_i2(a, LX_IDIV, lx_int(a, 7), lx_int(a, 0)), NULL));
    const Lx *w = lx_i2(a, LX_IMIN, lx_mulk(a, lx_addk(a, x, 1), 8), lx_int(a, 64)); /* a multiple of 8 */
    CHECK(lx_is_const(lx_i2(a, LX_IMOD, lx_i2(a, LX_ISUB, w, lx_mulk(a, x, 24)), lx_int(a, 8)), &v) && v == 0);
    CHECK(!lx_is_const(lx_i2(a, LX_IMOD, w, lx_int(a, 16)), NULL));
    arena_free(a);
}

TEST(elementwise) {
    Arena *a = arena_new();
    LpModule *m = sample_elementwise(a, 5, 4);
    float x[10] = {-3, -1, -0.5f, 0, 1, 2, 3, 4, 5, NAN}, y[10];
    const char *why = "";
    csc_call c = call_of(2, (const float *[]){x}, (float *[]){y}, NULL);
    if (!loop_eval(a, m, 0, &c, &why)) FAIL("%s", why);
    for (int i = 0; i < 9; i++) CHECK(y[i] == fmaxf(0, 2 * x[i] + 1));
    CHECK(isnan(y[9]));
    arena_free(a);
}

TEST(reduction) {
    Arena *a = arena_new();
    LpModule *m = sample_reduction(a, 7, 4);
    float x[21], y[1], want = 0;
    for (int i = 0; i < 21; i++) x[i] = (float)i, want += x[i] * x[i];
    const char *why = "";
    csc_call c = call_of(3, (const float *[]){x}, (float *[]){y}, NULL);
    if (!loop_eval(a, m, 0, &c, &why)) FAIL("%s", why);
    CHECK(y[0] == want);
    arena_free(a);
}

TEST(accesses_are_checked) {
    Arena *a = arena_new();
    const char *why = "";
    float x[10] = {0}, y[10];
    csc_call c = call_of(2, (const float *[]){x}, (float *[]){y}, NULL);
    LpModule *m = sample_elementwise(a, 5, 4);
    m->kernels.at[0].ptr[1].extent = lx_int(a, 9);
    CHECK(!loop_eval(a, m, 0, &c, &why));
    CHECK(strstr(why, "index 9 of y"));
    m = sample_elementwise(a, 5, 4); /* every sample to the same place */
    Ls *loop = (Ls *)(uintptr_t)m->kernels.at[0].body, *store = (Ls *)(uintptr_t)loop->body;
    store->index = lx_var(a, 3);
    CHECK(!loop_eval(a, m, 0, &c, &why));
    CHECK(strstr(why, "that point 0 of this launch writes too"));
    c.out = (float *[]){NULL};
    CHECK(!loop_eval(a, m, 0, &c, &why));
    CHECK(strstr(why, "output 0"));
    arena_free(a);
}

TEST(bad_modules_are_refused) {
    Arena *a = arena_new();
    const char *why = "";
    LpModule *m = sample_elementwise(a, 5, 4);
    CHECK(loop_check(a, m, &why));
    m->kernels.at[0].ptr[1].writes = false;
    CHECK(!loop_check(a, m, &why) && strstr(why, "does not write"));
    m = sample_elementwise(a, 5, 4);
    ((Ls *)(uintptr_t)m->kernels.at[0].body)->unroll = true;
    CHECK(!loop_check(a, m, &why) && strstr(why, "not constant"));
    m = sample_reduction(a, 7, 4);
    m->kernels.at[0].reg_width[1] = 4;
    CHECK(!loop_check(a, m, &why) && strstr(why, "lanes"));
    m = sample_reduction(a, 7, 4);
    m->kernels.at[0].nvar = 2;
    CHECK(!loop_check(a, m, &why) && strstr(why, "variable"));
    arena_free(a);
}

static const char prepared_text[] =
    "blocks 16 0 0\n"
    "kernel \"double\" ints 0 vars 2\n"
    "  ptr p0 \"x\" extent 4\n"
    "  ptr p1 \"y\" writes extent 4\n"
    "{\n"
    "  prefetch(p0, 100)\n" /* any index: a hint */
    "  prefetch near(p0, 4)\n"
    "  store(p1, 0, add(load:4(p0, 0), load:4(p0, 0)))\n"
    "}\n"
    "kernel \"of the batch\" ints 0 vars 2\n"
    "  ptr p0 \"y\" writes extent 4\n"
    "{\n"
    "  if (v1 < 2) {\n"
    "    store(p0, 0, 1.0:4)\n"
    "  }\n"
    "}\n"
    "entry \"forward\" kind 1 stage 0 nin 0 nout 1 vars 5 fixed 32 batch 0 lane 0 prepared 16 thread 0\n"
    "  out 4\n"
    "{\n"
    "  prepare {\n"
    "    v4 = 3\n"
    "    launch 0 (1; param[0], prepared[0]) # double\n"
    "  }\n"
    "  launch 0 ((v4 + 1); prepared[0], out.0[0]) # double\n"
    "}\n";

static LpModule *with(Cx *cx, const char *was, const char *is) { /* the text above with something else in a place */
    char text[2000];
    const char *at = strstr(prepared_text, was);
    CHECK(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - prepared_text), prepared_text, is, at + strlen(was));
    char *keep = arena_strndup(cx->keep, text, strlen(text));
    return loop_read(cx, cx->keep, cx_add_source(cx, "text", keep, strlen(keep)));
}

/* LS_PREPARE: skipped where the call brings what it made; its variables and what it leaves in the workspace are gone after it. */
TEST(prepared) {
    Cx *cx = cx_new();
    const char *why = "";
    LpModule *m = with(cx, "(v4 + 1);", "1;");
    if (!m) diag_print_all(cx, stdout, false);
    CHECK(m);
    float *block = arena_alloc(cx->keep, 3 * 16 * sizeof *block), params[16] = {1, 2, 3, 4}, out[4], again[4];
    csc_call c = call_of(1, NULL, (float *[]){out}, block + 16);
    c.params = params;
    CHECK(!loop_eval_prepare(cx->keep, m, 0, &c, &why) && strstr(why, "no block"));
    CHECK(loop_eval(cx->keep, m, 0, &c, &why) && out[0] == 4 && out[3] == 16);
    c.prepared = block, c.out = (float *[]){again};
    CHECK(loop_eval_prepare(cx->keep, m, 0, &c, &why) && block[0] == 2 && block[3] == 8);
    params[0] = 7;
    CHECK(loop_eval(cx->keep, m, 0, &c, &why) && !memcmp(out, again, sizeof out)); /* as it was when it was prepared */
    static const char *const wrong[][2] = {
        {"launch 0 (1; param[0], prepared[0])", "launch 1 (1; prepared[0])"}, /* depends on the batch */
        {"v4 = 3", "v4 = v0"},
        {"v4 = 3", "launch 0 (1; param[0], out.0[0])"},
        {"  prepare {", "  v4 = 1\n  prepare {"},
        {"launch 0 ((v4 + 1); prepared[0], out.0[0])", "launch 0 (1; param[0], prepared[0])"}, /* after it */
        {"prepared 16 thread", "prepared 0 thread"},
        {"prefetch(p0, 100)", "prefetch(p1, 100)"}, /* what is written */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(!with(cx, wrong[i][0], wrong[i][1]));
    m = with(cx, "launch 0 (1; param[0], prepared[0]) # double\n  }\n  launch 0 ((v4 + 1); prepared[0]",
             "launch 0 (1; param[0], prepared[0])\n    launch 0 (1; param[0], fixed[0])\n  }\n  launch 0 (1; fixed[0]");
    CHECK(m);
    c.prepared = NULL;
    CHECK(loop_eval(cx->keep, m, 0, &c, &why) && isnan(again[0]));
    m = with(cx, "out.0[0]", "out.0[0, v4]");
    CHECK(m && loop_eval(cx->keep, m, 0, &c, &why)); /* v4 is 0 again: one grid point, at 0 */
    cx_free(cx);
}

TEST(tile) {
    Arena *a = arena_new();
    enum { KV = 2, PW = 3, CI = 3, W = 4, E = 2 };
    int32_t tab[E] = {0, 2};
    float x[E * PW * CI + 2], w[E * CI * KV * W], y[2 * PW * KV * W];
    for (size_t i = 0; i < sizeof x / 4; i++) x[i] = (float)((int)i % 5) - 2;
    for (size_t i = 0; i < sizeof w / 4; i++) w[i] = (float)((int)i % 7) - 3;
    LpModule *m = sample_tile(a, W, KV, PW, CI, tab, E);
    const char *why = "";
    csc_call c = call_of(2, (const float *[]){x, w}, (float *[]){y}, NULL);
    if (!loop_eval(a, m, 0, &c, &why)) FAIL("%s", why);
    for (int p = 0; p < PW; p++)
        for (int k = 0; k < KV * W; k++) {
            float s = 0;
            for (int e = 0; e < E; e++)
                for (int ch = 0; ch < CI; ch++) s += x[tab[e] + p * CI + ch] * w[(e * CI + ch) * KV * W + k];
            CHECK(y[p * KV * W + k] == (s < 0 ? 0 : s));
        }
    arena_free(a);
}

static char *text_of(const LpModule *m) {
    char *s = NULL;
    size_t n;
    FILE *f = open_memstream(&s, &n);
    loop_print(m, f);
    fclose(f);
    return s;
}

TEST(text_round_trip) {
    Cx *cx = cx_new();
    Arena *a = cx->keep;
    static const int32_t tab[] = {0, -7, 3};
    LpModule *all[] = {sample_elementwise(a, 5, 4), sample_reduction(a, 7, 8), sample_tile(a, 16, 2, 14, 16, tab, 3), sample_operations(a, 8),
                       sample_control(a, 5), random_kernels(a, 20, 5)};
    static const float f[] = {0.1f, -INFINITY, NAN, -3};
    LpTable t = {.f = f, .len = 4};
    vec_push(a, &all[0]->tables, t);
    all[0]->kernels.at[0].remark = "two \"words\"";
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *first = text_of(all[i]);
        LpModule *again = loop_read(cx, a, cx_add_source(cx, "text", first, strlen(first)));
        if (!again) diag_print_all(cx, stdout, false);
        CHECK(again);
        char *second = text_of(again);
        CHECK(!strcmp(second, first));
        for (size_t k = 0; k < again->kernels.len; k++) {
            CHECK(loop_kernel_equal(&again->kernels.at[k], &all[i]->kernels.at[k]));
            CHECK(loop_kernel_hash(&again->kernels.at[k]) == loop_kernel_hash(&all[i]->kernels.at[k]));
        }
        free(first);
        free(second);
    }
    CHECK(!loop_kernel_equal(&all[0]->kernels.at[0], &sample_elementwise(a, 5, 8)->kernels.at[0]));
    cx_free(cx);
}

TEST(broken_text_is_refused) { /* cut anywhere, or with a byte changed: a diagnostic or a module, never a crash */
    Cx *cx = cx_new();
    char *s = text_of(sample_control(cx->keep, 5));
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i += 3) {
        loop_read(cx, cx->keep, cx_add_source(cx, "cut", s, i));
        char *t = arena_strndup(cx->keep, s, n);
        t[i] = "0{}(x9-\"#v"[i / 3 % 10];
        loop_read(cx, cx->keep, cx_add_source(cx, "changed", t, n));
    }
    CHECK(cx->errors > n / 3);
    const char *endless = "blocks 0 0 0 kernel \"k\" ints 0 vars 3 { for v2 = 0 .. 9000000000000000000 unroll {} }";
    CHECK(!loop_read(cx, cx->keep, cx_add_source(cx, "endless", endless, strlen(endless))));
    free(s);
    cx_free(cx);
}

/* Distance in units of the last place of the float nearest to the true value. */
static double ulps(float got, double want) {
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : 1e9;
    float near = (float)want;
    if (isinf(near) || isinf(got)) return got == near ? 0 : 1e9;
    float next = nextafterf(fabsf(near), INFINITY);
    return fabs((double)got - want) / ((double)next - fabs((double)near));
}

TEST(polynomials) {
    double worst[3] = {0};
    for (uint32_t bits = 0; bits < 0xff000000u; bits += 9973) {
        float x;
        memcpy(&x, &bits, 4);
        double d = ulps(loop_exp(x), exp((double)x));
        worst[0] = fmax(worst[0], d);
        worst[1] = fmax(worst[1], ulps(loop_log(x), log((double)x)));
        worst[2] = fmax(worst[2], ulps(loop_tanh(x), tanh((double)x)));
    }
    printf("  exp %.2f log %.2f tanh %.2f ulp\n", worst[0], worst[1], worst[2]);
    for (int i = 0; i < 3; i++) CHECK(worst[i] <= 2);
    CHECK(loop_exp(INFINITY) == INFINITY && loop_exp(-INFINITY) == 0 && isnan(loop_exp(NAN)));
    CHECK(loop_log(INFINITY) == INFINITY && loop_log(0) == -INFINITY && isnan(loop_log(-1)) && isnan(loop_log(NAN)));
    CHECK(loop_tanh(INFINITY) == 1 && loop_tanh(-INFINITY) == -1 && isnan(loop_tanh(NAN)));
}

TEST(philox) { /* known answers of the authors' Random123 */
    uint32_t out[4];
    loop_philox((uint32_t[4]){0}, (uint32_t[2]){0}, out);
    CHECK(out[0] == 0x6627e8d5 && out[1] == 0xe169c58d && out[2] == 0xbc57ac4c && out[3] == 0x9b00dbd8);
    loop_philox((uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, (uint32_t[]){0xa4093822, 0x299f31d0}, out);
    CHECK(out[0] == 0xd16cfe09 && out[1] == 0x94fdcceb && out[2] == 0x5001e420 && out[3] == 0x24126ea1);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(folding), T(elementwise), T(reduction), T(accesses_are_checked), T(bad_modules_are_refused), T(prepared), T(tile), T(text_round_trip), T(broken_text_is_refused),
                                 T(polynomials), T(philox)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
