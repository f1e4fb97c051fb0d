/* Simplification of one loop. Carried values, stacks and inputs that nothing needs go; a value that no turn
   changes is an invariant; a constant input moves into the body; what depends on invariants alone is computed
   once, before the loop. */
#include "op/passes.h"
#include "op/rewrite.h"
#include "op/loops.h"

typedef enum ArgFate {
    ARG_TURN,
    ARG_SAME,
    ARG_CONST
} ArgFate; /* a value of each turn; the same in all; known */

typedef struct LoopWork {
    Build *b; /* outside */
    const Node *n;
    const LoopAttr *l;
    const Graph *body;
    const bool *used; /* results */
    ArgFate *fate;    /* by argument */
    NodeId *outside;  /* by argument, ARG_SAME and ARG_CONST: its value outside */
    double *known;    /* by argument, ARG_CONST */
    bool *invariant;  /* by node of body: depends on arguments that stay the same alone */
    bool *needed;     /* by node of body: the new body holds it */
    NodeId *hoisted;  /* by node of body: its value outside, NO_NODE */
    Graph *to;        /* new body */
    Build *tb;
    NodeId *map;    /* body -> to */
    Vec(NodeId) in; /* of the new loop */
} LoopWork;

static NodeId out_node(const LoopWork *w, uint32_t i) { return w->body->outs.at[i].node; }

/* Which arguments vary from turn to turn. */
static void find_fates(LoopWork *w, const NodeId *in, const SigIn *sig) {
    const LoopAttr *l = w->l;
    double v;
    for (uint32_t i = 0; i + 1 < loop_args(l); i++) {
        NodeId x = in[i];
        w->outside[i] = NO_NODE;
        if (i < l->ncarry) {
            const Node *o = graph_at(w->body, out_node(w, i));
            const Node *known = o->op == OP_per_sample ? graph_at(w->body, o->in[0]) : o;
            if (o->op == OP_arg && (uint32_t)o->a.index == i)
                w->fate[i] = ARG_SAME;
            else if (known->op == OP_constant && build_is_const(w->b, x, &v) && v == known->a.value)
                w->fate[i] = ARG_SAME;
        } else if (i < l->ncarry + l->ninvariant)
            w->fate[i] = ARG_SAME;
        else {
            const Node *p = graph_at(w->b->g, x);
            if (p->op == OP_expand && p->a.axes & 1) { /* the same in every turn */
                Attr t = {.axes = p->a.axes >> 1, .shape = sig[i].shape};
                NodeId inner = p->in[0];
                x = t.axes ? build_node(w->b, OP_expand, &inner, 1, &t, p->span) : inner;
                w->fate[i] = ARG_SAME;
            } else if (build_is_const(w->b, x, &v)) {
                x = build_const(w->b, v, sig[i].shape, sig[i].batched);
                w->fate[i] = ARG_SAME;
            }
        }
        if (w->fate[i] != ARG_SAME) continue;
        w->outside[i] = build_as(w->b, x, sig[i].batched);
        if (build_is_const(w->b, x, &v)) {
            w->fate[i] = ARG_CONST;
            w->known[i] = v;
        }
    }
}

/* Cheap enough to be done again in each turn, and smaller before than after. */
static bool stays_inside(const Node *n) {
    return op_is_leaf(n->op) || n->op == OP_expand || n->op == OP_per_sample || n->op == OP_reshape ||
           n->op == OP_permute || n->op == OP_slice;
}

static void find_invariants(LoopWork *w) {
    for (size_t i = 0; i < w->body->nodes.len; i++) {
        const Node *n = &w->body->nodes.at[i];
        bool same = n->op != OP_arg || w->fate[n->a.index] != ARG_TURN;
        for (uint32_t k = 0; k < n->nin; k++) same &= w->invariant[n->in[k]];
        w->invariant[i] = same;
    }
}

/* The value outside of an invariant node. */
static NodeId hoist(LoopWork *w, NodeId x) {
    if (w->hoisted[x] != NO_NODE) return w->hoisted[x];
    const Node *n = graph_at(w->body, x);
    if (n->op == OP_arg) return w->hoisted[x] = w->outside[n->a.index];
    NodeId *in = ARENA_ARRAY(w->b->a, NodeId, n->nin);
    for (uint32_t k = 0; k < n->nin; k++) in[k] = hoist(w, n->in[k]);
    NodeId r = build_node(w->b, n->op, in, n->nin, &n->a, n->span);
    Node *made = &w->b->g->nodes.at[r];
    if (!made->name && made->op != OP_constant) made->name = n->name;
    return w->hoisted[x] = build_as(w->b, r, n->batched);
}

