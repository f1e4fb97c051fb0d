/* Unfolding: short loops become straight code, so that each turn can be simplified, scheduled and
 * differentiated by itself. */
#include "op/passes.h"
#include "op/loops.h"

enum { TURNS_MOST = 32 };
static const int64_t NODES_MOST = 4000;

static bool simple(const LoopAttr *l) { return !l->until && !l->counted && !l->keep; }
static bool unrolls(const LoopAttr *l, int64_t most) {
    return simple(l) && l->turns <= TURNS_MOST && l->turns * (int64_t)l->body->nodes.len <= most;
}

static NodeId as_batched(Graph *g, NodeId x, bool batched) {
    return batched && !graph_batched(g, x) ? op1(g, OP_per_sample, x) : x;
}

/* Turn t, inlined: carry is replaced by the new values, emit receives the emitted ones (as [1, ...]). */
static void inline_turn(Graph *g, const Node *n, const NodeId *in, int64_t t, NodeId *carry, NodeId *emit) {
    const LoopAttr *l = n->a.loop;
    const Graph *b = l->body;
    NodeId *map = ARENA_ARRAY(g->arena, NodeId, b->nodes.len), turn = NO_NODE;
    for (size_t i = 0; i < b->nodes.len; i++) {
        const Node *x = &b->nodes.at[i];
        uint32_t k = (uint32_t)x->a.index;
        map[i] = NO_NODE;
        if (x->op != OP_arg) continue;
        if (k < l->ncarry)
            map[i] = as_batched(g, carry[k], x->batched);
        else if (k < l->ncarry + l->ninvariant)
            map[i] = in[k];
        else if (k + 1 < loop_args(l))
            map[i] = op_reshape(g, op_slice(g, in[k], 0, t, 1), x->shape);
        else
            map[i] = turn == NO_NODE ? turn = op_const(g, (double)t, (Shape){0}) : turn;
    }
    graph_inline(g, b, map);
    for (uint32_t i = 0; i < l->ncarry; i++) carry[i] = map[b->outs.at[i].node];
    for (uint32_t i = 0; i < l->nemit; i++) {
        NodeId e = map[b->outs.at[l->ncarry + i].node];
        Shape s = graph_shape(g, e), one = {.rank = s.rank + 1, .dim = {1}};
        for (int k = 0; k < s.rank; k++) one.dim[k + 1] = s.dim[k];
        emit[i] = op_reshape(g, e, one);
    }
}

static void unroll(Graph *g, const Node *n, const NodeId *in, NodeId *result) {
    const LoopAttr *l = n->a.loop;
    NodeId *emit = ARENA_ARRAY(g->arena, NodeId, l->nemit * l->turns + 1),
           *now = ARENA_ARRAY(g->arena, NodeId, l->nemit + 1);
    for (uint32_t i = 0; i < l->ncarry; i++) result[i] = in[i];
    for (int64_t k = 0; k < l->turns; k++) {
        int64_t t = l->reverse ? l->turns - 1 - k : k;
        inline_turn(g, n, in, t, result, now);
        for (uint32_t i = 0; i < l->nemit; i++) emit[i * l->turns + t] = now[i];
    }
    for (uint32_t i = 0; i < l->nemit; i++)
        result[l->ncarry + i] =
            graph_add(g, OP_concat, emit + i * l->turns, (uint32_t)l->turns, &(Attr){.axis = 0}, n->span);
}

/* ---- the first turn alone ---- */

static bool is_zero(const Graph *g, NodeId x) {
    const Node *n = graph_at(g, x);
    if (n->op == OP_per_sample) n = graph_at(g, n->in[0]);
    return n->op == OP_constant && n->a.value == 0;
}
static int64_t work(const Graph *g) { /* products and loops: what is worth a copy of the body */
    int64_t w = 0;
    for (size_t i = 0; i < g->nodes.len; i++) {
        OpKind k = g->nodes.at[i].op;
        w += (k >= OP_dense && k <= OP_conv_grad) || k == OP_loop;
    }
    return w;
}
/* Does the body lose work when carried values that start from zero are zero? */
static bool first_turn_is_lighter(Arena *a, const Graph *g, const Node *n, const NodeId *in) {
    const LoopAttr *l = n->a.loop;
    const Graph *b = l->body;
    Graph *one = graph_new(a);
    NodeId *map = ARENA_ARRAY(a, NodeId, b->nodes.len);
    bool any = false;
    for (size_t i = 0; i < b->nodes.len; i++) {
        const Node *x = &b->nodes.at[i];
        bool zero = x->op == OP_arg && (uint32_t)x->a.index < l->ncarry && is_zero(g, in[x->a.index]);
        map[i] = zero ? as_batched(one, op_const(one, 0, x->shape), x->batched) : NO_NODE;
        any |= zero;
    }
    if (!any) return false;
    graph_inline(one, b, map);
    for (size_t i = 0; i < b->outs.len; i++)
        graph_out(one, OUT_VALUE, (int32_t)i, map[b->outs.at[i].node], NULL);
    return work(op_simplify(a, one)) < work(op_simplify(a, b));
}

