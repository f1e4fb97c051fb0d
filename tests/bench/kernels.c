/* Speed of single operators as scheduled and compiled, one thread, processor time. bench_kernels [word]: only
   the rows whose name holds it; bench_kernels conv|adj|grad IN OUT SIZE KERNEL STRIDE DILATION PAD BATCH: that one. The time is that of the operator with its weights
   packed before, a copy of each input before it and a sum of one channel over the batch after it. */
#include "llvm/llvm.h"
#include "sched/sched.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct Row {
    const char *name;
    OpKind op;
    int64_t ci, co, h;
    int k, s, d, pad;
    int64_t batch;
    bool relu;
} Row;

static const Row rows[] = {
    {"conv 64-64 3x3 28", OP_conv, 64, 64, 28, 3, 1, 1, 1, 16, 0},
    {"conv 64-64 3x3 28 bias relu", OP_conv, 64, 64, 28, 3, 1, 1, 1, 16, 1},
    {"conv 32-32 3x3 32", OP_conv, 32, 32, 32, 3, 1, 1, 1, 16, 0},
    {"conv 32-32 3x3 32 dil 2", OP_conv, 32, 32, 32, 3, 1, 2, 2, 16, 0},
    {"conv 16-16 3x3 32", OP_conv, 16, 16, 32, 3, 1, 1, 1, 16, 0},
    {"conv 35-32 3x3 32", OP_conv, 35, 32, 32, 3, 1, 1, 1, 16, 0},
    {"conv 3-32 3x3 32", OP_conv, 3, 32, 32, 3, 1, 1, 1, 16, 0},
    {"conv 512-512 3x3 4", OP_conv, 512, 512, 4, 3, 1, 1, 1, 16, 0},
    {"conv 128-128 3x3 8 dil 3", OP_conv, 128, 128, 8, 3, 1, 3, 3, 16, 0},
    {"conv 256-256 3x3 7", OP_conv, 256, 256, 7, 3, 1, 1, 1, 16, 0},
    {"conv 64-64 3x3 8", OP_conv, 64, 64, 8, 3, 1, 1, 1, 64, 0},
    {"conv 128-128 3x3 16", OP_conv, 128, 128, 16, 3, 1, 1, 1, 32, 0},
    {"conv 256-256 3x3 8", OP_conv, 256, 256, 8, 3, 1, 1, 1, 32, 0},
    {"conv 512-512 3x3 4, 32", OP_conv, 512, 512, 4, 3, 1, 1, 1, 32, 0},
    {"conv 64-128 3x3 32 s2", OP_conv, 64, 128, 32, 3, 2, 1, 1, 16, 0},
    {"conv 64-128 1x1 32 s2", OP_conv, 64, 128, 32, 1, 2, 1, 0, 16, 0},
    {"conv 1-32 6x6 28 s2", OP_conv, 1, 32, 28, 6, 2, 1, 0, 64, 0},
    {"conv 32-64 6x6 12 s2", OP_conv, 32, 64, 12, 6, 2, 1, 0, 64, 0},
    {"conv 64-512 4x4 4", OP_conv, 64, 512, 4, 4, 1, 1, 0, 64, 0},
    {"conv 1-64 11x11 128", OP_conv, 1, 64, 128, 11, 1, 1, 5, 2, 0},
    {"adj 64-64 3x3 28", OP_conv_adj, 64, 64, 28, 3, 1, 1, 1, 16, 0},
    {"adj 32-3 3x3 32", OP_conv_adj, 3, 32, 32, 3, 1, 1, 1, 16, 0},
    {"adj 64-1 11x11 128", OP_conv_adj, 1, 64, 128, 11, 1, 1, 5, 2, 0},
    {"adj 64-32 6x6 12 s2", OP_conv_adj, 32, 64, 12, 6, 2, 1, 0, 64, 0},
    {"adj 512-64 4x4 4", OP_conv_adj, 64, 512, 4, 4, 1, 1, 0, 64, 0},
    {"adj 32-1 6x6 28 s2", OP_conv_adj, 1, 32, 28, 6, 2, 1, 0, 64, 0},
    {"adj 128-64 3x3 32 s2", OP_conv_adj, 64, 128, 32, 3, 2, 1, 1, 16, 0},
    {"grad 64-64 3x3 28", OP_conv_grad, 64, 64, 28, 3, 1, 1, 1, 16, 0},
    {"grad 32-32 3x3 32", OP_conv_grad, 32, 32, 32, 3, 1, 1, 1, 16, 0},
    {"grad 16-16 3x3 32", OP_conv_grad, 16, 16, 32, 3, 1, 1, 1, 16, 0},
    {"grad 128-128 3x3 16", OP_conv_grad, 128, 128, 16, 3, 1, 1, 1, 32, 0},
    {"grad 256-256 3x3 8", OP_conv_grad, 256, 256, 8, 3, 1, 1, 1, 32, 0},
    {"grad 128-256 3x3 16 s2", OP_conv_grad, 128, 256, 16, 3, 2, 1, 1, 32, 0},
    {"grad 512-512 3x3 4, 32", OP_conv_grad, 512, 512, 4, 3, 1, 1, 1, 32, 0},
    {"grad 128-256 1x1 16 s2", OP_conv_grad, 128, 256, 16, 1, 2, 1, 0, 32, 0},
    {"grad 3-32 3x3 32", OP_conv_grad, 3, 32, 32, 3, 1, 1, 1, 16, 0},
    {"grad 512-512 3x3 4", OP_conv_grad, 512, 512, 4, 3, 1, 1, 1, 8, 0},
    {"grad 64-512 4x4 4", OP_conv_grad, 64, 512, 4, 4, 1, 1, 0, 64, 0},
    {"grad 32-64 6x6 12 s2", OP_conv_grad, 32, 64, 12, 6, 2, 1, 0, 64, 0},
    {"grad 1-32 6x6 28 s2", OP_conv_grad, 1, 32, 28, 6, 2, 1, 0, 64, 0},
    {"grad 1-64 11x11 64", OP_conv_grad, 1, 64, 64, 11, 1, 1, 5, 4, 0},
    {"dense 512-10", OP_dense, 512, 10, 1, 1, 1, 1, 0, 128, 0},
    {"dense 512-512", OP_dense, 512, 512, 1, 1, 1, 1, 0, 128, 0},
    {"dense 256-1024 transposed", OP_dense, 256, 1024, 1, 1, 1, 1, 1, 128, 0},
    {"dense_grad 512-512", OP_dense_grad, 512, 512, 1, 1, 1, 1, 0, 128, 0},
    {"map 64 28x28", OP_mul, 64, 64, 28, 1, 1, 1, 0, 16, 0},
    {"sum 64 28x28", OP_sum, 64, 64, 28, 1, 1, 1, 0, 16, 0},
};

