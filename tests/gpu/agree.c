/* The examples on a device, entry by entry, against the evaluators: gpu_agree float32|tf32|bf16 [CASE...]; products of groups of warps in all forms,
   one by one: gpu_agree groups (their names), gpu_agree groups NAME. Prints a line of JSON for each. */
#include "gpu_rig.h"
#include "csc_cuda.h"
#include "cuda/program.h"
#include "cuda/text.h"
#include "unit/block_samples.h"
#include "unit/gpu_programs.h"
#include "cuda_net.h"
#include <time.h>

/* Inputs of products that are rounded to 11 and to 8 bits: the evaluators, which round where kernels do, give the same but for the order of
   sums and what it turns at thresholds. Results are held to the loop evaluator's, all gradients as one; how far each by itself is from the float64
   evaluator's is printed. */
static const double apart[] = {[SCHED_FLOAT32] = INFINITY, [SCHED_TF32] = 5e-3, [SCHED_BF16] = 2e-2};
static const char *const precisions[] = {"float32", "tf32", "bf16"};

typedef struct OnDevice {
    csc_context *rt;
    csc_device *device;
    csc_program *program;
    csc_net *net;
    csc_net_info info;
} OnDevice;

static void *open_device(Arena *a, const LpModule *m) {
    OnDevice *d = ARENA_NEW(a, OnDevice);
    size_t n, len;
    int32_t *which;
    CudaKernel *k = cuda_kernels(a, m, &n, &which);
    for (size_t i = 0; i < n; i++) k[i].source = cuda_text(a, &m->kernels.at[k[i].first], k[i].name);
    float *tunables = ARENA_ARRAY(a, float, m->tunables + 1);
    const CudaModel model = {.info = "{}", .param_floats = m->param_floats, .state_floats = m->state_floats, .tunables = tunables, .ntunables = (size_t)m->tunables};
    char *bytes = cuda_program(a, m, k, n, which, &model, &len);
    d->rt = csc_context_new();
    if (csc_device_open(d->rt, 0, &d->device) || csc_program_read(d->rt, bytes, len, &d->program) ||
        csc_net_new(d->rt, csc_program_model(d->program), &d->info, NULL, &d->net) || csc_net_use_device(d->net, d->device, d->program, NULL))
        FAIL("%s", csc_error(d->rt));
    return d;
}

static void close_device(void *how) {
    OnDevice *d = how;
    csc_net_free(d->net);
    csc_program_free(d->program);
    csc_device_close(d->device);
    csc_context_free(d->rt);
}

static SchedPrecision precision;
static double from_loops; /* farthest from the loop evaluator */

static bool on_device(OnDevice *d, const LpModule *m, int entry, const csc_call *call) {
    csc_net *n = d->net;
    memcpy(csc_net_params(n), call->params, (size_t)m->param_floats * 4);
    memcpy(csc_net_states(n), call->state, (size_t)m->state_floats * 4);
    memcpy(csc_net_tunables(n), call->tunables, (size_t)m->tunables * 4);
    memset(csc_net_grads(n), 0, (size_t)m->param_floats * 4);
    memset(n->spare_states.at, 0, (size_t)m->state_floats * 4);
    n->cuda->block[CUDA_SPARE].host_new = true;
    csc_call c = *call;
    c.state_out = n->spare_states.at;
    if (net_call(n, &csc_program_model(d->program)->entries[entry], &c) != CSC_OK || cuda_to_host(n->cuda, CUDA_SPARE) != CSC_OK) return false;
    memcpy(call->state_out, n->spare_states.at, (size_t)m->state_floats * 4);
    memcpy(call->grads, csc_net_grads(n), (size_t)m->param_floats * 4);
    return true;
}

/* The loop evaluator's results, then the device's in the same memory; all gradients are one vector. */
static bool run(void *how, Arena *a, const LpModule *m, int entry, const csc_call *call, const char **why) {
    const LpEntry *e = &m->entries.at[entry];
    OnDevice *d = how;
    int64_t sizes[64], n = 0;
    float *at[64], *first[64];
    for (int32_t i = 0; i < e->nout && n < 60; i++) at[n] = call->out[i], sizes[n++] = e->out[i].floats * (e->out[i].batched ? call->batch : 1);
    at[n] = call->grads, sizes[n++] = m->param_floats;
    at[n] = call->state_out, sizes[n++] = m->state_floats;
    for (int64_t i = 0; i < n; i++) memset(at[i], 0, (size_t)sizes[i] * 4);
    if (precision != SCHED_FLOAT32 && !loop_eval(a, m, entry, call, why)) return false;
    for (int64_t i = 0; i < n; i++) first[i] = arena_copy(a, at[i], (size_t)sizes[i] * 4);
    *why = csc_error(d->rt);
    if (!on_device(d, m, entry, call)) return false;
    for (int64_t i = 0; i < n && precision != SCHED_FLOAT32; i++) {
        double off = 0, size = 0;
        for (int64_t k = 0; k < sizes[i]; k++) off += pow((double)at[i][k] - first[i][k], 2), size += pow(first[i][k], 2);
        double far = off > 0 ? sqrt(off / fmax(size, 1e-30)) : 0;
        from_loops = fmax(from_loops, far);
        if (far <= apart[precision]) continue;
        *why = arena_printf(a, "result %d is %.3g from the loop evaluator's", (int)i, far);
        return false;
    }
    return true;
}

