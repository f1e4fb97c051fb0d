/* Does a graph hold what its nodes promise. */
#include "op/loops.h"

#define NO(...) return *why = arena_printf(g->arena, __VA_ARGS__), false



static bool outputs_ok(const Graph *g, const char **why) {
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        if (o->node >= g->nodes.len) NO("output %zu is node %u of %zu", i, o->node, g->nodes.len);
        const Node *n = &g->nodes.at[o->node];
        if (n->op == OP_loop) NO("output %zu is a loop, not one of its results", i);
        switch (o->role) {
        case OUT_LOSS:
        case OUT_METRIC:
            if (n->batched || n->shape.rank) NO("output %zu, a loss or metric, is not one scalar", i);
            break;
        case OUT_GRAD:
        case OUT_STATE:
        case OUT_PARAM:
            if (n->batched) NO("output %zu is for a whole batch, but has one value per sample", i);
            break;
        case OUT_INGRAD:
            if (!n->batched) NO("output %zu, the gradient of an input, is not one per sample", i);
            break;
        case OUT_VALUE: break;
        }
        for (size_t k = 0; k < i; k++)
            if (g->outs.at[k].role == o->role && g->outs.at[k].index == o->index && o->role != OUT_VALUE)
                NO("outputs %zu and %zu are the same one", k, i);
    }
    return true;
}

bool graph_check(const Graph *g, const char **why) {
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op >= OP_COUNT) NO("node %zu has no operator", i);
        const char *name = op_info[n->op].name, *reason = "";
        for (uint32_t k = 0; k < n->nin; k++) {
            if (n->in[k] >= i) NO("node %zu (%s) uses node %u, which comes later", i, name, n->in[k]);
            if (g->nodes.at[n->in[k]].op == OP_loop && n->op != OP_proj) NO("node %zu (%s) uses a loop instead of one of its results", i, name);
        }
        if (n->a.index < 0) NO("node %zu (%s) has a negative number", i, name);
        const Graph *body = n->op == OP_loop && n->a.loop ? n->a.loop->body : n->op == OP_fixed_point ? n->a.body : NULL;
        if (body && !graph_check(body, &reason)) NO("in the body of node %zu: %s", i, reason);
        Shape s;
        bool batched;
        if (!graph_infer(g, n, &s, &batched, &reason)) NO("node %zu (%s): %s", i, name, reason);
        if (!shape_eq(s, n->shape) || batched != n->batched)
            NO("node %zu (%s) says %s%s, the rule says %s%s", i, name, shape_text(g->arena, n->shape), n->batched ? " batched" : "",
               shape_text(g->arena, s), batched ? " batched" : "");
    }
    return outputs_ok(g, why);
}
