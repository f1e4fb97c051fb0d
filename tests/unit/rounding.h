/* The float64 evaluator with the roundings of --precision: float32 between operators, operands of products shortened as kernels do it. */
#ifndef CSC_TESTS_ROUNDING_H
#define CSC_TESTS_ROUNDING_H
#include "loop/scalar.h"
#include "op/eval.h"
#include "sched/sched.h"

static inline void sched_rounding(EvalEnv *env, SchedPrecision p) {
    if (p == SCHED_FLOAT32) return;
    env->round = 1;
    env->operand = p == SCHED_BF16 ? loop_bf16 : loop_tf32;
}
#endif
