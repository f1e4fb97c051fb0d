/* Runs one entry of a library as a program without the compiler would: bench_library FOLDER ENTRY BATCH SECONDS [threads [prepared]]. The folder is what
   bench_entry left (CSC_LIBRARY). Prints milliseconds a call (median, best; processor time at one thread), and by how much resident memory
   grew from before the library was loaded to the end of the third call, in bytes; leaves grads.f32, out0.f32, ... and the new states.f32 of the first call.
   `prepared`: what the entry makes of the parameters alone is made once, before the first call.
   SECONDS = serve: for each number n on standard input it then makes n calls and answers with the median of their milliseconds; 0: with the
   multiply-adds this processor does a second. A measurement, not a test. */
#include "csc.h"
#include "csc_model.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t c) {
    struct timespec t;
    clock_gettime(c, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static long resident(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static void *block(size_t n) { /* as the system gives it: pages that are not touched cost nothing */
    void *p = aligned_alloc(64, (n + 127) / 64 * 64);
    if (!p) exit(2);
    return p;
}

static float *read_floats(const char *folder, const char *name, size_t *n) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    struct stat s;
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &s)) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    float *p = block((size_t)s.st_size);
    *n = fread(p, sizeof *p, (size_t)s.st_size / sizeof *p, f);
    fclose(f);
    return p;
}

static void read_sizes(const char *folder, size_t batch, size_t sizes[64]) { /* floats of each output */
    char path[4096];
    snprintf(path, sizeof path, "%s/call", folder);
    FILE *f = fopen(path, "r");
    int batched;
    if (!f || fscanf(f, "%*f") < 0) exit(1);
    for (int i = 0; i < 64 && fscanf(f, "%zu %d", &sizes[i], &batched) == 2; i++) sizes[i] *= batched ? batch : 1;
    fclose(f);
}

static void write_floats(const char *folder, const char *name, const float *p, size_t n) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, sizeof *p, n, f) != n || fclose(f)) exit(1);
}

/* Multiply-adds a second from registers, 10^9 operations: the best of a few tries by processor time; or for a tenth of a second by the time
   that passes, so that several processes run at once and what they wait for counts. 0: another processor. */
