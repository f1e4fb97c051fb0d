/* What the memory plan says of a training step against what the process grows by: from before the model is loaded, its code from the
   cache, to the end of the third step. Each measurement is a process of its own. */
#include "check.h"
#include "driver/args.h"
#include "driver/model.h"
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static long resident(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static float *floats(int64_t n) {
    float *p = malloc((size_t)n * sizeof *p);
    if (!p) exit(2);
    for (int64_t i = 0; i < n; i++) p[i] = 0.25f;
    return p;
}

/* Prints what the plan says, what the process grew by (bytes), and whether the code came from the cache. */
static int measure(int argc, char **argv, int64_t batch) {
    Cx *cx = cx_new();
    Options o;
    int code;
    Compile c;
    Model m;
    bool ok = args_read(cx, argc, argv, &o, &code) && compile_read(&c, cx, &o);
    c.free_default = true;
    ok = ok && compile_declare(&c);
    if (ok) {
        compile_want(&c, ENTRY_INIT, 0);
        compile_want(&c, ENTRY_STEP, 0);
        ok = compile_model(&c, "llvm");
    }
    if (!ok) return diag_print_all(cx, stderr, false), 1;
    const Entry *e = NULL;
    for (size_t i = 0; i < c.entries.len; i++)
        if (c.entries.at[i].kind == ENTRY_STEP) e = &c.entries.at[i];
    const float *in[16];
    float *out[64];
    int nout = 0;
    for (int32_t i = 0; i < e->nin && i < 16; i++) {
        float *at = floats(batch * shape_size(e->in[i].shape));
        if (e->in[i].kind == IN_LABEL) memset(at, 0, (size_t)(batch * shape_size(e->in[i].shape)) * sizeof *at);
        in[i] = at;
    }
    for (size_t i = 0; i < e->graph->outs.len && nout < 64; i++) {
        const GraphOut *g = &e->graph->outs.at[i];
        if (g->role == OUT_GRAD || g->role == OUT_STATE) continue;
        out[nout++] = floats(shape_size(graph_shape(e->graph, g->node)) * (graph_batched(e->graph, g->node) ? batch : 1));
    }
    bool cached = c.sched == NULL;
    long before = resident();
    csc_context *rt = csc_context_new();
    csc_pool *pool = model_pool(&o);
    if (!model_load(cx, &c, rt, pool, &m) || csc_net_init(m.net, 1)) return 1;
    const csc_entry *step = csc_net_entry(m.net, e->name);
    for (int i = 0; i < 3; i++)
        if (csc_net_run(m.net, step, batch, in, out, true)) return fprintf(stderr, "%s\n", csc_error(rt)), 1;
    long grown = resident() - before;
    const csc_model *t = csc_net_model(m.net);
    uint64_t plan = (2 * t->param_floats + 2 * t->state_floats) * sizeof(float) + csc_net_workspace_bytes(m.net, step, batch) - step->lane_bytes +
                    (step->thread_bytes + step->lane_bytes) * (uint64_t)csc_pool_threads(pool);
    printf("%llu %ld %d\n", (unsigned long long)plan, grown, cached);
    fflush(stdout);
    _exit(0);
}

static const char *self;

#ifndef __SANITIZE_ADDRESS__
static void child(const char *program, const char *args, int64_t batch, long *plan, long *grown, int *cached) {
    char command[1024];
    snprintf(command, sizeof command, "CSC_CACHE=memory-cache '%s' --measure %lld train %s/examples/%s.csc --threads 2 %s", self, (long long)batch, CSC_SOURCE_DIR, program, args);
    FILE *f = popen(command, "r");
    CHECK(f);
    int n = fscanf(f, "%ld %ld %d", plan, grown, cached), rc = pclose(f);
    if (n != 3 || rc) FAIL("%s %s: the measurement ended with %d", program, args, rc);
}
#endif

static void plan_holds(const char *program, const char *args, int64_t batch) {
#ifdef __SANITIZE_ADDRESS__
    (void)program, (void)args, (void)batch;
    SKIP("sanitized memory is another matter");
#else
    long plan, grown;
    int cached = 0;
    for (int turn = 0; turn < 2; turn++) child(program, args, batch, &plan, &grown, &cached);
    if (!cached) FAIL("%s: the second start did not find the code of the first", program);
    long off = labs(grown - plan), most = plan / 20 > 2 << 20 ? plan / 20 : 2 << 20;
    if (getenv("CSC_SHOW")) printf("%s %s, batch %lld: the plan says %.2f MB, grown by %.2f MB\n", program, args, (long long)batch, (double)plan * 1e-6, (double)grown * 1e-6);
    if (off > most) FAIL("%s %s, batch %lld: the plan says %.2f MB, and memory grew by %.2f MB", program, args, (long long)batch, (double)plan * 1e-6, (double)grown * 1e-6);
#endif
}

TEST(digits) { plan_holds("digits/digits", "", 128); }
TEST(ml_ista) { plan_holds("ml_ista_mnist/ml_ista_mnist", "--set unfold=2", 128); }
TEST(msd_csc) { plan_holds("msd_csc/msd_csc", "--set d=6 --set unfold=1", 16); }
TEST(res_csc) { plan_holds("res_csc/res_csc", "--set n=1", 32); } /* batch norm: memory grows with the batch */
TEST(lista) { plan_holds("lista/lista", "", 64); }
TEST(sdnet) { plan_holds("sdnet/sdnet", "", 2); } /* 44 MB of parameters */

int main(int argc, char **argv) {
    if (argc > 3 && !strcmp(argv[1], "--measure")) {
        int64_t batch = atoll(argv[2]);
        argv[2] = argv[0];
        return measure(argc - 2, argv + 2, batch);
    }
    self = argv[0];
    static const Case cases[] = {T(digits), T(ml_ista), T(msd_csc), T(res_csc), T(lista), T(sdnet)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
