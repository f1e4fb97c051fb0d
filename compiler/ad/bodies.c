/* The reverse of a loop is a loop, the reverse of a fixed point is the solution of a linear equation. See
 * docs/autodiff.md. */
#include "ad/sweep.h"
#include "base/trouble.h"
#include "op/loops.h"
#include "op/passes.h"
#include <string.h>

static NodeId body_arg(const Graph *b, uint32_t index) {
    for (NodeId i = 0; i < b->nodes.len; i++)
        if (b->nodes.at[i].op == OP_arg && (uint32_t)b->nodes.at[i].a.index == index) return i;
    return NO_NODE;
}

/* ---- the forward loop: also emits what each turn started from, and where each sample ran ---- */

NodeId loop_copy_taped(Sweep *s, NodeId at, const NodeId *in) {
    const Node *n = graph_at(s->src, at);
    LoopAttr l = *n->a.loop;
    Graph *b = graph_new(s->a);
    NodeId *map = ARENA_ARRAY(s->a, NodeId, l.body->nodes.len);
    for (size_t i = 0; i < l.body->nodes.len; i++) map[i] = NO_NODE;
    graph_inline(b, l.body, map);
    uint32_t emitted = l.ncarry + l.nemit;
    for (uint32_t i = 0; i < emitted; i++)
        graph_out(b, OUT_VALUE, (int32_t)i, map[l.body->outs.at[i].node], l.body->outs.at[i].name);
    int32_t *tape = s->tape[at] = ARENA_ARRAY(s->a, int32_t, l.ncarry + 1);
    for (uint32_t i = 0; i < l.ncarry; i++) {
        NodeId arg = body_arg(l.body, i);
        tape[i] = -1;
        if (arg == NO_NODE || l.body->outs.at[i].node == arg) continue;
        NodeId kept = map[arg]; /* a stack has one axis more */
        if (graph_shape(b, kept).rank == RANK_MAX)
            kept = op_reshape(b, kept, shape_of(1, shape_size(graph_shape(b, kept))));
        tape[i] = (int32_t)emitted;
        graph_out(b, OUT_VALUE, (int32_t)emitted++, kept, NULL);
    }
    tape[l.ncarry] = -1;
    if (l.until) {
        NodeId test = map[l.body->outs.at[l.ncarry + l.nemit].node];
        if (graph_batched(b, test)) { /* entries of turns that a sample did not run are zero */
            tape[l.ncarry] = (int32_t)emitted;
            graph_out(b, OUT_VALUE, (int32_t)emitted++, op_const(b, 1, (Shape){0}), NULL);
        }
        graph_out(b, OUT_VALUE, (int32_t)emitted, test, NULL);
    }
    l.nemit = emitted - l.ncarry;
    l.body = b;
    return op_loop(s->dst, &l, in, n->nin, n->span);
}

/* ---- the reverse loop ---- */

typedef Vec(NodeId) Nodes;

/* One argument of the reverse body with the value it receives. */
static NodeId feed(Sweep *s, Graph *r, Nodes *in, NodeId from, bool per_turn, bool batched) {
    Shape shape = graph_shape(s->dst, from);
    if (per_turn) {
        for (int i = 0; i + 1 < shape.rank; i++) shape.dim[i] = shape.dim[i + 1];
        shape.dim[--shape.rank] = 0;
    }
    NodeId arg = op_leaf(r, OP_arg, (int32_t)in->len, shape, batched || graph_batched(s->dst, from),
                         graph_at(s->dst, from)->span, NULL);
    vec_push(s->a, in, from);
    return arg;
}
static NodeId choose(Graph *g, NodeId flag, NodeId x, NodeId y) { /* flag: a scalar, NO_NODE: always x */
    if (flag == NO_NODE) return x;
    return op3(g, OP_select, op_expand(g, flag, graph_shape(g, x)), x, y);
}
static NodeId as_batched(Graph *g, NodeId x, bool batched) {
    return batched && !graph_batched(g, x) ? op1(g, OP_per_sample, x) : x;
}

