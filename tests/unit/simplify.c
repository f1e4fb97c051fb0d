/* simplify and unfold: the values stay, the work goes. */
#include "check.h"
#include "op/passes.h"
#include "optest.h"

#define S(...) ((Shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), .dim = {__VA_ARGS__}})
static const Shape scalar;

static NodeId leaf(Graph *g, OpKind k, int index, Shape s, bool batched) {
    return op_leaf(g, k, index, s, batched, (Span){0}, NULL);
}
static NodeId in(Graph *g, int index, Shape s) { return leaf(g, OP_input, index, s, true); }
static NodeId param(Graph *g, int index, Shape s) { return leaf(g, OP_param, index, s, false); }
static NodeId arg(Graph *b, int index, Shape s, bool batched) { return leaf(b, OP_arg, index, s, batched); }
static NodeId with(Graph *g, OpKind k, NodeId x, Attr a) { return graph_add(g, k, &x, 1, &a, (Span){0}); }
static void out(Graph *g, NodeId x) { graph_out(g, OUT_VALUE, (int32_t)g->outs.len, x, NULL); }
static int count(const Graph *g, OpKind k) { /* in bodies too */
    int c = 0;
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        c += n->op == k;
        if (n->op == OP_loop) c += count(n->a.loop->body, k);
        if (n->op == OP_fixed_point) c += count(n->a.body, k);
    }
    return c;
}
static const char *compare(Arena *a, const OpTest *t, const Graph *g) {
    const char *why = NULL;
    if (!graph_check(g, &why)) return why;
    Value *was = eval_graph(a, t->graph, &t->env), *is = eval_graph(a, g, &t->env);
    for (size_t o = 0; o < g->outs.len; o++) {
        Value x = was[t->graph->outs.at[o].node], y = is[g->outs.at[o].node];
        if (!shape_eq(x.shape, y.shape) || x.batched != y.batched) return "an output has another shape";
        for (int64_t i = 0; i < shape_size(x.shape) * (x.batched ? t->env.batch : 1); i++)
            if (!(fabs(x.at[i] - y.at[i]) <= 1e-10 * (1 + fabs(x.at[i]))) &&
                !(isnan(x.at[i]) && isnan(y.at[i])) && x.at[i] != y.at[i])
                return arena_printf(a, "output %d[%lld] is %.17g, was %.17g", (int)o, (long long)i, y.at[i],
                                    x.at[i]);
    }
    return NULL;
}
static void keeps_values(const OpTest *t, Arena *a, const char *what, uint64_t seed) {
    const Graph *s = op_simplify(a, t->graph), *u = op_unfold(a, t->graph, 0), *su = op_simplify(a, u),
                *us = op_unfold(a, s, 0), *f = op_factor(a, s), *m = op_moments(a, s), *r = op_rejoin(a, s);
    const Graph *all[7] = {s, u, su, us, f, m, r};
    for (int i = 0; i < 7; i++) {
        const char *why = compare(a, t, all[i]);
        if (why) FAIL("%s, seed %d, variant %d: %s", what, (int)seed, i, why);
    }
    if (op_simplify(a, s)->nodes.len != s->nodes.len)
        FAIL("%s, seed %d: simplified twice is less than once", what, (int)seed);
}

TEST(every_operator_keeps_its_values) {
    for (OpKind k = 0; k < OP_COUNT; k++)
        for (uint64_t seed = 0; seed < 8; seed++) {
            Arena *a = arena_new();
            OpTest t = optest_instance(a, k, seed);
            keeps_values(&t, a, op_info[k].name, seed);
            arena_free(a);
        }
}
TEST(random_programs_keep_their_values) {
    for (uint64_t seed = 0; seed < 150; seed++) {
        Arena *a = arena_new();
        OpTest t = optest_program(a, seed);
        keeps_values(&t, a, "program", seed);
        arena_free(a);
    }
}

