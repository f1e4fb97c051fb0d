/* One reverse sweep: a graph `src`, its copy inside `dst`, and the cotangents of src's nodes as nodes of dst.
 * Inside ad/ only. */
#ifndef CSC_AD_SWEEP_H
#define CSC_AD_SWEEP_H
#include "op/graph.h"

typedef struct Sweep {
    Arena *a;
    const Graph *src;
    Graph *dst;
    NodeId *map;       /* src node -> its value in dst */
    bool *varied;      /* src node depends on what is differented by, through gradients that are not zero */
    bool *reached;     /* src node has influence on a root, likewise */
    bool **res_varied; /* the same for each result of a loop; NULL at other nodes */
    bool **res_reached;
    NodeId *cot;  /* cotangent; NO_NODE: none yet. That of a batched node may be unbatched: the same for every
                     sample */
    NodeId *pend; /* unbatched nodes: a cotangent per sample that is still to be summed over the batch */
    NodeId **res_cot; /* of each result of a loop */
    int32_t **tape;   /* loops: which result of the copy holds carried value i at the start of each turn; -1:
                         unchanged or unused.   One more at the end: the stack of ones where a sample ran, -1:
                         none needed */
    NodeId at;        /* the src node whose rule runs */
} Sweep;

/* Copies src into dst; map holds the nodes of dst for what is there already (arguments), NO_NODE elsewhere.
   Loops that need a gradient are copied with a tape. wrt: marks among the nodes of src. */
Sweep *sweep_new(Arena *a, const Graph *src, Graph *dst, NodeId *map, const bool *wrt, const NodeId *roots,
                 uint32_t nroots);
void sweep_seed(Sweep *s, NodeId root, NodeId cot); /* root: of src; cot: of dst, of the same shape */
void sweep_run(Sweep *s);
NodeId sweep_grad(Sweep *s, NodeId x);                        /* node of dst, NO_NODE: zero */
NodeId sweep_grad_leaf(Sweep *s, OpKind leaf, int32_t index); /* the sum over all nodes that read this leaf */

/* For the rules. n is the src node s->at. */
bool wants(const Sweep *s, const Node *n, uint32_t i);
NodeId value_in(const Sweep *s, const Node *n, uint32_t i);
NodeId value_out(const Sweep *s);
/* c is the cotangent of input i for each sample: summed over the batch where the input is the same for every
 * sample and n is not. */
void give(Sweep *s, const Node *n, uint32_t i, NodeId c);
/* the same where c, if it is unbatched, is the sum already (or n says what serves every sample by itself) */
void give_summed(Sweep *s, const Node *n, uint32_t i, NodeId c);
NodeId zeros(Graph *g, Shape shape, bool batched);

void rule_apply(Sweep *s, const Node *n, NodeId ybar); /* rules.c: the rule of n's operator */
bool rule_passes(const Node *n, uint32_t i);           /* may n have a gradient with respect to input i? */

/* bodies.c */
NodeId loop_copy_taped(Sweep *s, NodeId at, const NodeId *in);
void loop_reverse(Sweep *s, const Node *n, const NodeId *res_cot);
void fixed_point_reverse(Sweep *s, const Node *n, NodeId ybar);

/* depend.c: both read and extend `mark` over all nodes; res[n] is filled for loops. */
void depend_forward(Arena *a, const Graph *g, bool *mark, bool **res);
void depend_backward(Arena *a, const Graph *g, bool *mark, bool **res);
/* Which arguments (carried values: also the results) of a loop's body depend on the inputs marked; which have
   influence on the results marked. arg: loop_args entries, in: the inputs' marks. */
void loop_depend_forward(Arena *a, const LoopAttr *l, bool *arg, bool *result);
void loop_depend_backward(Arena *a, const LoopAttr *l, const bool *result, bool *arg);
#endif
