/* Training with the toy model on the real digits: it learns, it is the same for any number of threads, it survives being killed. */
#include "check.h"
#include "runtime_toy.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static csc_context *cx;
static char folder[64];
static const char *const images = CSC_SOURCE_DIR "/examples/data/digits-images-idx3-ubyte.gz";
static const char *const labels = CSC_SOURCE_DIR "/examples/data/digits-labels-idx1-ubyte.gz";

typedef struct Job {
    csc_data *train, *test;
    csc_pool *pool;
    csc_net *net;
    csc_stage stage[2];
    csc_train_options o;
    char dir[160];
} Job;

static csc_data *digits(csc_split split) {
    csc_data_spec s = {.kind = CSC_DATA_IDX, .split = split, .path = {images, labels}, .test_every = 5, .scale = 16};
    csc_data *d = NULL;
    csc_data_open(cx, &s, &d);
    return d;
}

static const csc_augment moves[] = {{.kind = CSC_STANDARDIZE}, {.kind = CSC_TRANSLATE, .by = 1}, {.kind = CSC_NOISE, .sigma = 0.01}};

static void job_open(Job *j, const char *dir, int threads, csc_optimizer_kind kind) {
    *j = (Job){.train = digits(CSC_TRAIN), .test = digits(CSC_TEST), .pool = threads ? csc_pool_new(threads) : NULL};
    CHECK(j->train && j->test);
    CHECK(csc_net_new(cx, &toy_model, &toy_info, j->pool, &j->net) == CSC_OK && csc_net_init(j->net, 5) == CSC_OK);
    static const int only[] = {1};
    static const char *const probe_names[] = {"x", "h"};
    j->stage[0] = (csc_stage){.name = "one", .step_entry = "step", .eval_entry = "eval", .probe_entry = "probe", .data = j->train, .test = j->test,
                              .probe_names = probe_names, .inputs = toy_inputs, .ninputs = 2, .augment = moves,
                              .naugment = 3, .epochs = 3, .batch = 50, .metrics = toy_metrics, .nmetrics = 1,
                              .optimizer = {.kind = kind, .lr = kind == CSC_SGD ? 0.1 : 0.01, .momentum = 0.9, .weight_decay = 1e-4}};
    j->stage[1] = j->stage[0];
    j->stage[1].name = "two";
    j->stage[1].epochs = 1;
    j->stage[1].only = only;
    j->stage[1].nonly = 1;
    snprintf(j->dir, sizeof j->dir, "%s/%s", folder, dir);
    j->o = (csc_train_options){.stages = j->stage, .nstages = 2, .seed = 11, .run_dir = j->dir, .keep = 2, .best_metric = 0};
}

static void job_close(Job *j) {
    csc_net_free(j->net);
    csc_pool_free(j->pool);
    csc_data_close(j->train);
    csc_data_close(j->test);
}

static const char *inside(const Job *j, const char *name) {
    static char path[4][300];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, 300, "%s/%s", j->dir, name);
    return p;
}

/* All tensors, and all that is noted beside them but the length of the log (its lines hold times). */
static bool same_files(const char *a, const char *b) {
    csc_tensors *f, *g;
    static float x[4096], y[4096];
    if (csc_tensors_open(cx, a, &f) != CSC_OK || csc_tensors_open(cx, b, &g) != CSC_OK) return false;
    bool same = csc_tensors_count(f) == csc_tensors_count(g) && csc_tensors_metadata_count(f) == csc_tensors_metadata_count(g);
    for (int i = 0; same && i < csc_tensors_count(f); i++) {
        const csc_file_tensor *t = csc_tensors_at(f, i), *u = csc_tensors_at(g, i);
        same = !strcmp(t->name, u->name) && t->bytes == u->bytes && t->bytes <= sizeof x && csc_tensors_read(f, i, x) == CSC_OK &&
               csc_tensors_read(g, i, y) == CSC_OK && !memcmp(x, y, t->bytes);
    }
    for (int i = 0; same && i < csc_tensors_metadata_count(f); i++) {
        const char *k, *v, *k2, *v2;
        csc_tensors_metadata_at(f, i, &k, &v);
        csc_tensors_metadata_at(g, i, &k2, &v2);
        same = !strcmp(k, k2) && (!strcmp(k, "log_bytes") || !strcmp(v, v2));
    }
    csc_tensors_close(f);
    csc_tensors_close(g);
    return same;
}

