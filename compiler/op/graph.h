/* The operator graph: nodes in topological order (inputs before users), each one operator of sig/ops.def.
   Append-only; a pass reads one graph and makes another. */
#ifndef CSC_OP_GRAPH_H
#define CSC_OP_GRAPH_H
#include "base/diag.h"
#include "sig/sig.h"

typedef uint32_t NodeId; /* index into Graph.nodes */
#define NO_NODE UINT32_MAX

typedef struct Node {
    OpKind op;
    bool batched;
    Shape shape; /* per sample */
    uint32_t nin;
    const NodeId *in;
    Attr a;
    Span span; /* where the user wrote it */
    Name name; /* the name the user gave the value, or NULL; for messages, NaN reports, --remarks */
} Node;

/* What an output of a graph is for. */
typedef enum OutRole {
    OUT_VALUE,   /* output `index` of the model; in a body: by position */
    OUT_LOSS,    /* scalar, not batched: mean over the batch */
    OUT_METRIC,  /* scalar, not batched: mean over the batch; index into the entry's metrics */
    OUT_GRAD,    /* gradient for parameter `index` */
    OUT_INGRAD,  /* gradient for input `index`, batched */
    OUT_STATE,   /* new value of state `index` */
    OUT_PARAM,   /* initial value of parameter `index` (entry init) */
} OutRole;

typedef struct GraphOut {
    OutRole role;
    int32_t index;
    NodeId node;
    Name name;
} GraphOut;

typedef struct Graph {
    Arena *arena; /* not owned */
    Vec(Node) nodes;
    Vec(GraphOut) outs;
} Graph;

/* A loop. Node inputs, in this order: ncarry initial values; ninvariant values that are the same in each turn; nper tensors with
   a leading axis of `turns` (turn t sees entry t, without that axis).
   Body arguments (OP_arg, index from 0), in the same order, then one more: the turn's number (0-based scalar, not batched).
   Body outputs (OUT_VALUE, by position): ncarry new values; nemit emitted values; if `until`: a scalar, nonzero: this sample stops
   after this turn.
   Results (OP_proj index): ncarry final values; nemit stacks [turns, ...]; if `until`: the number of turns run (scalar, not batched, the
   largest over the batch).
   `until`: a sample that stopped keeps its carried values as they are, whatever its neighbours do; the loop ends when all have
   stopped; stack entries of turns not run are zero.
   `counted`: one more input at the very end, a scalar, not batched: only that many turns run (<= turns).
   `reverse`: turns run from the last (turns-1, or count-1) to 0; per-turn inputs and stacks are still indexed by the turn's number.
   A carried value has one shape; it is batched when its initial value, its new value or `until` is, and its argument says so (an
   initial or new value that is not batched then serves every sample). An emitted stack is batched when the emitted value or `until` is.
   A reverse loop has no `until`. A body (of fixed_point too) reads nothing but arg, const, table, nbatch and noise: all else comes in as
   an argument. Noise in a body is the same in each turn; a noise of shape [turns, ...] outside, passed per turn, is new in each. */
typedef struct LoopAttr {
    const Graph *body;
    int64_t turns;
    uint32_t ncarry, ninvariant, nper, nemit;
    bool until, counted, reverse;
    bool keep; /* never unroll (gradient = recompute) */
} LoopAttr;

Graph *graph_new(Arena *a);
/* Appends; the shape comes from the rule. BUG when the rule refuses: callers with user input ask sig_infer first. Copies `in` and what
   attr points to, except bodies and table data. attr may be NULL. */
NodeId graph_add(Graph *g, OpKind op, const NodeId *in, uint32_t nin, const Attr *attr, Span span);
void graph_out(Graph *g, OutRole role, int32_t index, NodeId node, Name name);
const Node *graph_at(const Graph *g, NodeId n);
Shape graph_shape(const Graph *g, NodeId n);
bool graph_batched(const Graph *g, NodeId n);
/* How many outputs and living nodes read each node: 0 is dead. One entry more than nodes. */
uint32_t *graph_uses(Arena *a, const Graph *g);
/* Floating-point operations of a product (convolution, dense, their gradients), for each sample; 0: it is none. */
double graph_product_flops(const Graph *g, const Node *n);

/* Shorthands; span is that of the first input unless it is a leaf. */
NodeId op_const(Graph *g, double v, Shape s);
NodeId op_leaf(Graph *g, OpKind k, int32_t index, Shape s, bool batched, Span span, Name name); /* input param state tunable arg */
NodeId op1(Graph *g, OpKind k, NodeId x);
NodeId op2(Graph *g, OpKind k, NodeId x, NodeId y);
NodeId op3(Graph *g, OpKind k, NodeId x, NodeId y, NodeId z);
NodeId op_scale(Graph *g, double c, NodeId x);                    /* c * x */
NodeId op_expand(Graph *g, NodeId x, Shape to);                   /* x's shape must be a prefix of `to`; x itself when equal */
NodeId op_sum(Graph *g, NodeId x, uint32_t axes);
NodeId op_sum_all(Graph *g, NodeId x);
NodeId op_reshape(Graph *g, NodeId x, Shape s);
NodeId op_slice(Graph *g, NodeId x, int axis, int64_t start, int64_t size);
NodeId op_proj(Graph *g, NodeId loop, int32_t index);
NodeId op_loop(Graph *g, const LoopAttr *l, const NodeId *in, uint32_t nin, Span span); /* checks the body against the inputs */

/* Does the graph hold what its nodes promise (topology, shapes, bodies, outputs)? Fills *why (in g->arena) when not. */
bool graph_check(const Graph *g, const char **why);

/* Text, and back: `%3 "name" = conv %1 %2 {kernel=3x3 ...} : real[8, 4, 4] batched`, outputs as `out loss 0 %7 "name"`, bodies between
   braces. An attribute is shown when it is not zero. Reading what was printed gives the same graph (spans left out). */
void graph_print(const Graph *g, FILE *out);
Graph *graph_read(Cx *cx, Arena *a, uint32_t file); /* NULL after diagnostics */

/* A structural hash of nodes and outputs, spans and names left out. */
uint64_t graph_hash(const Graph *g);
#endif
