/* A graph under construction in which equal nodes are one and every node is rewritten as it is made. Inside
 * op/ only. */
#ifndef CSC_OP_REWRITE_H
#define CSC_OP_REWRITE_H
#include "op/graph.h"

typedef struct Build {
    Arena *a;
    Graph *g;
    uint32_t *table; /* open addressing: node + 1 */
    size_t cap;
} Build;

Build *build_new(Arena *a);
/* The node, or one that always has its value (same shape, batched alike). */
NodeId build_node(Build *b, OpKind op, const NodeId *in, uint32_t nin, const Attr *attr, Span span);
NodeId build_const(Build *b, double v, Shape s, bool batched); /* batched: per_sample of it */
NodeId build_as(Build *b, NodeId x, bool batched);             /* per_sample where needed */
bool build_is_const(const Build *b, NodeId x, double *v);      /* const, or per_sample of one */

/* rewrite.c, rewrite_axes.c: the rules; NO_NODE when none applies. */
NodeId rewrite_node(Build *b, const Node *n);
NodeId rewrite_axes(Build *b, const Node *n);
NodeId rewrite_add_embeds(Build *b, const Node *x, const Node *y, Span span); /* their sum */

bool attr_equal(const Attr *x, const Attr *y);
bool graph_equal(const Graph *x, const Graph *y); /* names and spans left out */

/* simplify_loop.c. `result` of loop_simplify: for each result of the old loop its node in b (NO_NODE: not
 * used). */
void loop_simplify(Build *b, const Node *n, const NodeId *in, const bool *used, NodeId *result);
#endif
