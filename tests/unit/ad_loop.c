/* Reverse mode through loops and fixed points. */
#include "fd.h"
#include "op/passes.h"

#define S(...) ((Shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), .dim = {__VA_ARGS__}})
static const Shape scalar;

static NodeId arg(Graph *b, int index, Shape s, bool batched) {
    return op_leaf(b, OP_arg, index, s, batched, (Span){0}, NULL);
}
static void out(Graph *b, NodeId x) { graph_out(b, OUT_VALUE, (int32_t)b->outs.len, x, NULL); }
static NodeId half_norm(Graph *g, NodeId x) { return op_sum_all(g, op2(g, OP_mul, x, x)); }
static void must(const char *what, const char *why) {
    if (why) FAIL("%s: %s", what, why);
}
static NodeId scaled(Graph *g, NodeId x, NodeId s) {
    return op2(g, OP_mul, op_expand(g, s, graph_shape(g, x)), x);
}
static NodeId both(Graph *g, NodeId x, NodeId y) { return op2(g, OP_add, x, y); }

/* One loop with everything: two carried values, a weight, a batched invariant, values per turn, two stacks.
 */
typedef struct Kind {
    bool reverse, counted, until, batched_start, keep;
    int count;
} Kind;
static NodeId one_loop(Fd *f, Kind k, bool wrt) {
    enum { TURNS = 4 };
    Graph *b = graph_new(f->a);
    NodeId c = arg(b, 0, S(3), true), q = arg(b, 1, scalar, k.until), w = arg(b, 2, S(3, 3), false),
           x = arg(b, 3, S(3), true), p = arg(b, 4, S(3), false), pb = arg(b, 5, scalar, true),
           t = arg(b, 6, scalar, false);
    NodeId lin = op2(b, OP_dense, w, c);
    NodeId c2 = op1(b, OP_tanh, op2(b, OP_add, op2(b, OP_add, lin, x), op2(b, OP_mul, p, c)));
    c2 = op2(b, OP_add, c2, op_expand(b, op2(b, OP_mul, pb, op_scale(b, 0.1, t)), S(3)));
    NodeId q2 = op1(b, OP_sin, op2(b, OP_add, q, op_sum_all(b, w)));
    out(b, c2);
    out(b, q2);
    out(b, op2(b, OP_mul, c, c2)); /* a stack per sample */
    out(b, op2(b, OP_mul, q, q2)); /* a stack for all */
    if (k.until) out(b, op2(b, OP_lt, op_const(b, 0.2, scalar), op_sum_all(b, c2)));
    LoopAttr l = {.body = b,
                  .turns = TURNS,
                  .ncarry = 2,
                  .ninvariant = 2,
                  .nper = 2,
                  .nemit = 2,
                  .until = k.until,
                  .counted = k.counted,
                  .reverse = k.reverse,
                  .keep = k.keep};
    NodeId in[7] = {fd_leaf(f, k.batched_start, S(3), wrt), fd_leaf(f, false, scalar, wrt),
                    fd_leaf(f, false, S(3, 3), wrt),        fd_leaf(f, true, S(3), wrt),
                    fd_leaf(f, false, S(TURNS, 3), wrt),    fd_leaf(f, true, S(TURNS), wrt)};
    if (k.counted) in[6] = op_const(f->g, k.count, scalar);
    return op_loop(f->g, &l, in, k.counted ? 7 : 6, (Span){0});
}
/* 0: as it is; 1: simplified afterwards; 2: simplified before, unfolded and simplified afterwards; 3: the
 * reverse of 2 */
