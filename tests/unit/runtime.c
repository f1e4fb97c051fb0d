/* The runtime's services: random numbers, threads, weights in files, initial values and constraints. */
#include "check.h"
#include "runtime_toy.h"
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static csc_context *cx;
static char folder[64];

static const char *in_folder(const char *name) {
    static char path[4][160];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, 160, "%s/%s", folder, name);
    return p;
}

static size_t slurp(const char *path, char *to, size_t most) {
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    size_t n = fread(to, 1, most, f);
    fclose(f);
    return n;
}

static void spill(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    CHECK(fwrite(bytes, 1, n, f) == n);
    fclose(f);
}

/* Known answers of the authors' own test file (Random123, kat_vectors). */
TEST(philox) {
    uint32_t out[4];
    csc_philox((uint32_t[]){0, 0}, (uint32_t[]){0, 0, 0, 0}, out);
    CHECK(out[0] == 0x6627e8d5 && out[1] == 0xe169c58d && out[2] == 0xbc57ac4c && out[3] == 0x9b00dbd8);
    csc_philox((uint32_t[]){0xa4093822, 0x299f31d0}, (uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, out);
    CHECK(out[0] == 0xd16cfe09 && out[1] == 0x94fdcceb && out[2] == 0x5001e420 && out[3] == 0x24126ea1);
}

typedef struct Touch {
    _Atomic int seen[5000];
    _Atomic int wrong;
} Touch;
static Touch touch;
static void touch_task(void *arg, int64_t i, void *scratch) {
    Touch *t = arg;
    atomic_fetch_add(&t->seen[i], 1);
    if ((uintptr_t)scratch % 64) atomic_fetch_add(&t->wrong, 1);
    memset(scratch, (int)i, 1000);
    for (int k = 0; k < 1000; k++)
        if (((unsigned char *)scratch)[k] != (unsigned char)i) atomic_fetch_add(&t->wrong, 1);
}

TEST(pool) {
    static const int counts[] = {1, 2, 7, 64, 5000};
    for (int threads = 1; threads <= 5; threads += 2) {
        csc_pool *p = csc_pool_new(threads);
        CHECK(p && csc_pool_threads(p) == threads);
        for (int round = 0; round < 200; round++) {
            int n = counts[round % 5];
            memset(&touch, 0, sizeof touch);
            csc_pool_parallel_for(p, n, touch_task, &touch, 1000);
            for (int i = 0; i < n; i++) CHECK(touch.seen[i] == 1);
            CHECK(touch.wrong == 0);
        }
        csc_pool_free(p);
    }
}

static void add_one(void *arg, int64_t i, void *scratch) {
    (void)scratch;
    ((float *)arg)[i] += 1;
}

static void busy(int64_t nanoseconds) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t end = t.tv_sec * 1000000000 + t.tv_nsec + nanoseconds;
    do clock_gettime(CLOCK_MONOTONIC, &t);
    while (t.tv_sec * 1000000000 + t.tv_nsec < end);
}

static void slow(void *arg, int64_t i, void *scratch) {
    (void)arg, (void)i, (void)scratch;
    busy(200000);
}

TEST(small_launches_wake_nobody) { /* counted: how often a thread of this process went to sleep */
    csc_pool *p = csc_pool_new(2);
    float x[8] = {0};
    struct rusage a, b;
    usleep(10000);
    getrusage(RUSAGE_SELF, &a);
    for (int i = 0; i < 1000; i++) {
        csc_pool_parallel_for(p, 8, add_one, x, 0);
        busy(100000); /* longer than the other thread spins */
    }
    getrusage(RUSAGE_SELF, &b);
    CHECK(x[0] == 1000 && x[7] == 1000);
    long small = b.ru_nvcsw - a.ru_nvcsw;
    if (small > 200) FAIL("%ld sleeps for 1000 small launches", small);
    for (int i = 0; i < 100; i++) csc_pool_parallel_for(p, 4, slow, x, 0); /* worth it: the other thread was woken for them */
    getrusage(RUSAGE_SELF, &a);
    CHECK(a.ru_nvcsw - b.ru_nvcsw > 5);
    csc_pool_free(p);
}

typedef struct Meeting {
    bool meet;
    atomic_int there, missed;
} Meeting;

