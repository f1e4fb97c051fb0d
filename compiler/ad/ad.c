/* Reverse mode: copy the graph, then walk it backwards. Only nodes that depend on `wrt` and reach a root get
 * cotangents. */
#include "ad/ad.h"
#include "ad/sweep.h"
#include "base/trouble.h"
#include "op/loops.h"
#include <string.h>

NodeId zeros(Graph *g, Shape shape, bool batched) {
    NodeId z = op_const(g, 0, shape);
    return batched ? op1(g, OP_per_sample, z) : z;
}

bool wants(const Sweep *s, const Node *n, uint32_t i) { return s->varied[n->in[i]]; }
NodeId value_in(const Sweep *s, const Node *n, uint32_t i) { return s->map[n->in[i]]; }
NodeId value_out(const Sweep *s) { return s->map[s->at]; }

static void accumulate(Graph *g, NodeId *to, NodeId c) { *to = *to == NO_NODE ? c : op2(g, OP_add, *to, c); }

static NodeId times_nbatch(Graph *g, NodeId c) {
    NodeId nb = graph_add(g, OP_nbatch, NULL, 0, NULL, (Span){0});
    return op2(g, OP_mul, op_expand(g, nb, graph_shape(g, c)), c);
}

static void receive(Sweep *s, NodeId x, NodeId c) {
    if (!s->varied[x]) return;
    bool sum_later = !graph_batched(s->src, x) && graph_batched(s->dst, c);
    accumulate(s->dst, sum_later ? &s->pend[x] : &s->cot[x], c);
}

void give_summed(Sweep *s, const Node *n, uint32_t i, NodeId c) { receive(s, n->in[i], c); }

void give(Sweep *s, const Node *n, uint32_t i, NodeId c) {
    NodeId x = n->in[i];
    if (!s->varied[x]) return;
    bool for_all = n->batched && !graph_batched(s->src, x) && !graph_batched(s->dst, c);
    receive(s, x, for_all ? times_nbatch(s->dst, c) : c);
}

static NodeId copy_node(Sweep *s, NodeId at) {
    const Node *n = graph_at(s->src, at);
    NodeId *in = ARENA_ARRAY(s->a, NodeId, n->nin);
    for (uint32_t k = 0; k < n->nin; k++) in[k] = s->map[n->in[k]];
    if (n->op == OP_loop && s->varied[at] && s->reached[at]) return loop_copy_taped(s, at, in);
    Attr attr = n->a;
    if (n->op == OP_proj) { /* the tape stands before the number of turns */
        const LoopAttr *was = graph_at(s->src, n->in[0])->a.loop, *is = graph_at(s->dst, in[0])->a.loop;
        if ((uint32_t)attr.index == was->ncarry + was->nemit) attr.index = (int32_t)(is->ncarry + is->nemit);
    }
    return graph_add(s->dst, n->op, in, n->nin, &attr, n->span);
}

Sweep *sweep_new(Arena *a, const Graph *src, Graph *dst, NodeId *map, const bool *wrt, const NodeId *roots,
                 uint32_t nroots) {
    Sweep *s = ARENA_NEW(a, Sweep);
    size_t len = src->nodes.len;
    *s = (Sweep){.a = a, .src = src, .dst = dst, .map = map};
    s->varied = arena_copy(a, wrt, len * sizeof *wrt);
    s->reached = ARENA_ARRAY(a, bool, len);
    s->res_varied = ARENA_ARRAY(a, bool *, len);
    s->res_reached = ARENA_ARRAY(a, bool *, len);
    s->cot = ARENA_ARRAY(a, NodeId, len);
    s->pend = ARENA_ARRAY(a, NodeId, len);
    s->res_cot = ARENA_ARRAY(a, NodeId *, len);
    s->tape = ARENA_ARRAY(a, int32_t *, len);
    for (size_t i = 0; i < len; i++) s->cot[i] = s->pend[i] = NO_NODE;
    for (uint32_t i = 0; i < nroots; i++) s->reached[roots[i]] = true;
    depend_forward(a, src, s->varied, s->res_varied);
    depend_backward(a, src, s->reached, s->res_reached);
    for (NodeId i = 0; i < len; i++) {
        if (map[i] != NO_NODE) continue;
        map[i] = copy_node(s, i);
        Name *name = &dst->nodes.at[map[i]].name;
        if (!*name) *name = graph_at(src, i)->name;
    }
    for (NodeId i = 0; i < len; i++) {
        const Node *n = graph_at(src, i);
        if (n->op != OP_loop || !s->varied[i] || !s->reached[i]) continue;
        uint32_t results = loop_results(n->a.loop);
        s->res_cot[i] = ARENA_ARRAY(a, NodeId, results);
        for (uint32_t k = 0; k < results; k++) s->res_cot[i][k] = NO_NODE;
    }
    return s;
}

