/* Which values are never stored: elementwise results that one other elementwise operator or reduction reads, and products that one
   elementwise operator reads (they are stored through it, from the registers). */
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

static bool is_product(OpKind op) { return op == OP_conv || op == OP_conv_adj || op == OP_dense; }

static bool reads_inside(const Gx *x, const Node *user, NodeId u, const Node *n) {
    if (is_product(n->op)) return op_is_elementwise(user->op) && user->op != OP_stop && user->batched == n->batched;
    if (user->op == OP_batch_sum) return true;
    if (user->batched != n->batched) return false;
    if (user->op == OP_stop) return x->fits[u];
    return op_is_elementwise(user->op) || user->op == OP_sum || user->op == OP_amax;
}

void fuse_decide(Gx *x) {
    const Graph *g = x->g;
    count_uses(x);
    for (size_t i = 0; i < g->nodes.len; i++) {
        OpKind op = g->nodes.at[i].op;
        x->fits[i] = (op_is_elementwise(op) || is_product(op)) && x->uses[i] == 1;
    }
    for (size_t i = 0; i < g->outs.len; i++) x->fits[g->outs.at[i].node] = false;
    for (size_t i = g->nodes.len; i-- > 0;) {
        const Node *n = &g->nodes.at[i];
        if (!x->uses[i]) continue;
        for (uint32_t k = 0; k < n->nin; k++)
            if (!reads_inside(x, n, (NodeId)i, graph_at(g, n->in[k]))) x->fits[n->in[k]] = false;
    }
    int32_t *leaves = ARENA_ARRAY(x->a, int32_t, g->nodes.len + 1), *ops = ARENA_ARRAY(x->a, int32_t, g->nodes.len + 1);
    NodeId *held = ARENA_ARRAY(x->a, NodeId, g->nodes.len + 1); /* the product inside the expression, plus 1 */
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        leaves[i] = 0, ops[i] = 1, held[i] = 0;
        if (is_product(n->op)) {
            leaves[i] = 1, held[i] = (NodeId)i + 1;
            continue;
        }
        for (uint32_t k = 0; k < n->nin; k++) {
            NodeId in = n->in[k];
            if (x->fits[in] && (leaves[i] + leaves[in] > LEAVES_MOST || ops[i] + ops[in] > OPS_MOST)) x->fits[in] = false;
            leaves[i] += x->fits[in] ? leaves[in] : 1;
            ops[i] += x->fits[in] ? ops[in] : 0;
            if (!x->fits[in] || !held[in]) continue;
            if (held[i]) x->fits[(held[i] < held[in] ? held[i] : held[in]) - 1] = false; /* one in a tree: the later */
            if (held[in] > held[i]) held[i] = held[in];
        }
    }
}