static Graph *unfolded(Arena *a, const Graph *g) { return op_simplify(a, op_unfold(a, g, 0)); }
static void passes_of(Fd *f, int pass) {
    f->pass = pass == 0 ? NULL : pass == 2 ? unfolded : op_simplify;
    f->before = pass == 2 ? op_simplify : pass == 3 ? unfolded : NULL;
}
static void try_kind(Kind k, const char *what) {
    for (int64_t batch = 1; batch <= 4; batch += 3)
        for (int pass = 0; pass < 4; pass++)
            for (int which = 0; which < 5; which++) { /* each result alone, then all */
                Fd f = fd_new(batch);
                passes_of(&f, pass);
                NodeId l = one_loop(&f, k, true), loss = NO_NODE;
                for (int i = 0; i < 4; i++) {
                    if (which < 4 && i != which) continue;
                    NodeId one = fd_loss(&f, op_proj(f.g, l, i));
                    loss = loss == NO_NODE ? one : both(f.g, loss, one);
                }
                const char *why = fd_check(&f, loss, 6, 1e-6);
                if (why) FAIL("%s, batch %d, result %d, passes %d: %s", what, (int)batch, which, pass, why);
                fd_free(&f);
            }
}

TEST(plain) { try_kind((Kind){0}, "plain"); }
TEST(batched_start) { try_kind((Kind){.batched_start = true, .keep = true}, "batched start"); }
TEST(reverse) { try_kind((Kind){.reverse = true}, "reverse"); }
TEST(counted) {
    for (int n = 0; n <= 5; n++) try_kind((Kind){.counted = true, .count = n}, "counted");
}
TEST(counted_reverse) {
    for (int n = 0; n <= 4; n += 2)
        try_kind((Kind){.counted = true, .count = n, .reverse = true}, "counted reverse");
}
TEST(until) { try_kind((Kind){.until = true}, "until"); }
TEST(until_counted) {
    try_kind((Kind){.until = true, .counted = true, .count = 2, .batched_start = true}, "until counted");
}

/* Samples stop at different turns; what a stopped sample would compute next is 0 / 0. */
TEST(stopped_samples_make_no_nan) {
    Fd f = fd_new(4);
    Graph *b = graph_new(f.a);
    NodeId c = arg(b, 0, S(2), true), left = arg(b, 1, scalar, true), w = arg(b, 2, S(2), false);
    NodeId one = op2(b, OP_div, left, left), left2 = op2(b, OP_sub, left, op_const(b, 1, scalar));
    out(b, op1(b, OP_sin, op2(b, OP_add, scaled(b, op2(b, OP_mul, w, c), one), c)));
    out(b, left2);
    out(b, op2(b, OP_le, left2, op_const(b, 0, scalar)));
    LoopAttr l = {.body = b, .turns = 6, .ncarry = 2, .ninvariant = 1, .until = true};
    NodeId x = fd_leaf(&f, true, S(2), true), turns = fd_leaf(&f, true, scalar, false),
           weight = fd_leaf(&f, false, S(2), true);
    for (int i = 0; i < 4; i++) f.inputs[1].at[i] = i + 1; /* sample i runs i + 1 turns */
    NodeId loop = op_loop(f.g, &l, (NodeId[]){x, turns, weight}, 3, (Span){0});
    must("until", fd_check(&f, fd_loss(&f, op_proj(f.g, loop, 0)), 20, 1e-6));
    fd_free(&f);
}

/* An inner loop with a weight, inside an outer loop. */
static NodeId nested(Fd *f, bool inner_until) {
    Graph *in = graph_new(f->a);
    NodeId c = arg(in, 0, S(2), true), w = arg(in, 1, S(2, 2), false), x = arg(in, 2, S(2), true),
           t = arg(in, 3, scalar, false);
    NodeId c2 =
        op1(in, OP_tanh, op2(in, OP_add, op2(in, OP_dense, w, c), scaled(in, x, op_scale(in, 0.5, t))));
    out(in, c2);
    out(in, op2(in, OP_mul, c2, c));
    if (inner_until) out(in, op2(in, OP_lt, op_const(in, 0.05, scalar), op_sum_all(in, c2)));
    LoopAttr il = {.body = in, .turns = 3, .ncarry = 1, .ninvariant = 2, .nemit = 1, .until = inner_until};

    Graph *o = graph_new(f->a);
    NodeId oc = arg(o, 0, S(2), true), ow = arg(o, 1, S(2, 2), false), op = arg(o, 2, S(2), false);
    NodeId l = op_loop(o, &il, (NodeId[]){op2(o, OP_mul, oc, op), ow, oc}, 3, (Span){0});
    NodeId stack = op_sum(o, op_proj(o, l, 1), 1);
    out(o, op2(o, OP_add, op_proj(o, l, 0), op2(o, OP_mul, stack, op)));
    out(o, half_norm(o, stack));
    LoopAttr ol = {.body = o, .turns = 3, .ncarry = 1, .ninvariant = 1, .nper = 1, .nemit = 1};
    return op_loop(f->g, &ol,
                   (NodeId[]){fd_leaf(f, true, S(2), true), fd_leaf(f, false, S(2, 2), true),
                              fd_leaf(f, false, S(3, 2), true)},
                   3, (Span){0});
}
TEST(nested_loops) {
    for (int until = 0; until < 2; until++)
        for (int pass = 0; pass < 4; pass++) {
            Fd f = fd_new(3);
            passes_of(&f, pass);
            NodeId l = nested(&f, until);
            must(until ? "nested until" : "nested",
                 fd_check(&f, both(f.g, fd_loss(&f, op_proj(f.g, l, 0)), fd_loss(&f, op_proj(f.g, l, 1))), 10,
                          1e-6));
            fd_free(&f);
        }
}