/* Marks what the new body must compute for x. */
static void need(LoopWork *w, NodeId x) {
    if (w->needed[x]) return;
    w->needed[x] = true;
    const Node *n = graph_at(w->body, x);
    if (w->invariant[x] && !stays_inside(n)) return; /* comes in from outside */
    for (uint32_t k = 0; k < n->nin; k++) need(w, n->in[k]);
}

static bool arg_needed(const LoopWork *w, uint32_t index) {
    for (size_t i = 0; i < w->body->nodes.len; i++)
        if (w->needed[i] && w->body->nodes.at[i].op == OP_arg &&
            (uint32_t)w->body->nodes.at[i].a.index == index)
            return true;
    return false;
}

/* Which carried values live: those that are read, or have influence on what is. */
static void find_live(LoopWork *w, bool *carry) {
    const LoopAttr *l = w->l;
    for (uint32_t i = l->ncarry; i < loop_results(l); i++)
        if (i == l->ncarry + l->nemit || w->used[i]) need(w, out_node(w, i));
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < l->ncarry; i++) {
            if (carry[i] || w->fate[i] != ARG_TURN || !(w->used[i] || arg_needed(w, i))) continue;
            carry[i] = again = true;
            need(w, out_node(w, i));
        }
    }
}

static NodeId new_arg(LoopWork *w, NodeId value, Shape s, bool batched, const Node *old) {
    NodeId x = build_node(w->tb, OP_arg, NULL, 0,
                          &(Attr){.index = (int32_t)w->in.len, .shape = s, .batched = batched}, old->span);
    w->to->nodes.at[x].name = old->name;
    vec_push(w->b->a, &w->in, value);
    return x;
}

/* An argument for an invariant value, one for equal ones. */
static NodeId invariant_arg(LoopWork *w, NodeId value, uint32_t first, const Node *old) {
    for (uint32_t i = first; i < w->in.len; i++) {
        if (w->in.at[i] != value) continue;
        return build_node(w->tb, OP_arg, NULL, 0,
                          &(Attr){.index = (int32_t)i, .shape = old->shape, .batched = old->batched},
                          old->span);
    }
    return new_arg(w, value, old->shape, old->batched, old);
}

static void map_args(LoopWork *w, uint32_t index, NodeId to) {
    for (size_t i = 0; i < w->body->nodes.len; i++)
        if (w->body->nodes.at[i].op == OP_arg && (uint32_t)w->body->nodes.at[i].a.index == index)
            w->map[i] = to;
}

static const Node *any_arg(const LoopWork *w, uint32_t index) {
    for (size_t i = 0; i < w->body->nodes.len; i++)
        if (w->body->nodes.at[i].op == OP_arg && (uint32_t)w->body->nodes.at[i].a.index == index)
            return &w->body->nodes.at[i];
    return w->n;
}