/* Each case: an expression of x (batched), y (batched) and w (not), and what is left of it. */
TEST(what_vanishes) {
    Arena *a = arena_new();
    for (int i = 0;; i++) {
        Graph *g = graph_new(a);
        NodeId x = in(g, 0, S(2, 3)), y = in(g, 1, S(2, 3)), w = param(g, 0, S(2, 3)), is = NO_NODE,
               e = NO_NODE;
        NodeId zero = op_const(g, 0, S(2, 3)), one = op_const(g, 1, S(2, 3));
        const Shape wide = S(4, 2, 3);
        switch (i) { /* e must become is; NO_NODE: a zero */
        case 0:
            e = op2(g, OP_add, x, zero), is = x;
            break;
        case 1:
            e = op2(g, OP_sub, x, zero), is = x;
            break;
        case 2:
            e = op2(g, OP_mul, one, x), is = x;
            break;
        case 3:
            e = op2(g, OP_div, x, one), is = x;
            break;
        case 4:
            e = op1(g, OP_neg, op1(g, OP_neg, x)), is = x;
            break;
        case 5:
            e = op2(g, OP_mul, x, zero);
            break;
        case 6:
            e = with(g, OP_reshape, with(g, OP_reshape, x, (Attr){.shape = S(6)}), (Attr){.shape = S(2, 3)}),
            is = x;
            break;
        case 7:
            e = op_slice(g, graph_add(g, OP_concat, (NodeId[]){y, x}, 2, &(Attr){.axis = 1}, (Span){0}), 1, 3,
                         3),
            is = x;
            break;
        case 8:
            e = op_slice(g, with(g, OP_embed, x, (Attr){.axis = 0, .start = 1, .step = 1, .size = 9}), 0, 1,
                         2),
            is = x;
            break;
        case 9:
            e = op_slice(g, with(g, OP_embed, x, (Attr){.axis = 0, .start = 1, .step = 1, .size = 9}), 0, 4,
                         2);
            break;
        case 10:
            e = op1(g, OP_sqrt, op1(g, OP_per_sample, zero));
            break;
        case 11:
            e = op3(g, OP_select, one, x, y), is = x;
            break;
        case 12:
            e = op3(g, OP_select, y, x, x), is = x;
            break;
        case 13:
            e = graph_add(g, OP_concat, (NodeId[]){op_slice(g, x, 1, 0, 1), op_slice(g, x, 1, 1, 2)}, 2,
                          &(Attr){.axis = 1}, (Span){0}),
            is = x;
            break;
        case 14:
            e = op2(g, OP_add,
                    with(g, OP_embed, op_slice(g, x, 1, 2, 1),
                         (Attr){.axis = 1, .start = 2, .step = 1, .size = 3}),
                    with(g, OP_embed, op_slice(g, x, 1, 0, 2),
                         (Attr){.axis = 1, .start = 0, .step = 1, .size = 3})),
            is = x;
            break;
        case 15:
            e = op_scale(g, 0.25, op_scale(g, 4, x)), is = x;
            break;
        case 16:
            e = op_scale(g, 0.25, op_sum(g, with(g, OP_expand, x, (Attr){.axes = 1, .shape = wide}), 1)),
            is = x;
            break;
        case 17:
            e = with(g, OP_permute, with(g, OP_permute, x, (Attr){.list = (int32_t[]){1, 0}, .list_len = 2}),
                     (Attr){.list = (int32_t[]){1, 0}, .list_len = 2}),
            is = x;
            break;
        case 18:
            e = op2(g, OP_mul, op2(g, OP_sub, x, op2(g, OP_add, y, w)),
                    op_expand(g, op_slice(g, op_const(g, 0, S(5)), 0, 1, 2), S(2, 3)));
            break;
        case 19:
            e = op2(g, OP_pow, x, one), is = x;
            break;
        case 20:
            e = op2(g, OP_sub, x, op1(g, OP_per_sample, zero)), is = x;
            break;
        case 21:
            e = op1(g, OP_per_sample, op1(g, OP_batch_sum, op1(g, OP_stop, op1(g, OP_per_sample, zero))));
            break;
        case 22:
            e = with(g, OP_gather, x, (Attr){.axis = 1, .list = (int32_t[]){0, 1, 2}, .list_len = 3}), is = x;
            break;
        case 23: /* one of two new axes is summed again */
            e = op_sum(g,
                       with(g, OP_expand, op_slice(g, op_slice(g, x, 0, 0, 1), 1, 0, 1),
                            (Attr){.axes = 1 | 8, .shape = S(2, 1, 1, 3)}),
                       1 | 2);
            is = with(g, OP_expand,
                      op_scale(g, 2,
                               with(g, OP_reshape, op_slice(g, op_slice(g, x, 0, 0, 1), 1, 0, 1),
                                    (Attr){.shape = S(1)})),
                      (Attr){.axes = 2, .shape = S(1, 3)});
            break;
        case 24: { /* the same for every sample on both sides: nothing to move, and still a sum over the batch
                    */
            NodeId two[2] = {op1(g, OP_per_sample, w), op1(g, OP_per_sample, op1(g, OP_exp, w))};
            e = is =
                op1(g, OP_per_sample, graph_add(g, OP_dense_grad, two, 2, &(Attr){.flag = true}, (Span){0}));
            break;
        }
        default:
            arena_free(a);
            return;
        }
        out(g, e);
        out(g, is == NO_NODE ? op1(g, OP_per_sample, zero) : is);
        Graph *s = op_simplify(a, g);
        if (s->outs.at[0].node != s->outs.at[1].node)
            FAIL("case %d: %d nodes are left", i, (int)s->nodes.len);
        if (i < 23 && s->nodes.len > 2) FAIL("case %d: dead nodes", i);
    }
}

