/* Gradients against central differences of the evaluator, for tests of ad. The leaves of a graph (inputs:
   batched, parameters: not) receive random numbers; a loss is made of any node. */
#ifndef CSC_TESTS_FD_H
#define CSC_TESTS_FD_H
#include "ad/ad.h"
#include "check.h"
#include "op/eval.h"

enum { FD_LEAVES = 32 };
typedef struct Fd {
    Arena *a;
    Graph *g;
    int64_t batch;
    double lo, hi; /* range of the leaves' entries */
    Value inputs[FD_LEAVES], params[FD_LEAVES];
    NodeId wrt[2 * FD_LEAVES]; /* what is differentiated by */
    uint32_t nwrt;
    uint64_t rng;
    Graph *(*pass)(Arena *a,
                   const Graph *g); /* NULL: none; applied to the gradient graph before it is evaluated */
    Graph *(*before)(Arena *a,
                     const Graph *g); /* the same before differentiation (leaves keep their numbers) */
} Fd;

static inline double fd_random(Fd *f) {
    f->rng = f->rng * 6364136223846793005u + 1442695040888963407u;
    return (double)(f->rng >> 11) * 0x1p-53;
}
static inline Fd fd_new(int64_t batch) {
    Fd f = {.a = arena_new(), .batch = batch, .lo = -1, .hi = 1, .rng = 12345};
    f.g = graph_new(f.a);
    return f;
}
static inline void fd_free(Fd *f) { arena_free(f->a); }

static inline NodeId fd_leaf(Fd *f, bool batched, Shape s, bool wrt) {
    Value *list = batched ? f->inputs : f->params;
    int32_t k = 0;
    while (list[k].at) k++;
    int64_t n = shape_size(s) * (batched ? f->batch : 1);
    list[k] = (Value){s, batched, ARENA_ARRAY(f->a, double, n)};
    for (int64_t i = 0; i < n; i++) list[k].at[i] = f->lo + (f->hi - f->lo) * fd_random(f);
    NodeId x = op_leaf(f->g, batched ? OP_input : OP_param, k, s, batched, (Span){0}, NULL);
    if (wrt) f->wrt[f->nwrt++] = x;
    return x;
}
/* sum of y times random weights, different for each sample */
static inline NodeId fd_loss(Fd *f, NodeId y) {
    bool batched = graph_batched(f->g, y);
    NodeId l = op_sum_all(f->g, op2(f->g, OP_mul, y, fd_leaf(f, batched, graph_shape(f->g, y), false)));
    return batched ? op1(f->g, OP_batch_sum, l) : l;
}
static inline Value *fd_eval(Fd *f, Arena *a, const Graph *g) {
    return eval_graph(a, g,
                      &(EvalEnv){.batch = f->batch, .inputs = f->inputs, .params = f->params, .seed = 1});
}
static inline NodeId fd_find(const Graph *g, const Node *leaf) {
    for (NodeId i = 0; i < g->nodes.len; i++)
        if (graph_at(g, i)->op == leaf->op && graph_at(g, i)->a.index == leaf->a.index) return i;
    return NO_NODE;
}
/* Compares all gradients of the loss with differences; NULL or what is wrong. `most`: entries tried for each
 * leaf. */
static inline const char *fd_check(Fd *f, NodeId loss, int64_t most, double tol) {
    const char *why = NULL;
    if (!graph_check(f->g, &why)) return why;
    graph_out(f->g, OUT_LOSS, 0, loss, NULL);
    const Graph *g = f->before ? f->before(f->a, f->g) : f->g;
    if (!graph_check(g, &why)) return why;
    NodeId wrt[2 * FD_LEAVES], grads[2 * FD_LEAVES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->nwrt; i++) {
        wrt[n] = fd_find(g, graph_at(f->g, f->wrt[i]));
        if (wrt[n] != NO_NODE) n++;
    }
    NodeId root = g->outs.at[0].node;
    Graph *d = ad_reverse(f->a, g, &root, NULL, 1, wrt, n, grads);
    if (!graph_check(d, &why)) return why;
    for (uint32_t i = 0; i < n; i++) {
        if (!shape_eq(graph_shape(d, grads[i]), graph_shape(g, wrt[i])) ||
            graph_batched(d, grads[i]) != graph_batched(g, wrt[i]))
            return "a gradient has another shape than its leaf";
        graph_out(d, OUT_VALUE, (int32_t)i, grads[i], NULL);
    }
    const Graph *e = f->pass ? f->pass(f->a, d) : d;
    if (!graph_check(e, &why)) return why;
    Value *v = fd_eval(f, f->a, e);
    if (fabs(*v[e->outs.at[0].node].at - *fd_eval(f, f->a, f->g)[loss].at) > 1e-9)
        return "the loss itself has changed";
    for (uint32_t i = 0; i < n; i++) {
        const Node *leaf = graph_at(g, wrt[i]);
        Value *x = &(leaf->op == OP_input ? f->inputs : f->params)[leaf->a.index];
        int64_t size = shape_size(x->shape) * (x->batched ? f->batch : 1);
        for (int64_t k = 0; k < size && k < most; k++) {
            int64_t at = size <= most ? k : (int64_t)(fd_random(f) * (double)size);
            const double keep = x->at[at], h = 1e-5;
            Arena *now = arena_new();
            x->at[at] = keep + h;
            double up = *fd_eval(f, now, f->g)[loss].at;
            x->at[at] = keep - h;
            double down = *fd_eval(f, now, f->g)[loss].at;
            x->at[at] = keep;
            arena_free(now);
            double want = (up - down) / (2 * h), is = v[e->outs.at[i + 1].node].at[at];
            if (!(fabs(is - want) <= tol * (1 + fabs(want))))
                return arena_printf(f->a, "%s %d[%lld]: gradient %.12g, difference %.12g",
                                    op_info[leaf->op].name, leaf->a.index, (long long)at, is, want);
        }
    }
    return NULL;
}
#endif