static void agrees(const char *name, const char *program, const char *args, const char *which, int64_t batch, double tolerance) {
    const GpuRunner r = {open_device, run, close_device, precision};
    struct timespec from, to;
    if (precision != SCHED_FLOAT32) which = strchr(which, 's') ? "fs" : "fb"; /* the kernels of the others are among these */
    farthest = from_loops = 0;
    clock_gettime(CLOCK_MONOTONIC, &from);
    gpu_agrees(&r, program, args, which, batch, precision == SCHED_FLOAT32 ? tolerance : INFINITY, INT64_MAX);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("{\"kind\": \"agree\", \"name\": \"%s\", \"precision\": \"%s\", \"ok\": true, \"from_float64\": %.3g, \"from_loops\": %.3g, \"seconds\": %.1f}\n", name, precisions[precision], farthest, from_loops,
           (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec));
}

/* What is different from one device to the next is the order of sums; a wrong place of an operand makes other numbers. */
static const GroupSample *sample;
TEST(groups) {
    const GroupSample *s = sample;
    Cx *cx = cx_new();
    Arena *a = cx->keep;
    LpModule *m = loop_read(cx, a, cx_add_source(cx, "sample", s->text, strlen(s->text)));
    CHECK(m);
    OnDevice *d = open_device(a, m);
    float *in[2], *out[2];
    const char *why = "";
    double far = 0, most = 0;
    dice = 7;
    for (int i = 0; i < 2; i++) {
        in[i] = block(a, GROUP_FLOATS), out[i] = block(a, GROUP_FLOATS);
        for (int k = 0; k < GROUP_FLOATS; k++) in[i][k] = (float)(uniform() * 2 - 1), out[i][k] = 0;
    }
    csc_call call = {.size = sizeof call, .batch = 1, .in = (const float *const *)in, .out = out, .workspace = block(a, 16)};
    bool ok = loop_eval(a, m, 0, &call, &why);
    call.out = out + 1;
    if (ok && !(ok = net_call(d->net, &csc_program_model(d->program)->entries[0], &call) == CSC_OK)) why = csc_error(d->rt);
    for (int k = 0; k < GROUP_FLOATS; k++) far = fmax(far, fabs((double)out[0][k] - out[1][k])), most = fmax(most, fabs((double)out[0][k]));
    for (int k = 0; k < GROUP_FLOATS; k++) ok = ok && isfinite(out[1][k]);
    if (ok && !(ok = far <= 1e-4 * most)) why = "other numbers";
    printf("{\"kind\": \"groups\", \"name\": \"%s\", \"ok\": %s, \"text\": \"at most %.3g of %.3g %s\"}\n", s->name, ok ? "true" : "false", far, most, why);
    fflush(stdout);
    close_device(d);
    cx_free(cx);
    CHECK(ok);
}

#define PROGRAM(name, program, args, which, batch, tolerance) TEST(name) { agrees(#name, program, args, which, batch, tolerance); }
GPU_PROGRAMS(PROGRAM)

int main(int argc, char **argv) {
#define CASE(name, program, args, which, batch, tolerance) T(name),
    static const Case cases[] = {GPU_PROGRAMS(CASE)};
    size_t n = sizeof cases / sizeof *cases;
    if (argc > 1 && !strcmp(argv[1], "list")) {
        for (size_t i = 0; i < n; i++) puts(cases[i].name);
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "groups")) {
        static const Case one[] = {T(groups)};
        for (sample = group_samples; sample < group_samples + GROUP_SAMPLES; sample++)
            if (argc == 2) puts(sample->name);
            else if (!strcmp(sample->name, argv[2])) return run_tests(1, argv, one, 1);
        return argc > 2;
    }
    for (int p = 0; argc > 1 && p < 3; p++) {
        if (strcmp(argv[1], precisions[p])) continue;
        precision = (SchedPrecision)p;
        if (argc != 3) return run_tests(argc - 1, argv + 1, cases, n);
        for (size_t i = 0; i < n; i++) /* one by its whole name */
            if (!strcmp(cases[i].name, argv[2])) return run_tests(1, argv, &cases[i], 1);
    }
    fprintf(stderr, "usage: %s list | groups [NAME] | float32|tf32|bf16 [CASE]\n", argv[0]);
    return 1;
}
