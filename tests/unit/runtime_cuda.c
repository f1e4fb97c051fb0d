/* The runtime on a device, through the stand-ins of tests/shim: the toy model's launch program trains as the toy model does; what is
   missing, old, full or damaged is said. */
#include "check.h"
#include "csc_cache.h"
#include "cuda_exec.h"
#include "runtime_toy.h"
#include "runtime_words.h"
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

static csc_context *cx;
static char folder[64];

static bool says(const char *text) {
    bool found = strstr(csc_error(cx), text) != NULL;
    if (!found) printf("# the message is: %s\n", csc_error(cx));
    csc_error_clear(cx);
    return found;
}

/* ---- programs ---- */
TEST(programs_are_read) {
    Words w = toy_program(false);
    csc_program *p;
    CHECK(csc_program_read(cx, w.at, w.n * 8, &p) == CSC_OK);
    const csc_model *m = csc_program_model(p);
    CHECK(m->entry_count == 5 && m->param_floats == TOY_FLOATS && m->tunable_defaults[0] == 1);
    CHECK_STR(m->entries[0].name, "step");
    CHECK(m->entries[0].nin == 2 && m->entries[0].batch_bytes == 64);
    csc_program_free(p);
    free(w.at);
}

static bool refused(const Words *w, size_t len) {
    csc_program *p = NULL;
    bool bad = csc_program_read(cx, w->at, len, &p) == CSC_BAD_FILE && !p;
    csc_program_free(p);
    csc_error_clear(cx);
    return bad;
}

TEST(programs_cut_short_or_changed_are_refused) {
    Words w = toy_program(true);
    for (size_t n = 0; n < w.n; n++) {
        CHECK(refused(&w, n * 8));
        CHECK(refused(&w, n * 8 + 3));
    }
    for (size_t i = 0; i < w.n; i++) { /* the checksum finds each */
        w.at[i] ^= 1 << i % 23;
        CHECK(refused(&w, w.n * 8));
        w.at[i] ^= 1 << i % 23;
    }
    free(w.at);
}

/* With a checksum that fits: nothing may be read or written outside, whatever the words say. */
TEST(hostile_programs_do_no_harm) {
    Words w = toy_program(true);
    uint64_t s = 7;
    int read = 0;
    for (int turn = 0; turn < 20000; turn++) {
        int64_t old[3];
        size_t at[3];
        for (int k = 0; k < 3; k++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            at[k] = 3 + (s >> 33) % (w.n - 3);
            old[k] = w.at[at[k]];
            static const int64_t values[] = {-1, 0, 1, 2, 7, 1 << 20, INT64_MAX, INT64_MIN, INT64_C(1) << 40, 255};
            if (k <= turn % 3) w.at[at[k]] = (s >> 20) % 3 ? values[(s >> 8) % 10] : old[k] + (int64_t)(s % 5) - 2;
        }
        w_finish(&w);
        csc_program *p = NULL;
        if (csc_program_read(cx, w.at, w.n * 8, &p) == CSC_OK) read++;
        csc_program_free(p);
        csc_error_clear(cx);
        for (int k = 2; k >= 0; k--) w.at[at[k]] = old[k];
    }
    CHECK(read > 100 && read < 19900);
    free(w.at);
}

/* ---- devices ---- */
typedef struct Job {
    csc_program *program;
    csc_device *device;
    csc_data *train, *test;
    csc_net *net;
    csc_stage stage[2];
    csc_train_options o;
    char dir[160];
} Job;

static csc_data *digits(csc_split split) {
    csc_data_spec s = {.kind = CSC_DATA_IDX, .split = split, .path = {CSC_SOURCE_DIR "/examples/data/digits-images-idx3-ubyte.gz", CSC_SOURCE_DIR "/examples/data/digits-labels-idx1-ubyte.gz"},
                       .test_every = 5, .scale = 16};
    csc_data *d = NULL;
    csc_data_open(cx, &s, &d);
    return d;
}

