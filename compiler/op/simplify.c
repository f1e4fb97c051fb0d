/* Simplification: rewrite every live node into a new graph where equal nodes are one, until nothing changes.
 */
#include "op/passes.h"
#include "op/rewrite.h"
#include "base/trouble.h"
#include "op/loops.h"

enum { ROUNDS_MOST = 12 }; /* a round that finds nothing new ends it; two or three are usual */

typedef struct Live {
    bool *node;
    bool **result; /* of loops: which are read */
} Live;

static Live live_of(Arena *a, const Graph *g) {
    Live l = {ARENA_ARRAY(a, bool, g->nodes.len), ARENA_ARRAY(a, bool *, g->nodes.len)};
    for (size_t i = 0; i < g->outs.len; i++) l.node[g->outs.at[i].node] = true;
    for (size_t i = g->nodes.len; i-- > 0;) {
        const Node *n = &g->nodes.at[i];
        if (!l.node[i]) continue;
        for (uint32_t k = 0; k < n->nin; k++) l.node[n->in[k]] = true;
        if (n->op != OP_proj) continue;
        bool **r = &l.result[n->in[0]];
        if (!*r) *r = ARENA_ARRAY(a, bool, loop_results(graph_at(g, n->in[0])->a.loop));
        (*r)[n->a.index] = true;
    }
    return l;
}

static Graph *round_of(Arena *a, const Graph *g) {
    Build *b = build_new(a);
    Live live = live_of(a, g);
    NodeId *map = ARENA_ARRAY(a, NodeId, g->nodes.len), **result = ARENA_ARRAY(a, NodeId *, g->nodes.len);
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        if (!live.node[i]) continue;
        NodeId few[8], *in = n->nin <= 8 ? few : ARENA_ARRAY(a, NodeId, n->nin);
        for (uint32_t k = 0; k < n->nin; k++) in[k] = map[n->in[k]];
        if (n->op == OP_loop) {
            if (!live.result[i]) continue;
            result[i] = ARENA_ARRAY(a, NodeId, loop_results(n->a.loop));
            loop_simplify(b, n, in, live.result[i], result[i]);
            map[i] = NO_NODE;
            continue;
        }
        Attr attr = n->a;
        if (n->op == OP_fixed_point) attr.body = op_simplify(a, attr.body);
        map[i] = n->op == OP_proj ? result[n->in[0]][n->a.index]
                                  : build_node(b, n->op, in, n->nin, &attr, n->span);
        Node *made = &b->g->nodes.at[map[i]];
        if (!shape_eq(made->shape, n->shape) || made->batched != n->batched)
            BUG("%s became another kind of value", op_info[n->op].name);
        if (!made->name && made->op != OP_constant) made->name = n->name;
    }
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        graph_out(b->g, o->role, o->index, map[o->node], o->name);
    }
    return b->g;
}

Graph *op_simplify(Arena *a, const Graph *g) {
    for (int i = 0;; i++) {
        Graph *next = round_of(a, g);
        if (i + 1 >= ROUNDS_MOST || graph_equal(g, next)) return next;
        g = next;
    }
}