TEST(not_a_number_is_not_hidden) {
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    NodeId x = param(g, 0, S(1)), y = op2(g, OP_sub, x, x), z = op2(g, OP_div, x, x),
           one = op_const(g, 1, S(1));
    out(g, y), out(g, z), out(g, op2(g, OP_mul, x, op2(g, OP_sub, one, x))),
        out(g, op2(g, OP_pow, x, op_const(g, 0, S(1))));
    Graph *s = op_simplify(a, g);
    double bad = NAN;
    Value p = {S(1), false, &bad}, *v = eval_graph(a, s, &(EvalEnv){.batch = 1, .params = &p});
    for (int i = 0; i < 4; i++) CHECK(isnan(*v[s->outs.at[i].node].at));
    arena_free(a);
}

TEST(equal_nodes_are_one) {
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    NodeId x = in(g, 0, S(3)), y = in(g, 1, S(3));
    out(g, op2(g, OP_mul, op1(g, OP_exp, x), y));
    out(g, op2(g, OP_mul, y, op1(g, OP_exp, in(g, 0, S(3)))));
    g->nodes.at[x].name = "x";
    Graph *s = op_simplify(a, g);
    CHECK(s->nodes.len == 4 && s->outs.at[0].node == s->outs.at[1].node && !strcmp(s->nodes.at[0].name, "x"));
    arena_free(a);
}

