/* Copies the nodes of one graph into another. */
#include "op/passes.h"

void graph_inline(Graph *g, const Graph *src, NodeId *map) {
    for (size_t i = 0; i < src->nodes.len; i++) {
        if (map[i] != NO_NODE) continue;
        const Node *n = &src->nodes.at[i];
        NodeId few[8], *in = n->nin <= 8 ? few : ARENA_ARRAY(g->arena, NodeId, n->nin);
        for (uint32_t k = 0; k < n->nin; k++) in[k] = map[n->in[k]];
        map[i] = graph_add(g, n->op, in, n->nin, &n->a, n->span);
        g->nodes.at[map[i]].name = n->name;
    }
}