static void meet(void *arg, int64_t i, void *scratch) { /* long; or waits until the other has begun as well */
    Meeting *m = arg;
    (void)i, (void)scratch;
    atomic_fetch_add(&m->there, 1);
    if (!m->meet) busy(200000);
    for (int k = 0; m->meet && atomic_load(&m->there) < 2; k++) {
        if (k == 5000) {
            atomic_fetch_add(&m->missed, 1);
            return;
        }
        usleep(1000);
    }
}

TEST(long_tasks_begin_together) { /* the second time, though the other thread sleeps */
    csc_pool *p = csc_pool_new(2);
    Meeting m = {0};
    csc_pool_parallel_for(p, 2, meet, &m, 0);
    usleep(10000);
    m.meet = true, m.there = 0;
    csc_pool_parallel_for(p, 2, meet, &m, 0);
    CHECK(m.there == 2 && m.missed == 0);
    csc_pool_free(p);
}

static const csc_constraint unit_atoms = {CSC_UNIT_ATOMS, 0}, unit_columns = {CSC_UNIT_COLUMNS, 0}, nonnegative = {CSC_NONNEGATIVE, 0},
                            orthogonal = {CSC_ORTHOGONAL, 0}, l0 = {CSC_SPARSE_L0, 3}, share = {CSC_SPARSE_L0, 0.5}, l1 = {CSC_SPARSE_L1, 0.5};
static const csc_tensor_info projected[] = {
    {.name = "a", .rank = 3, .dim = {4, 3, 5}, .turns = 2, .offset = 0, .init = CSC_INIT_NORMAL, .b = 2, .constraints = &unit_atoms, .nconstraints = 1},
    {.name = "b", .rank = 2, .dim = {6, 100}, .offset = 128, .init = CSC_INIT_NORMAL, .b = 2, .constraints = &unit_columns, .nconstraints = 1},
    {.name = "c", .rank = 1, .dim = {9}, .offset = 736, .init = CSC_INIT_NORMAL, .b = 1, .constraints = &nonnegative, .nconstraints = 1},
    {.name = "d", .rank = 3, .dim = {5, 3, 4}, .offset = 752, .init = CSC_INIT_NORMAL, .b = 1, .constraints = &orthogonal, .nconstraints = 1},
    {.name = "e", .rank = 2, .dim = {8, 8}, .turns = 2, .offset = 816, .init = CSC_INIT_NORMAL, .b = 1, .constraints = &orthogonal, .nconstraints = 1},
    {.name = "f", .rank = 2, .dim = {7, 11}, .offset = 944, .init = CSC_INIT_NORMAL, .b = 1, .constraints = &l0, .nconstraints = 1},
    {.name = "g", .rank = 2, .dim = {3, 10}, .offset = 1024, .init = CSC_INIT_UNIFORM, .a = -1, .b = 1, .constraints = &share, .nconstraints = 1},
    {.name = "h", .rank = 1, .dim = {4}, .offset = 1056, .init = CSC_INIT_CONST, .a = 2, .constraints = &l1, .nconstraints = 1},
    {.name = "tall", .rank = 2, .dim = {9, 2}, .offset = 1072, .init = CSC_INIT_UNIFORM, .a = 3, .b = 4, .constraints = &orthogonal, .nconstraints = 1},
};
static const csc_net_info projected_info = {.params = projected, .nparams = 9};
static const csc_model projected_model = {.version = 1, .size = sizeof(csc_model), .param_floats = 1104};

static void check_rows(const float *x, int rows, int cols, bool columns) { /* orthonormal */
    int n = columns ? cols : rows;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) {
            double s = 0;
            for (int k = 0; k < (columns ? rows : cols); k++)
                s += columns ? (double)x[k * cols + a] * x[k * cols + b] : (double)x[a * cols + k] * x[b * cols + k];
            CHECK_NEAR(s, a == b ? 1 : 0, 1e-6);
        }
}

