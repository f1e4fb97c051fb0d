/* Random valid graphs with values for their leaves, generated from the operator table: the ground on which the evaluator, the gradients and
   the compiled code are compared. The same seed makes the same graph and values on every machine. */
#ifndef CSC_TESTS_OPTEST_H
#define CSC_TESTS_OPTEST_H
#include "op/eval.h"

typedef struct Rng {
    uint64_t s;
} Rng;

typedef struct OpTest {
    Graph *graph;  /* its leaves are inputs (batched), params and states, numbered from 0; outputs are OUT_VALUE 0, 1, ... */
    NodeId node;   /* optest_instance: the operator's node (a loop's or fixed point's too), whose value (loop: results) is an output */
    EvalEnv env;   /* batch 1 or 3; a value for each leaf. Change the numbers at env.inputs[i].at (and so on) freely */
    NodeId *leaf;  /* the leaves: in an instance of an operator with inputs, leaf[i] is input i of the node */
    bool *real;    /* may gradients be asked for leaf i, at these values: real, not a label, count, condition; away from kinks */
    uint32_t nleaf;
    uint32_t ninput, nparam, nstate; /* how many of each */
} OpTest;

/* An instance of operator `kind`: odd sizes, strides, dilations, groups, one-sided padding, strides that round off, 1x1 maps, batched and
   unbatched inputs mixed, batch 1 and 3. About one in six is large (an axis or channel count beyond a vector). Never fails.
   fixed_point: its value comes from enough turns of a loop to solve its equation, so that differences of the whole graph are right.
   The values of leaf i of an entry-choosing operator (max, sort, pools, ...) are apart by more than 1e-3. */
OpTest optest_instance(Arena *a, OpKind kind, uint64_t seed);

/* A graph of 5 to 30 random steps (an operator, or one of the forms models are made of: conv + bias + relu, an ISTA update, a loop) whose values
   stay of moderate size. Outputs: OUT_VALUE 0, 1, ... (batched or not), then OUT_LOSS. Comparisons, floor, sign, argmax, sort and max_pool_at/adj read
   leaves, so that rounding does not flip them. */
OpTest optest_program(Arena *a, uint64_t seed);
void optest_start(OpTest *t, Arena *a, Rng *r); /* an empty graph and environment */

/* The leaf's value in t.env; writable. */
double *optest_values(const OpTest *t, uint32_t leaf, int64_t *count);

/* ---- for tests of their own kind ---- */
uint64_t rng_next(Rng *r);
int64_t rng_int(Rng *r, int64_t lo, int64_t hi); /* lo .. hi, both possible */
double rng_real(Rng *r, double lo, double hi);
bool rng_chance(Rng *r, int percent);

typedef enum Domain {
    DOM_ANY,      /* -2 .. 2, at least 0.1 from any whole number (kinks) */
    DOM_POSITIVE, /* 0.3 .. 2 */
    DOM_NONZERO,  /* +- 0.3 .. 2 */
    DOM_APART,    /* all different, by more than 1e-3 */
    DOM_WHOLE,    /* 0 .. limit-1; for conditions limit is 2 */
} Domain;
NodeId optest_leaf(OpTest *t, Rng *r, Shape s, bool batched, Domain d, int64_t limit); /* a new leaf with values */
Shape optest_shape(Rng *r, int least_rank, int most_rank, bool large);
ConvGeom optest_conv(Rng *r, bool large);
PoolGeom optest_pool(Rng *r, bool large);
#endif