/* What influences the result only after several turns. */
TEST(carried_values_that_pass_each_other_on) {
    for (int pass = 0; pass < 4; pass++) {
        Fd f = fd_new(2);
        passes_of(&f, pass);
        Graph *b = graph_new(f.a);
        NodeId c[4], init[5];
        for (int i = 0; i < 4; i++) c[i] = arg(b, i, S(2), true), init[i] = fd_leaf(&f, true, S(2), true);
        init[4] = fd_leaf(&f, false, S(2), true);
        for (int i = 0; i < 3; i++)
            out(b, op1(b, OP_sin, op2(b, OP_add, c[i + 1], i == 1 ? c[0] : c[i + 1])));
        out(b, op2(b, OP_mul, c[3], arg(b, 4, S(2), false)));
        LoopAttr l = {.body = b, .turns = 3, .ncarry = 4, .ninvariant = 1, .keep = pass == 1};
        NodeId loop = op_loop(f.g, &l, init, 5, (Span){0});
        must("passed on", fd_check(&f, fd_loss(&f, op_proj(f.g, loop, 0)), 9, 1e-6));
        fd_free(&f);
    }
}

/* A test for all samples alike (power iteration): nothing per sample is kept or chosen. */
TEST(until_for_all) {
    Fd f = fd_new(2);
    Graph *b = graph_new(f.a);
    NodeId v = arg(b, 0, S(3), false), w = arg(b, 1, S(3, 3), false);
    NodeId u = op2(b, OP_dense, w, v), n = op1(b, OP_recip, op1(b, OP_sqrt, half_norm(b, u)));
    out(b, scaled(b, u, n));
    out(b, op2(b, OP_lt, op_const(b, 2.5, scalar), arg(b, 2, scalar, false)));
    LoopAttr l = {.body = b, .turns = 8, .ncarry = 1, .ninvariant = 1, .until = true};
    NodeId in[2] = {fd_leaf(&f, false, S(3), true), fd_leaf(&f, false, S(3, 3), true)};
    NodeId loop = op_loop(f.g, &l, in, 2, (Span){0});
    NodeId loss = fd_loss(&f, op2(f.g, OP_mul, op_proj(f.g, loop, 0), fd_leaf(&f, true, S(3), true)));
    must("until for all", fd_check(&f, loss, 9, 1e-6));
    fd_free(&f);
}

/* A tensor of the highest rank can be carried, though its stack would have an axis too many. */
TEST(carried_values_of_the_highest_rank) {
    Fd f = fd_new(2);
    Graph *b = graph_new(f.a);
    NodeId c = arg(b, 0, S(1, 2, 1, 1, 2, 1), true), w = arg(b, 1, S(1, 2, 1, 1, 2, 1), false);
    out(b, op1(b, OP_tanh, op2(b, OP_mul, op2(b, OP_add, c, w), c)));
    LoopAttr l = {.body = b, .turns = 3, .ncarry = 1, .ninvariant = 1};
    NodeId in[2] = {fd_leaf(&f, true, S(1, 2, 1, 1, 2, 1), true),
                    fd_leaf(&f, false, S(1, 2, 1, 1, 2, 1), true)};
    must("rank 6", fd_check(&f, fd_loss(&f, op_proj(f.g, op_loop(f.g, &l, in, 2, (Span){0}), 0)), 9, 1e-6));
    fd_free(&f);
}