/* A code of x ~ D * g: g <- relu(g - step[t] D'(D g - x)), from zero, in `turns` turns. */
static const ConvGeom geom = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 1, {5, 5}, {5, 5}, 4, 2};
static Graph *ista(Arena *a, int64_t turns, bool until, bool reverse) {
    Graph *b = graph_new(a), *g = graph_new(a);
    const Shape code = S(4, 5, 5), image = S(2, 5, 5), filters = S(2, 4, 3, 3);
    NodeId z = arg(b, 0, code, true), w = arg(b, 1, filters, false), x = arg(b, 2, image, true),
           step = arg(b, 3, scalar, false), t = arg(b, 4, scalar, false);
    NodeId r =
        op2(b, OP_sub, graph_add(b, OP_conv, (NodeId[]){z, w}, 2, &(Attr){.conv = &geom}, (Span){0}), x);
    NodeId back = graph_add(b, OP_conv_adj, (NodeId[]){r, w}, 2, &(Attr){.conv = &geom}, (Span){0});
    NodeId next = op1(b, OP_relu, op2(b, OP_sub, z, op2(b, OP_mul, op_expand(b, step, code), back)));
    out(b, next);
    out(b, op2(b, OP_mul, op_sum_all(b, next), t));
    if (until) out(b, op2(b, OP_lt, op_const(b, 5, scalar), op_sum_all(b, next)));
    LoopAttr l = {.body = b,
                  .turns = turns,
                  .ncarry = 1,
                  .ninvariant = 2,
                  .nper = 1,
                  .nemit = 1,
                  .until = until,
                  .reverse = reverse};
    NodeId loop = op_loop(
        g, &l, (NodeId[]){op_const(g, 0, code), param(g, 0, filters), in(g, 0, image), param(g, 1, S(turns))},
        4, (Span){0});
    out(g, op_proj(g, loop, 0));
    out(g, op_proj(g, loop, 1));
    return g;
}
static void same_as(Arena *a, const Graph *g, const Graph *h) {
    OpTest t = {.graph = (Graph *)g, .env = {.batch = 3}};
    Value p[2] = {{S(2, 4, 3, 3), false, ARENA_ARRAY(a, double, 72)},
                  {S(1), false, ARENA_ARRAY(a, double, 50)}},
          x = {S(2, 5, 5), true, ARENA_ARRAY(a, double, 150)};
    for (int i = 0; i < 72; i++) p[0].at[i] = sin(3.0 * i * i);
    for (int i = 0; i < 50; i++) p[1].at[i] = 0.02 + 0.01 * (i % 7);
    for (size_t i = 0; i < g->nodes.len; i++) /* a step for each turn */
        if (g->nodes.at[i].op == OP_param && g->nodes.at[i].a.index == 1) p[1].shape = g->nodes.at[i].shape;
    for (int i = 0; i < 150; i++) x.at[i] = cos(5.0 * i * i);
    t.env.params = p, t.env.inputs = &x;
    const char *why = compare(a, &t, h);
    if (why) FAIL("%s", why);
}

TEST(products_with_one_operator_are_joined) {
    Arena *a = arena_new();
    Rng dice = {3};
    for (int form = 0; form < 4; form++) {
        OpTest t;
        optest_start(&t, a, &dice);
        Shape s = shape_of(1, (int64_t)5);
        NodeId w = optest_leaf(&t, &dice, shape_of(2, (int64_t)4, (int64_t)5), false, DOM_ANY, 0),
               x = optest_leaf(&t, &dice, s, true, DOM_ANY, 0), y = optest_leaf(&t, &dice, s, true, DOM_ANY, 0),
               c = optest_leaf(&t, &dice, scalar, false, DOM_ANY, 0);
        Graph *g = t.graph;
        NodeId p = op2(g, OP_dense, w, x), q = op2(g, OP_dense, w, y);
        q = op2(g, OP_mul, op_expand(g, c, shape_of(1, (int64_t)4)), q);
        if (form == 1) p = op1(g, OP_neg, p);
        out(g, op2(g, form == 2 ? OP_sub : OP_add, p, q));
        if (form == 3) out(g, p); /* somebody reads a part */
        Graph *f = op_simplify(a, op_factor(a, g)); /* drops the parts */
        CHECK(count(f, OP_dense) == (form == 3 ? 2 : 1));
        const char *why = compare(a, &t, f);
        if (why) FAIL("%s", why);
    }
    arena_free(a);
}