TEST(constraints) {
    for (int threads = 0; threads < 4; threads += 3) { /* 0: no pool */
        csc_pool *pool = threads ? csc_pool_new(threads) : NULL;
        csc_net *n;
        CHECK(csc_net_new(cx, &projected_model, &projected_info, pool, &n) == CSC_OK);
        CHECK(csc_net_init(n, 7) == CSC_OK);
        const float *w = csc_net_params(n);
        for (int r = 0; r < 8; r++) {
            double s = 0;
            for (int k = 0; k < 15; k++) s += (double)w[r * 15 + k] * w[r * 15 + k];
            CHECK_NEAR(s, 1, 1e-6);
        }
        for (int c = 0; c < 100; c++) {
            double s = 0;
            for (int k = 0; k < 6; k++) s += (double)w[128 + k * 100 + c] * w[128 + k * 100 + c];
            CHECK_NEAR(s, 1, 1e-6);
        }
        for (int k = 0; k < 9; k++) CHECK(w[736 + k] >= 0);
        check_rows(w + 752, 5, 12, false);
        check_rows(w + 816, 8, 8, false);
        check_rows(w + 816 + 64, 8, 8, true);
        check_rows(w + 1072, 9, 2, true);
        for (int r = 0; r < 7; r++) {
            int kept = 0;
            for (int k = 0; k < 11; k++) kept += w[944 + r * 11 + k] != 0;
            CHECK(kept == 3);
        }
        for (int r = 0; r < 3; r++) {
            int kept = 0;
            for (int k = 0; k < 10; k++) kept += w[1024 + r * 10 + k] != 0;
            CHECK(kept == 5);
        }
        CHECK(w[1056] == 2);
        csc_net_project(n, 0.5); /* threshold 0.25 */
        CHECK(w[1056] == 1.75f);
        csc_net_free(n);
        csc_pool_free(pool);
    }
}

/* The orthogonal factor is the nearest one: for a symmetric positive matrix it is the identity. */
TEST(orthogonal_is_nearest) {
    csc_net *n;
    CHECK(csc_net_new(cx, &projected_model, &projected_info, NULL, &n) == CSC_OK);
    float *w = csc_net_params(n) + 816;
    for (int a = 0; a < 8; a++)
        for (int b = 0; b < 8; b++) w[a * 8 + b] = (a == b ? 2.0f + (float)a : 0) + 0.1f;
    csc_net_project(n, 0);
    for (int a = 0; a < 8; a++)
        for (int b = 0; b < 8; b++) CHECK_NEAR(w[a * 8 + b], a == b, 1e-6);
    csc_net_free(n);
}

TEST(init_by_name) { /* the same names get the same numbers whatever else the model holds; other seeds, others */
    csc_net_info one = {.params = projected + 1, .nparams = 1};
    csc_net *a, *b;
    CHECK(csc_net_new(cx, &projected_model, &one, NULL, &a) == CSC_OK && csc_net_new(cx, &projected_model, &projected_info, NULL, &b) == CSC_OK);
    CHECK(csc_net_init(a, 3) == CSC_OK && csc_net_init(b, 3) == CSC_OK);
    CHECK(!memcmp(csc_net_params(a) + 128, csc_net_params(b) + 128, 600 * sizeof(float)));
    CHECK(csc_net_init(a, 4) == CSC_OK);
    CHECK(memcmp(csc_net_params(a) + 128, csc_net_params(b) + 128, 600 * sizeof(float)));
    const float *x = csc_net_params(b); /* two turns differ */
    CHECK(memcmp(x, x + 60, 60 * sizeof(float)));
    csc_net_free(a);
    csc_net_free(b);
}

TEST(init_entry) {
    csc_net *n;
    CHECK(csc_net_new(cx, &toy_model, &toy_info, NULL, &n) == CSC_OK && csc_net_init(n, 1) == CSC_OK);
    CHECK(csc_net_params(n)[TOY_B + 9] == 0.25f && csc_net_params(n)[0] != 0);
    csc_net_free(n);
}

/* What is made of parameters alone is kept while a promise holds, and made again after every way to change them. */
static float *toy_at, *toy_scale; /* where they lie, asked for once: that ends a promise */
static void forward_is(csc_net *n, int64_t batch, int prepares, const char *after) {
    float x[8][TOY_IN], y[8][TOY_CLASSES], want[8][TOY_CLASSES];
    for (int i = 0; i < 8 * TOY_IN; i++) x[i / TOY_IN][i % TOY_IN] = (float)(i % 7) / 8;
    int had = toy_prepares;
    CHECK(csc_net_run(n, csc_net_entry(n, "forward"), batch, (const float *const[]){x[0]}, (float *const[]){y[0]}, false) == CSC_OK);
    if (toy_prepares - had != prepares) FAIL("after %s: prepared %d times", after, toy_prepares - had);
    csc_call c = {.size = sizeof c, .batch = (uint32_t)batch, .in = (const float *const[]){x[0]}, .out = (float *const[]){want[0]}, .params = toy_at, .tunables = toy_scale};
    CHECK(toy_forward(&c) == 0);
    if (memcmp(y, want, sizeof *y * (size_t)batch)) FAIL("after %s: other parameters", after);
}

