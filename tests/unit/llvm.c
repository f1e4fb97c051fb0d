/* Tests of llvm: generated code against the evaluator, its shape in assembly, linking. */
#include "llvm/llvm.h"
#include "loop/scalar.h"
#include "check.h"
#include "unit/loop_random.h"
#include "unit/tile_samples.h"
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
static const char *const cpus[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4+amx", "native"};

static CodeObject *object_of(Arena *a, const LpModule *m, const char *cpu, FILE *assembly) {
    const char *why = "";
    LlvmModelInfo info = {.json = "{\"made\": \"by hand\"}"};
    LlvmOptions o = {.cpu = cpu, .level = 2, .asan = SANITIZED, .split = true};
    if (!loop_check(a, m, &why)) FAIL("%s", why);
    return llvm_emit(a, m, &info, &o, NULL, assembly);
}

static bool runs_here(const char *cpu) {
    if (!strcmp(cpu, "x86-64-v3")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(cpu, "x86-64-v4")) return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (!strcmp(cpu, "x86-64-v4+amx")) return runs_here("x86-64-v4") && __builtin_cpu_supports("avx512bf16");
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
        bool tiles = lp_uses_tiles(&m->kernels.at[0]);
        if (!runs_here(cpus[i]) || (tiles && strcmp(cpus[i], "x86-64-v4+amx") && strcmp(cpus[i], "native"))) continue;
        const csc_model *model;
        CodeImage *j = code_load(a, object_of(a, m, cpus[i], NULL), &model, &why);
        if (!j) FAIL("%s", why);
        memset(got, 0x55, n * sizeof *got);
        CHECK(model->entries[0].run(&c) == 0);
        bool bits = exact && i > 0 && __builtin_cpu_supports("fma");
        for (size_t k = 0; k < n; k++) {
            bool same = !memcmp(&got[k], &want[k], 4) || (isnan(got[k]) && isnan(want[k]));
            bool near = fabs((double)got[k] - want[k]) <= tolerance * (1 + fabs((double)want[k]));
            if (!same && (bits || !near)) FAIL("%s: entry %zu is %.9g, the evaluator says %.9g", cpus[i], k, got[k], want[k]);
        }
        code_free(j);
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

TEST(operations) {
    Arena *a = arena_new();
    float special[16] = {0, -0.0f, 1, -1, 0.5f, 2, NAN, INFINITY, -INFINITY, 1e30f, -1e-30f, 88.8f, -90, 1e-40f, 0.1f, -7.5f};
    for (int w = 1; w <= 16; w *= 2)
        for (int turn = w < 16 ? w / 2 : 0; turn < (w < 16 ? w / 2 + 1 : 6); turn++) {
            float x[32] = {0}, y[16], z[16];
            for (int i = 0; i < 16; i++) {
                float v = (float)((i * 7 + turn * 5) % 23) - 11;
                x[i] = turn < 3 ? special[(i + turn) % 16] : v * 0.3f;
                y[i] = turn == 1 ? special[(3 * i) % 16] : turn == 4 ? x[i] : (float)((i * 5 + turn) % 9) - 4;
                z[i] = turn == 2 ? special[(5 * i) % 16] : (float)((i * 3 + turn) % 7) - 3;
            }
            compare(sample_operations(a, w), 1, (const float *[]){x, y, z}, (size_t)(SAMPLE_OPS * w), 1e-6, true);
        }
    arena_free(a);
}

TEST(control) {
    Arena *a = arena_new();
    for (int turns = 0; turns < 12; turns += 4) {
        float x[8] = {1.5f, 2, -1, 0.25f, 5, 6, 7, 8}, y[20], work[64] __attribute__((aligned(64)));
        compare(sample_control(a, turns), 1, (const float *[]){x}, 20, 0, true);
        x[4] = 0;
        compare(sample_control(a, turns), 1, (const float *[]){x}, 20, 0, true);
        if (turns != 8) continue;
        const char *why = "";
        csc_call c = {.size = sizeof c, .batch = 1, .in = (const float *[]){x}, .out = (float *[]){y}, .workspace = work};
        if (!loop_eval(a, sample_control(a, turns), 0, &c, &why)) FAIL("%s", why);
        const float want[20] = {192, 1007, 5, 2 + 0.25f - 1.5f + 1 - 0, 0.25f, -1, 2, 1.5f, 0.25f, 0.25f, -1, -1, 2, 2, 1.5f, 1, 0.25f, -1, 2, 2};
        for (int i = 0; i < 20; i++)
            if (y[i] != want[i]) FAIL("entry %d is %g, not %g", i, y[i], want[i]);
    }
    arena_free(a);
}

TEST(random_kernels) {
    Arena *a = arena_new();
    enum { N = 60 };
    float *x = numbers(a, RK_IN);
    for (int i = 0; i < RK_IN; i++) x[i] = floorf(x[i] * 4) / 4;
    for (uint64_t seed = 1; seed < 3; seed++) compare(random_kernels(a, N, seed * 1000003), 1, (const float *[]){x}, N * RK_OUT, 1e30, true);
    arena_free(a);
}

TEST(wrong_calls_are_refused) {
    Arena *a = arena_new();
    const csc_model *model;
    const char *why = "";
    CodeImage *j = code_load(a, object_of(a, sample_elementwise(a, 5, 4), "native", NULL), &model, &why);
    if (!j) FAIL("%s", why);
    CHECK(model->version == CSC_MODEL_VERSION && model->size == sizeof *model && model->entry_count == 1);
    CHECK_STR(model->entries[0].name, "forward");
    CHECK_STR(model->info, "{\"made\": \"by hand\"}");
    csc_call c = {.size = sizeof c, .batch = 0};
    CHECK(model->entries[0].run(&c) == 1);
    c = (csc_call){.size = sizeof c - 8, .batch = 1};
    CHECK(model->entries[0].run(&c) == 1);
    code_free(j);
    arena_free(a);
}

static void link_and_run(int kernels) {
    Arena *a = arena_new();
    char dir[] = "/tmp/csc-test-XXXXXX";
    CHECK(mkdtemp(dir));
    CodeObject *o = object_of(a, kernels ? sample_many(a, kernels) : sample_operations(a, 4), "x86-64-v2", NULL);
    CHECK(!memcmp(o->bytes, "!<arch>\n", 8) == (kernels > 0)); /* a large module comes in parts */
    FILE *f = fopen(arena_printf(a, "%s/m.o", dir), "wb");
    CHECK(f && fwrite(o->bytes, 1, o->len, f) == o->len && !fclose(f));
    CHECK(system(arena_printf(a, "ld -shared -z now -o %s/m.so --whole-archive %s/m.o --no-whole-archive -lm", dir, dir)) == 0);
    CHECK(system(arena_printf(a, "nm -D --defined-only %s/m.so > %s/names", dir, dir)) == 0);
    char names[200] = "";
    f = fopen(arena_printf(a, "%s/names", dir), "r");
    size_t n = f ? fread(names, 1, sizeof names - 1, f) : 0;
    CHECK(n > 0 && !fclose(f));
    CHECK(strstr(names, "T csc_model_query\n") && strchr(names, '\n') == strrchr(names, '\n')); /* nothing else is exported */
    void *lib = dlopen(arena_printf(a, "%s/m.so", dir), RTLD_NOW | RTLD_LOCAL);
    if (!lib) FAIL("%s", dlerror());
    const csc_model *(*query)(uint32_t) = (const csc_model *(*)(uint32_t))(uintptr_t)dlsym(lib, "csc_model_query");
    CHECK(query && !query(0));
    const csc_model *model = query(CSC_MODEL_VERSION + 5);
    float x[8] = {1, 2, 3, 4}, y[SAMPLE_OPS * 4], want = 1;
    for (int i = 1; i < kernels; i++) want = want * 0.75f + (float)i;
    csc_call c = {.size = sizeof c, .batch = 1, .in = (const float *[]){x, x, x}, .out = (float *[]){y}};
    CHECK(model && model->entries[0].run(&c) == 0);
    if (kernels) CHECK_NEAR(y[0], want, 1e-6);
    else CHECK(y[0] == -1 && y[3] == -4);
    dlclose(lib);
    CHECK(system(arena_printf(a, "rm -r %s", dir)) == 0);
    arena_free(a);
}

static void backwards(void *pool, int64_t count, csc_task task, void *arg, size_t scratch_bytes) {
    char *scratch = aligned_alloc(64, (scratch_bytes + 64) / 64 * 64);
    memset(scratch, 0x7f, scratch_bytes);
    for (int64_t i = count; i-- > 0;) task(arg, i, scratch);
    free(scratch);
    ++*(int *)pool;
}

TEST(callers_threads_run_the_grid) {
    Arena *a = arena_new();
    const csc_model *model;
    const char *why = "";
    CodeImage *j = code_load(a, object_of(a, sample_elementwise(a, 5, 4), "native", NULL), &model, &why);
    if (!j) FAIL("%s", why);
    int launches = 0;
    float x[15], y[15];
    for (int i = 0; i < 15; i++) x[i] = (float)i - 7, y[i] = -1;
    csc_call c = {.size = sizeof c, .batch = 3, .in = (const float *[]){x}, .out = (float *[]){y}, .pool = &launches, .parallel_for = backwards};
    CHECK(model->entries[0].run(&c) == 0 && launches == 1);
    for (int i = 0; i < 15; i++) CHECK(y[i] == fmaxf(0, 2 * x[i] + 1));
    code_free(j);
    j = code_load(a, object_of(a, sample_control(a, 8), "native", NULL), &model, &why);
    float in[8] = {1.5f, 2, -1, 0.25f}, out[20], work[48] __attribute__((aligned(64)));
    CHECK(model->entries[0].fixed_bytes == sizeof work && model->entries[0].thread_bytes == 64);
    c.in = (const float *[]){in};
    c.out = (float *[]){out};
    c.batch = 1;
    c.workspace = work;
    launches = 0;
    CHECK(model->entries[0].run(&c) == 0 && launches == 1); /* only the kernel with scratch: one point without is run at once */
    CHECK(out[4] == 0.25f && out[7] == 1.5f);
    code_free(j);
    arena_free(a);
}

TEST(weights_are_embedded) {
    Arena *a = arena_new();
    const csc_model *model;
    const char *why = "";
    const float params[] = {1, 2, 3}, state[] = {-4}, tunables[] = {5, 6};
    LlvmModelInfo info = {.json = "{}", .param_floats = 3, .state_floats = 1, .tunable_count = 2, .tunable_defaults = tunables, .params = params,
                          .state = state};
    LlvmOptions o = {.cpu = "native", .level = 1, .asan = SANITIZED};
    CodeImage *j = code_load(a, llvm_emit(a, sample_elementwise(a, 5, 4), &info, &o, NULL, NULL), &model, &why);
    if (!j) FAIL("%s", why);
    CHECK(model->param_floats == 3 && model->state_floats == 1 && model->tunable_count == 2);
    CHECK(!memcmp(model->params, params, sizeof params) && model->state[0] == -4 && model->tunable_defaults[1] == 6);
    CHECK((uintptr_t)model->params % 64 == 0);
    code_free(j);
    arena_free(a);
}

TEST(sanitizer_sees_generated_code) { /* a store behind the end of a heap block ends the process */
    if (!SANITIZED) SKIP("no sanitizer");
    Arena *a = arena_new();
    const csc_model *model;
    const char *why = "";
    CodeImage *j = code_load(a, object_of(a, sample_elementwise(a, 64, 8), "x86-64-v2", NULL), &model, &why);
    if (!j) FAIL("%s", why);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        float *x = calloc(64, 4), *y = malloc(60 * 4);
        csc_call c = {.size = sizeof c, .batch = 1, .in = (const float *[]){x}, .out = (float *[]){y}};
        fclose(stderr);
        model->entries[0].run(&c);
        _exit(0);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(status != 0);
    code_free(j);
    arena_free(a);
}

TEST(shared_library) {
    if (SANITIZED) SKIP("instrumented code");
    link_and_run(0);
    link_and_run(40);
}

TEST(damaged_objects_are_not_loaded) {
    Arena *a = arena_new();
    const CodeObject *o = object_of(a, sample_elementwise(a, 5, 4), "native", NULL);
    const csc_model *model;
    const char *why;
    for (size_t n = 0; n < o->len; n += 61) { /* the sections' table stands at the end */
        CodeObject cut = {o->bytes, n};
        why = NULL;
        CHECK(!code_load(a, &cut, &model, &why) && why);
    }
    CodeObject other = {arena_copy(a, o->bytes, o->len), o->len};
    other.bytes[18] = (char)183; /* EM_AARCH64 */
    CHECK(!code_load(a, &other, &model, &why) && strstr(why, "x86-64"));
    CodeImage *whole = code_load(a, o, &model, &why);
    CHECK(whole && model->entry_count == 1);
    code_free(whole);
    arena_free(a);
}
TEST(many_kernels) {
    Arena *a = arena_new();
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    compare(sample_many(a, 40), 1, (const float *[]){x}, 8, 1e-6, true);
    arena_free(a);
}

static int count_of(const char *text, const char *word) {
    int n = 0;
    for (const char *s = text; (s = strstr(s, word)); s += strlen(word)) n++;
    return n;
}

static const char *assembly_of(Arena *a, const LpModule *m, const char *cpu) {
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    CHECK(f);
    object_of(a, m, cpu, f);
    fclose(f);
    const char *kept = arena_strndup(a, text, len);
    free(text);
    return kept;
}

TEST(tile_stays_in_registers) {
    if (SANITIZED) SKIP("instrumented code");
    Arena *a = arena_new();
    static const int32_t tab[] = {0, 5};
    const char *text = assembly_of(a, sample_tile(a, 16, 2, 14, 16, tab, 2), "x86-64-v4");
    int fma = count_of(text, "vfmadd"), spill = count_of(text, "64-byte Spill"), broadcast = count_of(text, "vbroadcastss");
    if (fma != 28 || spill || broadcast < 14) FAIL("%d fma, %d broadcasts, %d spills", fma, broadcast, spill);
    text = assembly_of(a, sample_tile(a, 8, 2, 6, 16, tab, 2), "x86-64-v3");
    fma = count_of(text, "vfmadd"), spill = count_of(text, "32-byte Spill");
    if (fma != 12 || spill) FAIL("AVX2: %d fma, %d spills", fma, spill);
    arena_free(a);
}

TEST(relu_is_one_instruction) {
    if (SANITIZED) SKIP("instrumented code");
    Arena *a = arena_new();
    const char *text = assembly_of(a, sample_elementwise(a, 32, 8), "x86-64-v3");
    int most = count_of(text, "vmaxps"), compares = count_of(text, "vcmp");
    if (most != 1 || compares) FAIL("%d vmaxps, %d vcmp", most, compares);
    arena_free(a);
}

TEST(prefetches_are_one_instruction) {
    if (SANITIZED) SKIP("instrumented code");
    Arena *a = arena_new();
    LpModule *m = sample_elementwise(a, 32, 8);
    Ls *last = (Ls *)(uintptr_t)m->kernels.at[0].body;
    while (last->next) last = last->next;
    last->next = ls_prefetch(a, 0, lx_int(a, 4096), false);
    last->next->next = ls_prefetch(a, 0, lx_int(a, 64), true);
    const char *text = assembly_of(a, m, "x86-64-v3");
    int later = count_of(text, "prefetcht1"), soon = count_of(text, "prefetcht0");
    if (later != 1 || soon != 1) FAIL("%d prefetcht1, %d prefetcht0", later, soon);
    arena_free(a);
}

static LpModule *module_of(Cx *cx, const char *text) {
    LpModule *m = loop_read(cx, cx->keep, cx_add_source(cx, "sample", text, strlen(text)));
    if (!m) diag_print_all(cx, stdout, false);
    CHECK(m);
    return m;
}

TEST(short_floats) {
    Cx *cx = cx_new();
    float *x = numbers(cx->keep, 512);
    x[1] = 1e-40f, x[2] = -1e-39f, x[3] = INFINITY, x[21] = NAN, x[5] = 3.4e38f, x[6] = 1.00390625f, x[7] = -1.01171875f, x[26] = 0x1p-126f;
    compare(module_of(cx, tile_split), 1, (const float *[]){x}, 512, 1e-6, true);
    compare(module_of(cx, tile_odds), 1, (const float *[]){x}, 32, 1e-6, true);
    cx_free(cx);
}

static bool tiles_here(Cx *cx, const LpModule *m) {
    const csc_model *model;
    const char *why;
    CodeImage *j = code_load(cx->keep, object_of(cx->keep, m, "x86-64-v4+amx", NULL), &model, &why);
    code_free(j);
    return j != NULL;
}

/* The instruction's roundings: normal numbers, sums that cancel, denormal numbers and products, infinities, NaN. */
TEST(tiles_round_as_the_evaluator) {
    Cx *cx = cx_new();
    const LpModule *m = module_of(cx, tile_two);
    if (!tiles_here(cx, m)) SKIP("no matrix unit, or the system does not give it");
    float *x = ARENA_ARRAY(cx->keep, float, 512), *w = ARENA_ARRAY(cx->keep, float, 512);
    uint32_t s = 1;
    for (int turn = 0; turn < 12; turn++) {
        static const int from[] = {120, 0, 60, 190}; /* exponents: of the middle; of all bits; products about 2^-126; beyond the largest */
        static const int32_t bits[] = {0, INT32_MIN, 0x7f800000, -8388608, 0x7fc00000, 0x00010000, 0x3f800000, 0x00800000};
        for (int i = 0; i < 1024; i++) {
            s = s * 1664525u + 1013904223u;
            uint32_t u = s >> 8 << 16, e = (uint32_t)from[turn % 4] + (s >> 28) % 8;
            if (turn % 4 != 1) u = (u & 0x807f0000) | e << 23;
            if (turn >= 8 && s >> 20 & 1) u = (uint32_t)bits[s >> 29];
            memcpy(i < 512 ? &x[i] : &w[i - 512], &u, 4);
        }
        compare(module_of(cx, tile_two), 1, (const float *[]){x, w}, 256, 0, true);
    }
    compare(module_of(cx, tile_product), 1, (const float *[]){numbers(cx->keep, 512)}, 256, 0, true);
    cx_free(cx);
}

TEST(tiles_are_their_instructions) {
    if (SANITIZED) SKIP("instrumented code");
    Cx *cx = cx_new();
    const char *text = assembly_of(cx->keep, module_of(cx, tile_two), "x86-64-v4+amx");
    static const char *const once[] = {"ldtilecfg", "tilerelease", "tilezero", "tdpbf16ps\t%tmm7, %tmm1, %tmm3", "tilestored", "vcvtneps2bf16\t", "vcvtne2ps2bf16\t", "vpermw\t", "syscall"};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        if (count_of(text, once[i]) != 1) FAIL("%d of %s:\n%s", count_of(text, once[i]), once[i], text);
    CHECK(count_of(text, "tileloadd\t") == 2 && !count_of(text, "Spill"));
    cx_free(cx);
}

/* From here on the system refuses the tiles' memory. */
static bool refuse_tiles(void) {
    struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 158 /* arch_prctl */, 0, 1),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {sizeof f / sizeof *f, f};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}

/* A library for several levels takes the one with tiles where the system gives them, else a lower one; one for that level alone says that it cannot. */
TEST(tiles_are_asked_for) {
    Cx *cx = cx_new();
    Arena *a = cx->keep;
    const LpModule *m = module_of(cx, tile_two);
    if (!tiles_here(cx, m)) SKIP("no matrix unit, or the system does not give it");
    static const char *const levels[] = {"x86-64-v3", "x86-64-v4", "x86-64-v4+amx"}, *const prefixes[] = {"a_", "b_", "c_"};
    CodeObject part[4];
    for (int i = 0; i < 3; i++) {
        LlvmModelInfo info = {.json = levels[i], .symbol_prefix = prefixes[i]};
        part[i] = *llvm_emit(a, i < 2 ? sample_elementwise(a, 5, 4) : m, &info, &(LlvmOptions){.cpu = levels[i], .level = 1, .asan = SANITIZED}, NULL, NULL);
    }
    part[3] = *llvm_dispatch(a, levels, prefixes, 3);
    const CodeObject *all = code_archive(a, part, 4), *alone = object_of(a, m, "x86-64-v4+amx", NULL);
    const csc_model *model;
    const char *why = "";
    CodeImage *j = code_load(a, all, &model, &why);
    if (!j) FAIL("%s", why);
    CHECK_STR(model->info, "x86-64-v4+amx");
    code_free(j);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!refuse_tiles()) _exit(3);
        if (code_load(a, alone, &model, &why) || !strstr(why, "system")) _exit(1);
        if (!code_load(a, all, &model, &why) || strcmp(model->info, "x86-64-v4")) _exit(2);
        _exit(0);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3) SKIP("no filter of system calls here");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cx_free(cx);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(elementwise), T(reduction), T(tile), T(operations), T(control), T(random_kernels), T(wrong_calls_are_refused), T(shared_library), T(damaged_objects_are_not_loaded), T(many_kernels), T(callers_threads_run_the_grid), T(weights_are_embedded), T(sanitizer_sees_generated_code), T(tile_stays_in_registers), T(relu_is_one_instruction), T(prefetches_are_one_instruction), T(short_floats), T(tiles_round_as_the_evaluator), T(tiles_are_their_instructions), T(tiles_are_asked_for)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