static const csc_constraint all_kinds[] = {{CSC_SPARSE_L1, 0.1}, {CSC_SPARSE_L0, 40}, {CSC_UNIT_ATOMS, 0}, {CSC_ORTHOGONAL, 0}, {CSC_UNIT_COLUMNS, 0}, {CSC_NONNEGATIVE, 0}};
static csc_tensor_info constrained[2];
static csc_net_info constrained_info;

static void job_stages(Job *j, const char *dir, csc_optimizer_kind kind) {
    static const int only[] = {1};
    static const char *const probe_names[] = {"x", "h"};
    static const csc_augment moves[] = {{.kind = CSC_STANDARDIZE}, {.kind = CSC_TRANSLATE, .by = 1}};
    j->stage[0] = (csc_stage){.name = "one", .step_entry = "step", .eval_entry = "eval", .probe_entry = "probe", .probe_names = probe_names, .data = j->train, .test = j->test,
                              .inputs = toy_inputs, .ninputs = 2, .augment = moves, .naugment = 2, .epochs = 3, .batch = 50, .metrics = toy_metrics, .nmetrics = 1,
                              .optimizer = {.kind = kind, .lr = kind == CSC_SGD ? 0.1 : 0.01, .momentum = 0.9, .weight_decay = 1e-4, .clip = 0.5, .nesterov = true}};
    j->stage[1] = j->stage[0];
    j->stage[1].name = "two";
    j->stage[1].epochs = 1;
    j->stage[1].only = only;
    j->stage[1].nonly = 1;
    snprintf(j->dir, sizeof j->dir, "%s/%s", folder, dir);
    j->o = (csc_train_options){.stages = j->stage, .nstages = 2, .seed = 11, .run_dir = dir ? j->dir : NULL, .keep = 2, .best_metric = 0, .save_steps = 7};
}

static bool loops; /* in the launch programs */
static csc_status job_open(Job *j, const char *dir, bool device, csc_optimizer_kind kind, const csc_net_info *info) {
    *j = (Job){.train = digits(CSC_TRAIN), .test = digits(CSC_TEST)};
    CHECK(j->train && j->test);
    const csc_model *m = &toy_model;
    if (device) {
        Words w = toy_program(loops);
        CHECK(csc_program_read(cx, w.at, w.n * 8, &j->program) == CSC_OK);
        free(w.at);
        m = csc_program_model(j->program);
    }
    csc_status s = csc_net_new(cx, m, info, NULL, &j->net);
    if (s == CSC_OK && device) s = csc_device_open(cx, 0, &j->device);
    if (s == CSC_OK && device) s = csc_net_use_device(j->net, j->device, j->program, NULL);
    if (s == CSC_OK) s = csc_net_init(j->net, 5);
    job_stages(j, dir, kind);
    return s;
}

static void job_close(Job *j) {
    csc_net_free(j->net);
    csc_device_close(j->device);
    csc_program_free(j->program);
    csc_data_close(j->train);
    csc_data_close(j->test);
}

