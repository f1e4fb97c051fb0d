/* The dot test <D x, y> = <x, D' y> of the program's operators, by the float64 evaluator. Operators are made of exact parts, so no program
   can fail it: it is a figure for the reader, and an alarm for whoever changes the compiler. */
#include "driver/operators.h"
#include "base/trouble.h"
#include "op/eval.h"
#include "op/passes.h"
#include <math.h>
#include <string.h>

enum { WORK_MOST = 30000000 }; /* multiplications for one operator: some tens of milliseconds */

static Value normal_value(Arena *a, Shape s, uint32_t index) {
    Value v = {.shape = s, .at = ARENA_ARRAY(a, double, shape_size(s))};
    for (int64_t i = 0; i < shape_size(s); i++) v.at[i] = noise_normal(3, 0, 0, index, (uint64_t)i);
    return v;
}

/* Numbers for all that weights may be made of: parameters, states, tunables, inputs. */
static EvalEnv test_env(Arena *a, const Program *p) {
    Value *params = ARENA_ARRAY(a, Value, p->params.len + 1), *states = ARENA_ARRAY(a, Value, p->states.len + 1),
          *tunables = ARENA_ARRAY(a, Value, p->tunables.len + 1), *inputs = ARENA_ARRAY(a, Value, p->inputs.len + 1);
    uint32_t n = 1u << 20; /* noise of the graph itself is numbered from 0 */
    for (size_t i = 0; i < p->params.len; i++) params[i] = normal_value(a, param_stored(&p->params.at[i]), n++);
    for (size_t i = 0; i < p->states.len; i++) states[i] = normal_value(a, p->states.at[i].shape, n++);
    for (size_t i = 0; i < p->tunables.len; i++) {
        tunables[i] = (Value){.at = ARENA_ARRAY(a, double, 1)};
        tunables[i].at[0] = p->tunables.at[i].value;
    }
    for (size_t i = 0; i < p->inputs.len; i++) {
        const InputDecl *in = &p->inputs.at[i];
        inputs[i] = normal_value(a, in->shape, n++);
        inputs[i].batched = true;
        for (int64_t k = 0; in->kind == IN_LABEL && k < shape_size(in->shape); k++) inputs[i].at[k] = 0;
    }
    return (EvalEnv){.batch = 1, .inputs = inputs, .params = params, .states = states, .tunables = tunables, .seed = 3};
}

static int64_t work_of(const Graph *g) {
    int64_t sum = 0;
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_loop || n->op == OP_fixed_point) return INT64_MAX;
        int64_t product = (int64_t)(graph_product_flops(g, n) / 2);
        sum += product ? product : shape_size(n->shape);
    }
    return sum;
}

OperatorTests operators_test(const Compile *c) {
    Cx *cx = c->cx;
    Arena *a = cx->keep;
    OperatorTests r = {0};
    Entry e;
    if (!compile_operators(c, &e)) return r;
    EvalEnv env = test_env(a, c->program);
    Graph one = *e.graph;
    for (size_t i = 0; i + 4 < e.graph->outs.len; i += 5) {
        one.outs.at = e.graph->outs.at + i;
        one.outs.len = one.outs.cap = 5;
        Graph *g = op_simplify(a, &one); /* what this operator needs, alone */
        const Node *x = graph_at(g, g->outs.at[0].node), *y = graph_at(g, g->outs.at[1].node);
        OperatorTest t = {.name = g->outs.at[0].name, .span = x->span, .from = x->shape, .to = y->shape, .skipped = work_of(g) > WORK_MOST};
        if (!t.skipped) {
            const Value *v = eval_graph(a, g, &env);
            double left = v[g->outs.at[2].node].at[0], right = v[g->outs.at[3].node].at[0], scale = sqrt(v[g->outs.at[4].node].at[0]);
            t.difference = left == right ? 0 : fabs(left - right) / scale;
        }
        vec_push(a, &r, t);
    }
    return r;
}
