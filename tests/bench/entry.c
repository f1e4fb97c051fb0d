/* Times one entry of a program: bench_entry PROGRAM ENTRY BATCH SECONDS [name=value ...]; CSC_THREADS says how many threads (1).
   Prints milliseconds a call (median, best, by processor time when there is one thread), samples a second, and the rate of the nominal
   multiply-adds of convolutions and matrices. A measurement, not a test.
   CSC_DIRECT: as cscc's --direct. With CSC_LIBRARY=FOLDER it measures nothing, but leaves there what bench_library and a peer need: the library, its loops as text, its description, the
   parameters as they start, the states, the inputs (floats as they lie in memory), and in `call` 10^9 operations of products a sample, then the
   floats of each output and whether each sample has its own. */
#include "driver/link.h"
#include "driver/model.h"
#include "op/eval.h"
#include "flops.h"
#include "settings.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(clockid_t c) {
    struct timespec t;
    clock_gettime(c, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void leave(Cx *cx, const char *folder, const char *name, const void *bytes, size_t len) {
    if (!link_write(cx, arena_printf(cx->keep, "%s/%s", folder, name), bytes, len)) diag_print_all(cx, stderr, false), exit(1);
}

int main(int argc, char **argv) {
    if (argc < 5) return fprintf(stderr, "usage: %s PROGRAM ENTRY BATCH SECONDS [name=value ...]\n", argv[0]), 1;
    Cx *cx = cx_new();
    const char *threads = getenv("CSC_THREADS");
    BuildSet set[SETTINGS_MOST];
    size_t nset;
    if (!settings_read(set, &nset, argv + 5, argc - 5)) return 1;
    const char *words[1] = {argv[1]};
    Options o = {.command = CMD_TRAIN, .words = words, .nwords = 1, .set = set, .nset = nset, .cpu = getenv("CSC_CPU"),
                 .threads = threads ? atoi(threads) : 1, .remarks = getenv("CSC_REMARKS") != NULL, .time_passes = getenv("CSC_TIMES") != NULL, .direct = getenv("CSC_DIRECT") != NULL};
    static const struct {
        const char *name;
        EntryKind kind;
    } kinds[] = {{"forward", ENTRY_FORWARD}, {"step", ENTRY_STEP}, {"eval", ENTRY_EVAL}, {"backward", ENTRY_BACKWARD}};
    Compile c;
    bool ok = compile_read(&c, cx, &o) && compile_declare(&c);
    const char *name = NULL;
    for (int i = 0; i < 4; i++)
        if (!strcmp(kinds[i].name, argv[2])) compile_want(&c, kinds[i].kind, 0), name = kinds[i].name;
    if (ok && name) compile_want(&c, ENTRY_INIT, 0);
    csc_context *rt = csc_context_new();
    csc_pool *pool = model_pool(&o);
    Model m = {0};
    ok = ok && name && compile_model(&c, "llvm") && model_load(cx, &c, rt, pool, &m) && csc_net_init(m.net, 1) == 0;
    if (!ok) {
        diag_print_all(cx, stderr, false);
        return 1;
    }
    compile_report(&c);
    int64_t batch = atoll(argv[3]);
    const Entry *entry = &c.entries.at[0];
    float *in[32], *out[64];
    for (int32_t k = 0; k < entry->nin; k++) {
        int64_t n = batch * shape_size(entry->in[k].shape);
        in[k] = malloc((size_t)n * sizeof(float));
        for (int64_t i = 0; i < n; i++)
            in[k][i] = entry->in[k].kind == IN_LABEL ? (float)(i % entry->in[k].classes) : (float)noise_uniform(7, 0, 0, (uint32_t)k, (uint64_t)i);
    }
    const char *folder = getenv("CSC_LIBRARY");
    if (folder) {
        const csc_model *table = csc_net_model(m.net);
        if (!link_shared(cx, c.object->bytes, c.object->len, false, arena_printf(cx->keep, "%s/model.so", folder))) return diag_print_all(cx, stderr, false), 1;
        FILE *loops = c.sched ? fopen(arena_printf(cx->keep, "%s/loops", folder), "w") : NULL; /* none where the code was in the cache */
        if (loops) loop_print(c.sched->module, loops), fclose(loops);
        leave(cx, folder, "model.json", table->info, strlen(table->info));
        leave(cx, folder, "params.f32", csc_net_params(m.net), table->param_floats * sizeof(float));
        leave(cx, folder, "states.f32", csc_net_states(m.net), table->state_floats * sizeof(float));
        const char *text = arena_printf(cx->keep, "%.6g\n", graph_flops(entry->graph) * 1e-9);
        for (size_t i = 0; i < entry->graph->outs.len; i++) {
            const GraphOut *g = &entry->graph->outs.at[i];
            if (g->role == OUT_GRAD || g->role == OUT_STATE) continue;
            text = arena_printf(cx->keep, "%s%lld %d\n", text, (long long)shape_size(graph_shape(entry->graph, g->node)), graph_batched(entry->graph, g->node));
        }
        leave(cx, folder, "call", text, strlen(text));
        for (int32_t k = 0; k < entry->nin; k++)
            leave(cx, folder, arena_printf(cx->keep, "in%d.f32", (int)k), in[k], (size_t)(batch * shape_size(entry->in[k].shape)) * sizeof(float));
        return 0;
    }
    int nout = 0;
    for (size_t i = 0; i < entry->graph->outs.len; i++) {
        const GraphOut *g = &entry->graph->outs.at[i];
        if (g->role == OUT_GRAD || g->role == OUT_STATE) continue;
        out[nout++] = malloc((size_t)(shape_size(graph_shape(entry->graph, g->node)) * (graph_batched(entry->graph, g->node) ? batch : 1)) * sizeof(float));
    }
    double flops = graph_flops(entry->graph);
    const csc_entry *e = csc_net_entry(m.net, name);
    clockid_t clock = o.threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double t[2000], end = seconds(CLOCK_MONOTONIC) + atof(argv[4]);
    int n = 0;
    csc_net_run(m.net, e, batch, (const float *const *)in, out, true);
    while (n < 2000 && (n < 3 || seconds(CLOCK_MONOTONIC) < end)) {
        double start = seconds(clock);
        if (csc_net_run(m.net, e, batch, (const float *const *)in, out, true)) return fprintf(stderr, "%s\n", csc_error(rt)), 1;
        t[n++] = seconds(clock) - start;
    }
    qsort(t, (size_t)n, sizeof *t, by_value);
    printf("%s %s batch %lld, %d thread%s: median %.2f ms, best %.2f ms, %.1f samples/s, %.3f GFLOP/sample, %.1f GFLOP/s (best %.1f), workspace %.1f MB\n", argv[1],
           name, (long long)batch, o.threads, o.threads > 1 ? "s" : "", 1e3 * t[n / 2], 1e3 * t[0], (double)batch / t[n / 2], flops * 1e-9,
           flops * (double)batch / t[n / 2] * 1e-9, flops * (double)batch / t[0] * 1e-9, (double)(e->fixed_bytes + (uint64_t)batch * e->batch_bytes) * 1e-6);
    model_free(&m);
    return 0;
}