static double farthest(const float *a, const float *b, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

static float *copy_params(Job *j) {
    float *p = malloc(4 * TOY_FLOATS);
    memcpy(p, csc_net_params(j->net), 4 * TOY_FLOATS);
    return p;
}

static float *trained(bool device, csc_optimizer_kind kind, const csc_net_info *info, csc_eval_result *e) {
    Job j;
    CHECK(job_open(&j, NULL, device, kind, info) == CSC_OK);
    csc_status s = csc_train(j.net, &j.o);
    if (s) printf("# %s\n", csc_error(cx));
    CHECK(s == CSC_OK);
    CHECK(csc_net_states(j.net)[0] == 4 * 29);
    CHECK(csc_eval(j.net, &j.stage[0], j.test, 1, NULL, e) == CSC_OK);
    float *p = copy_params(&j);
    job_close(&j);
    return p;
}

TEST(a_call_gives_what_the_processor_gives) {
    Job a, b;
    CHECK(job_open(&a, NULL, false, CSC_SGD, &toy_info) == CSC_OK);
    csc_status s = job_open(&b, NULL, true, CSC_SGD, &toy_info);
    if (s) printf("# %s\n", csc_error(cx));
    CHECK(s == CSC_OK);
    CHECK(csc_net_params(b.net)[TOY_B] == 0.25f); /* by the entry init */
    float x[3 * 64], ya[30], yb[30];
    for (int i = 0; i < 3 * 64; i++) x[i] = (float)(i % 7) / 7;
    const float *in[] = {x};
    float *oa[] = {ya}, *ob[] = {yb};
    csc_net_tunables(a.net)[0] = csc_net_tunables(b.net)[0] = 1.5f;
    CHECK(csc_net_run(a.net, csc_net_entry(a.net, "forward"), 3, in, oa, false) == CSC_OK);
    CHECK(csc_net_run(b.net, csc_net_entry(b.net, "forward"), 3, in, ob, false) == CSC_OK);
    CHECK(farthest(ya, yb, 30) < 1e-6);
    csc_net_params(b.net)[TOY_B] += 1; /* the host's change is seen */
    CHECK(csc_net_run(b.net, csc_net_entry(b.net, "forward"), 3, in, ob, false) == CSC_OK);
    CHECK_NEAR(yb[0] - ya[0], 1.5, 1e-5);
    job_close(&a);
    job_close(&b);
}

TEST(training_gives_what_the_processor_gives) {
    static const csc_optimizer_kind kinds[] = {CSC_SGD, CSC_ADAM, CSC_ADAMW};
    for (int k = 0; k < 3; k++) {
        csc_eval_result ea, eb;
        float *a = trained(false, kinds[k], &toy_info, &ea), *b = trained(true, kinds[k], &toy_info, &eb);
        double far = farthest(a, b, TOY_FLOATS);
        if (!(far < 2e-3)) FAIL("optimiser %d: parameters differ by %g", k, far);
        CHECK_NEAR(eb.loss, ea.loss, 1e-3);
        CHECK_NEAR(eb.metric[0], ea.metric[0], 0.01);
        free(a);
        free(b);
    }
}

TEST(constraints_give_what_the_processor_gives) {
    for (size_t k = 0; k < sizeof all_kinds / sizeof *all_kinds; k++) {
        memcpy(constrained, toy_params, sizeof constrained);
        constrained[0].constraints = &all_kinds[k];
        constrained[0].nconstraints = 1;
        constrained_info = toy_info;
        constrained_info.params = constrained;
        Job a, b;
        CHECK(job_open(&a, NULL, false, CSC_SGD, &constrained_info) == CSC_OK);
        CHECK(job_open(&b, NULL, true, CSC_SGD, &constrained_info) == CSC_OK);
        a.o.max_steps = b.o.max_steps = 3;
        CHECK(csc_train(a.net, &a.o) == CSC_INTERRUPTED && csc_train(b.net, &b.o) == CSC_INTERRUPTED);
        double far = farthest(csc_net_params(a.net), csc_net_params(b.net), TOY_FLOATS);
        if (!(far < 1e-5)) FAIL("constraint %d: parameters differ by %g", (int)all_kinds[k].kind, far);
        job_close(&a);
        job_close(&b);
        csc_error_clear(cx);
    }
}

/* Late work shows every place that does not wait for what it needs. */
TEST(same_bits_late_or_at_once_stopped_or_not) {
    csc_eval_result e;
    float *once = trained(true, CSC_ADAM, &toy_info, &e);
    setenv("CSC_SHIM_LAZY", "1", 1);
    float *late = trained(true, CSC_ADAM, &toy_info, &e);
    CHECK(!memcmp(once, late, 4 * TOY_FLOATS));
    Job j;
    for (int part = 0;; part++) {
        CHECK(job_open(&j, "parts", true, CSC_ADAM, &toy_info) == CSC_OK);
        j.o.max_steps = 13;
        j.o.resume = part > 0;
        csc_status s = csc_train(j.net, &j.o);
        float *p = copy_params(&j);
        bool same = !memcmp(once, p, 4 * TOY_FLOATS);
        free(p);
        job_close(&j);
        if (s == CSC_OK) {
            CHECK(same && part > 5);
            break;
        }
        CHECK(s == CSC_INTERRUPTED && !same);
    }
    unsetenv("CSC_SHIM_LAZY");
    free(once);
    free(late);
}

TEST(numbers_that_run_away_are_found) {
    Job j;
    CHECK(job_open(&j, "away", true, CSC_SGD, &toy_info) == CSC_OK);
    j.stage[0].optimizer.lr = 1e30;
    j.stage[0].optimizer.clip = 0;
    setenv("CSC_SHIM_LAZY", "1", 1);
    CHECK(csc_train(j.net, &j.o) == CSC_NAN);
    unsetenv("CSC_SHIM_LAZY");
    float steps = csc_net_states(j.net)[0];
    CHECK(says("stage one, epoch 1, step"));
    CHECK(steps >= 1 && steps < 10); /* as they were before the step that failed */
    job_close(&j);
}

/* ---- what can go wrong ---- */
TEST(no_driver_says_what_was_looked_for) {
    csc_device *d;
    const char *was = getenv("CSC_CUDA_DRIVER");
    char *keep = strdup(was);
    setenv("CSC_CUDA_DRIVER", "/no/such/driver.so", 1);
    CHECK(csc_device_open(cx, 0, &d) == CSC_DEVICE);
    CHECK(says("looked for: /no/such/driver.so (no such file)"));
    unsetenv("CSC_CUDA_DRIVER"); /* this machine may have one */
    if (csc_device_open(cx, 0, &d) == CSC_OK) csc_device_close(d);
    else if (strstr(csc_error(cx), "no CUDA driver was found")) {
        CHECK(strstr(csc_error(cx), "libcuda.so.1 (not on the loader's path)"));
        CHECK(says("/usr/local/nvidia/lib64/libcuda.so.1, "));
    } else csc_error_clear(cx);
    setenv("CSC_CUDA_DRIVER", keep, 1);
    setenv("CSC_SHIM_VERSION", "10020", 1);
    CHECK(csc_device_open(cx, 0, &d) == CSC_DEVICE);
    CHECK(says("is for CUDA 10.2; 11.4 or newer is needed"));
    unsetenv("CSC_SHIM_VERSION");
    setenv("CSC_SHIM_DEVICES", "0", 1);
    CHECK(csc_device_open(cx, 0, &d) == CSC_DEVICE);
    CHECK(says("no CUDA-capable device"));
    unsetenv("CSC_SHIM_DEVICES");
    CHECK(csc_device_open(cx, 3, &d) == CSC_DEVICE);
    CHECK(says("there is no device cuda:3"));
    setenv("CSC_SHIM_CC", "75", 1);
    CHECK(csc_device_open(cx, 0, &d) == CSC_DEVICE);
    CHECK(says("8.0 or newer is needed"));
    unsetenv("CSC_SHIM_CC");
    setenv("CSC_CUDA_DRIVER", getenv("CSC_NVRTC"), 1);
    CHECK(csc_device_open(cx, 0, &d) == CSC_DEVICE);
    CHECK(says("has no cuInit: it is too old"));
    setenv("CSC_CUDA_DRIVER", keep, 1);
    free(keep);
}

TEST(out_of_memory_comes_before_the_first_step) {
    Job j;
    setenv("CSC_SHIM_MEMORY", "60000", 1);
    CHECK(job_open(&j, NULL, true, CSC_ADAM, &toy_info) == CSC_OK);
    j.stage[0].batch = 300;
    CHECK(csc_train(j.net, &j.o) == CSC_NO_MEMORY);
    CHECK(strstr(csc_error(cx), "a batch of 300 needs"));
    long long fits = strtoll(strstr(csc_error(cx), "--batch ") + 8, NULL, 10);
    CHECK(fits > 10 && fits < 300);
    csc_error_clear(cx);
    j.stage[0].batch = fits;
    j.stage[1].batch = fits;
    CHECK(csc_train(j.net, &j.o) == CSC_OK);
    CHECK(csc_net_device_bytes(j.net) <= 60000);
    job_close(&j);
    unsetenv("CSC_SHIM_MEMORY");
}

TEST(tensors_that_kernels_cannot_count_are_refused) { /* 64 numbers a sample, and nothing of the memory is touched */
    Job j;
    setenv("CSC_SHIM_MEMORY", "100000000000000", 1);
    CHECK(job_open(&j, NULL, true, CSC_SGD, &toy_info) == CSC_OK);
    const csc_entry *e = csc_net_entry(j.net, "step");
    static const float *const in[2];
    static float *const out[2];
    CHECK(csc_net_run(j.net, e, 40000000, in, out, false) == CSC_NO_MEMORY);
    CHECK(says("a batch of 40000000 makes a tensor of 2.6 billion numbers in entry `step`; kernels count to 2.0 billion: a smaller batch does; a batch of 31250000 fits"));
    job_close(&j);
    unsetenv("CSC_SHIM_MEMORY");
}

TEST(a_failing_call_is_named) {
    static const struct {
        const char *fail, *says;
    } list[] = {{"cuLaunchKernel:1", "toy_fill: cuLaunchKernel failed: CUDA_ERROR_LAUNCH_FAILED"}, {"cuLaunchKernel:9", "cuLaunchKernel failed"},
                {"cuGraphLaunch:3", "cuGraphLaunch failed"}, {"cuEventSynchronize:5", "cuEventSynchronize failed"}, {"cuModuleLoadData:2", "cuModuleLoadData failed"},
                {"cuMemAlloc_v2:1", "out of memory"}, {"cuMemcpyHtoDAsync_v2:4", "cuMemcpyHtoDAsync failed"}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        Job j;
        setenv("CSC_SHIM_FAIL", list[i].fail, 1);
        csc_status s = job_open(&j, NULL, true, CSC_ADAM, &toy_info);
        if (s == CSC_OK) s = csc_train(j.net, &j.o);
        if (s != CSC_DEVICE && s != CSC_NO_MEMORY) FAIL("%s: status %s", list[i].fail, csc_status_name(s));
        CHECK(says(list[i].says));
        job_close(&j);
        unsetenv("CSC_SHIM_FAIL");
    }
}

/* ---- the cache of kernels ---- */
static int compiled(const char *log) {
    FILE *f = fopen(log, "r");
    char line[400];
    int n = 0;
    while (f && fgets(line, sizeof line, f)) n += !strncmp(line, "compiled", 8);
    if (f) fclose(f);
    remove(log);
    return n;
}

static int opened(const char *log) {
    Job j;
    csc_status s = job_open(&j, NULL, true, CSC_SGD, &toy_info);
    if (s) printf("# %s\n", csc_error(cx));
    CHECK(s == CSC_OK);
    job_close(&j);
    return compiled(log);
}

TEST(kernels_are_kept) {
    char cache[128], log[128], path[300];
    const char *was = getenv("CSC_CACHE");
    char *keep = strdup(was ? was : "");
    snprintf(cache, sizeof cache, "%s/kept", folder);
    snprintf(log, sizeof log, "%s/log", folder);
    setenv("CSC_CACHE", cache, 1);
    setenv("CSC_SHIM_LOG", log, 1);
    CHECK(opened(log) == 7);
    CHECK(opened(log) == 0);
    setenv("CSC_WGMMA", "off", 1); /* other kernels */
    CHECK(opened(log) == 7);
    CHECK(opened(log) == 0);
    unsetenv("CSC_WGMMA");
    csc_cache_info info;
    CHECK(opened(log) == 0);
    CHECK(csc_cache_look(&info, true) && info.files == 14 && info.bytes > 1000);
    CHECK(opened(log) == 7);
    struct stat st;
    snprintf(path, sizeof path, "%s/kernels", cache);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
    /* one damaged, one cut short, one that may not be read: made again */
    char command[700];
    snprintf(command, sizeof command, "cd %s && set -- * && printf x | dd of=$1 bs=1 seek=100 conv=notrunc 2>/dev/null && head -c 40 $2 >x && mv x $2 && : >$3", path);
    CHECK(system(command) == 0);
    CHECK(opened(log) == 3);
    CHECK(csc_cache_look(&info, true) && info.files == 7);
    CHECK(csc_cache_look(&info, false) && info.files == 0);
    setenv("CSC_CACHE", "/proc/none", 1); /* cannot be written: no trouble */
    CHECK(opened(log) == 7);
    setenv("CSC_SHIM_RTC_FAIL", "toy_grad", 1);
    Job j;
    CHECK(job_open(&j, NULL, true, CSC_SGD, &toy_info) == CSC_DEVICE);
    CHECK(says("kernel toy_grad for sm_90a: nvrtcCompileProgram failed"));
    job_close(&j);
    unsetenv("CSC_SHIM_RTC_FAIL");
    unsetenv("CSC_SHIM_LOG");
    setenv("CSC_CACHE", keep, 1);
    free(keep);
}

/* What the stand-in counted, when the device is closed. */
typedef struct Counts {
    long long launches, graphs, graph_launches, left, node_sets;
} Counts;
static Counts counted(const char *log) {
    Counts c = {-1, -1, -1, -1, -1};
    char line[400];
    FILE *f = fopen(log, "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "calls", 5)) sscanf(line, "calls %*d launches %lld blocks %*d copies %*d graphs %lld graph_launches %lld most_bytes %*d left_bytes %lld node_sets %lld", &c.launches, &c.graphs, &c.graph_launches, &c.left, &c.node_sets);
    if (f) fclose(f);
    remove(log);
    return c;
}

static float *trained_counted(Counts *c) {
    char log[128];
    csc_eval_result e;
    snprintf(log, sizeof log, "%s/graphs", folder);
    setenv("CSC_SHIM_LOG", log, 1);
    float *p = trained(true, CSC_SGD, &toy_info, &e);
    unsetenv("CSC_SHIM_LOG");
    *c = counted(log);
    return p;
}

TEST(steps_are_graphs) {
    Counts c;
    free(trained_counted(&c));
    CHECK(c.graph_launches == 4 * (29 + 8) + 8); /* every step of training and test */
    CHECK(c.graphs < 20 && c.left == 0 && c.node_sets == 0);
}

/* Steps that draw random numbers: the integers go into the nodes of the graph that is there. */
TEST(graphs_get_the_integers_of_their_step) {
    for (int k = 0; k < 6; k++) {
        Counts off, on, none;
        toy_draws = TOY_DRAWS_NOT;
        loops = k % 2;
        float *plain = trained_counted(&none);
        toy_draws = k < 4 ? TOY_DRAWS : TOY_DRAWS_MORE;
        setenv("CSC_GRAPHS", "off", 1);
        float *one_by_one = trained_counted(&off);
        unsetenv("CSC_GRAPHS");
        if (k / 2 % 2) setenv("CSC_SHIM_LAZY", "1", 1);
        float *graphs = trained_counted(&on);
        unsetenv("CSC_SHIM_LAZY");
        CHECK(memcmp(plain, one_by_one, 4 * TOY_FLOATS));
        CHECK(!memcmp(one_by_one, graphs, 4 * TOY_FLOATS));
        CHECK(off.graph_launches == 0 && off.node_sets == 0 && on.left == 0);
        CHECK(on.launches == off.launches);
        if (k < 4) CHECK(on.graph_launches == none.graph_launches && on.graphs == none.graphs && on.node_sets > 50 && on.node_sets < 4 * 29);
        else CHECK(on.graphs > none.graphs + 20);
        free(plain);
        free(one_by_one);
        free(graphs);
    }
    toy_draws = TOY_DRAWS_NOT;
    loops = false;
}

/* What cannot be set in a node is refused by the stand-in, as by the driver. */
TEST(nodes_are_held_to_their_graph) {
    Job j;
    setenv("CSC_SHIM_LAZY", "1", 1);
    CHECK(job_open(&j, NULL, true, CSC_SGD, &toy_info) == CSC_OK);
    unsetenv("CSC_SHIM_LAZY");
    const CuApi *u = &j.device->cu;
    csc_kernel_text k[2] = {{.name = "toy_fill", .text = toy_fill_text, .len = strlen(toy_fill_text)}, {.name = "toy_count", .text = toy_count_text, .len = strlen(toy_count_text)}};
    CHECK(csc_kernels_compile(cx, "sm_90a", k, 2, NULL) == CSC_OK);
    CuModule m[2];
    CuFunction f[2];
    CuStream s;
    CuPtr room, none;
    CuGraph graph[2];
    CuGraphExec x[2];
    CuGraphNode node[2];
    CHECK(!u->stream_new(&s, 1) && !u->alloc(&room, 64) && !u->clear(room, 0, 64, s));
    for (int i = 0; i < 2; i++) {
        int status = 0;
        size_t n = 0;
        const CuGraphNode *last = NULL;
        CHECK(!u->module_load(&m[i], k[i].image) && !u->function(&f[i], m[i], k[i].name));
        CHECK(!u->capture_begin(s, CU_CAPTURE_THREAD));
        CHECK(u->alloc(&none, 64));
        int64_t args[] = {1, 1, (int64_t)room, (int64_t)room, 3};
        CHECK(cuda_launch(cx, j.device, f[i], k[i].name, 1, 32, 0, s, args, i ? 5 : 3) == CSC_OK);
        CHECK(!u->capture_info(s, &status, NULL, NULL, &last, &n) && status == CU_CAPTURE_ACTIVE && n == 1);
        node[i] = *last;
        CHECK(!u->capture_end(s, &graph[i]) && !u->graph_ready(&x[i], graph[i], 0));
    }
    int64_t args[] = {1, 1, (int64_t)room, (int64_t)room, 4};
    size_t bytes = sizeof args, fewer = bytes - 8;
    void *extra[] = {CU_LAUNCH_POINTER, args, CU_LAUNCH_SIZE, &bytes, CU_LAUNCH_END}, *short_extra[] = {CU_LAUNCH_POINTER, args, CU_LAUNCH_SIZE, &fewer, CU_LAUNCH_END};
    const CuLaunch good = {.f = f[1], .gx = 1, .gy = 1, .gz = 1, .bx = 32, .by = 1, .bz = 1, .extra = extra};
    CuLaunch bad[6] = {good, good, good, good, good, good};
    bad[0].f = f[0];
    bad[1].gx = 0;
    bad[2].gx = 2; /* the first argument says 1 */
    bad[3].bx = 64;
    bad[4].extra = short_extra;
    bad[5].shared = 16;
    for (int i = 0; i < 6; i++) CHECK(u->graph_set(x[1], node[1], &bad[i]));
    CHECK(u->graph_set(x[1], node[0], &good) && u->graph_set(x[0], node[1], &good));
    CHECK(!u->graph_set(x[1], node[1], &good));
    float at = 0;
    CHECK(!u->graph_launch(x[1], s) && !u->to_host(&at, room, 4, s));
    CHECK(u->graph_set(x[1], node[1], &good)); /* it is under way */
    CHECK(!u->stream_wait(s) && at == 4);
    CHECK(!u->graph_set(x[1], node[1], &good));
    CHECK(!u->graph_free(graph[1])); /* and with it its nodes */
    CHECK(u->graph_set(x[1], node[1], &good));
    CHECK(!u->graph_exec_free(x[0]) && !u->graph_exec_free(x[1]) && !u->graph_free(graph[0]));
    for (int i = 0; i < 2; i++) {
        free(k[i].image);
        u->module_unload(m[i]);
    }
    u->free(room);
    u->stream_free(s);
    job_close(&j);
}

/* Of 10 turns 5 count. The question after the 6th is the first whose answer is yes, and is looked at after the 8th; in the outer loop as well, whose
   last 3 turns have inner loops that are over from the start: those are left after the 4th. */
enum { TURNS = 1 + 8 * 2 + (5 * 8 + 3 * 4) + 1 };
TEST(loops_are_left_when_the_device_has_ended_them) {
    Counts without, with;
    float *plain = trained_counted(&without);
    loops = true;
    for (int late = 0; late < 2; late++) {
        if (late) setenv("CSC_SHIM_LAZY", "1", 1);
        float *p = trained_counted(&with); /* the states are checked there */
        unsetenv("CSC_SHIM_LAZY");
        CHECK(!memcmp(plain, p, 4 * TOY_FLOATS));
        CHECK(with.launches == without.launches + 4 * 29 * (TURNS - 1)); /* one less: toy_count */
        CHECK(with.left == 0);
        free(p);
    }
    Job j; /* launched one by one */
    char log[128];
    snprintf(log, sizeof log, "%s/calls", folder);
    float x[2 * 64] = {0}, y[2] = {1, 2}, loss, right;
    setenv("CSC_SHIM_LOG", log, 1);
    CHECK(job_open(&j, NULL, true, CSC_SGD, &toy_info) == CSC_OK);
    CHECK(csc_net_run(j.net, csc_net_entry(j.net, "step"), 2, (const float *const[]){x, y}, (float *const[]){&loss, &right}, true) == CSC_OK);
    CHECK(csc_net_states(j.net)[0] == 1);
    job_close(&j);
    unsetenv("CSC_SHIM_LOG");
    CHECK(counted(log).launches == 1 + 3 + TURNS); /* init; sample, grad, scores */
    loops = false;
    free(plain);
}

int main(int argc, char **argv) {
    strcpy(folder, "/tmp/csc-cuda-XXXXXX");
    if (!mkdtemp(folder)) return 2;
    setenv("CSC_CUDA_DRIVER", SHIM_CUDA, 1);
    setenv("CSC_NVRTC", SHIM_NVRTC, 1);
    char cache[128];
    snprintf(cache, sizeof cache, "%s/cache", folder);
    setenv("CSC_CACHE", cache, 1);
    cx = csc_context_new();
    Case list[] = {T(programs_are_read), T(programs_cut_short_or_changed_are_refused), T(hostile_programs_do_no_harm), T(a_call_gives_what_the_processor_gives),
                   T(training_gives_what_the_processor_gives), T(constraints_give_what_the_processor_gives), T(same_bits_late_or_at_once_stopped_or_not),
                   T(numbers_that_run_away_are_found), T(no_driver_says_what_was_looked_for), T(out_of_memory_comes_before_the_first_step), T(tensors_that_kernels_cannot_count_are_refused), T(a_failing_call_is_named),
                   T(kernels_are_kept), T(steps_are_graphs), T(graphs_get_the_integers_of_their_step), T(nodes_are_held_to_their_graph), T(loops_are_left_when_the_device_has_ended_them)};
    int bad = run_tests(argc, argv, list, sizeof list / sizeof *list);
    csc_context_free(cx);
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) ? 2 : bad;
}