void loop_reverse(Sweep *s, const Node *n, const NodeId *res_cot) {
    const LoopAttr *l = n->a.loop;
    const Graph *f = l->body;
    NodeId fwd = s->map[s->at];
    const int32_t *tape = s->tape[s->at];
    uint32_t nvalues = l->ncarry + l->ninvariant + l->nper, nargs = loop_args(l);
    SigIn *sig = ARENA_ARRAY(s->a, SigIn, nargs), *ins = ARENA_ARRAY(s->a, SigIn, n->nin);
    for (uint32_t i = 0; i < n->nin; i++)
        ins[i] = (SigIn){graph_shape(s->src, n->in[i]), graph_batched(s->src, n->in[i])};
    for (uint32_t i = 0; i < nargs; i++) sig[i] = loop_arg(l, ins, i);

    /* which arguments have a gradient: they depend on what is differentiated by, and reach a result that has
     * a cotangent */
    bool *has = ARENA_ARRAY(s->a, bool, nargs), *reach = ARENA_ARRAY(s->a, bool, nargs);
    bool *result = ARENA_ARRAY(s->a, bool, loop_results(l));
    for (uint32_t i = 0; i < nvalues; i++) has[i] = s->varied[n->in[i]];
    loop_depend_forward(s->a, l, has, result);
    for (uint32_t i = 0; i < l->ncarry + l->nemit; i++) result[i] = result[i] && res_cot[i] != NO_NODE;
    loop_depend_backward(s->a, l, result, reach);
    for (uint32_t i = 0; i < nvalues; i++) has[i] &= reach[i];

    /* arguments of the reverse body: cotangents of carried values, sums for invariants; then what each turn
     * reads */
    Graph *r = graph_new(s->a);
    Nodes in = {0};
    NodeId *acc = ARENA_ARRAY(s->a, NodeId, nargs), *val = ARENA_ARRAY(s->a, NodeId, nargs);
    LoopAttr rl = {.body = r, .turns = l->turns, .reverse = !l->reverse, .keep = l->keep};
    for (uint32_t i = 0; i < l->ncarry + l->ninvariant; i++) {
        if (!has[i]) continue;
        NodeId c = i < l->ncarry ? res_cot[i] : NO_NODE;
        c = c == NO_NODE ? zeros(s->dst, sig[i].shape, sig[i].batched)
                         : as_batched(s->dst, c, sig[i].batched);
        acc[i] = feed(s, r, &in, c, false, sig[i].batched);
    }
    rl.ncarry = (uint32_t)in.len;
    bool ragged = tape[l->ncarry] >= 0;
    for (uint32_t i = 0; i < l->ncarry; i++)
        if (tape[i] < 0 || ragged)
            val[i] = feed(s, r, &in, as_batched(s->dst, s->map[n->in[i]], sig[i].batched), false, false);
    for (uint32_t i = l->ncarry; i < l->ncarry + l->ninvariant; i++)
        val[i] = feed(s, r, &in, s->map[n->in[i]], false, false);
    rl.ninvariant = (uint32_t)in.len - rl.ncarry;
    NodeId ran = ragged ? feed(s, r, &in, op_proj(s->dst, fwd, tape[l->ncarry]), true, false) : NO_NODE;
    for (uint32_t i = 0; i < l->ncarry; i++) {
        if (tape[i] < 0) continue;
        NodeId was = op_reshape(r, feed(s, r, &in, op_proj(s->dst, fwd, tape[i]), true, false), sig[i].shape);
        /* a sample that did not run this turn: its first values, which it did run with, so that no NaN arises
           from values nobody computed with (0 * NaN would reach the gradients summed over the batch) */
        val[i] = ragged ? choose(r, ran, was, val[i]) : was;
    }
    for (uint32_t i = l->ncarry + l->ninvariant; i < nvalues; i++)
        val[i] = feed(s, r, &in, s->map[n->in[i]], true, false);
    NodeId *ecot = ARENA_ARRAY(s->a, NodeId, l->nemit + 1);
    for (uint32_t i = 0; i < l->nemit; i++)
        ecot[i] = result[l->ncarry + i] ? feed(s, r, &in, res_cot[l->ncarry + i], true, false) : NO_NODE;
    rl.nper = (uint32_t)in.len - rl.ncarry - rl.ninvariant;
    val[nargs - 1] = op_leaf(r, OP_arg, (int32_t)in.len, (Shape){0}, false, n->span, NULL);

    /* the body again, and its reverse */
    NodeId *map = ARENA_ARRAY(s->a, NodeId, f->nodes.len);
    bool *wrt = ARENA_ARRAY(s->a, bool, f->nodes.len);
    Nodes roots = {0}, seeds = {0};
    for (NodeId i = 0; i < f->nodes.len; i++) {
        const Node *x = graph_at(f, i);
        map[i] = x->op == OP_arg ? val[x->a.index] : NO_NODE;
        wrt[i] = x->op == OP_arg && has[x->a.index];
    }
    for (uint32_t i = 0; i < l->ncarry + l->nemit; i++) {
        NodeId c = i < l->ncarry ? (has[i] ? acc[i] : NO_NODE) : ecot[i - l->ncarry];
        if (c == NO_NODE) continue;
        vec_push(s->a, &roots, f->outs.at[i].node);
        vec_push(s->a, &seeds, choose(r, ran, c, op_const(r, 0, graph_shape(r, c))));
    }
    Sweep *b = sweep_new(s->a, f, r, map, wrt, roots.at, (uint32_t)roots.len);
    for (size_t i = 0; i < roots.len; i++) sweep_seed(b, roots.at[i], seeds.at[i]);
    sweep_run(b);

    /* results of the body, and where they go */
    int32_t outs = 0;
    for (uint32_t i = 0; i < l->ncarry + l->ninvariant; i++) {
        if (!has[i]) continue;
        NodeId c = sweep_grad_leaf(b, OP_arg, (int32_t)i);
        if (i >= l->ncarry)
            c = c == NO_NODE ? acc[i] : op2(r, OP_add, acc[i], c);
        else {
            if (c == NO_NODE) c = zeros(r, sig[i].shape, sig[i].batched);
            c = choose(r, ran, c, acc[i]);
        }
        graph_out(r, OUT_VALUE, outs++, c, NULL);
    }
    for (uint32_t i = l->ncarry + l->ninvariant; i < nvalues; i++) {
        if (!has[i]) continue;
        NodeId c = sweep_grad_leaf(b, OP_arg, (int32_t)i);
        if (c == NO_NODE) c = zeros(r, sig[i].shape, sig[i].batched);
        graph_out(r, OUT_VALUE, outs++, c, NULL);
        rl.nemit++;
    }
    rl.counted = l->counted || l->until;
    if (rl.counted) {
        const LoopAttr *fl = graph_at(s->dst, fwd)->a.loop;
        vec_push(s->a, &in,
                 l->until ? op_proj(s->dst, fwd, (int32_t)(fl->ncarry + fl->nemit))
                          : s->map[n->in[n->nin - 1]]);
    }
    if (!outs) return;
    NodeId rev = op_loop(s->dst, &rl, in.at, (uint32_t)in.len, n->span);
    int32_t k = 0;
    for (uint32_t i = 0; i < nvalues; i++)
        if (has[i]) give_summed(s, n, i, op_proj(s->dst, rev, k++));
}