/* [I | F'] computes by parts what one tensor could be: its parts are taken from two tensors that are there whole. */
TEST(parts_that_are_computed_alike_are_one) {
    enum { ALIKE, OTHER_OPERATOR, READ_BEFORE, OTHER_PLACES, THIRD_PART, FORMS };
    Arena *a = arena_new();
    Rng dice = {11};
    for (int form = 0; form < FORMS; form++) {
        OpTest t;
        optest_start(&t, a, &dice);
        Graph *g = t.graph;
        NodeId w = optest_leaf(&t, &dice, shape_of(2, (int64_t)7, (int64_t)5), false, DOM_ANY, 0), x = optest_leaf(&t, &dice, shape_of(1, (int64_t)5), true, DOM_ANY, 0),
               z = optest_leaf(&t, &dice, shape_of(1, (int64_t)7), true, DOM_ANY, 0), step = optest_leaf(&t, &dice, scalar, false, DOM_ANY, 0);
        NodeId y = op2(g, OP_dense, w, x), part[3];
        for (int k = 0; k < 2; k++) {
            int64_t from = k ? 4 : 0, size = k ? 3 : 4;
            NodeId u = op_slice(g, y, 0, from, size), v = op_slice(g, z, 0, form == OTHER_PLACES && k ? 3 : from, size);
            v = op2(g, OP_mul, op_expand(g, step, shape_of(1, size)), v);
            part[k] = op2(g, form == OTHER_OPERATOR && k ? OP_add : OP_sub, u, v);
        }
        part[2] = op1(g, OP_relu, x);
        if (form == READ_BEFORE) out(g, op1(g, OP_exp, part[1]));
        NodeId all = graph_add(g, OP_concat, part, form == THIRD_PART ? 3 : 2, &(Attr){0}, (Span){0});
        out(g, op1(g, OP_abs, all));
        out(g, op1(g, OP_relu, part[1])); /* a part is read afterwards: of the whole */
        Graph *r = op_simplify(a, op_rejoin(a, op_simplify(a, g)));
        bool joined = form == ALIKE || form == THIRD_PART;
        CHECK(count(r, OP_sub) == (joined ? 1 : form == OTHER_OPERATOR ? 1 : 2));
        CHECK(count(r, OP_mul) == (joined ? 1 : 2));
        CHECK(count(r, OP_concat) == (form != ALIKE));
        const char *why = compare(a, &t, r);
        if (why) FAIL("form %d: %s", form, why);
    }
    arena_free(a);
}

/* Batch normalisation and its gradient: no sum over the samples waits for more than those of the layer before it. */
TEST(moments_of_a_batch) {
    Arena *a = arena_new();
    Rng dice = {5};
    OpTest t;
    optest_start(&t, a, &dice);
    Shape s = shape_of(3, (int64_t)3, (int64_t)2, (int64_t)4), ch = shape_of(1, (int64_t)3);
    NodeId x = optest_leaf(&t, &dice, s, true, DOM_ANY, 0), gain = optest_leaf(&t, &dice, ch, false, DOM_ANY, 0);
    Graph *g = t.graph;
    NodeId n = op_expand(g, graph_add(g, OP_nbatch, NULL, 0, NULL, (Span){0}), ch);
    NodeId mean = op2(g, OP_div, op1(g, OP_batch_sum, op2(g, OP_mul, op_const(g, 0.125, ch), op_sum(g, x, 6))), n);
    NodeId d = op2(g, OP_sub, x, op_expand(g, mean, s));
    NodeId v = op2(g, OP_div, op1(g, OP_batch_sum, op2(g, OP_mul, op_const(g, 0.125, ch), op_sum(g, op2(g, OP_mul, d, d), 6))), n);
    out(g, v);
    NodeId e = op2(g, OP_sub, op2(g, OP_mul, d, op_expand(g, v, s)), op2(g, OP_mul, x, op_expand(g, gain, s)));
    out(g, op1(g, OP_batch_sum, op_sum(g, e, 6)));
    Graph *m = op_simplify(a, op_moments(a, op_simplify(a, g)));
    for (NodeId i = 0; i < m->nodes.len; i++) { /* nothing of the size of x waits for a sum over the samples */
        const Node *k = graph_at(m, i);
        for (uint32_t j = 0; k->batched && k->shape.rank == 3 && j < k->nin; j++) CHECK(graph_batched(m, k->in[j]));
    }
    const char *why = compare(a, &t, m);
    if (why) FAIL("%s", why);
    arena_free(a);
}

