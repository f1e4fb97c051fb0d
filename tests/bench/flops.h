/* Operations of products, for measurements. */
#ifndef CSC_TESTS_FLOPS_H
#define CSC_TESTS_FLOPS_H
#include "op/graph.h"

static inline double node_flops(const Graph *g, const Node *n) { /* for each sample; what is made of parameters alone (power iterations) is not counted */
    bool of_samples = n->batched || n->op == OP_loop;
    for (uint32_t i = 0; i < n->nin; i++) of_samples |= graph_batched(g, n->in[i]);
    double all = of_samples ? graph_product_flops(g, n) : 0;
    if (n->op == OP_loop)
        for (size_t i = 0; i < n->a.loop->body->nodes.len; i++)
            all += (double)n->a.loop->turns * node_flops(n->a.loop->body, &n->a.loop->body->nodes.at[i]);
    return all;
}

static inline double graph_flops(const Graph *g) {
    double all = 0;
    for (size_t i = 0; i < g->nodes.len; i++) all += node_flops(g, &g->nodes.at[i]);
    return all;
}
#endif