void loop_simplify(Build *b, const Node *n, const NodeId *in, const bool *used, NodeId *result) {
    Arena *a = b->a;
    LoopAttr l = *n->a.loop;
    const Graph *body = op_simplify(a, l.body);
    l.body = body;
    size_t len = body->nodes.len;
    uint32_t nargs = loop_args(&l);
    LoopWork w = {.b = b, .n = n, .l = &l, .body = body, .used = used};
    w.fate = ARENA_ARRAY(a, ArgFate, nargs);
    w.outside = ARENA_ARRAY(a, NodeId, nargs);
    w.known = ARENA_ARRAY(a, double, nargs);
    w.invariant = ARENA_ARRAY(a, bool, len);
    w.needed = ARENA_ARRAY(a, bool, len);
    w.hoisted = ARENA_ARRAY(a, NodeId, len);
    w.map = ARENA_ARRAY(a, NodeId, len);
    w.tb = build_new(a);
    w.to = w.tb->g;
    for (size_t i = 0; i < len; i++) w.hoisted[i] = w.map[i] = NO_NODE;

    SigIn *ins = ARENA_ARRAY(a, SigIn, n->nin), *sig = ARENA_ARRAY(a, SigIn, nargs);
    for (uint32_t i = 0; i < n->nin; i++)
        ins[i] = (SigIn){graph_shape(b->g, in[i]), graph_batched(b->g, in[i])};
    for (uint32_t i = 0; i < nargs; i++) sig[i] = loop_arg(n->a.loop, ins, i);
    find_fates(&w, in, sig);
    find_invariants(&w);

    /* stacks of a value that is the same in each turn, when all turns are known to run */
    bool *still = ARENA_ARRAY(a, bool, loop_results(&l) + 1),
         *rest = ARENA_ARRAY(a, bool, loop_results(&l) + 1);
    for (uint32_t i = 0; i < loop_results(&l); i++) {
        bool emit = i >= l.ncarry && i < l.ncarry + l.nemit;
        still[i] = used[i] && ((emit && !l.until && !l.counted && w.invariant[out_node(&w, i)]) ||
                               (i < l.ncarry && w.fate[i] != ARG_TURN));
        rest[i] = used[i] && !still[i];
        result[i] = NO_NODE;
        if (!still[i]) continue;
        NodeId x = emit ? hoist(&w, out_node(&w, i)) : w.outside[i];
        if (emit) {
            Shape s = graph_shape(b->g, x), stack = {.rank = s.rank + 1, .dim = {l.turns}};
            for (int k = 0; k < s.rank; k++) stack.dim[k + 1] = s.dim[k];
            x = build_node(b, OP_expand, &x, 1, &(Attr){.axes = 1, .shape = stack}, n->span);
        }
        result[i] = x;
    }
    w.used = rest;
    bool *carry = ARENA_ARRAY(a, bool, l.ncarry + 1), any = false;
    find_live(&w, carry);
    for (uint32_t i = 0; i < loop_results(&l); i++) any |= rest[i];
    if (!any) return;

    /* new arguments: carried, invariant, per turn, the turn's number */
    LoopAttr t = l;
    t.ncarry = t.ninvariant = t.nper = t.nemit = 0;
    for (uint32_t i = 0; i < l.ncarry; i++)
        if (carry[i]) map_args(&w, i, new_arg(&w, in[i], sig[i].shape, sig[i].batched, any_arg(&w, i)));
    t.ncarry = (uint32_t)w.in.len;
    for (NodeId i = 0; i < len; i++) {
        const Node *x = graph_at(body, i);
        if (!w.needed[i] || !w.invariant[i]) continue;
        if (x->op == OP_arg && w.fate[x->a.index] == ARG_CONST)
            w.map[i] = build_const(w.tb, w.known[x->a.index], x->shape, x->batched);
        else if (x->op == OP_arg || !stays_inside(x))
            w.map[i] = invariant_arg(&w, hoist(&w, i), t.ncarry, x);
    }
    t.ninvariant = (uint32_t)w.in.len - t.ncarry;
    for (uint32_t i = l.ncarry + l.ninvariant; i + 1 < nargs; i++) {
        if (w.fate[i] != ARG_TURN || !arg_needed(&w, i)) continue;
        map_args(&w, i, invariant_arg(&w, in[i], t.ncarry + t.ninvariant, any_arg(&w, i)));
    }
    t.nper = (uint32_t)w.in.len - t.ncarry - t.ninvariant;
    map_args(&w, nargs - 1, build_node(w.tb, OP_arg, NULL, 0, &(Attr){.index = (int32_t)w.in.len}, n->span));

    for (NodeId i = 0; i < len; i++) {
        const Node *x = graph_at(body, i);
        if (!w.needed[i] || w.map[i] != NO_NODE) continue;
        NodeId *from = ARENA_ARRAY(a, NodeId, x->nin);
        for (uint32_t k = 0; k < x->nin; k++) from[k] = w.map[x->in[k]];
        w.map[i] = build_node(w.tb, x->op, from, x->nin, &x->a, x->span);
        Node *made = &w.to->nodes.at[w.map[i]];
        if (!made->name && made->op != OP_constant) made->name = x->name;
    }

    /* results */
    int32_t *index = ARENA_ARRAY(a, int32_t, loop_results(&l) + 1), outs = 0;
    for (uint32_t i = 0; i < loop_results(&l); i++) {
        bool test = i == l.ncarry + l.nemit, keep = i < l.ncarry ? carry[i] : test || rest[i];
        index[i] = -1;
        for (uint32_t k = l.ncarry; k < i && !test && keep; k++) /* the same stack twice */
            if (index[k] >= 0 && w.map[out_node(&w, k)] == w.map[out_node(&w, i)]) index[i] = index[k];
        if (!keep || index[i] >= 0) continue;
        index[i] = outs;
        graph_out(w.to, OUT_VALUE, outs++, w.map[out_node(&w, i)], body->outs.at[i].name);
    }
    t.nemit = (uint32_t)outs - t.ncarry - t.until;
    t.body = w.to;
    if (l.counted) vec_push(a, &w.in, in[n->nin - 1]);
    NodeId loop = build_node(b, OP_loop, w.in.at, (uint32_t)w.in.len, &(Attr){.loop = &t}, n->span);
    if (!b->g->nodes.at[loop].name) b->g->nodes.at[loop].name = n->name;
    for (uint32_t i = 0; i < loop_results(&l); i++)
        if (rest[i]) result[i] = build_node(b, OP_proj, &loop, 1, &(Attr){.index = index[i]}, n->span);
}