TEST(an_unfolded_code_starts_without_a_product_with_zero) {
    Arena *a = arena_new();
    Graph *g = ista(a, 3, false, false), *s = op_simplify(a, op_unfold(a, g, 0));
    CHECK(count(s, OP_loop) == 0 && count(s, OP_conv) == 2 && count(s, OP_conv_adj) == 3);
    same_as(a, g, s);
    g = ista(a, 4, false, true), s = op_simplify(a, op_unfold(a, g, 0));
    CHECK(count(s, OP_loop) == 0 && count(s, OP_conv) == 3 && count(s, OP_conv_adj) == 4);
    same_as(a, g, s);
    s = op_simplify(a, op_unfold(a, ista(a, 1, false, false), 0));
    CHECK(count(s, OP_conv) == 0 && count(s, OP_conv_adj) == 1);
    arena_free(a);
}
TEST(a_long_loop_loses_its_first_turn) {
    Arena *a = arena_new();
    for (int reverse = 0; reverse < 2; reverse++) {
        Graph *g = ista(a, 40, false, reverse), *u = op_unfold(a, g, 0), *s = op_simplify(a, u);
        CHECK(count(s, OP_loop) == 1 && count(s, OP_conv) == 1 && count(s, OP_conv_adj) == 2);
        for (size_t i = 0; i < s->nodes.len; i++)
            CHECK(s->nodes.at[i].op != OP_loop || s->nodes.at[i].a.loop->turns == 39);
        same_as(a, g, s);
        same_as(a, g, op_simplify(a, op_unfold(a, op_simplify(a, g), 0)));
        CHECK(count(op_unfold(a, s, 0), OP_conv) == 1); /* and only that one */
    }
    Graph *g = ista(a, 40, true, false), *s = op_simplify(a, op_unfold(a, g, 0));
    CHECK(count(s, OP_conv) == 1 && count(s, OP_conv_adj) == 1); /* samples may stop after it */
    same_as(a, g, s);
    arena_free(a);
}

/* Carried values that only look as if they stayed: they change places, or start from another constant. */
TEST(carried_values_that_move) {
    Arena *a = arena_new();
    Graph *b = graph_new(a), *g = graph_new(a);
    NodeId x = arg(b, 0, scalar, false), y = arg(b, 1, scalar, false), first = arg(b, 2, scalar, false),
           z = arg(b, 3, scalar, false);
    out(b, y);
    out(b, x);
    out(b, op_const(b, 0, scalar));
    out(b, op2(b, OP_add, op2(b, OP_mul, first, x), op_scale(b, 2, z)));
    LoopAttr l = {.body = b, .turns = 3, .ncarry = 4};
    NodeId loop = op_loop(g, &l,
                          (NodeId[]){op_const(g, 5, scalar), op_const(g, 7, scalar), op_const(g, 1, scalar),
                                     op_const(g, 0, scalar)},
                          4, (Span){0});
    for (int i = 0; i < 4; i++) out(g, op_proj(g, loop, i));
    Graph *s[2] = {op_simplify(a, g), op_simplify(a, op_unfold(a, g, 0))};
    for (int i = 0; i < 2; i++) {
        Value *v = eval_graph(a, s[i], &(EvalEnv){.batch = 1});
        double want[4] = {7, 5, 0, 20};
        for (int k = 0; k < 4; k++) CHECK_NEAR(*v[s[i]->outs.at[k].node].at, want[k], 0);
    }
    CHECK(count(s[1], OP_constant) == 4 && s[1]->nodes.len == 4);
    arena_free(a);
}