static void peel(Graph *g, const Node *n, const NodeId *in, NodeId *result) {
    LoopAttr l = *n->a.loop;
    int64_t first = l.reverse ? l.turns - 1 : 0;
    NodeId *emit = ARENA_ARRAY(g->arena, NodeId, l.nemit + 1),
           *rest = ARENA_ARRAY(g->arena, NodeId, n->nin + 1);
    for (uint32_t i = 0; i < l.ncarry; i++) result[i] = in[i];
    inline_turn(g, n, in, first, result, emit);
    for (uint32_t i = 0; i < n->nin; i++) {
        rest[i] = i < l.ncarry ? as_batched(g, result[i], loop_carry_batched(&l, i, graph_batched(g, in[i])))
                               : in[i];
        if (i >= l.ncarry + l.ninvariant) rest[i] = op_slice(g, in[i], 0, l.reverse ? 0 : 1, l.turns - 1);
    }
    l.turns--;
    if (!l.reverse) { /* turns are counted from 1 now */
        Graph *b = graph_new(g->arena);
        NodeId *map = ARENA_ARRAY(g->arena, NodeId, l.body->nodes.len);
        for (size_t i = 0; i < l.body->nodes.len; i++) {
            const Node *x = &l.body->nodes.at[i];
            map[i] = NO_NODE;
            if (x->op != OP_arg || (uint32_t)x->a.index + 1 != loop_args(&l)) continue;
            map[i] = op2(b, OP_add, op_const(b, 1, (Shape){0}),
                         op_leaf(b, OP_arg, x->a.index, x->shape, false, x->span, x->name));
        }
        graph_inline(b, l.body, map);
        for (size_t i = 0; i < l.body->outs.len; i++)
            graph_out(b, OUT_VALUE, (int32_t)i, map[l.body->outs.at[i].node], l.body->outs.at[i].name);
        l.body = b;
    }
    NodeId loop = op_loop(g, &l, rest, n->nin, n->span);
    g->nodes.at[loop].name = n->name;
    for (uint32_t i = 0; i < l.ncarry; i++) result[i] = op_proj(g, loop, (int32_t)i);
    for (uint32_t i = l.ncarry; i < l.ncarry + l.nemit; i++) {
        NodeId others = op_proj(g, loop, (int32_t)i), one = emit[i - l.ncarry];
        result[i] = graph_add(g, OP_concat, l.reverse ? (NodeId[]){others, one} : (NodeId[]){one, others}, 2,
                              &(Attr){.axis = 0}, n->span);
    }
}

Graph *op_unfold(Arena *a, const Graph *g, int64_t most) {
    if (most <= 0) most = NODES_MOST;
    Graph *to = graph_new(a);
    NodeId *map = ARENA_ARRAY(a, NodeId, g->nodes.len), **result = ARENA_ARRAY(a, NodeId *, g->nodes.len);
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_proj && result[n->in[0]]) {
            const LoopAttr *l = graph_at(g, n->in[0])->a.loop;
            NodeId r = result[n->in[0]][n->a.index];
            map[i] = (uint32_t)n->a.index < l->ncarry ? as_batched(to, r, n->batched) : r;
            if (!to->nodes.at[map[i]].name) to->nodes.at[map[i]].name = n->name;
            continue;
        }
        NodeId *in = ARENA_ARRAY(a, NodeId, n->nin);
        for (uint32_t k = 0; k < n->nin; k++) in[k] = map[n->in[k]];
        if (n->op != OP_loop) {
            map[i] = graph_add(to, n->op, in, n->nin, &n->a, n->span);
            to->nodes.at[map[i]].name = n->name;
            continue;
        }
        LoopAttr l = *n->a.loop;
        l.body = op_unfold(a, l.body, most);
        Node made = *n;
        made.a.loop = &l;
        result[i] = ARENA_ARRAY(a, NodeId, loop_results(&l));
        map[i] = NO_NODE;
        if (unrolls(&l, most))
            unroll(to, &made, in, result[i]);
        else if (simple(&l) && l.turns > 1 && first_turn_is_lighter(a, to, &made, in))
            peel(to, &made, in, result[i]);
        else {
            result[i] = NULL;
            map[i] = graph_add(to, OP_loop, in, n->nin, &made.a, n->span);
            to->nodes.at[map[i]].name = n->name;
        }
    }
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        graph_out(to, o->role, o->index, map[o->node], o->name);
    }
    return to;
}