/* ---- fixed points ---- */

/* The linear equation counts as solved when the residual is so small against the right side, or when only
 * directions are left that its matrix shortens to less than UNSETTLED times what g = F(g) is short of holding
 * (against |g|): along those g itself would still move by a tenth or more, and F would not stay linear. What
 * is shortened to NULL_SPACE cannot be told from a null space in float32. */
static const double SOLVED = 1e-6, UNSETTLED = 10, NULL_SPACE = 1e-4;
enum { SOLVE_TURNS = 200, SOLVE_KEPT = 2 };

/* Inlines the body at the given values and sweeps it from its output; the sweep holds the gradients. */
static Sweep *body_sweep(Sweep *s, const Graph *f, Graph *g, const NodeId *val, const bool *has,
                         NodeId seed) {
    NodeId *map = ARENA_ARRAY(s->a, NodeId, f->nodes.len);
    bool *wrt = ARENA_ARRAY(s->a, bool, f->nodes.len);
    for (NodeId i = 0; i < f->nodes.len; i++) {
        const Node *x = graph_at(f, i);
        map[i] = x->op == OP_arg ? val[x->a.index] : NO_NODE;
        wrt[i] = x->op == OP_arg && has[x->a.index];
    }
    NodeId root = f->outs.at[0].node;
    Sweep *b = sweep_new(s->a, f, g, map, wrt, &root, 1);
    sweep_seed(b, root, seed);
    sweep_run(b);
    return b;
}