#if defined __x86_64__
typedef float V16 __attribute__((vector_size(64)));
__attribute__((target("avx512f,fma"), optimize("fp-contract=fast"))) static double peak(bool passed) {
    if (!__builtin_cpu_supports("avx512f")) return 0;
    enum { ACC = 16, TURNS = 200000 };
    clockid_t clock = passed ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID;
    double best = 0, begun = seconds(clock), done = 0;
    for (int t = 0; passed ? seconds(clock) < begun + 0.1 : t < 4; t++) {
        V16 acc[ACC], a = (V16){0} + 0.999f, b = (V16){0} + 0.001f;
        for (int i = 0; i < ACC; i++) acc[i] = b;
        double start = seconds(clock);
        for (int n = 0; n < TURNS; n++) {
#pragma GCC unroll 16
            for (int i = 0; i < ACC; i++) acc[i] = acc[i] * a + b;
        }
        double work = 2.0 * 16 * ACC * TURNS * 1e-9, rate = work / (seconds(clock) - start);
        done += work;
        for (int i = 1; i < ACC; i++) acc[0] += acc[i];
        if (acc[0][0] > 0 && rate > best) best = rate;
    }
    return passed ? done / (seconds(clock) - begun) : best;
}
#else
static double peak(bool passed) { return 0; }
#endif

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "peak")) return printf("%.1f\n", peak(true)), 0;
    if (argc < 5) return fprintf(stderr, "usage: %s FOLDER ENTRY BATCH SECONDS [threads [prepared]]\n", argv[0]), 1;
    const char *folder = argv[1];
    size_t batch = (size_t)atoll(argv[3]), n;
    int threads = argc > 5 ? atoi(argv[5]) : 1;
    float *in[32], *out[64];
    char name[4096];
    float *params = read_floats(folder, "params.f32", &n), *states = read_floats(folder, "states.f32", &n);
    for (int i = 0; i < 32; i++) {
        snprintf(name, sizeof name, "%s/in%d.f32", folder, i);
        if (access(name, R_OK)) break;
        snprintf(name, sizeof name, "in%d.f32", i);
        in[i] = read_floats(folder, name, &n);
    }
    size_t sizes[64];
    read_sizes(folder, batch, sizes);
    long before = resident();
    snprintf(name, sizeof name, "%s/model.so", folder);
    void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!lib) return fprintf(stderr, "%s\n", dlerror()), 1;
    const csc_model *(*query)(uint32_t);
    *(void **)&query = dlsym(lib, "csc_model_query");
    const csc_model *m = query(CSC_MODEL_VERSION);
    const csc_entry *e = NULL;
    for (uint32_t i = 0; i < m->entry_count; i++)
        if (!strcmp(m->entries[i].name, argv[2])) e = &m->entries[i];
    if (!e) return fprintf(stderr, "no entry %s\n", argv[2]), 1;
    csc_pool *pool = threads > 1 ? csc_pool_new(threads) : NULL;
    float *grads = block(m->param_floats * 4);
    for (uint32_t i = 0; i < e->nout; i++) out[i] = block(sizes[i] * 4);
    csc_call call = {.size = sizeof call, .batch = (uint32_t)batch, .in = (const float *const *)in, .out = out, .params = params, .grads = grads,
                     .state = states, .state_out = states, .tunables = m->tunable_defaults, .pool = pool,
                     .parallel_for = pool ? csc_pool_parallel_for : NULL, .threads = pool ? (uint32_t)threads : 0};
    call.workspace = block(e->fixed_bytes + batch * e->batch_bytes + e->thread_bytes);
    bool prepared = argc > 6 && !strcmp(argv[6], "prepared") && e->prepare;
    if (prepared) {
        call.prepared = block(e->prepared_bytes);
        if (e->prepare(&call)) return fprintf(stderr, "nothing can be prepared\n"), 1;
    }
    clockid_t clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double t[4000], end = seconds(CLOCK_MONOTONIC) + atof(argv[4]);
    int calls = 0;
    long grown = 0;
    while (calls < 4000 && (calls < 3 || seconds(CLOCK_MONOTONIC) < end)) {
        double start = seconds(clock);
        if (e->run(&call)) return fprintf(stderr, "the entry refuses the call\n"), 1;
        t[calls++] = seconds(clock) - start;
        if (calls == 3) grown = resident() - before;
        if (calls > 1) continue;
        write_floats(folder, "grads.f32", grads, m->param_floats);
        write_floats(folder, "states.f32", states, m->state_floats);
        for (uint32_t i = 0; i < e->nout; i++) {
            snprintf(name, sizeof name, "out%u.f32", i);
            write_floats(folder, name, out[i], sizes[i]);
        }
    }
    qsort(t, (size_t)calls, sizeof *t, by_value);
    printf("median_ms %.4f best_ms %.4f calls %d grown_bytes %ld param_bytes %llu workspace_bytes %llu\n", 1e3 * t[calls / 2], 1e3 * t[0], calls, grown,
           (unsigned long long)m->param_floats * 4, (unsigned long long)(e->fixed_bytes + batch * e->batch_bytes + e->thread_bytes));
    fflush(stdout);
    if (strcmp(argv[4], "serve")) return 0;
    while (scanf("%d", &calls) == 1 && calls <= 4000) {
        for (int i = 0; i < calls; i++) {
            double start = seconds(clock);
            if (e->run(&call)) return 1;
            t[i] = seconds(clock) - start;
        }
        qsort(t, (size_t)calls, sizeof *t, by_value);
        printf("%.6f\n", calls ? 1e3 * t[calls / 2] : peak(false));
        fflush(stdout);
    }
    return 0;
}