static void message(csc_status s) {
    if (s != CSC_OK) FAIL("%s: %s", csc_status_name(s), csc_error(cx));
}

TEST(learns) {
    Job j;
    job_open(&j, "learns", 2, CSC_SGD);
    j.stage[0].naugment = j.stage[1].naugment = 1; /* a linear classifier cannot follow digits that move */
    CHECK(csc_data_count(j.test) == 359 && csc_data_count(j.train) == 1438);
    message(csc_train(j.net, &j.o));
    csc_eval_result r;
    message(csc_eval(j.net, &j.stage[0], j.test, 11, NULL, &r));
    CHECK(r.samples == 359);
    CHECK_NEAR(r.metric[0], 0.95, 0.02); /* what a linear classifier reaches */
    CHECK(csc_net_states(j.net)[0] == 4 * 29);
    CHECK(access(inside(&j, "best.safetensors"), R_OK) == 0 && access(inside(&j, "epoch-0004.safetensors"), R_OK) == 0);
    CHECK(access(inside(&j, "epoch-0003.safetensors"), R_OK) == 0 && access(inside(&j, "epoch-0002.safetensors"), R_OK) != 0);
    FILE *f = fopen(inside(&j, "metrics.jsonl"), "r");
    int lines = 0;
    for (int c; (c = getc(f)) != EOF;) lines += c == '\n';
    fclose(f);
    CHECK(lines == 5);
    j.o.resume = true; /* nothing is left to do */
    message(csc_train(j.net, &j.o));
    job_close(&j);
}

TEST(threads_and_prefetch_change_nothing) {
    static const csc_optimizer_kind kinds[] = {CSC_SGD, CSC_ADAM, CSC_ADAMW};
    for (int k = 0; k < 3; k++) {
        Job a, b, c;
        job_open(&a, "t1", 1, kinds[k]);
        job_open(&b, "t2", 2, kinds[k]);
        job_open(&c, "t3", 0, kinds[k]);
        a.o.no_prefetch = true;
        a.stage[0].optimizer.clip = b.stage[0].optimizer.clip = c.stage[0].optimizer.clip = 0.5;
        message(csc_train(a.net, &a.o));
        message(csc_train(b.net, &b.o));
        message(csc_train(c.net, &c.o));
        CHECK(!memcmp(csc_net_params(a.net), csc_net_params(b.net), TOY_FLOATS * 4) && !memcmp(csc_net_params(a.net), csc_net_params(c.net), TOY_FLOATS * 4));
        CHECK(same_files(inside(&a, "last.safetensors"), inside(&b, "last.safetensors")));
        b.o.seed = 12;
        CHECK(csc_net_init(b.net, 5) == CSC_OK);
        message(csc_train(b.net, &b.o));
        CHECK(memcmp(csc_net_params(a.net), csc_net_params(b.net), TOY_FLOATS * 4));
        job_close(&a);
        job_close(&b);
        job_close(&c);
    }
}

TEST(stop_and_go_on) { /* stopped at every few steps, also in the middle of an epoch: the same bits */
    Job whole, parts;
    job_open(&whole, "whole", 1, CSC_ADAM);
    message(csc_train(whole.net, &whole.o));
    job_open(&parts, "parts", 2, CSC_ADAM);
    parts.o.max_steps = 13;
    csc_status s = csc_train(parts.net, &parts.o);
    for (int turns = 0; s == CSC_INTERRUPTED && turns < 100; turns++) {
        job_close(&parts); /* as a new process would: nothing but the folder is left */
        job_open(&parts, "parts", 1 + turns % 2, CSC_ADAM);
        CHECK(csc_net_init(parts.net, 99) == CSC_OK);
        parts.o.seed = 77; /* the run's own seed is in the file */
        parts.o.max_steps = 13;
        parts.o.resume = true;
        s = csc_train(parts.net, &parts.o);
    }
    message(s);
    CHECK(!memcmp(csc_net_params(whole.net), csc_net_params(parts.net), TOY_FLOATS * 4));
    CHECK(csc_net_states(whole.net)[0] == csc_net_states(parts.net)[0]);
    CHECK(same_files(inside(&whole, "epoch-0003.safetensors"), inside(&parts, "epoch-0003.safetensors")));
    job_close(&whole);
    job_close(&parts);
}