/* ---- ISTA on a small Lasso ---- */

/* g - step * D'(D g - x), soft thresholded */
static NodeId ista(Graph *b, NodeId g, NodeId d, NodeId x, NodeId lambda) {
    NodeId r = op2(b, OP_sub, op2(b, OP_dense, d, g), x);
    NodeId back = graph_add(b, OP_dense, (NodeId[]){d, r}, 2, &(Attr){.flag = true}, (Span){0});
    NodeId z = op2(b, OP_sub, g, op_scale(b, 0.3, back)),
           t = op_expand(b, op_scale(b, 0.3, lambda), graph_shape(b, g));
    NodeId up = op1(b, OP_relu, op2(b, OP_sub, z, t)),
           down = op1(b, OP_relu, op1(b, OP_neg, op2(b, OP_add, z, t)));
    return op2(b, OP_sub, up, down);
}
static void lasso(Fd *f, bool implicit) {
    NodeId d = fd_leaf(f, false, S(4, 3), true), x = fd_leaf(f, true, S(4), true),
           lambda = fd_leaf(f, false, scalar, true);
    f->params[0].at[0] += 1.5, f->params[0].at[4] += 1.5, f->params[0].at[8] -= 1.5;
    for (int i = 0; i < 12; i++) f->params[0].at[i] *= 0.6;
    f->params[1].at[0] = 0.05;
    Graph *b = graph_new(f->a);
    NodeId g = arg(b, 0, S(3), true), bd = arg(b, 1, S(4, 3), false), bx = arg(b, 2, S(4), true),
           bl = arg(b, 3, scalar, false);
    out(b, ista(b, g, bd, bx, bl));
    LoopAttr l = {.body = b, .turns = 600, .ncarry = 1, .ninvariant = 3};
    NodeId zero = op1(f->g, OP_per_sample, op_const(f->g, 0, S(3)));
    NodeId code = op_proj(f->g, op_loop(f->g, &l, (NodeId[]){zero, d, x, lambda}, 4, (Span){0}), 0);
    if (implicit)
        code = graph_add(f->g, OP_fixed_point, (NodeId[]){op1(f->g, OP_stop, code), d, x, lambda}, 4,
                         &(Attr){.body = b}, (Span){0});
    graph_out(f->g, OUT_LOSS, 0, fd_loss(f, code), NULL);
}
TEST(implicit_is_unrolled_at_convergence) {
    for (int64_t batch = 1; batch <= 3; batch += 2) {
        Value *v[2];
        NodeId grads[2][3];
        Fd f[2];
        for (int k = 0; k < 2; k++) {
            f[k] = fd_new(batch);
            lasso(&f[k], k);
            NodeId loss = f[k].g->outs.at[0].node;
            Graph *d = ad_reverse(f[k].a, f[k].g, &loss, NULL, 1, f[k].wrt, 3, grads[k]);
            const char *why = NULL;
            if (!graph_check(d, &why)) FAIL("%s", why);
            if (k) /* nothing is kept per turn */
                for (size_t i = 0; i < d->nodes.len; i++) CHECK(shape_size(d->nodes.at[i].shape) <= 12);
            v[k] = fd_eval(&f[k], f[k].a, d);
        }
        double size = 0;
        int64_t n[3] = {12, 4 * batch, 1};
        for (int i = 0; i < 3; i++)
            for (int64_t j = 0; j < n[i]; j++) {
                size += fabs(v[0][grads[0][i]].at[j]);
                CHECK_NEAR(v[1][grads[1][i]].at[j], v[0][grads[0][i]].at[j], 1e-5);
            }
        CHECK(size > 0.1);
        fd_free(&f[0]), fd_free(&f[1]);
    }
}

