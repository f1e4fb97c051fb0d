/* What bodies promise: the rules of LoopAttr and fixed_point, for graph_add, the checker and the evaluator. */
#ifndef CSC_OP_LOOPS_H
#define CSC_OP_LOOPS_H
#include "op/graph.h"

/* What the loop's input number i is to the body. */
uint32_t loop_inputs(const LoopAttr *l);  /* how many the node takes */
uint32_t loop_args(const LoopAttr *l);    /* how many arguments the body has */
uint32_t loop_results(const LoopAttr *l); /* how many results proj may name */

/* Is carried value i one per sample: when its initial value, its new value, or `until` is. */
bool loop_carry_batched(const LoopAttr *l, uint32_t i, bool init_batched);
SigIn loop_arg(const LoopAttr *l, const SigIn *in, uint32_t i); /* body argument i; in: the node's inputs */
SigIn loop_result(const Graph *g, const Node *loop, uint32_t i);

bool loop_check_inputs(Arena *a, const LoopAttr *l, const SigIn *in, uint32_t nin, const char **why);
bool fixed_point_check_inputs(Arena *a, const Graph *body, const SigIn *in, uint32_t nin, const char **why);

/* Shape and batchedness of a node from its inputs, for all operators, loop and proj included. */
bool graph_infer(const Graph *g, const Node *n, Shape *shape, bool *batched, const char **why);
#endif
