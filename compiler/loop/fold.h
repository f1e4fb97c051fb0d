/* The values of integer expressions where some variables are known: unrolled loops. */
#ifndef CSC_LOOP_FOLD_H
#define CSC_LOOP_FOLD_H
#include "loop/loop.h"

typedef struct LoopKnown { /* of each variable of a kernel or entry */
    bool *known;
    int64_t *value;
} LoopKnown;

/* Has x one value there? */
bool loop_fold(const Lx *x, const LoopKnown *k, int64_t *v);
int64_t loop_gcd(int64_t x, int64_t y); /* 0 and y: y */
bool loop_fold_op(LxKind k, int64_t x, int64_t y, int64_t *r); /* false: it has none (division by zero) */
#endif