TEST(held_parameters) {
    csc_net *n;
    const char *path = in_folder("held.safetensors");
    CHECK(csc_net_new(cx, &toy_model, &toy_info, NULL, &n) == CSC_OK && csc_net_init(n, 1) == CSC_OK && csc_weights_save(n, path) == CSC_OK);
    toy_at = csc_net_params(n), toy_scale = csc_net_tunables(n);
    float x[2][TOY_IN] = {{0}}, label[2] = {0}, loss, right;
    const float *const in[] = {x[0], label};
    float *const out[] = {&loss, &right};
    forward_is(n, 2, 1, "nothing was promised"); /* by the entry itself */
    forward_is(n, 2, 1, "nothing was promised");
    for (int change = 0; change < 7; change++) {
        csc_net_hold(n, true);
        forward_is(n, 2, 1, "the promise");
        forward_is(n, 1, 0, "a call");
        forward_is(n, 8, 0, "another batch");
        CHECK(csc_net_run(n, csc_net_entry(n, "eval"), 2, in, out, false) == CSC_OK); /* uses the workspace */
        forward_is(n, 2, 1, "another entry");
        forward_is(n, 2, 0, "a call");
        switch (change) {
        case 0: csc_net_params(n)[TOY_W] += 1; break;
        case 1: csc_net_tunables(n)[0] = 3; break;
        case 2: CHECK(csc_net_init(n, 7) == CSC_OK); break;
        case 3: CHECK(csc_weights_load(n, path) == CSC_OK); break;
        case 4: toy_at[TOY_B] -= 1, csc_net_project(n, 0); break;
        case 5: toy_at[TOY_B] -= 1, csc_net_states(n); break;
        case 6:
            toy_at[TOY_B] -= 1;
            CHECK(csc_net_run(n, csc_net_entry(n, "step"), 2, in, out, true) == CSC_OK);
            break;
        }
        forward_is(n, 2, 1, "a change");
        forward_is(n, 2, 1, "the end of the promise");
        csc_net_grads(n);
    }
    csc_net_hold(n, true);
    forward_is(n, 2, 1, "the promise");
    csc_net_grads(n);
    forward_is(n, 2, 0, "a look at gradients");
    csc_net_hold(n, false);
    forward_is(n, 2, 1, "its end");
    csc_net_free(n);
}

/* ---- weights ---- */
TEST(weights_round_trip) {
    csc_net *a, *b;
    const char *path = in_folder("w.safetensors");
    CHECK(csc_net_new(cx, &projected_model, &projected_info, NULL, &a) == CSC_OK && csc_net_new(cx, &projected_model, &projected_info, NULL, &b) == CSC_OK);
    CHECK(csc_net_init(a, 3) == CSC_OK && csc_weights_save(a, path) == CSC_OK && csc_weights_load(b, path) == CSC_OK);
    CHECK(!memcmp(csc_net_params(a), csc_net_params(b), 1072 * sizeof(float)));
    csc_tensors *t;
    CHECK(csc_tensors_open(cx, path, &t) == CSC_OK);
    CHECK(csc_tensors_count(t) == 11 && csc_tensors_find(t, "a.2") >= 0 && csc_tensors_find(t, "a") < 0);
    CHECK_STR(csc_tensors_metadata(t, "format"), "csc 1");
    csc_tensors_close(t);

    /* more turns: the last is copied; fewer: extra ones are left */
    csc_tensor_info more[9];
    csc_net_info info = {.params = more, .nparams = 9};
    csc_model model = projected_model;
    memcpy(more, projected, sizeof more);
    model.param_floats = 4096;
    more[0].turns = 4;
    more[0].offset = 2048;
    more[4].turns = 1;
    csc_net *c;
    CHECK(csc_net_new(cx, &model, &info, NULL, &c) == CSC_OK && csc_weights_load(c, path) == CSC_OK);
    const float *x = csc_net_params(a), *y = csc_net_params(c);
    CHECK(!memcmp(x, y + 2048, 120 * 4) && !memcmp(x + 60, y + 2048 + 120, 60 * 4) && !memcmp(x + 60, y + 2048 + 180, 60 * 4));

    /* any other difference is told by name, and changes nothing */
    more[1].dim[1] = 99;
    float first = csc_net_params(c)[0];
    CHECK(csc_weights_load(c, path) == CSC_MISMATCH && csc_net_params(c)[0] == first);
    CHECK(strstr(csc_error(cx), "`b` is [6, 100], the model has [6, 99]"));
    csc_error_clear(cx);
    more[1].dim[1] = 100;
    more[2].name = "other";
    CHECK(csc_weights_load(c, path) == CSC_MISMATCH && strstr(csc_error(cx), "no tensor `other`"));
    csc_error_clear(cx);
    info.nparams = 8;
    more[2].name = "c";
    CHECK(csc_weights_load(c, path) == CSC_MISMATCH && strstr(csc_error(cx), "`tall` [9, 2] is not in the model"));
    csc_error_clear(cx);
    csc_net_free(a);
    csc_net_free(b);
    csc_net_free(c);
}