static NodeId operator_of(Graph *g, const Row *r, ConvGeom *c, Program *p, InputDecl *in, double *flop) {
    Span none = {0};
    int64_t k = r->k, o = sig_conv_out(r->h, r->k, r->s, r->d, r->pad, r->pad);
    Shape xs = shape_of(3, r->ci, r->h, r->h), ws = shape_of(4, r->co, r->ci, k, k),
          ys = shape_of(3, r->co, o, o);
    *c = (ConvGeom){
        {r->k, r->k}, {r->s, r->s}, {r->d, r->d}, {r->pad, r->pad}, {r->pad, r->pad}, 1, {r->h, r->h},
        {o, o},       r->ci,        r->co};
    bool dense = r->op == OP_dense || r->op == OP_dense_grad, plain = r->op == OP_mul || r->op == OP_sum;
    if (dense) {
        xs = shape_of(1, r->ci), ys = shape_of(1, r->co);
        ws = r->pad ? shape_of(2, r->ci, r->co) : shape_of(2, r->co, r->ci);
    }
    if (plain) ys = xs;
    vec_push(g->arena, &p->params, ((ParamDecl){.shape = ws}));
    vec_push(g->arena, &p->params, ((ParamDecl){.shape = ys, .offset = (shape_size(ws) + 15) / 16 * 16}));
    in[0].shape = xs, in[1].shape = ys;
    *flop = plain ? (double)(shape_size(xs) * r->batch)
                  : 2.0 * (double)(shape_size(ws) * (dense ? 1 : o * o) * r->batch);
    NodeId x = op1(g, OP_neg, op_leaf(g, OP_input, 0, xs, true, none, NULL)),
           y = op1(g, OP_neg, op_leaf(g, OP_input, 1, ys, true, none, NULL));
    NodeId w = op_leaf(g, OP_param, 0, ws, false, none, NULL);
    Attr a = {.conv = c, .flag = r->op == OP_dense ? r->pad : true};
    switch ((int)r->op) {
    case OP_conv: {
        NodeId v = graph_add(g, OP_conv, (NodeId[]){x, w}, 2, &a, none);
        if (!r->relu) return v;
        NodeId b = op_slice(g, op_slice(g, op_leaf(g, OP_param, 1, ys, false, none, NULL), 1, 0, 1), 2, 0, 1);
        return op1(g, OP_relu, op2(g, OP_sub, v, op_expand(g, op_reshape(g, b, shape_of(1, r->co)), ys)));
    }
    case OP_conv_adj:
        return graph_add(g, OP_conv_adj, (NodeId[]){y, w}, 2, &a, none);
    case OP_conv_grad:
        return graph_add(g, OP_conv_grad, (NodeId[]){x, y}, 2, &a, none);
    case OP_dense:
        return graph_add(g, OP_dense, (NodeId[]){w, x}, 2, &a, none);
    case OP_dense_grad:
        return graph_add(g, OP_dense_grad, (NodeId[]){y, x}, 2, &a, none);
    case OP_sum:
        return op_sum(g, x, 6);
    default:
        return op2(g, OP_mul, x, y);
    }
}