void sweep_seed(Sweep *s, NodeId root, NodeId cot) { receive(s, root, cot); }

NodeId sweep_grad(Sweep *s, NodeId x) {
    if (s->pend[x] != NO_NODE) {
        accumulate(s->dst, &s->cot[x], op1(s->dst, OP_batch_sum, s->pend[x]));
        s->pend[x] = NO_NODE;
    }
    return s->cot[x];
}

NodeId sweep_grad_leaf(Sweep *s, OpKind leaf, int32_t index) {
    NodeId sum = NO_NODE;
    for (NodeId i = 0; i < s->src->nodes.len; i++) {
        const Node *n = graph_at(s->src, i);
        if (n->op != leaf || n->a.index != index || sweep_grad(s, i) == NO_NODE) continue;
        accumulate(s->dst, &sum, s->cot[i]);
    }
    return sum;
}

static void reverse_node(Sweep *s, NodeId at) {
    const Node *n = graph_at(s->src, at);
    s->at = at;
    if (n->op == OP_loop) {
        bool any = false;
        for (uint32_t k = 0; s->res_cot[at] && k < loop_results(n->a.loop); k++)
            any |= s->res_cot[at][k] != NO_NODE;
        if (any) loop_reverse(s, n, s->res_cot[at]);
        return;
    }
    if (s->pend[at] != NO_NODE && n->op == OP_expand) {
        /* sum over the axes first, over the batch later: the smaller values cross the samples */
        NodeId per_sample = s->pend[at];
        s->pend[at] = NO_NODE;
        rule_apply(s, n, per_sample);
    }
    if (sweep_grad(s, at) != NO_NODE) rule_apply(s, n, s->cot[at]);
}

void sweep_run(Sweep *s) {
    for (NodeId i = (NodeId)s->src->nodes.len; i-- > 0;)
        if (s->varied[i] && s->reached[i]) reverse_node(s, i);
}

static bool is_numbered(const Node *x) {
    return x->op == OP_input || x->op == OP_param || x->op == OP_tunable || x->op == OP_arg;
}
static bool same_leaf(const Node *x, const Node *y) {
    return is_numbered(x) && x->op == y->op && x->a.index == y->a.index;
}

Graph *ad_reverse(Arena *a, const Graph *g, const NodeId *roots, const NodeId *seeds, uint32_t nroots,
                  const NodeId *wrt, uint32_t nwrt, NodeId *grads) {
    size_t len = g->nodes.len;
    Graph *dst = graph_new(a);
    NodeId *map = ARENA_ARRAY(a, NodeId, len);
    bool *mark = ARENA_ARRAY(a, bool, len);
    for (size_t i = 0; i < len; i++) {
        map[i] = NO_NODE;
        for (uint32_t k = 0; k < nwrt; k++)
            mark[i] |= i == wrt[k] || same_leaf(&g->nodes.at[i], graph_at(g, wrt[k]));
    }
    Sweep *s = sweep_new(a, g, dst, map, mark, roots, nroots);
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        graph_out(dst, o->role, o->index, map[o->node], o->name);
    }
    for (uint32_t i = 0; i < nroots; i++) {
        NodeId c = seeds ? map[seeds[i]] : op_const(dst, 1, graph_shape(g, roots[i]));
        if (!shape_eq(graph_shape(dst, c), graph_shape(g, roots[i])))
            BUG("the cotangent of root %u has another shape", i);
        sweep_seed(s, roots[i], c);
    }
    sweep_run(s);
    for (uint32_t i = 0; i < nwrt; i++) {
        const Node *n = graph_at(g, wrt[i]);
        NodeId c = is_numbered(n) ? sweep_grad_leaf(s, n->op, n->a.index) : sweep_grad(s, wrt[i]);
        if (c == NO_NODE)
            c = zeros(dst, n->shape, n->batched);
        else if (n->batched && !graph_batched(dst, c))
            c = op1(dst, OP_per_sample, c);
        grads[i] = c;
    }
    return dst;
}