TEST(killed) { /* kill -9 at random moments, again and again */
    Job whole;
    job_open(&whole, "unkilled", 1, CSC_SGD);
    whole.stage[0].epochs = 6;
    message(csc_train(whole.net, &whole.o));
    uint32_t random[4], seed[2] = {1, 2};
    int done = 0;
    for (uint32_t turn = 0; turn < 60 && !done; turn++) {
        fflush(stdout);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            Job j;
            job_open(&j, "killed", 2, CSC_SGD);
            j.stage[0].epochs = 6;
            j.o.save_steps = 3;
            j.o.resume = access(inside(&j, "last.safetensors"), R_OK) == 0;
            _exit(csc_train(j.net, &j.o) == CSC_OK ? 0 : 1);
        }
        csc_philox(seed, (uint32_t[]){turn, 0, 0, 0}, random);
        struct timespec t = {0, 2000000 + random[0] % (turn < 40 ? 40000000 : 400000000)};
        nanosleep(&t, NULL);
        kill(pid, SIGKILL);
        int how;
        waitpid(pid, &how, 0);
        if (WIFEXITED(how)) {
            CHECK(WEXITSTATUS(how) == 0);
            done = 1;
        }
    }
    Job j;
    job_open(&j, "killed", 1, CSC_SGD);
    j.stage[0].epochs = 6;
    j.o.resume = true;
    message(csc_train(j.net, &j.o));
    CHECK(!memcmp(csc_net_params(whole.net), csc_net_params(j.net), TOY_FLOATS * 4));
    char command[400], line[300];
    snprintf(command, sizeof command, "ls %s | grep -c tmp; wc -l < %s", j.dir, inside(&j, "metrics.jsonl"));
    FILE *p = popen(command, "r");
    CHECK(p && fgets(line, sizeof line, p));
    CHECK_STR(line, "0\n"); /* what was half written is cleared away */
    CHECK(fgets(line, sizeof line, p) && atoi(line) == 8); /* and no epoch is logged twice */
    pclose(p);
    job_close(&j);
    job_close(&whole);
}

static volatile sig_atomic_t flag;
static int calls;
static void raise_flag(void *user, const csc_progress *p) {
    (void)user;
    calls++;
    if (p->epoch_done) flag = 0;
    else if (calls == 10) flag = 1;
}

/* ---- a step takes no memory: every way to malloc is counted, in all threads */
static atomic_long allocations;
#ifdef __SANITIZE_ADDRESS__
enum { COUNTED = 0 };
#else
enum { COUNTED = 1 };
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void *malloc(size_t n) { return atomic_fetch_add(&allocations, 1), __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return atomic_fetch_add(&allocations, 1), __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return atomic_fetch_add(&allocations, 1), __libc_realloc(p, n); }
void *aligned_alloc(size_t align, size_t n) { return atomic_fetch_add(&allocations, 1), __libc_memalign(align, n); }
int posix_memalign(void **p, size_t align, size_t n) { return atomic_fetch_add(&allocations, 1), (*p = __libc_memalign(align, n)) ? 0 : ENOMEM; }
#endif

static long before_step, in_steps;
static int counted;
static void count_allocations(void *user, const csc_progress *p) {
    (void)user;
    if (!p->epoch_done && p->epoch > 0 && p->step > 2) in_steps += atomic_load(&allocations) - before_step, counted++;
    before_step = atomic_load(&allocations);
}