/* What a loop does not need to carry, receive, or do again. */
TEST(loops_carry_what_they_must) {
    Arena *a = arena_new();
    Graph *b = graph_new(a), *g = graph_new(a);
    const Shape s3 = S(3), m = S(3, 3);
    NodeId c = arg(b, 0, s3, true), dead = arg(b, 1, s3, true), still = arg(b, 2, s3, false),
           none = arg(b, 3, s3, false), w = arg(b, 4, m, false), k = arg(b, 5, s3, false),
           p = arg(b, 6, s3, false);
    NodeId heavy = op2(b, OP_dense, w, op2(b, OP_add, op1(b, OP_exp, still), k)); /* the same in each turn */
    out(b, op2(b, OP_mul, op2(b, OP_add, op2(b, OP_add, c, heavy), none), p));
    out(b, op2(b, OP_dense, w, op2(b, OP_add, dead, c)));
    out(b, still);
    out(b, op2(b, OP_mul, none, k));
    out(b, op2(b, OP_mul, c, c)); /* emitted, not read */
    out(b, heavy);                /* the same for each turn */
    LoopAttr l = {.body = b, .turns = 50, .ncarry = 4, .ninvariant = 2, .nper = 1, .nemit = 2};
    NodeId x = in(g, 0, s3), zero = op_const(g, 0, s3), two = op_const(g, 2, s3), v = param(g, 0, m),
           q = param(g, 1, S(50, 3));
    NodeId loop = op_loop(g, &l, (NodeId[]){x, x, two, zero, v, two, q}, 7, (Span){0});
    out(g, op_proj(g, loop, 0)), out(g, op_proj(g, loop, 2)), out(g, op_proj(g, loop, 5));
    Graph *s = op_simplify(a, g);
    const LoopAttr *is = NULL;
    for (size_t i = 0; i < s->nodes.len; i++)
        if (s->nodes.at[i].op == OP_loop) is = s->nodes.at[i].a.loop;
    CHECK(is && is->ncarry == 2 && is->ninvariant <= 2 && is->nper == 1 && is->nemit == 0);
    CHECK(count(is->body, OP_dense) == 0 && count(s, OP_dense) == 1 && count(s, OP_exp) == 0);
    CHECK(graph_at(s, s->outs.at[2].node)->op == OP_expand &&
          graph_at(s, s->outs.at[1].node)->op == OP_constant);
    OpTest t = {.graph = g, .env = {.batch = 2}};
    Value ps[2] = {{m, false, ARENA_ARRAY(a, double, 9)}, {S(50, 3), false, ARENA_ARRAY(a, double, 150)}},
          xs = {s3, true, ARENA_ARRAY(a, double, 6)};
    for (int i = 0; i < 150; i++) ps[0].at[i % 9] = sin(i), ps[1].at[i] = cos(i), xs.at[i % 6] = sin(2.0 * i);
    t.env.params = ps, t.env.inputs = &xs;
    const char *why = compare(a, &t, s);
    if (why) FAIL("%s", why);
    arena_free(a);
}

int main(int argc, char **argv) {
    Case cases[] = {T(every_operator_keeps_its_values),
                    T(random_programs_keep_their_values),
                    T(what_vanishes),
                    T(not_a_number_is_not_hidden),
                    T(equal_nodes_are_one),
                    T(products_with_one_operator_are_joined),
        T(moments_of_a_batch), T(parts_that_are_computed_alike_are_one), T(an_unfolded_code_starts_without_a_product_with_zero),
                    T(a_long_loop_loses_its_first_turn),
                    T(loops_carry_what_they_must),
                    T(carried_values_that_move)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
