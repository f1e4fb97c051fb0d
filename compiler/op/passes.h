/* Passes from graph to graph that live with the noun: all take a const graph and return a new one in `a`. */
#ifndef CSC_OP_PASSES_H
#define CSC_OP_PASSES_H
#include "op/graph.h"

/* Removes what vanishes or is computed twice: zero constants through linear operators, x + 0, 1 * x, c1 * (c2 * x), slice of concat,
   slice of embed, reshape of reshape, expand of const, neg of neg, permute of permute, equal nodes (hash-consing), dead nodes. Bodies too. */
Graph *op_simplify(Arena *a, const Graph *g);

/* Loops: peels the first turn of a loop that starts from a zero constant where that removes work, and unrolls a loop without `until` and
   `keep` whose turns * body nodes are at most `most` (0: the default). Run simplify after it. */
Graph *op_unfold(Arena *a, const Graph *g, int64_t most);

/* A x + c A y becomes A (x + c y). Run simplify after it, and before the gradients are made. */
Graph *op_factor(Arena *a, const Graph *g);

/* Variances and sums over the samples that wait for other such sums no longer do. Run simplify before and after it, behind the gradients. */
Graph *op_moments(Arena *a, const Graph *g);

/* Parts of a joined tensor that are computed alike from parts of tensors that are there whole are one value again. Run simplify before and after it. */
Graph *op_rejoin(Arena *a, const Graph *g);

/* Copies the nodes of `src` into g with arguments, inputs... mapped by `map` (one NodeId per node of src, NO_NODE: copy); fills it. */
void graph_inline(Graph *g, const Graph *src, NodeId *map);
#endif