static NodeId dot(Graph *g, NodeId x, NodeId y) { return op_sum_all(g, op2(g, OP_mul, x, y)); }
static NodeId times(Graph *g, NodeId scalar, NodeId x) {
    return op2(g, OP_mul, op_expand(g, scalar, graph_shape(g, x)), x);
}
/* x / y, 0 where y is 0 */
static NodeId quotient(Graph *g, NodeId x, NodeId y) {
    NodeId zero = op_const(g, 0, (Shape){0}), none = op2(g, OP_eq, y, zero);
    return op3(g, OP_select, none, zero,
               op2(g, OP_div, x, op3(g, OP_select, none, op_const(g, 1, (Shape){0}), y)));
}

/* The square of what g = F(g) is short of holding, against |g|. */
static NodeId fixed_point_gap(Sweep *s, const Node *n) {
    const Graph *f = n->a.body;
    Graph *g = s->dst;
    NodeId *map = ARENA_ARRAY(s->a, NodeId, f->nodes.len);
    for (NodeId i = 0; i < f->nodes.len; i++) {
        const Node *x = graph_at(f, i);
        map[i] = x->op == OP_arg ? s->map[n->in[x->a.index]] : NO_NODE;
    }
    graph_inline(g, f, map);
    NodeId was = s->map[n->in[0]], off = op2(g, OP_sub, map[f->outs.at[0].node], was);
    return quotient(g, dot(g, off, off), dot(g, was, was));
}

/* w with w = right + (dF/dg)' w. Minimal residuals: Orthomin(SOLVE_KEPT) (Vinsome 1976; Eisenstat, Elman and
 * Schultz 1983, SIAM J. Numer. Anal. 20), per sample. Each turn makes the image A r of the residual r
 * orthogonal to the last images, and goes along as far as the residual falls: it never grows. Where no
 * solution is, A r vanishes before r does; r is then in the null space of A, and what w has gathered along r
 * goes (Liu, Milzarek and Roosta 2022: that is the solution of least norm). */
