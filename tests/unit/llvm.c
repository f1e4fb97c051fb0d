/* Tests of llvm: generated code against the evaluator, its shape in assembly, linking. */
#include "llvm/llvm.h"
#include "loop/scalar.h"
#include "check.h"
#include "unit/loop_samples.h"
#include <dlfcn.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
static const char *const cpus[] = {"x86-64-v2", "x86-64-v3", "native"};

static LlvmObject *object_of(Arena *a, const LpModule *m, const char *cpu, FILE *assembly) {
    const char *why = "";
    LlvmModelInfo info = {.json = "{\"made\": \"by hand\"}"};
    LlvmOptions o = {.cpu = cpu, .level = 2, .asan = SANITIZED};
    if (!loop_check(a, m, &why)) FAIL("%s", why);
    return llvm_emit(a, m, &info, &o, NULL, assembly);
}

static bool runs_here(const char *cpu) {
    if (!strcmp(cpu, "x86-64-v3")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(cpu, "x86-64-v4")) return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return true;
}

/* Runs entry 0 by the evaluator and as code for each processor, on inputs in[], and compares n floats of output 0. exact: where the target
   has FMA, the same bits. */
static void compare(LpModule *m, uint32_t batch, const float *const *in, size_t n, double tolerance, bool exact) {
    Arena *a = arena_new();
    const char *why = "";
    float *want = ARENA_ARRAY(a, float, n), *got = ARENA_ARRAY(a, float, n);
    const LpEntry *t = &m->entries.at[0];
    size_t work = 4 * (size_t)(t->fixed_floats + batch * t->batch_floats) + (size_t)t->thread_bytes;
    void *w = aligned_alloc(64, (work + 127) / 64 * 64);
    csc_call c = {.size = sizeof c, .batch = batch, .in = in, .out = &want, .seed = 5, .step = 7, .first_sample = 11, .workspace = w};
    if (!loop_eval(a, m, 0, &c, &why)) FAIL("%s", why);
    c.out = &got;
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        if (!runs_here(cpus[i])) continue;
        const csc_model *model;
        LlvmJit *j = llvm_jit_load(object_of(a, m, cpus[i], NULL), &model, &why);
        if (!j) FAIL("%s", why);
        memset(got, 0x55, n * sizeof *got);
        CHECK(model->entries[0].run(&c) == 0);
        bool bits = exact && i > 0 && __builtin_cpu_supports("fma");
        for (size_t k = 0; k < n; k++) {
            bool same = !memcmp(&got[k], &want[k], 4) || (isnan(got[k]) && isnan(want[k]));
            bool near = fabs((double)got[k] - want[k]) <= tolerance * (1 + fabs((double)want[k]));
            if (!same && (bits || !near)) FAIL("%s: entry %zu is %.9g, the evaluator says %.9g", cpus[i], k, got[k], want[k]);
        }
        llvm_jit_free(j);
    }
    free(w);
    arena_free(a);
}

static float *numbers(Arena *a, size_t n) {
    float *x = ARENA_ARRAY(a, float, n);
    uint32_t s = 12345;
    for (size_t i = 0; i < n; i++) x[i] = (float)((int32_t)(s = s * 1664525u + 1013904223u) >> 8) * 0x1p-21f;
    return x;
}

TEST(elementwise) {
    Arena *a = arena_new();
    float *x = numbers(a, 3 * 37);
    x[5] = NAN;
    for (int w = 1; w <= 16; w *= 2) compare(sample_elementwise(a, 37, w), 3, (const float *[]){x}, 3 * 37, 1e-6, true);
    arena_free(a);
}

TEST(reduction) {
    Arena *a = arena_new();
    float *x = numbers(a, 3 * 37);
    for (int w = 1; w <= 16; w *= 2) compare(sample_reduction(a, 37, w), 3, (const float *[]){x}, 1, 1e-5, true);
    arena_free(a);
}

TEST(tile) {
    Arena *a = arena_new();
    static const int32_t tab[] = {0, 5, 3, 40};
    float *x = numbers(a, 300), *w = numbers(a, 4 * 16 * 2 * 16);
    compare(sample_tile(a, 16, 2, 14, 16, tab, 4), 2, (const float *[]){x, w}, 2 * 14 * 2 * 16, 1e-4, true);
    compare(sample_tile(a, 8, 2, 6, 16, tab, 4), 2, (const float *[]){x, w}, 2 * 6 * 2 * 8, 1e-4, true);
    arena_free(a);
}

static int count_of(const char *text, const char *word) {
    int n = 0;
    for (const char *s = text; (s = strstr(s, word)); s += strlen(word)) n++;
    return n;
}

TEST(tile_stays_in_registers) {
    if (SANITIZED) SKIP("instrumented code");
    Arena *a = arena_new();
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    static const int32_t tab[] = {0, 5};
    object_of(a, sample_tile(a, 16, 2, 14, 16, tab, 2), "x86-64-v4", f);
    fclose(f);
    int fma = count_of(text, "vfmadd"), spill = count_of(text, "64-byte Spill"), broadcast = count_of(text, "vbroadcastss");
    free(text);
    if (fma != 28 || spill || broadcast < 14) FAIL("%d fma, %d broadcasts, %d spills", fma, broadcast, spill);
    f = open_memstream(&text, &len);
    object_of(a, sample_tile(a, 8, 2, 6, 16, tab, 2), "x86-64-v3", f);
    fclose(f);
    fma = count_of(text, "vfmadd"), spill = count_of(text, "32-byte Spill");
    free(text);
    if (fma != 12 || spill) FAIL("AVX2: %d fma, %d spills", fma, spill);
    arena_free(a);
}

TEST(relu_is_one_instruction) {
    if (SANITIZED) SKIP("instrumented code");
    Arena *a = arena_new();
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    object_of(a, sample_elementwise(a, 32, 8), "x86-64-v3", f);
    fclose(f);
    int most = count_of(text, "vmaxps"), compares = count_of(text, "vcmp");
    free(text);
    if (most != 1 || compares) FAIL("%d vmaxps, %d vcmp", most, compares);
    arena_free(a);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(elementwise), T(reduction), T(tile), T(tile_stays_in_registers), T(relu_is_one_instruction)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