static csc_status open_close(const char *path) {
    csc_tensors *t;
    csc_status s = csc_tensors_open(cx, path, &t);
    csc_tensors_close(t);
    return s;
}

TEST(weights_damaged) {
    static char good[1 << 14], bad[1 << 14];
    csc_net *n;
    const char *path = in_folder("w.safetensors"), *other = in_folder("bad.safetensors");
    CHECK(csc_net_new(cx, &projected_model, &projected_info, NULL, &n) == CSC_OK && csc_net_init(n, 3) == CSC_OK && csc_weights_save(n, path) == CSC_OK);
    size_t len = slurp(path, good, sizeof good), header = 8 + ((unsigned char)good[0] | (size_t)(unsigned char)good[1] << 8);
    CHECK(open_close(path) == CSC_OK);
    for (size_t cut = 0; cut < len; cut += cut < header ? 1 : 97) {
        spill(other, good, cut);
        CHECK(open_close(other) == CSC_BAD_FILE);
        csc_error_clear(cx);
    }
    int refused = 0;
    for (size_t bit = 0; bit < header * 8; bit += 3) { /* never a crash; and numbers in the header are checked */
        memcpy(bad, good, len);
        bad[bit / 8] = (char)(bad[bit / 8] ^ 1 << bit % 8);
        spill(other, bad, len);
        csc_status s = csc_weights_load(n, other);
        CHECK(s == CSC_OK || s == CSC_BAD_FILE || s == CSC_MISMATCH);
        refused += s != CSC_OK;
        csc_error_clear(cx);
    }
    CHECK(refused > (int)header / 2);
    csc_net_free(n);
}

TEST(weights_hostile) {
    static const char *const headers[] = {
        "",
        "{",
        "[]",
        "{}x",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,8],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
        "{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,8]}}",
        "{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}",
        "{\"\\ud800\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    };
    char file[1024];
    const char *path = in_folder("hostile.safetensors");
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        size_t len = strlen(headers[i]);
        memset(file, 0, sizeof file);
        file[0] = (char)len;
        memcpy(file + 8, headers[i], len);
        file[1] = (char)(len >> 8);
        spill(path, file, 8 + len + 8);
        if (open_close(path) != CSC_BAD_FILE) FAIL("header %zu was taken: %s", i, headers[i]);
        csc_error_clear(cx);
    }
    memset(file, 0xff, 8); /* a header of 2^64 - 1 bytes */
    spill(path, file, 100);
    CHECK(open_close(path) == CSC_BAD_FILE);
    csc_error_clear(cx);
    CHECK(open_close(in_folder("nothing")) == CSC_IO && open_close(folder) == CSC_BAD_FILE);
    csc_error_clear(cx);
}

TEST(weights_types) { /* F16, BF16, F64, I64, U8 become floats */
    const char *header = "{\"h\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},\"b\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[6,8]},"
                         "\"d\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[8,16]},\"i\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[16,24]}}";
    char file[1024] = {0};
    size_t len = strlen(header);
    uint16_t half[4] = {0x3c00, 0xc100, 0x0001, 0x4049};
    double d = 2.5;
    int64_t w = -7;
    file[0] = (char)len;
    file[1] = (char)(len >> 8);
    memcpy(file + 8, header, len);
    memcpy(file + 8 + len, half, 8);
    memcpy(file + 16 + len, &d, 8);
    memcpy(file + 24 + len, &w, 8);
    spill(in_folder("types"), file, 32 + len);
    csc_tensors *t;
    float x[3];
    CHECK(csc_tensors_open(cx, in_folder("types"), &t) == CSC_OK);
    CHECK(csc_tensors_read(t, csc_tensors_find(t, "h"), x) == CSC_OK && x[0] == 1 && x[1] == -2.5f && x[2] == 0x1p-24f);
    CHECK(csc_tensors_read(t, csc_tensors_find(t, "b"), x) == CSC_OK && x[0] == 3.140625f);
    CHECK(csc_tensors_read(t, csc_tensors_find(t, "d"), x) == CSC_OK && x[0] == 2.5f);
    CHECK(csc_tensors_read(t, csc_tensors_find(t, "i"), x) == CSC_OK && x[0] == -7);
    csc_tensors_close(t);
}

