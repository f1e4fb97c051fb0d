/* Gradients of random instances of every operator and of random programs, against differences; and after
 * simplification. */
#include "ad/ad.h"
#include "check.h"
#include "op/passes.h"
#include "optest.h"

/* The sum of all outputs times random weights. */
static NodeId loss_of(Arena *a, OpTest *t) {
    Graph *g = t->graph;
    Rng r = {99};
    NodeId loss = NO_NODE;
    for (size_t o = 0; o < g->outs.len; o++) {
        NodeId y = g->outs.at[o].node;
        Shape s = graph_shape(g, y);
        double *w = ARENA_ARRAY(a, double, shape_size(s));
        for (int64_t i = 0; i < shape_size(s); i++) w[i] = rng_real(&r, -1, 1);
        NodeId one = op_sum_all(
            g, op2(g, OP_mul, y, graph_add(g, OP_table, NULL, 0, &(Attr){.shape = s, .data = w}, (Span){0})));
        /* a square, so that the cotangents of the samples differ */
        one = op2(g, OP_add, one, op_scale(g, 0.1, op2(g, OP_mul, one, one)));
        if (graph_batched(g, one)) one = op1(g, OP_batch_sum, one);
        loss = loss == NO_NODE ? one : op2(g, OP_add, loss, one);
    }
    return loss;
}

static double loss_at(const OpTest *t, NodeId loss) {
    Arena *now = arena_new();
    double v = *eval_graph(now, t->graph, &t->env)[loss].at;
    arena_free(now);
    return v;
}

/* `stop` hides what differences see: its sign is turned instead. */
static void no_stops(Graph *g) {
    for (size_t i = 0; i < g->nodes.len; i++)
        if (g->nodes.at[i].op == OP_stop) g->nodes.at[i].op = OP_neg;
}

/* Derivative along a random direction of one leaf at a time, and the gradient's product with it. */
static const char *check(Arena *a, OpTest *t, int variant) {
    no_stops(t->graph);
    NodeId loss = loss_of(a, t), *wrt = ARENA_ARRAY(a, NodeId, t->nleaf + 1),
           *grads = ARENA_ARRAY(a, NodeId, t->nleaf + 1);
    uint32_t n = 0, *which = ARENA_ARRAY(a, uint32_t, t->nleaf + 1);
    for (uint32_t i = 0; i < t->nleaf; i++) {
        if (!t->real[i] || graph_at(t->graph, t->leaf[i])->op == OP_state) continue;
        wrt[n] = t->leaf[i];
        which[n++] = i;
    }
    if (!n || loss == NO_NODE) return NULL;
    Graph *d = ad_reverse(a, t->graph, &loss, NULL, 1, wrt, n, grads);
    for (uint32_t i = 0; i < n; i++) graph_out(d, OUT_VALUE, (int32_t)(1000 + i), grads[i], NULL);
    size_t first = d->outs.len - n;
    if (variant) d = op_simplify(a, variant == 2 ? op_unfold(a, d, 0) : d);
    const char *why = NULL;
    if (!graph_check(d, &why)) return why;
    Value *v = eval_graph(a, d, &t->env);
    Rng r = {7};
    for (uint32_t i = 0; i < n; i++) {
        int64_t len;
        double *x = optest_values(t, which[i], &len), *keep = arena_copy(a, x, (size_t)len * sizeof *x),
               *dir = ARENA_ARRAY(a, double, len);
        const double h = 1e-6;
        double is = 0, diff = 0, size = 0;
        Value gr = v[d->outs.at[first + i].node];
        for (int64_t k = 0; k < len; k++) {
            dir[k] = rng_real(&r, -1, 1);
            is += dir[k] * gr.at[k];
            size += fabs(dir[k] * gr.at[k]);
        }
        for (int side = 1; side >= -1; side -= 2) {
            for (int64_t k = 0; k < len; k++) x[k] = keep[k] + side * h * dir[k];
            diff += side * loss_at(t, loss) / (2 * h);
        }
        memcpy(x, keep, (size_t)len * sizeof *x);
        if (!(fabs(is - diff) <= 2e-5 * (1 + size)))
            return arena_printf(a, "leaf %u: gradient %.10g, difference %.10g", which[i], is, diff);
    }
    return NULL;
}

TEST(every_operator) {
    for (OpKind k = 0; k < OP_COUNT; k++)
        for (uint64_t seed = 0; seed < 12; seed++) {
            Arena *a = arena_new();
            OpTest t = optest_instance(a, k, seed);
            const char *why = check(a, &t, (int)(seed % 3));
            if (why) FAIL("%s, seed %d: %s", op_info[k].name, (int)seed, why);
            arena_free(a);
        }
}
TEST(random_programs) {
    for (uint64_t seed = 0; seed < 200; seed++) {
        Arena *a = arena_new();
        OpTest t = optest_program(a, seed);
        const char *why = check(a, &t, (int)(seed % 3));
        if (why) FAIL("seed %d: %s", (int)seed, why);
        arena_free(a);
    }
}

int main(int argc, char **argv) {
    return run_tests(argc, argv, (Case[]){T(every_operator), T(random_programs)}, 2);
}