/* The solution of the linear equation multiplies by D and D' in each turn; the iteration at the solution is
 * computed before. */
TEST(implicit_computes_the_iteration_once) {
    Fd f = fd_new(2);
    lasso(&f, true);
    NodeId grads[3], loss = f.g->outs.at[0].node;
    Graph *d = ad_reverse(f.a, f.g, &loss, NULL, 1, f.wrt, 3, grads);
    for (int i = 0; i < 3; i++)
        graph_out(d, OUT_GRAD, i + 10, i == 1 ? op1(d, OP_batch_sum, grads[i]) : grads[i], NULL);
    Graph *s = op_simplify(f.a, d);
    int loops = 0;
    for (size_t i = 0; i < s->nodes.len; i++) {
        const Node *n = &s->nodes.at[i];
        if (n->op != OP_loop || !n->a.loop->until) continue;
        int dense = 0;
        const Graph *b = n->a.loop->body;
        for (size_t k = 0; k < b->nodes.len; k++) dense += b->nodes.at[k].op == OP_dense;
        CHECK(dense == 2 && n->a.loop->ncarry == 6);
        loops++;
    }
    CHECK(loops == 1);
    fd_free(&f);
}

/* Unfolded before or after differentiation: the same products, none of them twice. D g in all turns but the
   first and D' r in each; in reverse D' and D for what they receive, and a gradient of D for both; nothing
   for the first code, which is zero. */
TEST(unfolded_gradients_compute_nothing_twice) {
    enum { TURNS = 20 };
    for (int order = 0; order < 2; order++) {
        Fd f = fd_new(2);
        NodeId d = fd_leaf(&f, false, S(4, 3), true), x = fd_leaf(&f, true, S(4), false),
               lambda = fd_leaf(&f, false, scalar, true);
        Graph *b = graph_new(f.a);
        out(b, ista(b, arg(b, 0, S(3), true), arg(b, 1, S(4, 3), false), arg(b, 2, S(4), true),
                    arg(b, 3, scalar, false)));
        LoopAttr l = {.body = b, .turns = TURNS, .ncarry = 1, .ninvariant = 3};
        NodeId loop = op_loop(f.g, &l, (NodeId[]){op_const(f.g, 0, S(3)), d, x, lambda}, 4, (Span){0});
        f.nwrt = 2;
        graph_out(f.g, OUT_LOSS, 0, fd_loss(&f, op_proj(f.g, loop, 0)), NULL);
        Graph *g = order ? f.g : op_simplify(f.a, op_unfold(f.a, f.g, 0));
        NodeId grads[2], wrt[2] = {fd_find(g, graph_at(f.g, d)), fd_find(g, graph_at(f.g, lambda))},
                         loss = g->outs.at[0].node;
        Graph *r = ad_reverse(f.a, g, &loss, NULL, 1, wrt, 2, grads);
        for (int i = 0; i < 2; i++) graph_out(r, OUT_GRAD, i, grads[i], NULL);
        r = op_simplify(f.a, r);
        if (order) r = op_simplify(f.a, op_unfold(f.a, r, 0));
        int dense = 0, grad = 0;
        for (size_t i = 0; i < r->nodes.len; i++)
            dense += r->nodes.at[i].op == OP_dense, grad += r->nodes.at[i].op == OP_dense_grad;
        if (dense != (TURNS - 1 + TURNS) + 2 * (TURNS - 1) || grad != 2 * TURNS - 1)
            FAIL("order %d: %d products, %d gradients", order, dense, grad);
        fd_free(&f);
    }
}

int main(int argc, char **argv) {
    Case cases[] = {T(plain),
                    T(batched_start),
                    T(reverse),
                    T(counted),
                    T(counted_reverse),
                    T(until),
                    T(until_counted),
                    T(stopped_samples_make_no_nan),
                    T(nested_loops),
                    T(carried_values_that_pass_each_other_on),
                    T(until_for_all),
                    T(carried_values_of_the_highest_rank),
                    T(implicit_is_unrolled_at_convergence),
                    T(implicit_computes_the_iteration_once),
                    T(unfolded_gradients_compute_nothing_twice)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
