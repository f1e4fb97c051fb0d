/* The oracle: a slow, obvious float64 evaluator of operator graphs. What it says is right. */
#ifndef CSC_OP_EVAL_H
#define CSC_OP_EVAL_H
#include "op/graph.h"

/* A value: row-major, [batch, shape] when batched. */
typedef struct Value {
    Shape shape;
    bool batched;
    double *at; /* arena of the evaluation */
} Value;

typedef struct EvalEnv {
    int64_t batch;
    const Value *inputs, *params, *states, *tunables, *args; /* indexed by Attr.index; NULL where none is used */
    uint64_t seed, step;                                     /* noise */
    int64_t first_sample; /* number of the batch's first sample, for noise */
    int round;            /* 0: float64; 1: every result rounded to float32 */
    float (*operand)(float); /* not NULL: what both sides of a product go through first, as --precision tf32 and bf16 have it (below) */
} EvalEnv;

/* Values of all nodes. The result is an array of g->nodes.len values in `a` (loops: .at is an array of Value, one per result). */
Value *eval_graph(Arena *a, const Graph *g, const EvalEnv *env);

/* Is this a product whose operands `--precision` shortens? Those with one matrix or filter for all samples, and gradients of such; convolutions
   in at most 8 groups. Matrices of each sample's own, depthwise filters and gradients of one sample stay in float32. */
bool eval_shortens(const Graph *g, const Node *n);

/* What `noise` is, here, in compiled code and in the runtime. Philox4x32-10 (Salmon et al., SC 2011: multipliers D2511F53, CD9E8D57; key steps
   9E3779B9, BB67AE85) gives four words w0..w3 for
     key     = { low 32 bits of seed, high 32 bits of seed }
     counter = { low 32 bits of entry, low 32 bits of sample, low 32 bits of step, index }
   where entry is the row-major number within the sample's value, sample counts from the start of the epoch (first_sample + place in the
   batch), and index is the noise node's number (below 2^31; the runtime uses 2^31 and up for its own streams). Then
     uniform = (w0 >> 8) * 2^-24                                                   in [0, 1)
     normal  = sqrt(-2 log(1 - (w0 >> 8) * 2^-24)) * cos(2 pi (w1 >> 8) * 2^-24)   (Box and Muller) */
void noise_words(uint64_t seed, uint64_t step, uint64_t sample, uint32_t index, uint64_t entry, uint32_t w[4]);
double noise_uniform(uint64_t seed, uint64_t step, uint64_t sample, uint32_t index, uint64_t entry);
double noise_normal(uint64_t seed, uint64_t step, uint64_t sample, uint32_t index, uint64_t entry);
#endif