TEST(a_step_allocates_nothing) {
    if (!COUNTED) SKIP("the sanitizer has a malloc of its own");
    for (int threads = 1; threads <= 2; threads++)
        for (int kind = 0; kind < 2; kind++) {
            Job j;
            job_open(&j, threads == 1 ? kind ? "none-a" : "none-b" : kind ? "none-c" : "none-d", threads, kind ? CSC_ADAM : CSC_SGD);
            in_steps = counted = 0;
            j.o.progress = count_allocations;
            message(csc_train(j.net, &j.o));
            CHECK(counted > 20 && atomic_load(&allocations) > 10);
            if (in_steps) FAIL("%ld allocations in %d steps, %d threads", in_steps, counted, threads);
            job_close(&j);
        }
}

TEST(interrupted) {
    Job j;
    job_open(&j, "interrupted", 1, CSC_SGD);
    flag = calls = 0;
    j.o.interrupt = &flag;
    j.o.progress = raise_flag;
    CHECK(csc_train(j.net, &j.o) == CSC_INTERRUPTED && calls == 10 && !*csc_error(cx));
    CHECK(csc_net_states(j.net)[0] == 10);
    flag = 0;
    j.o.resume = true;
    message(csc_train(j.net, &j.o));
    CHECK(csc_net_states(j.net)[0] == 4 * 29);
    job_close(&j);
}

TEST(one_process_a_folder) {
    Job a, b;
    job_open(&a, "shared", 1, CSC_SGD);
    fflush(stdout);
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        Job c;
        job_open(&c, "shared", 1, CSC_SGD);
        c.stage[0].epochs = 100000;
        alarm(20);
        close(ready[0]);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        csc_train(c.net, &c.o);
        _exit(0);
    }
    char x;
    CHECK(read(ready[0], &x, 1) == 1);
    char last[300];
    snprintf(last, sizeof last, "%s", inside(&a, "last.safetensors"));
    for (int i = 0; i < 500 && access(last, R_OK) != 0; i++) nanosleep(&(struct timespec){0, 10000000}, NULL);
    job_open(&b, "shared", 1, CSC_SGD);
    csc_status s = csc_train(b.net, &b.o);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    CHECK(s == CSC_IO && strstr(csc_error(cx), "another process is training in"));
    csc_error_clear(cx);
    job_close(&a);
    job_close(&b);
}

TEST(not_finite) {
    Job j;
    job_open(&j, "nan", 1, CSC_SGD);
    static const int64_t floats[] = {TOY_IN, 1};
    j.stage[0].probe_floats = floats;
    csc_net_params(j.net)[TOY_W] = 2e30f; /* logits overflow later: gradient or loss */
    for (int i = 1; i < TOY_B; i++) csc_net_params(j.net)[i] = 1e38f;
    CHECK(csc_train(j.net, &j.o) == CSC_NAN);
    CHECK(strstr(csc_error(cx), "stage one, epoch 1, step 1: the loss is not finite; the first value that is not finite is `h`"));
    csc_error_clear(cx);
    CHECK(csc_net_states(j.net)[0] == 0); /* as before the step */
    CHECK(csc_net_init(j.net, 5) == CSC_OK);
    csc_net_params(j.net)[TOY_B + 3] = NAN;
    CHECK(csc_train(j.net, &j.o) == CSC_NAN && strstr(csc_error(cx), "parameter `logits.bias` is not finite"));
    csc_error_clear(cx);
    CHECK(csc_net_init(j.net, 5) == CSC_OK);
    j.stage[0].optimizer.lr = 1e39;
    CHECK(csc_train(j.net, &j.o) == CSC_NAN && strstr(csc_error(cx), "after its update, parameter logits.weight is not finite"));
    csc_error_clear(cx);
    job_close(&j);
}

