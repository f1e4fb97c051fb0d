/* The host's half of a library for GPUs (cuda_library.c), built here with the tree's sanitizers, over the toy's launch program and the stand-ins. What
   cscc makes of it, linked, is tests/cli/cuda_build.sh's. */
#include "check.h"
#include "csc_model.h"
#include "cuda_program.h"
#include "runtime_toy.h"
#include "runtime_words.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 1 << 21, BATCH = 37, PARAMS_AT = 64, STATES_AT = PARAMS_AT + 4 * TOY_FLOATS, PROGRAM_AT = STATES_AT + 64 };
struct {
    csc_library_head head;
    _Alignas(64) char rest[ROOM];
} csc_library_data;
static csc_context *cx;

static char *place(uint64_t at) { return (char *)&csc_library_data + at; }

/* The toy's program, whose steps draw random numbers, with an image of each kernel for sm_90a, packed where cscc would have linked it. */
static bool link_in(void) {
    toy_draws = TOY_DRAWS_MORE;
    Words w = toy_program(true);
    csc_program *p;
    csc_kernel_text k[16] = {0};
    if (csc_program_read(cx, w.at, w.n * 8, &p) != CSC_OK) return false;
    for (int64_t i = 0; i < p->nkernels; i++) k[i] = (csc_kernel_text){.name = p->kernel[i].name, .text = p->kernel[i].source.at, .len = p->kernel[i].source.len};
    if (csc_kernels_compile(cx, "sm_90a", k, (int)p->nkernels, NULL) != CSC_OK) return false;
    toy_images = (ToyImages){"sm_90a", k};
    free(w.at);
    w = toy_program(true);
    csc_library_head *h = &csc_library_data.head;
    *h = (csc_library_head){.bytes = w.n * 8, .program = PROGRAM_AT, .params = PARAMS_AT, .states = STATES_AT};
    size_t packed;
    char *bytes = csc_pack(w.at, w.n * 8, &packed);
    bool fits = bytes && packed <= sizeof csc_library_data - PROGRAM_AT;
    if (fits) memcpy(place(PROGRAM_AT), bytes, h->packed = packed);
    for (int i = 0; i < TOY_FLOATS; i++) ((float *)(void *)place(PARAMS_AT))[i] = (float)((i * 37) % 19) / 19 - 0.5f;
    *(float *)(void *)place(STATES_AT) = 7;
    for (int64_t i = 0; i < p->nkernels; i++) free(k[i].image);
    free(bytes);
    free(w.at);
    csc_program_free(p);
    return fits;
}

/* A process has one such library, and it is never closed: each case is a process. */
static void alone(void (*body)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (setjmp(check_out) == 0) {
            body();
            exit(0);
        }
        exit(1);
    }
    int how = -1;
    if (child < 0 || waitpid(child, &how, 0) != child || how) FAIL("the process of this case ended with %d", WIFEXITED(how) ? WEXITSTATUS(how) : how);
}

typedef struct Call { /* one call's memory, of exactly the size that it should have */
    csc_call c;
    float *in[2], *out[2], *grads, *state;
} Call;

static const csc_entry *entry_of(const csc_model *m, const char *name) {
    for (uint32_t i = 0; i < m->entry_count; i++)
        if (!strcmp(m->entries[i].name, name)) return &m->entries[i];
    FAIL("there is no entry %s", name);
}

static Call call_new(const csc_model *m, const csc_entry *e, uint32_t batch) {
    size_t in[2] = {64, 1}, out[2] = {1, 1};
    bool init = !strcmp(e->name, "init"), forward = !strcmp(e->name, "forward"), batched = forward;
    if (init || forward) out[0] = 10;
    Call k = {.grads = malloc(4 * TOY_FLOATS), .state = malloc(64)};
    for (uint32_t i = 0; i < e->nin; i++) {
        k.in[i] = malloc(4 * batch * in[i]);
        for (size_t j = 0; j < batch * in[i]; j++) k.in[i][j] = i ? (float)(j % 10) : (float)(j % 13) / 13;
    }
    for (uint32_t i = 0; i < e->nout; i++) k.out[i] = calloc((batched ? batch : 1) * out[i], 4);
    for (int i = 0; i < TOY_FLOATS; i++) k.grads[i] = (float)i; /* what is not written stays */
    for (int i = 0; i < 16; i++) k.state[i] = (float)i;
    k.c = (csc_call){.size = sizeof k.c, .batch = batch, .params = m->params, .grads = k.grads, .state = m->state, .state_out = k.state, .tunables = m->tunable_defaults};
    return k;
}

