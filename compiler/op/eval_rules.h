/* The evaluator's inside: one function a row of the table, called for one sample at a time. */
#ifndef CSC_OP_EVAL_RULES_H
#define CSC_OP_EVAL_RULES_H
#include "op/eval.h"

typedef struct EvalAt {
    Arena *a;
    const Graph *g;
    const Node *n;
    const EvalEnv *env;
    const Value *all;   /* values of the nodes so far */
    int64_t sample;     /* in the batch */
    const double **x;   /* this sample of each input, row-major */
    const Shape *xs;    /* their shapes */
    double *y;          /* this sample of the result, zero at first. Not batched though an input is: the same for each sample */
    int64_t size;       /* entries of y */
    Value *made;        /* loop, proj: called once, x and y unset; they leave their results (proj: result) here */
} EvalAt;

/* A value's sample b (the one value, when it is not batched). */
const double *value_sample(const Value *v, int64_t b);

#define OP(id, name, inputs, linear, formula) void eval_##id(EvalAt *e);
#include "sig/ops.def"
#undef OP
#endif
