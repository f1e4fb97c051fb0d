/* Reverse-mode differentiation on the graph. */
#ifndef CSC_AD_AD_H
#define CSC_AD_AD_H
#include "op/graph.h"

/* A copy of g (loops emit what their reverse needs), to which the gradients are appended.
   loss: an unbatched scalar output node of g, or several nodes with cotangents given (`seeds`: nodes of g,
   one per root, same shape). wrt: nodes of g (leaves). grads[i] receives the node in the copy with the
   gradient of wrt[i] (zero const when none reaches it), batched like wrt[i]. outputs of g are copied; the
   caller adds the gradient outputs. */
Graph *ad_reverse(Arena *a, const Graph *g, const NodeId *roots, const NodeId *seeds, uint32_t nroots,
                  const NodeId *wrt, uint32_t nwrt, NodeId *grads);
#endif