TEST(what_does_not_fit) {
    Job j;
    job_open(&j, "misfit", 1, CSC_SGD);
    csc_input in[2] = {toy_inputs[0], toy_inputs[1]};
    j.stage[0].inputs = in;
    in[0].floats = 65;
    CHECK(csc_train(j.net, &j.o) == CSC_MISMATCH);
    CHECK_STR(csc_error(cx), "`X` takes 65 numbers a sample; the data set's image is [1, 8, 8]");
    csc_error_clear(cx);
    in[0].floats = 64;
    in[1].classes = 9;
    CHECK(csc_train(j.net, &j.o) == CSC_MISMATCH);
    CHECK_STR(csc_error(cx), "the data set has 10 classes, label `y` has 9");
    csc_error_clear(cx);
    in[1] = (csc_input){"z", CSC_IN_REAL, 64, 0};
    CHECK(csc_train(j.net, &j.o) == CSC_MISMATCH && strstr(csc_error(cx), "nothing for input `z`"));
    csc_error_clear(cx);
    j.o.resume = true;
    snprintf(j.dir, sizeof j.dir, "%s/%s", folder, "never");
    CHECK(csc_train(j.net, &j.o) == CSC_IO && strstr(csc_error(cx), "never/last.safetensors"));
    csc_error_clear(cx);
    job_close(&j);
}

TEST(sparse_codes) {
    csc_net *n;
    csc_tensor_info p[2] = {toy_params[0], toy_params[1]};
    csc_net_info info = toy_info;
    csc_data *d;
    p[0].fixed = true;
    info.params = p;
    CHECK(csc_net_new(cx, &toy_model, &info, NULL, &n) == CSC_OK && csc_net_init(n, 1) == CSC_OK);
    csc_data_spec s = {.kind = CSC_DATA_SPARSE_CODES, .density = 0.3, .snr = 20, .count = 2000, .seed = 4, .synth_entry = "synth",
                       .rank = {1, 1}, .dim = {{TOY_IN}, {TOY_CLASSES}}};
    message(csc_data_open(cx, &s, &d));
    float y[TOY_IN], z[TOY_CLASSES], clean[TOY_IN], again[TOY_IN];
    CHECK(csc_data_fetch(d, 0, 0, y) == CSC_BAD_ARGUMENT); /* not bound yet */
    csc_error_clear(cx);
    csc_input in[] = {{"x", CSC_IN_TARGET, TOY_CLASSES, 0}, {"y", CSC_IN_REAL, TOY_IN, 0}};
    csc_stage stage = {.name = "s", .eval_entry = "eval", .inputs = in, .ninputs = 2, .batch = 7, .data = d};
    csc_eval_result r;
    csc_status st = csc_eval(n, &stage, d, 1, NULL, &r); /* binds; eval then fails or not, it expects other inputs */
    csc_error_clear(cx);
    (void)st;
    double on = 0, signal = 0, noise = 0;
    for (int64_t i = 0; i < 2000; i++) {
        message(csc_data_fetch(d, i, 1, z));
        message(csc_data_fetch(d, i, 0, y));
        for (int k = 0; k < TOY_CLASSES; k++) on += z[k] != 0;
        const float *in1[] = {z};
        float *out1[] = {clean};
        message(csc_net_run(n, csc_net_entry(n, "synth"), 1, in1, out1, false));
        for (int k = 0; k < TOY_IN; k++) {
            signal += clean[k] * clean[k];
            noise += (y[k] - clean[k]) * (y[k] - clean[k]);
        }
    }
    CHECK_NEAR(on / 20000, 0.3, 0.02);
    CHECK_NEAR(10 * log10(signal / noise), 20, 0.02);
    message(csc_data_fetch(d, 1999, 0, again));
    CHECK(!memcmp(y, again, sizeof y));
    csc_data_close(d);
    csc_net_free(n);
}

int main(int argc, char **argv) {
    cx = csc_context_new();
    snprintf(folder, sizeof folder, "%s/csc-runtime-XXXXXX", getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    if (!cx || !mkdtemp(folder)) return 2;
    const Case cases[] = {T(learns), T(threads_and_prefetch_change_nothing), T(stop_and_go_on), T(killed), T(a_step_allocates_nothing), T(interrupted), T(one_process_a_folder),
                          T(not_finite), T(what_does_not_fit), T(sparse_codes)};
    int bad = run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
    if (*csc_error(cx)) printf("# a message was left: %s\n", csc_error(cx));
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0) bad = 1;
    csc_context_free(cx);
    return bad;
}
