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
} EvalEnv;

/* Values of all nodes. The result is an array of g->nodes.len values in `a` (loops: .at is an array of Value, one per result). */
Value *eval_graph(Arena *a, const Graph *g, const EvalEnv *env);

/* Uniform in [0,1) / normal numbers as `noise` defines them: Philox4x32-10 with key (seed), counter (entry, sample, step, index). */
double noise_uniform(uint64_t seed, uint64_t step, uint64_t sample, uint32_t index, uint64_t entry);
double noise_normal(uint64_t seed, uint64_t step, uint64_t sample, uint32_t index, uint64_t entry);
#endif