static int called(const csc_entry *e, Call *k) {
    k->c.in = (const float *const *)k->in, k->c.out = k->out;
    return e->run(&k->c);
}

static void call_free(Call *k) {
    for (int i = 0; i < 2; i++) free(k->in[i]), free(k->out[i]);
    free(k->grads);
    free(k->state);
}

static const csc_model *library(void) {
    CHECK(!csc_model_query(0));
    const csc_model *m = csc_model_query(CSC_MODEL_VERSION);
    CHECK(m && m->entry_count == 5 && m->param_floats == TOY_FLOATS && m->state[0] == 7);
    return m;
}

static void numbers(void) {
    static const char *const names[] = {"step", "eval", "forward", "init", "step"};
    static const uint32_t batches[] = {3, BATCH, 1, 3, 3, BATCH, 3};
    const csc_model *m = library();
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            const csc_entry *e = entry_of(m, names[n]), *toy = entry_of(&toy_model, names[n]);
            Call k = call_new(m, e, batches[b]), t = call_new(m, toy, batches[b]);
            float own[TOY_FLOATS], in_place[16] = {7};
            memcpy(own, m->params, sizeof own);
            if (b == 1) k.c.params = own; /* the caller's, not those inside */
            if (n == 4) k.c.state = k.c.state_out = in_place;
            k.c.seed = 3, k.c.step = b, k.c.first_sample = n;
            int64_t by = (int64_t)(3 + b + n) % 5;
            t.c.workspace = malloc((size_t)toy->batch_bytes * batches[b] + 64);
            if (called(e, &k)) FAIL("%s: %s", e->name, m->error());
            CHECK(called(toy, &t) == 0);
            bool step = !strcmp(e->name, "step");
            for (int i = 0; i <= by && step; i++) t.grads[i] += (float)by / 1000;
            if (step && b % 3) t.grads[0] += 1.f / 1000;
            for (int i = 0; i < TOY_FLOATS; i++) CHECK_NEAR(k.grads[i], t.grads[i], 1e-5);
            CHECK((n == 4 ? in_place[0] : k.state[0]) == t.state[0]);
            for (uint32_t i = 0; i < e->nout; i++) CHECK_NEAR(k.out[i][0], t.out[i][0], 1e-5);
            free(t.c.workspace);
            call_free(&k);
            call_free(&t);
        }
}
TEST(a_library_gives_the_processors_numbers) { alone(numbers); }

static void late(void) {
    setenv("CSC_SHIM_LAZY", "1", 1);
    numbers();
}
TEST(also_where_all_work_is_late) { alone(late); }

/* From the second call on a graph, with the integers of the call; those of more batches than are kept are made again. */
static char counts[60];
static void often(void) {
    const csc_model *m = library();
    const csc_entry *e = entry_of(m, "step");
    setenv("CSC_SHIM_LOG", counts, 1);
    uint32_t most = getenv("CSC_MANY") ? 20 : 2;
    for (uint64_t turn = 0; turn < 9; turn++)
        for (uint32_t batch = most; batch; batch--) {
            Call k = call_new(m, e, batch);
            k.c.step = 3 * turn;
            for (int i = 0; i < TOY_FLOATS; i++) k.grads[i] = 0;
            if (called(e, &k)) FAIL("%s", m->error());
            float more = (float)(3 * turn % 5) / 1000, grad = k.grads[0];
            k.c.step = 0;
            if (called(e, &k)) FAIL("%s", m->error());
            CHECK_NEAR(grad, k.grads[0] + more, 1e-6);
            call_free(&k);
        }
}
static void graphs_of(const char *many, long long launched, long long made) {
    long long graphs = -1, launches = -1;
    char line[400];
    if (many) setenv("CSC_MANY", many, 1);
    alone(often);
    unsetenv("CSC_MANY");
    FILE *f = fopen(counts, "r");
    while (f && fgets(line, sizeof line, f)) sscanf(line, "calls %*d launches %*d blocks %*d copies %*d graphs %lld graph_launches %lld", &graphs, &launches);
    if (f) fclose(f);
    remove(counts);
    if (launches != launched || graphs != made) FAIL("%lld launches of %lld graphs", launches, graphs);
}
TEST(calls_again_are_graphs) {
    enum { PIECES = 10 * (5 + 1) + 5 + 1 + 1, RUN = 31 }; /* a graph's: questions of two loops, their ends, the step's; those that are launched */
    graphs_of(NULL, 17 * 2 * RUN, 2 * PIECES);
    graphs_of("1", 9 * 20 * RUN, 9 * 20 * PIECES);
    setenv("CSC_GRAPHS", "off", 1);
    graphs_of(NULL, 0, 0);
    unsetenv("CSC_GRAPHS");
}

