/* Sums over the samples that wait for other such sums, made not to wait, so that a batch is passed once where
   it was passed twice. A variance is put together from each sample's own (Chan, Golub and LeVeque 1979); the sum of
   c x + d is c times the sum of x, and so on. */
#include "op/passes.h"

enum { TERMS_MOST = 8 };

typedef struct Moments {
    const Graph *g;
    Graph *to;
    bool *sums; /* made of sums over the samples (not batched) */
    NodeId *map;
} Moments;

/* The value that is repeated along exactly these axes; NO_NODE: another kind of value. */
static NodeId repeated(const Moments *m, NodeId x, uint32_t axes) {
    const Node *n = graph_at(m->g, x);
    return n->op == OP_expand && !n->batched && n->a.axes == axes ? n->in[0] : NO_NODE;
}

static int64_t positions(Shape s, uint32_t axes) {
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++)
        if (axes >> i & 1) n *= s.dim[i];
    return n;
}

static NodeId times(Graph *g, NodeId x, double by) {
    return op2(g, OP_mul, op_const(g, by, graph_shape(g, x)), x);
}

static NodeId expand_again(Moments *m, NodeId x, const Node *like) {
    return graph_add(m->to, OP_expand, &x, 1, &like->a, like->span);
}

/* sum of (x - c)^2 over the positions, where c is a sum over the samples: around the sample's own mean, and
   that mean's distance from c. */
static NodeId around_own_mean(Moments *m, const Node *n) {
    if (n->op != OP_sum || !n->batched) return NO_NODE;
    const Node *square = graph_at(m->g, n->in[0]);
    if (square->op != OP_mul || square->in[0] != square->in[1]) return NO_NODE;
    const Node *d = graph_at(m->g, square->in[0]);
    if (d->op != OP_sub || !graph_batched(m->g, d->in[0])) return NO_NODE;
    NodeId c = repeated(m, d->in[1], n->a.axes);
    if (c == NO_NODE || !m->sums[c]) return NO_NODE;
    Graph *g = m->to;
    double count = (double)positions(d->shape, n->a.axes);
    NodeId x = m->map[d->in[0]], mean = times(g, op_sum(g, x, n->a.axes), 1 / count);
    NodeId own = op2(g, OP_sub, x, expand_again(m, mean, graph_at(m->g, d->in[1])));
    NodeId away = op2(g, OP_sub, mean, m->map[c]);
    return op2(g, OP_add, op_sum(g, op2(g, OP_mul, own, own), n->a.axes),
               times(g, op2(g, OP_mul, away, away), count));
}

/* How many terms x falls into; *waits: one has a factor made of sums over the samples. */
static int terms(const Moments *m, NodeId x, uint32_t axes, bool *waits) {
    const Node *n = graph_at(m->g, x);
    if (!n->batched) return 1;
    if (n->op == OP_add || n->op == OP_sub) return terms(m, n->in[0], axes, waits) + terms(m, n->in[1], axes, waits);
    if (n->op != OP_mul) return 1;
    for (int k = 0; k < 2; k++) {
        NodeId c = repeated(m, n->in[k], axes);
        if (c == NO_NODE) continue;
        *waits |= m->sums[c];
        return terms(m, n->in[1 - k], axes, waits);
    }
    return 1;
}

/* x summed over the positions and the samples. */
static NodeId sum_of_terms(Moments *m, NodeId x, uint32_t axes) {
    const Node *n = graph_at(m->g, x);
    Graph *g = m->to;
    if (!n->batched) {
        NodeId one = op_sum(g, m->map[x], axes);
        NodeId samples = graph_add(g, OP_nbatch, NULL, 0, NULL, n->span);
        return op2(g, OP_mul, op_expand(g, samples, graph_shape(g, one)), one);
    }
    if (n->op == OP_add || n->op == OP_sub) {
        NodeId p = sum_of_terms(m, n->in[0], axes), q = sum_of_terms(m, n->in[1], axes);
        return op2(g, n->op, p, q);
    }
    for (int k = 0; k < 2 && n->op == OP_mul; k++) {
        NodeId c = repeated(m, n->in[k], axes);
        if (c != NO_NODE) return op2(g, OP_mul, m->map[c], sum_of_terms(m, n->in[1 - k], axes));
    }
    return op1(g, OP_batch_sum, op_sum(g, m->map[x], axes));
}

static NodeId by_terms(Moments *m, const Node *n) {
    if (n->op != OP_batch_sum) return NO_NODE;
    const Node *sum = graph_at(m->g, n->in[0]);
    bool waits = false;
    if (sum->op != OP_sum || terms(m, sum->in[0], sum->a.axes, &waits) > TERMS_MOST || !waits) return NO_NODE;
    return sum_of_terms(m, sum->in[0], sum->a.axes);
}

Graph *op_moments(Arena *a, const Graph *g) {
    size_t n = g->nodes.len + 1;
    Moments m = {g, graph_new(a), ARENA_ARRAY(a, bool, n), ARENA_ARRAY(a, NodeId, n)};
    for (NodeId i = 0; i < g->nodes.len; i++) {
        const Node *x = graph_at(g, i);
        NodeId *in = ARENA_ARRAY(a, NodeId, x->nin + 1);
        for (uint32_t k = 0; k < x->nin; k++) {
            in[k] = m.map[x->in[k]];
            m.sums[i] |= !x->batched && (graph_batched(g, x->in[k]) || m.sums[x->in[k]]);
        }
        NodeId r = around_own_mean(&m, x);
        if (r == NO_NODE) r = by_terms(&m, x);
        if (r == NO_NODE) r = graph_add(m.to, x->op, in, x->nin, &x->a, x->span);
        m.map[i] = r;
        m.to->nodes.at[r].name = x->name;
    }
    for (size_t i = 0; i < g->outs.len; i++)
        graph_out(m.to, g->outs.at[i].role, g->outs.at[i].index, m.map[g->outs.at[i].node], g->outs.at[i].name);
    return m.to;
}
