/* The rules of loops and fixed points: which arguments a body has, what comes out, and whether the two fit. */
#include "op/loops.h"
#include "base/trouble.h"

uint32_t loop_inputs(const LoopAttr *l) { return l->ncarry + l->ninvariant + l->nper + l->counted; }
uint32_t loop_args(const LoopAttr *l) { return l->ncarry + l->ninvariant + l->nper + 1; }
uint32_t loop_results(const LoopAttr *l) { return l->ncarry + l->nemit + l->until; }

static const Node *body_out(const LoopAttr *l, uint32_t i) { return graph_at(l->body, l->body->outs.at[i].node); }
static bool until_batched(const LoopAttr *l) { return l->until && body_out(l, l->ncarry + l->nemit)->batched; }

bool loop_carry_batched(const LoopAttr *l, uint32_t i, bool init_batched) {
    return init_batched || body_out(l, i)->batched || until_batched(l);
}

SigIn loop_arg(const LoopAttr *l, const SigIn *in, uint32_t i) {
    if (i == l->ncarry + l->ninvariant + l->nper) return (SigIn){0}; /* the turn's number */
    SigIn x = in[i];
    if (i < l->ncarry) x.batched = loop_carry_batched(l, i, x.batched);
    else if (i >= l->ncarry + l->ninvariant) {
        x.shape.rank--;
        for (int k = 0; k < x.shape.rank; k++) x.shape.dim[k] = x.shape.dim[k + 1];
        x.shape.dim[x.shape.rank] = 0;
    }
    return x;
}

SigIn loop_result(const Graph *g, const Node *loop, uint32_t i) {
    const LoopAttr *l = loop->a.loop;
    if (i < l->ncarry) {
        const Node *x = graph_at(g, loop->in[i]);
        return (SigIn){x->shape, loop_carry_batched(l, i, x->batched)};
    }
    if (i == l->ncarry + l->nemit) return (SigIn){0};
    const Node *e = body_out(l, i);
    SigIn r = {{.rank = e->shape.rank + 1, .dim = {l->turns}}, e->batched || until_batched(l)};
    for (int k = 0; k < e->shape.rank; k++) r.shape.dim[k + 1] = e->shape.dim[k];
    return r;
}

static bool same(SigIn x, SigIn y) { return x.batched == y.batched && shape_eq(x.shape, y.shape); }
static const char *text(Arena *a, SigIn x) { return arena_printf(a, "%s%s", shape_text(a, x.shape), x.batched ? " batched" : ""); }

#define NO(...) return *why = arena_printf(a, __VA_ARGS__), false

/* Only these leaves: everything else comes in through an argument, or gradients would be lost. */
static bool body_leaves(Arena *a, const Graph *body, uint32_t nargs, const char **why) {
    for (size_t i = 0; i < body->nodes.len; i++) {
        const Node *n = &body->nodes.at[i];
        if (n->op == OP_input || n->op == OP_param || n->op == OP_state || n->op == OP_tunable)
            NO("a body reads %s %d itself instead of an argument", op_info[n->op].name, n->a.index);
        if (n->op == OP_arg && (uint32_t)n->a.index >= nargs) NO("a body reads argument %d of %u", n->a.index, nargs);
    }
    for (size_t i = 0; i < body->outs.len; i++)
        if (body->outs.at[i].role != OUT_VALUE) NO("output %zu of a body is not a value", i);
    return true;
}

bool loop_check_inputs(Arena *a, const LoopAttr *l, const SigIn *in, uint32_t nin, const char **why) {
    if (!l || !l->body) NO("a loop has no body");
    if (l->turns < 1) NO("a loop of %lld turns", (long long)l->turns);
    if (l->until && l->reverse) NO("a reverse loop cannot stop early");
    if (nin != loop_inputs(l)) NO("a loop takes %u inputs, not %u", loop_inputs(l), nin);
    if (l->body->outs.len != loop_results(l)) NO("the body has %zu outputs, not %u", l->body->outs.len, loop_results(l));
    if (!body_leaves(a, l->body, loop_args(l), why)) return false;
    for (uint32_t i = 0; i < l->nper; i++) {
        SigIn x = in[l->ncarry + l->ninvariant + i];
        if (!x.shape.rank || x.shape.dim[0] != l->turns) NO("value %u per turn is %s, the loop has %lld turns", i, text(a, x), (long long)l->turns);
    }
    if (l->counted && (in[nin - 1].batched || in[nin - 1].shape.rank)) NO("the count of a loop is %s", text(a, in[nin - 1]));
    for (uint32_t i = 0; i < l->ncarry; i++)
        if (!shape_eq(in[i].shape, body_out(l, i)->shape))
            NO("carried value %u is %s, then %s", i, text(a, in[i]), shape_text(a, body_out(l, i)->shape));
    for (uint32_t i = 0; i < l->nemit; i++)
        if (body_out(l, l->ncarry + i)->shape.rank >= RANK_MAX) NO("emitted value %u has too many axes", i);
    if (l->until && body_out(l, l->ncarry + l->nemit)->shape.rank) NO("the test of a loop is not a scalar");
    for (size_t i = 0; i < l->body->nodes.len; i++) {
        const Node *n = &l->body->nodes.at[i];
        if (n->op != OP_arg) continue;
        SigIn want = loop_arg(l, in, (uint32_t)n->a.index), is = {n->shape, n->batched};
        if (!same(is, want)) NO("argument %d of the body is %s, it receives %s", n->a.index, text(a, is), text(a, want));
    }
    return true;
}

bool fixed_point_check_inputs(Arena *a, const Graph *body, const SigIn *in, uint32_t nin, const char **why) {
    if (!body || body->outs.len != 1 || nin < 1) NO("a fixed point needs a body with one output, and a value");
    if (!body_leaves(a, body, nin, why)) return false;
    for (size_t i = 0; i < body->nodes.len; i++) {
        const Node *n = &body->nodes.at[i];
        if (n->op != OP_arg) continue;
        SigIn is = {n->shape, n->batched}, want = in[n->a.index];
        if (!same(is, want)) NO("argument %d of the body is %s, it receives %s", n->a.index, text(a, is), text(a, want));
    }
    const Node *o = graph_at(body, body->outs.at[0].node);
    SigIn r = {o->shape, o->batched};
    if (!shape_eq(r.shape, in[0].shape) || (r.batched && !in[0].batched))
        NO("the equation gives %s for %s", text(a, r), text(a, in[0]));
    return true;
}
