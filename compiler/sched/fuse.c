/* Which values are never stored: elementwise results that one other elementwise operator or reduction reads. */
#include "sched/internal.h"

enum { LEAVES_MOST = 16, OPS_MOST = 60 }; /* of one fused expression */

static void count_uses(Gx *x) {
    const Graph *g = x->g;
    for (size_t i = 0; i < g->outs.len; i++) x->uses[g->outs.at[i].node]++;
    for (size_t i = g->nodes.len; i-- > 0;) {
        if (!x->uses[i]) continue;
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; k < n->nin; k++) x->uses[n->in[k]]++;
    }
}

static bool reads_inside(const Gx *x, const Node *user, NodeId u, const Node *n) {
    if (user->op == OP_batch_sum) return true;
    if (user->batched != n->batched) return false;
    if (user->op == OP_stop) return x->fits[u];
    return op_is_elementwise(user->op) || user->op == OP_sum || user->op == OP_amax;
}

void fuse_decide(Gx *x) {
    const Graph *g = x->g;
    count_uses(x);
    for (size_t i = 0; i < g->nodes.len; i++) x->fits[i] = op_is_elementwise(g->nodes.at[i].op) && x->uses[i] == 1;
    for (size_t i = 0; i < g->outs.len; i++) x->fits[g->outs.at[i].node] = false;
    for (size_t i = g->nodes.len; i-- > 0;) {
        const Node *n = &g->nodes.at[i];
        if (!x->uses[i]) continue;
        for (uint32_t k = 0; k < n->nin; k++)
            if (!reads_inside(x, n, (NodeId)i, graph_at(g, n->in[k]))) x->fits[n->in[k]] = false;
    }
    int32_t *leaves = ARENA_ARRAY(x->a, int32_t, g->nodes.len + 1), *ops = ARENA_ARRAY(x->a, int32_t, g->nodes.len + 1);
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        leaves[i] = 0, ops[i] = 1;
        for (uint32_t k = 0; k < n->nin; k++) {
            NodeId in = n->in[k];
            if (x->fits[in] && (leaves[i] + leaves[in] > LEAVES_MOST || ops[i] + ops[in] > OPS_MOST)) x->fits[in] = false;
            leaves[i] += x->fits[in] ? leaves[in] : 1;
            ops[i] += x->fits[in] ? ops[in] : 0;
        }
    }
}