static NodeId fixed_point_solve(Sweep *s, const Node *n, NodeId right) {
    const Graph *f = n->a.body;
    Graph *r = graph_new(s->a);
    Nodes in = {0};
    NodeId *val = ARENA_ARRAY(s->a, NodeId, n->nin), along[SOLVE_KEPT], image[SOLVE_KEPT];
    NodeId zero = zeros(s->dst, graph_shape(s->dst, right), graph_batched(s->dst, right));
    NodeId w = feed(s, r, &in, right, false, false), left = feed(s, r, &in, zero, false, false);
    for (int i = 0; i < SOLVE_KEPT; i++) {
        along[i] = feed(s, r, &in, zero, false, false);
        image[i] = feed(s, r, &in, zero, false, false);
    }
    uint32_t ncarry = (uint32_t)in.len;
    NodeId size2 = feed(s, r, &in, dot(s->dst, right, right), false, false);
    NodeId gap2 = feed(s, r, &in, fixed_point_gap(s, n), false, false);
    for (uint32_t i = 0; i < n->nin; i++) val[i] = feed(s, r, &in, s->map[n->in[i]], false, false);
    bool *first = ARENA_ARRAY(s->a, bool, n->nin);
    first[0] = true;
    NodeId moved = sweep_grad_leaf(body_sweep(s, f, r, val, first, left), OP_arg, 0); /* (dF/dg)' left */
    if (moved == NO_NODE) return right;
    /* the first residual, (dF/dg)' right */
    for (uint32_t i = 0; i < n->nin; i++) val[i] = s->map[n->in[i]];
    in.at[1] = as_batched(s->dst, sweep_grad_leaf(body_sweep(s, f, s->dst, val, first, right), OP_arg, 0),
                          n->batched);

    NodeId full = op2(r, OP_sub, left, moved), p = left, q = full;
    for (int i = 0; i < SOLVE_KEPT; i++) {
        NodeId back = dot(r, full, image[i]);
        p = op2(r, OP_sub, p, times(r, back, along[i]));
        q = op2(r, OP_sub, q, times(r, back, image[i]));
    }
    NodeId one = quotient(r, op_const(r, 1, (Shape){0}), op1(r, OP_sqrt, dot(r, q, q)));
    p = times(r, one, p);
    q = times(r, one, q);
    NodeId by = dot(r, left, q), left2 = dot(r, left, left);
    NodeId full2 = dot(r, full, full),
           lost = op2(r, OP_le, full2, op_scale(r, NULL_SPACE * NULL_SPACE, left2));
    NodeId turn = op3(r, OP_select, lost, op1(r, OP_neg, quotient(r, dot(r, left, w), left2)), by);
    NodeId next = op2(r, OP_add, w, times(r, turn, choose(r, lost, left, p))),
           rest = op2(r, OP_sub, left, times(r, by, q));
    NodeId solved = op2(r, OP_le, dot(r, rest, rest), op_scale(r, SOLVED * SOLVED, size2)),
           unsettled = op2(r, OP_le, full2, op_scale(r, UNSETTLED * UNSETTLED, op2(r, OP_mul, gap2, left2)));
    graph_out(r, OUT_VALUE, 0, next, NULL);
    graph_out(r, OUT_VALUE, 1, rest, NULL);
    for (int i = 0; i < SOLVE_KEPT; i++) {
        graph_out(r, OUT_VALUE, 2 + 2 * i, i ? along[i - 1] : p, NULL);
        graph_out(r, OUT_VALUE, 3 + 2 * i, i ? image[i - 1] : q, NULL);
    }
    graph_out(r, OUT_VALUE, (int32_t)ncarry, op2(r, OP_max, lost, op2(r, OP_max, solved, unsettled)), NULL);
    LoopAttr l = {.body = r,
                  .turns = SOLVE_TURNS,
                  .ncarry = ncarry,
                  .ninvariant = (uint32_t)in.len - ncarry,
                  .until = true};
    return op_proj(s->dst, op_loop(s->dst, &l, in.at, (uint32_t)in.len, n->span), 0);
}

/* g = F(g, rest) gives dg = (1 - dF/dg)^-1 dF/drest drest: solve w = gbar + (dF/dg)' w, then restbar =
 * (dF/drest)' w. */
void fixed_point_reverse(Sweep *s, const Node *n, NodeId gbar) {
    const Graph *f = n->a.body;
    bool *has = ARENA_ARRAY(s->a, bool, n->nin), any = false;
    for (uint32_t i = 1; i < n->nin; i++) any |= has[i] = wants(s, n, i);
    if (!any) return;
    /* the squares of a small cotangent would vanish in float32: its largest entry becomes 1 */
    Graph *g = s->dst;
    gbar = as_batched(g, gbar, n->batched);
    Shape shape = graph_shape(g, gbar);
    NodeId size = op1(g, OP_abs, gbar);
    if (shape.rank) size = graph_add(g, OP_amax, &size, 1, &(Attr){.axes = (1u << shape.rank) - 1}, n->span);
    NodeId none = op2(g, OP_eq, size, op_const(g, 0, (Shape){0}));
    size = op3(g, OP_select, none, op_const(g, 1, (Shape){0}), size);
    gbar = times(g, size, fixed_point_solve(s, n, op2(g, OP_div, gbar, op_expand(g, size, shape))));
    NodeId *val = ARENA_ARRAY(s->a, NodeId, n->nin);
    for (uint32_t i = 0; i < n->nin; i++) val[i] = s->map[n->in[i]];
    Sweep *b = body_sweep(s, f, g, val, has, gbar);
    for (uint32_t i = 1; i < n->nin; i++) {
        NodeId c = has[i] ? sweep_grad_leaf(b, OP_arg, (int32_t)i) : NO_NODE;
        if (c != NO_NODE) give_summed(s, n, i, c);
    }
}