static void wrong(void) {
    const csc_model *m = library();
    const csc_entry *e = entry_of(m, "step");
    CHECK(e->run(NULL) == 1);
    Call k = call_new(m, e, 2);
    k.c.batch = 0;
    CHECK(called(e, &k) == 1);
    k.c.batch = 2, k.c.size--;
    CHECK(called(e, &k) == 1);
    k.c.size++, k.c.grads = NULL;
    CHECK(called(e, &k) == 1);
    call_free(&k);
}
TEST(calls_that_cannot_be_are_refused) { alone(wrong); }

static const char *variable, *setting, *text;
static void trouble(void) { /* once said, said again; and nothing is left of the first try */
    const csc_model *m = library();
    const csc_entry *e = entry_of(m, "step");
    setenv(variable, setting, 1);
    for (int i = 0; i < 2; i++) {
        Call k = call_new(m, e, BATCH);
        CHECK(called(e, &k) == 2);
        if (!i && !strstr(m->error(), text)) FAIL("it says: %s", m->error());
        call_free(&k);
    }
}
TEST(trouble_is_said) {
    static const char *const list[][3] = {
        {"CSC_CUDA_DRIVER", "/none.so", "no CUDA driver was found"}, {"CSC_SHIM_CC", "80", "no code for"}, {"CSC_SHIM_MEMORY", "5000", "a batch of 37 needs 0.0 MB, 0.0 MB are free; no batch fits"},
        {"CSC_SHIM_MEMORY", "13000", "; a batch of "},
        {"CSC_SHIM_FAIL", "cuModuleLoadData:3", "cuModuleLoadData"}, {"CSC_SHIM_FAIL", "cuEventCreate:2", "cuEventCreate"}, {"CSC_SHIM_FAIL", "cuMemHostAlloc:1", "cuMemHostAlloc"},
        {"CSC_SHIM_FAIL", "cuMemcpyHtoDAsync_v2:2", "cuMemcpyHtoDAsync"}, {"CSC_SHIM_FAIL", "cuLaunchKernel:5", "cuLaunchKernel"},
        {"CSC_SHIM_FAIL", "cuEventSynchronize:2", "cuEventSynchronize"}, {"CSC_SHIM_FAIL", "cuMemcpyDtoHAsync_v2:1", "cuMemcpyDtoHAsync"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        variable = list[i][0], setting = list[i][1], text = list[i][2];
        alone(trouble);
    }
}

static void damaged(void) {
    place(PROGRAM_AT)[100] ^= 1;
    CHECK(!csc_model_query(CSC_MODEL_VERSION));
}
TEST(what_is_damaged_is_no_model) { alone(damaged); }

static void *again(void *arg) {
    const csc_model *m = arg;
    const csc_entry *e = entry_of(m, "forward");
    for (uint32_t i = 1; i < 9; i++) {
        Call k = call_new(m, e, 3 * i % 8 + 1), t = call_new(m, e, k.c.batch);
        t.c.in = (const float *const *)t.in, t.c.out = t.out;
        bool bad = called(e, &k) || toy_forward(&t.c) || !(fabs(k.out[0][0] - t.out[0][0]) < 1e-4);
        call_free(&k);
        call_free(&t);
        if (bad) return arg;
    }
    return NULL;
}
static void threads(void) {
    pthread_t id[3];
    void *bad;
    const csc_model *m = library();
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&id[i], NULL, again, (void *)(uintptr_t)m) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(id[i], &bad) == 0 && !bad);
}
TEST(several_threads_may_call) { alone(threads); }

int main(int argc, char **argv) {
    char cache[] = "/tmp/csc-library-XXXXXX", command[100];
    if (!mkdtemp(cache)) return 2;
    setenv("CSC_CUDA_DRIVER", SHIM_CUDA, 1);
    setenv("CSC_NVRTC", SHIM_NVRTC, 1);
    setenv("CSC_CACHE", cache, 1);
    snprintf(counts, sizeof counts, "%s.log", cache);
    cx = csc_context_new();
    if (!link_in()) return printf("FAIL link_in: %s\n", csc_error(cx)), 1;
    static const Case list[] = {T(a_library_gives_the_processors_numbers), T(also_where_all_work_is_late), T(calls_again_are_graphs), T(calls_that_cannot_be_are_refused), T(trouble_is_said),
                                T(what_is_damaged_is_no_model), T(several_threads_may_call)};
    int bad = run_tests(argc, argv, list, sizeof list / sizeof *list);
    csc_context_free(cx);
    snprintf(command, sizeof command, "rm -rf '%s'", cache);
    return system(command) ? 2 : bad;
}