TEST(disk_full) { /* the old file stays, no temporary is left */
    static char before[1 << 14], after[1 << 14];
    csc_net *n;
    const char *path = in_folder("full.safetensors");
    CHECK(csc_net_new(cx, &projected_model, &projected_info, NULL, &n) == CSC_OK && csc_net_init(n, 3) == CSC_OK && csc_weights_save(n, path) == CSC_OK);
    size_t len = slurp(path, before, sizeof before);
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 2000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    csc_status s = csc_weights_save(n, path);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(s == CSC_IO && strstr(csc_error(cx), "full.safetensors"));
    csc_error_clear(cx);
    CHECK(slurp(path, after, sizeof after) == len && !memcmp(before, after, len));
    char temp[200];
    snprintf(temp, sizeof temp, "%s.tmp.%ld", path, (long)getpid());
    CHECK(access(temp, F_OK) != 0);
    CHECK(csc_file_write(cx, "/dev/full/x", "x", 1) == CSC_IO);
    csc_error_clear(cx);
    csc_net_free(n);
}

TEST(bad_tables) {
    csc_tensor_info t = {.name = "x", .rank = 1, .dim = {1105}};
    csc_net_info info = {.params = &t, .nparams = 1};
    csc_net *n;
    CHECK(csc_net_new(cx, &projected_model, &info, NULL, &n) == CSC_BAD_ARGUMENT && n == NULL);
    csc_error_clear(cx);
    t.dim[0] = INT64_MAX;
    t.turns = 3;
    CHECK(csc_net_new(cx, &projected_model, &info, NULL, &n) == CSC_BAD_ARGUMENT);
    csc_error_clear(cx);
}

TEST(learning_rates) {
    int64_t at[] = {2, 4};
    csc_optimizer o = {.lr = 1, .schedule = {.kind = CSC_STEP_DECAY, .at = at, .nat = 2, .by = 0.1}};
    CHECK_NEAR(csc_learning_rate(&o, 19, 10, 6), 1, 1e-12);
    CHECK_NEAR(csc_learning_rate(&o, 20, 10, 6), 0.1, 1e-12);
    CHECK_NEAR(csc_learning_rate(&o, 59, 10, 6), 0.01, 1e-12);
    o.schedule = (csc_schedule){.kind = CSC_STEP_DECAY, .every = 3, .by = 0.5};
    CHECK_NEAR(csc_learning_rate(&o, 69, 10, 9), 0.25, 1e-12);
    o.schedule = (csc_schedule){.kind = CSC_COSINE, .to = 0.2};
    CHECK_NEAR(csc_learning_rate(&o, 0, 10, 2), 1, 1e-12);
    CHECK_NEAR(csc_learning_rate(&o, 19, 10, 2), 0.2, 1e-12);
    o.schedule = (csc_schedule){.kind = CSC_COSINE, .to = 0.2, .warmup_epochs = 1};
    CHECK_NEAR(csc_learning_rate(&o, 0, 10, 2), 0.1, 1e-12);
    CHECK_NEAR(csc_learning_rate(&o, 9, 10, 2), 1, 1e-12);
    CHECK_NEAR(csc_learning_rate(&o, 19, 10, 2), 0.2, 1e-12);
}

int main(int argc, char **argv) {
    cx = csc_context_new();
    snprintf(folder, sizeof folder, "%s/csc-runtime-XXXXXX", getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    if (!cx || !mkdtemp(folder)) return 2;
    const Case cases[] = {T(philox), T(pool), T(small_launches_wake_nobody), T(long_tasks_begin_together), T(constraints), T(orthogonal_is_nearest), T(init_by_name), T(init_entry), T(held_parameters), T(weights_round_trip),
                          T(weights_damaged), T(weights_hostile), T(weights_types), T(disk_full), T(bad_tables), T(learning_rates)};
    int bad = run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
    if (*csc_error(cx)) printf("# a message was left: %s\n", csc_error(cx));
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0) bad = 1;
    csc_context_free(cx);
    return bad;
}