static float *floats(int64_t n) {
    float *p = aligned_alloc(64, ((size_t)n * 4 + 191) / 64 * 64);
    if (!p) exit(2);
    for (int64_t i = 0; i < n + 16; i++) p[i] = (float)(i % 7) * 0.1f - 0.3f;
    return p;
}

static void row(const Row *r) {
    Cx *cx = cx_new();
    Arena *a = cx->keep;
    Graph *g = graph_new(a);
    ConvGeom c;
    Program p = {.arena = a};
    InputDecl in[2] = {0};
    double flop, best = 1e9;
    NodeId v = operator_of(g, r, &c, &p, in, &flop);
    if (graph_batched(g, v))
        v = op1(g, OP_batch_sum, op_slice(g, v, 0, 0, 1)); /* what keeps it alive costs little */
    graph_out(g, OUT_GRAD, 1, v, NULL);
    p.params.at[1].shape = graph_shape(g, v);
    p.param_floats = p.params.at[1].offset + shape_size(graph_shape(g, v)) + shape_size(in[1].shape) + 16;
    Entry e = {.kind = ENTRY_FORWARD, .graph = g, .nin = 2, .in = in, .name = name_of(cx, "forward")};
    SchedTarget target;
    sched_target("native", &target);
    target.winograd = getenv("CSC_DIRECT") ? -1 : 0;
    if (getenv("CSC_TILES")) target.tiles = atoi(getenv("CSC_TILES"));
    double begin = now();
    SchedResult *s = sched_program(cx, a, &p, &e, 1, &target);
    const char *why = "";
    if (!loop_check(a, s->module, &why)) printf("check: %s\n", why), exit(1);
    double middle = now();
    LlvmModelInfo info = {.json = "{}", .param_floats = (uint64_t)p.param_floats};
    CodeObject *obj = llvm_emit(a, s->module, &info, &(LlvmOptions){.cpu = "native", .level = 2}, NULL,
                                getenv("CSC_ASM") ? stdout : NULL);
    const csc_model *m;
    CodeImage *j = code_load(a, obj, &m, &why);
    if (!j) printf("%s\n", why), exit(1);
    double end = now();
    const LpEntry *l = &s->module->entries.at[0];
    const float *ins[2] = {floats(shape_size(in[0].shape) * r->batch),
                           floats(shape_size(in[1].shape) * r->batch)};
    csc_call call = {.size = sizeof call,
                     .batch = (uint32_t)r->batch,
                     .in = ins,
                     .params = floats(p.param_floats),
                     .grads = floats(p.param_floats),
                     .workspace = floats(l->fixed_floats + l->batch_floats * r->batch + l->thread_bytes / 4)};
    if (m->entries[0].prepare) {
        call.prepared = floats(l->prepared_floats);
        if (m->entries[0].prepare(&call)) exit(1);
    }
    for (double until = now() + 1; now() < until;) {
        double t = now();
        if (m->entries[0].run(&call)) exit(1);
        t = now() - t;
        best = t < best ? t : best;
    }
    printf("%-28s %8.3f ms %8.1f GFLOP/s   %zu kernels: schedule %.1f ms, compile %.0f ms\n", r->name,
           best * 1e3, flop / best * 1e-9, s->module->kernels.len, (middle - begin) * 1e3,
           (end - middle) * 1e3);
    fflush(stdout);
    code_free(j);
    cx_free(cx);
}

int main(int argc, char **argv) {
    if (argc == 10) {
        int n[8];
        for (int i = 0; i < 8; i++) n[i] = atoi(argv[i + 2]);
        OpKind op = !strcmp(argv[1], "conv") ? OP_conv : !strcmp(argv[1], "adj") ? OP_conv_adj : OP_conv_grad;
        Row r = {argv[1], op, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], 0};
        row(&r);
        return 0;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (argc < 2 || strstr(rows[i].name, argv[1])) row(&rows[i]);
    return 0;
}
