/* The examples on a device, entry by entry, against the float64 evaluator: gpu_agree float32|tf32|bf16 [CASE...]. Prints a line of JSON for each. */
#include "gpu_rig.h"
#include "csc_cuda.h"
#include "cuda/program.h"
#include "cuda/text.h"
#include "unit/gpu_programs.h"
#include "cuda_net.h"
#include <time.h>

/* Inputs of products that are rounded to 11 and to 8 bits: how far whole programs may be, thresholds and batch norms in them; and at least so
   many times as far as in float32. */
static const double band[] = {[SCHED_FLOAT32] = 0, [SCHED_TF32] = 5e-2, [SCHED_BF16] = 3e-1}, more[] = {1, 20, 100};
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

static bool run(void *how, Arena *a, const LpModule *m, int entry, const csc_call *call, const char **why) {
    (void)a;
    OnDevice *d = how;
    csc_net *n = d->net;
    memcpy(csc_net_params(n), call->params, (size_t)m->param_floats * 4);
    memcpy(csc_net_states(n), call->state, (size_t)m->state_floats * 4);
    memcpy(csc_net_tunables(n), call->tunables, (size_t)m->tunables * 4);
    csc_call c = *call;
    c.state_out = n->spare_states.at;
    bool ok = net_call(n, &csc_program_model(d->program)->entries[entry], &c) == CSC_OK && cuda_to_host(n->cuda, CUDA_SPARE) == CSC_OK;
    *why = csc_error(d->rt);
    memcpy(call->state_out, n->spare_states.at, (size_t)m->state_floats * 4);
    memcpy(call->grads, csc_net_grads(n), (size_t)m->param_floats * 4);
    return ok;
}

static SchedPrecision precision;

static void agrees(const char *name, const char *program, const char *args, const char *which, int64_t batch, double tolerance) {
    const GpuRunner r = {open_device, run, close_device, precision};
    struct timespec from, to;
    if (precision != SCHED_FLOAT32) which = strchr(which, 's') ? "fs" : "fb"; /* the kernels of the others are among these */
    farthest = 0;
    clock_gettime(CLOCK_MONOTONIC, &from);
    gpu_agrees(&r, program, args, which, batch, fmax(more[precision] * tolerance, band[precision]), INT64_MAX);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("{\"kind\": \"agree\", \"name\": \"%s\", \"precision\": \"%s\", \"ok\": true, \"farthest\": %.3g, \"seconds\": %.1f}\n", name, precisions[precision], farthest,
           (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec));
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
    for (int p = 0; argc > 1 && p < 3; p++) {
        if (strcmp(argv[1], precisions[p])) continue;
        precision = (SchedPrecision)p;
        if (argc != 3) return run_tests(argc - 1, argv + 1, cases, n);
        for (size_t i = 0; i < n; i++) /* one by its whole name */
            if (!strcmp(cases[i].name, argv[2])) return run_tests(1, argv, &cases[i], 1);
    }
    fprintf(stderr, "usage: %s list | float32|tf32|bf16 [CASE]\n", argv[0]);
    return 1;
}
