/* Training steps of a program on a device: gpu_steps PROGRAM BATCH PRECISION FOLDER [name=value ...]. Leaves in the folder what a peer needs (model.json,
   params.f32, states.f32, in0.f32, ..; floats as they lie in memory) and what the first step gave (out0.f32 the loss, grads.f32), and prints a line
   of JSON. Then for each number n on standard input it makes n steps (copy of the batch, forward, backward, SGD with momentum; one ahead, as
   `cscc train` does) and answers with their seconds. A measurement, not a test. */
#include "bench/flops.h"
#include "bench/settings.h"
#include "cuda_net.h"
#include "cuda_train.h"
#include "driver/device.h"
#include "driver/link.h"
#include "driver/model.h"
#include "op/eval.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void leave(Cx *cx, const char *folder, const char *name, const void *bytes, size_t len) {
    if (!link_write(cx, arena_printf(cx->keep, "%s/%s", folder, name), bytes, len)) diag_print_all(cx, stderr, false), exit(1);
}

static bool steps(csc_net *n, const csc_entry *e, int64_t batch, float *const *in, int many, float *loss) {
    CudaResult r;
    CudaNumbers numbers = {.seed = 1, .rate = 1e-6};
    for (int begun = 0, ended = 0; ended < many;) {
        for (; begun < many && begun < ended + CUDA_SLOTS; begun++)
            if (cuda_begin(n, e, batch, in, &numbers, true)) return false;
        if (cuda_end(n, &r) || r.kind) return false;
        *loss = r.score[0];
        ended++;
    }
    return true;
}

int main(int argc, char **argv) {
    static const char *const precisions[] = {"float32", "tf32", "bf16"};
    if (argc < 5) return fprintf(stderr, "usage: %s PROGRAM BATCH PRECISION FOLDER [name=value ...]\n", argv[0]), 1;
    Cx *cx = cx_new();
    BuildSet set[SETTINGS_MOST];
    size_t nset;
    if (!settings_read(set, &nset, argv + 5, argc - 5)) return 1;
    const char *words[1] = {argv[1]}, *folder = argv[4];
    Options o = {.command = CMD_TRAIN, .words = words, .nwords = 1, .set = set, .nset = nset, .device = "cuda", .json = true};
    while (o.precision < 3 && strcmp(precisions[o.precision], argv[3])) o.precision++;
    int64_t batch = atoll(argv[2]);
    csc_context *rt = csc_context_new();
    csc_device *device = NULL;
    Compile c;
    Model m = {0};
    double start = seconds();
    bool ok = o.precision < 3 && batch > 0 && device_choose(cx, &o, rt, &device) && compile_read(&c, cx, &o);
    if (ok) device_set(&c, device);
    ok = ok && compile_declare(&c);
    if (ok) compile_want(&c, ENTRY_STEP, 0), compile_want(&c, ENTRY_INIT, 0);
    ok = ok && compile_model(&c, "llvm") && model_load(cx, &c, rt, NULL, &m) && csc_net_init(m.net, 1) == CSC_OK;
    if (!ok) return diag_print_all(cx, stderr, false), fprintf(stderr, "%s\n", csc_error(rt)), 1;
    double ready = seconds() - start;
    const csc_model *table = csc_net_model(m.net);
    const Entry *entry = &c.entries.at[0];
    const csc_entry *e = csc_net_entry(m.net, entry->name);
    float *in[32];
    for (int32_t k = 0; k < entry->nin; k++) {
        int64_t n = batch * shape_size(entry->in[k].shape);
        in[k] = malloc((size_t)n * sizeof(float));
        for (int64_t i = 0; i < n; i++)
            in[k][i] = entry->in[k].kind == IN_LABEL ? (float)(i % entry->in[k].classes) : (float)noise_uniform(7, 0, 0, (uint32_t)k, (uint64_t)i);
        leave(cx, folder, arena_printf(cx->keep, "in%d.f32", (int)k), in[k], (size_t)n * sizeof(float));
    }
    leave(cx, folder, "model.json", table->info, strlen(table->info));
    leave(cx, folder, "params.f32", csc_net_params(m.net), table->param_floats * sizeof(float));
    leave(cx, folder, "states.f32", csc_net_states(m.net), table->state_floats * sizeof(float));

    csc_stage stage = {.name = "steps", .epochs = 1, .batch = batch, .optimizer = {.kind = CSC_SGD, .lr = 1e-6, .momentum = 0.9}};
    RtOptim optim;
    float loss = 0;
    ok = optim_new(&optim, m.net, &stage) == CSC_OK && cuda_train_open(m.net, &optim, e, NULL, batch) == CSC_OK && steps(m.net, e, batch, in, 1, &loss);
    if (!ok) return fprintf(stderr, "%s\n", *csc_error(rt) ? csc_error(rt) : "the loss is not finite"), 1;
    leave(cx, folder, "out0.f32", &loss, sizeof loss);
    leave(cx, folder, "grads.f32", csc_net_grads(m.net), table->param_floats * sizeof(float));
    printf("{\"gflop\": %.6g, \"bytes\": %zu, \"launches\": %lld, \"ready\": %.2f}\n", graph_flops(entry->graph) * 1e-9, csc_net_device_bytes(m.net),
           (long long)m.net->cuda->exec.launches, ready);
    fflush(stdout);
    for (int n; scanf("%d", &n) == 1 && n > 0;) {
        start = seconds();
        if (!steps(m.net, e, batch, in, n, &loss)) return fprintf(stderr, "%s\n", csc_error(rt)), 1;
        printf("%.9f\n", seconds() - start);
        fflush(stdout);
    }
    cuda_train_close(m.net);
    optim_free(&optim);
    model_free(&m);
    csc_device_close(device);
    csc_context_free(rt);
    cx_free(cx);
    return 0;
}
