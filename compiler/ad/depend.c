/* Which nodes depend on marked nodes, and which have influence on them, as far as gradients are concerned. */
#include "ad/sweep.h"
#include "op/loops.h"
#include <string.h>

void loop_depend_forward(Arena *a, const LoopAttr *l, bool *arg, bool *result) {
    const Graph *b = l->body;
    bool *mark = ARENA_ARRAY(a, bool, b->nodes.len);
    bool **res = ARENA_ARRAY(a, bool *, b->nodes.len);
    for (bool again = true; again;) {
        again = false;
        memset(mark, 0, b->nodes.len * sizeof *mark);
        for (size_t i = 0; i < b->nodes.len; i++)
            if (b->nodes.at[i].op == OP_arg) mark[i] = arg[b->nodes.at[i].a.index];
        depend_forward(a, b, mark, res);
        for (uint32_t i = 0; i < l->ncarry; i++)
            if (mark[b->outs.at[i].node] && !arg[i]) again = arg[i] = true;
    }
    for (uint32_t i = 0; i < loop_results(l); i++)
        result[i] = i < l->ncarry ? arg[i] : i < l->ncarry + l->nemit && mark[b->outs.at[i].node];
}

void depend_forward(Arena *a, const Graph *g, bool *mark, bool **res) {
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_proj) {
            mark[i] |= res[n->in[0]] && res[n->in[0]][n->a.index];
            continue;
        }
        bool any = false;
        for (uint32_t k = 0; k < n->nin; k++) any |= mark[n->in[k]] && rule_passes(n, k);
        if (any && n->op == OP_loop) {
            bool *arg = ARENA_ARRAY(a, bool, loop_args(n->a.loop));
            for (uint32_t k = 0; k + 1 < loop_args(n->a.loop); k++) arg[k] = mark[n->in[k]];
            res[i] = ARENA_ARRAY(a, bool, loop_results(n->a.loop));
            loop_depend_forward(a, n->a.loop, arg, res[i]);
        } else if (n->op == OP_loop)
            res[i] = NULL;
        mark[i] |= any;
    }
}

void loop_depend_backward(Arena *a, const LoopAttr *l, const bool *result, bool *arg) {
    const Graph *b = l->body;
    bool *mark = ARENA_ARRAY(a, bool, b->nodes.len);
    bool **res = ARENA_ARRAY(a, bool *, b->nodes.len);
    memset(arg, 0, loop_args(l) * sizeof *arg);
    memcpy(arg, result, l->ncarry * sizeof *arg);
    for (bool again = true; again;) {
        again = false;
        memset(mark, 0, b->nodes.len * sizeof *mark);
        memset(res, 0, b->nodes.len * sizeof *res);
        for (uint32_t i = 0; i < l->ncarry + l->nemit; i++)
            mark[b->outs.at[i].node] |= i < l->ncarry ? arg[i] : result[i];
        depend_backward(a, b, mark, res);
        for (size_t i = 0; i < b->nodes.len; i++) {
            const Node *n = &b->nodes.at[i];
            if (n->op != OP_arg || !mark[i] || arg[n->a.index]) continue;
            arg[n->a.index] = true;
            again |= (uint32_t)n->a.index < l->ncarry;
        }
    }
}

void depend_backward(Arena *a, const Graph *g, bool *mark, bool **res) {
    for (size_t i = g->nodes.len; i-- > 0;) {
        const Node *n = &g->nodes.at[i];
        if (!mark[i]) continue;
        if (n->op == OP_proj) {
            const LoopAttr *l = g->nodes.at[n->in[0]].a.loop;
            bool **r = &res[n->in[0]];
            if (!*r) *r = ARENA_ARRAY(a, bool, loop_results(l));
            if ((uint32_t)n->a.index < l->ncarry + l->nemit) mark[n->in[0]] = (*r)[n->a.index] = true;
        } else if (n->op == OP_loop) {
            if (!res[i]) continue;
            bool *arg = ARENA_ARRAY(a, bool, loop_args(n->a.loop));
            loop_depend_backward(a, n->a.loop, res[i], arg);
            for (uint32_t k = 0; k + 1 < loop_args(n->a.loop); k++) mark[n->in[k]] |= arg[k];
        } else
            for (uint32_t k = 0; k < n->nin; k++) mark[n->in[k]] |= rule_passes(n, k);
    }
}
