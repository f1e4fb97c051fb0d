/* Reverse mode: the rule of every operator against differences of the evaluator. */
#include "fd.h"

static bool seen[OP_COUNT];

/* All mixes of batched and unbatched inputs of one operator, batch 1 and 3. fixed: bit i: input i is not
 * differentiated by. */
static void rule(OpKind op, int nin, const Shape *shapes, Attr at, double lo, double hi, unsigned fixed) {
    seen[op] = true;
    for (int64_t batch = 1; batch <= 3; batch += 2)
        for (unsigned mix = 0; mix < 1u << nin; mix++) {
            if (op == OP_batch_sum && !mix) continue;
            if (op == OP_per_sample && mix) continue;
            if ((op == OP_dense_grad || op == OP_conv_grad) && at.flag && !mix) continue;
            Fd f = fd_new(batch);
            f.lo = lo, f.hi = hi;
            NodeId in[8];
            for (int i = 0; i < nin; i++) in[i] = fd_leaf(&f, mix >> i & 1, shapes[i], !(fixed >> i & 1));
            NodeId y = graph_add(f.g, op, in, (uint32_t)nin, &at, (Span){0});
            f.lo = -1, f.hi = 1;
            const char *why = fd_check(&f, fd_loss(&f, y), 12, 1e-6);
            if (why) FAIL("%s, batched inputs %x, batch %d: %s", op_info[op].name, mix, (int)batch, why);
            fd_free(&f);
        }
}
#define S(...) ((Shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), .dim = {__VA_ARGS__}})
#define R(op, at, lo, hi, fixed, ...)                                                                        \
    rule(OP_##op, (int)(sizeof((Shape[]){__VA_ARGS__}) / sizeof(Shape)), (Shape[]){__VA_ARGS__}, (Attr)at,   \
         lo, hi, fixed)
#define AT(...)                                                                                              \
    { __VA_ARGS__ }

TEST(elementwise) {
    const Shape s = S(2, 3);
    R(neg, AT(0), -1, 1, 0, s);
    R(abs, AT(0), -1, 1, 0, s);
    R(sign, AT(0), -1, 1, 0, s);
    R(relu, AT(0), -1, 1, 0, s);
    R(exp, AT(0), -1, 1, 0, s);
    R(log, AT(0), 0.2, 2, 0, s);
    R(sqrt, AT(0), 0.2, 2, 0, s);
    R(recip, AT(0), 0.3, 2, 0, s);
    R(tanh, AT(0), -2, 2, 0, s);
    R(sigmoid, AT(0), -2, 2, 0, s);
    R(log1pexp, AT(0), -2, 2, 0, s);
    R(sin, AT(0), -2, 2, 0, s);
    R(cos, AT(0), -2, 2, 0, s);
    R(floor, AT(0), -3, 3, 0, s);
    R(add, AT(0), -1, 1, 0, s, s);
    R(sub, AT(0), -1, 1, 0, s, s);
    R(mul, AT(0), -1, 1, 0, s, s);
    R(div, AT(0), 0.4, 2, 0, s, s);
    R(max, AT(0), -1, 1, 0, s, s);
    R(min, AT(0), -1, 1, 0, s, s);
    R(pow, AT(0), 0.3, 2, 0, s, s);
    R(lt, AT(0), -1, 1, 0, s, s);
    R(le, AT(0), -1, 1, 0, s, s);
    R(eq, AT(0), -1, 1, 0, s, s);
    R(select, AT(0), -1, 1, 1, s, s, s);
}

TEST(axes) {
    static const int32_t order[3] = {2, 0, 1}, places[5] = {2, -1, 0, 2, 1}, to[3] = {3, -1, 3};
    R(expand, AT(.axes = 1 | 4, .shape = S(2, 3, 2, 4)), -1, 1, 0, S(3, 4));
    R(sum, AT(.axes = 1 | 4), -1, 1, 0, S(2, 3, 2));
    R(amax, AT(.axes = 1 | 4), -1, 1, 0, S(2, 3, 2));
    R(argmax, AT(.axis = 1), -1, 1, 0, S(2, 3));
    R(sort, AT(.axis = 1), -1, 1, 0, S(2, 4, 2));
    R(sort, AT(.axis = 0), -1, 1, 0, S(5));
    R(batch_sum, AT(0), -1, 1, 0, S(2, 3));
    R(per_sample, AT(0), -1, 1, 0, S(2, 3));
    R(reshape, AT(.shape = S(3, 2)), -1, 1, 0, S(6));
    R(permute, AT(.list = order, .list_len = 3), -1, 1, 0, S(2, 3, 4));
    R(slice, AT(.axis = 1, .start = 1, .step = 2, .size = 2), -1, 1, 0, S(2, 5));
    R(embed, AT(.axis = 0, .start = 1, .step = 2, .size = 6), -1, 1, 0, S(2, 3));
    R(concat, AT(.axis = 1), -1, 1, 0, S(2, 3), S(2, 1), S(2, 2));
    R(gather, AT(.axis = 1, .list = places, .list_len = 5), -1, 1, 0, S(2, 3));
    R(scatter, AT(.axis = 1, .list = to, .list_len = 3, .size = 4), -1, 1, 0, S(2, 3));
}

TEST(labels) {
    for (int64_t batch = 1; batch <= 3; batch += 2)
        for (unsigned mix = 0; mix < 4; mix++)
            for (int which = 0; which < 2; which++) {
                Fd f = fd_new(batch);
                NodeId x = fd_leaf(&f, mix & 1, which ? S(2) : S(4, 2), true);
                f.lo = 0, f.hi = 4;
                NodeId label = op1(f.g, OP_floor, fd_leaf(&f, mix & 2, S(2), false));
                f.lo = -1, f.hi = 1;
                Attr at = {.size = which ? 4 : 0};
                NodeId y =
                    graph_add(f.g, which ? OP_place : OP_pick, (NodeId[]){x, label}, 2, &at, (Span){0});
                const char *why = fd_check(&f, fd_loss(&f, y), 20, 1e-6);
                if (why) FAIL("%s: %s", which ? "place" : "pick", why);
                fd_free(&f);
            }
    seen[OP_pick] = seen[OP_place] = true;
}

TEST(systems) {
    for (int64_t batch = 1; batch <= 3; batch += 2)
        for (unsigned mix = 0; mix < 8; mix++) {
            Fd f = fd_new(batch);
            double five[9] = {5, 0, 0, 0, mix & 4 ? -5 : 5, 0, 0, 0, 5}; /* also where the second is left out */
            NodeId d = graph_add(f.g, OP_table, NULL, 0, &(Attr){.shape = S(3, 3), .data = five}, (Span){0});
            NodeId a = op2(f.g, OP_add, fd_leaf(&f, mix & 1, S(3, 3), true), d), b = fd_leaf(&f, mix & 2, S(3, 2), true);
            const char *why = fd_check(&f, fd_loss(&f, op2(f.g, OP_solve, a, b)), 20, 1e-6);
            if (why) FAIL("solve, mix %x, batch %d: %s", mix, (int)batch, why);
            fd_free(&f);
        }
    seen[OP_solve] = true;
}

TEST(products) {
    static const ConvGeom plain = {{2, 3}, {1, 1}, {1, 1}, {0, 1}, {1, 1}, 1, {4, 5}, {4, 5}, 2, 3},
                          odd = {{3, 2}, {2, 2}, {1, 2}, {1, 0}, {1, 1}, 2, {6, 6}, {3, 3}, 2, 4};
    for (int t = 0; t < 2; t++) {
        R(dense, AT(.flag = t), -1, 1, 0, t ? S(4, 3) : S(3, 4), S(4, 2));
        R(dense_grad, AT(.flag = t), -1, 1, 0, S(3, 2), S(4, 2));
        R(conv_grad, AT(.conv = &plain, .flag = t), -1, 1, 0, S(2, 4, 5), S(3, 4, 5));
        R(conv_grad, AT(.conv = &odd, .flag = t), -1, 1, 0, S(2, 6, 6), S(4, 3, 3));
    }
    R(conv, AT(.conv = &plain), -1, 1, 0, S(2, 4, 5), S(3, 2, 2, 3));
    R(conv, AT(.conv = &odd), -1, 1, 0, S(2, 6, 6), S(4, 1, 3, 2));
    R(conv_adj, AT(.conv = &plain), -1, 1, 0, S(3, 4, 5), S(3, 2, 2, 3));
    R(conv_adj, AT(.conv = &odd), -1, 1, 0, S(4, 3, 3), S(4, 1, 3, 2));
    static const PoolGeom p = {{3, 2}, {2, 2}, {1, 0}, {5, 6}, {3, 3}};
    R(sum_pool, AT(.pool = &p), -1, 1, 0, S(2, 5, 6));
    R(sum_pool_adj, AT(.pool = &p), -1, 1, 0, S(2, 3, 3));
    R(max_pool, AT(.pool = &p), -1, 1, 0, S(2, 5, 6));
    R(max_pool_adj, AT(.pool = &p), -1, 1, 1, S(2, 5, 6), S(2, 3, 3));
    R(max_pool_at, AT(.pool = &p), -1, 1, 1, S(2, 5, 6), S(2, 5, 6));
}

/* A bias for each channel and a threshold for all: nothing as large as a whole map crosses the samples. */
TEST(sums_over_axes_come_before_sums_over_the_batch) {
    Fd f = fd_new(3);
    const Shape map = S(2, 3, 4);
    NodeId x = fd_leaf(&f, true, map, true), bias = fd_leaf(&f, false, S(2), true),
           t = fd_leaf(&f, false, (Shape){0}, true);
    NodeId y = op2(f.g, OP_sub, op2(f.g, OP_add, x, op_expand(f.g, bias, map)), op_expand(f.g, t, map));
    NodeId loss = fd_loss(&f, op1(f.g, OP_tanh, y)), grads[3];
    Graph *d = ad_reverse(f.a, f.g, &loss, NULL, 1, f.wrt, 3, grads);
    for (size_t i = f.g->nodes.len; i < d->nodes.len; i++)
        CHECK(d->nodes.at[i].op != OP_batch_sum || shape_size(d->nodes.at[i].shape) <= 2);
    const char *why = fd_check(&f, loss, 30, 1e-6);
    if (why) FAIL("%s", why);
    fd_free(&f);
}

/* The mean of a loss: its cotangent is one number for all samples, whatever it meets on its way. */
TEST(one_cotangent_for_all_samples) {
    for (int way = 0; way < 4; way++) {
        Fd f = fd_new(3);
        NodeId w = fd_leaf(&f, false, S(2, 2), true), x = fd_leaf(&f, true, S(2, 2), true),
               y = op2(f.g, OP_add, x, op1(f.g, OP_tanh, w));
        if (way == 1) y = op2(f.g, OP_sub, op1(f.g, OP_per_sample, w), x);
        if (way == 2) y = op2(f.g, OP_dense, w, op1(f.g, OP_floor, x));
        if (way == 3)
            y = graph_add(f.g, OP_concat, (NodeId[]){w, op1(f.g, OP_exp, x)}, 2, &(Attr){.axis = 0},
                          (Span){0});
        NodeId sum = op1(f.g, OP_batch_sum, op_sum_all(f.g, y));
        const char *why = fd_check(
            &f, op2(f.g, OP_div, sum, graph_add(f.g, OP_nbatch, NULL, 0, NULL, (Span){0})), 12, 1e-6);
        if (why) FAIL("way %d: %s", way, why);
        fd_free(&f);
    }
}

/* Gradients of weights are summed where they are made. */
TEST(no_gradient_of_a_weight_per_sample) {
    static const ConvGeom c = {{2, 3}, {1, 1}, {1, 1}, {0, 1}, {1, 1}, 1, {4, 5}, {4, 5}, 2, 3};
    Fd f = fd_new(3);
    NodeId x = fd_leaf(&f, true, S(2, 4, 5), true), w = fd_leaf(&f, false, S(3, 2, 2, 3), true),
           m = fd_leaf(&f, false, S(3, 3), true);
    NodeId y = graph_add(f.g, OP_conv, (NodeId[]){x, w}, 2, &(Attr){.conv = &c}, (Span){0}), grads[3];
    y = op2(
        f.g, OP_dense, m,
        op1(f.g, OP_tanh, graph_add(f.g, OP_dense, (NodeId[]){m, y}, 2, &(Attr){.flag = true}, (Span){0})));
    NodeId back = graph_add(f.g, OP_conv_adj, (NodeId[]){y, w}, 2, &(Attr){.conv = &c}, (Span){0}),
           loss = fd_loss(&f, back);
    Graph *d = ad_reverse(f.a, f.g, &loss, NULL, 1, f.wrt, 3, grads);
    for (size_t i = 0; i < d->nodes.len; i++) {
        const Node *n = &d->nodes.at[i];
        CHECK((n->op != OP_conv_grad && n->op != OP_dense_grad) || !n->batched);
    }
    const char *why = fd_check(&f, loss, 12, 1e-6);
    if (why) FAIL("%s", why);
    fd_free(&f);
}

TEST(stop_hides_and_unreached_is_zero) {
    Fd f = fd_new(2);
    NodeId x = fd_leaf(&f, true, S(3), true), w = fd_leaf(&f, false, S(3), true),
           u = fd_leaf(&f, false, S(2), true), grads[3];
    NodeId loss = op1(
        f.g, OP_batch_sum,
        op_sum_all(f.g, op2(f.g, OP_mul, op1(f.g, OP_stop, x), op2(f.g, OP_add, w, op1(f.g, OP_stop, w)))));
    (void)u;
    Graph *d = ad_reverse(f.a, f.g, &loss, NULL, 1, f.wrt, 3, grads);
    Value *v = fd_eval(&f, f.a, d);
    for (int i = 0; i < 6; i++) CHECK(v[grads[0]].at[i] == 0);
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(v[grads[1]].at[i], f.inputs[0].at[i] + f.inputs[0].at[3 + i], 1e-12);
    CHECK(graph_batched(d, grads[0]) && !graph_batched(d, grads[2]) && v[grads[2]].at[0] == 0 &&
          v[grads[2]].at[1] == 0);
    fd_free(&f);
    seen[OP_stop] = true;
}

/* What the table says about the points where there is no derivative. */
TEST(corners) {
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    NodeId x = op_leaf(g, OP_param, 0, S(4), false, (Span){0}, NULL),
           y = op_leaf(g, OP_param, 1, S(4), false, (Span){0}, NULL);
    static double zero[4] = {0, 0, 0, 0}, two[4] = {2, 0, 2, 0};
    NodeId roots[6] = {op1(g, OP_abs, x),
                       op1(g, OP_sqrt, x),
                       op1(g, OP_relu, x),
                       op2(g, OP_max, x, y),
                       graph_add(g, OP_amax, &y, 1, &(Attr){.axes = 1}, (Span){0}),
                       op2(g, OP_pow, x, y)};
    double want_x[6][4] = {{0}, {0}, {0}, {0, 1, 0, 1}, {0}, {0}},
           want_y[6][4] = {{0}, {0}, {0}, {1, 0, 1, 0}, {0.5, 0, 0.5, 0}, {0}};
    for (int i = 0; i < 6; i++) {
        NodeId grads[2], loss = op_sum_all(g, roots[i]);
        Graph *d = ad_reverse(a, g, &loss, NULL, 1, (NodeId[]){x, y}, 2, grads);
        Value params[2] = {{S(4), false, zero}, {S(4), false, two}};
        Value *v = eval_graph(a, d, &(EvalEnv){.batch = 1, .params = params});
        for (int k = 0; k < 4; k++) {
            CHECK_NEAR(v[grads[0]].at[k], want_x[i][k], 0);
            CHECK_NEAR(v[grads[1]].at[k], want_y[i][k], 0);
        }
    }
    arena_free(a);
}

TEST(cotangents_may_be_given) {
    Fd f = fd_new(2);
    NodeId x = fd_leaf(&f, true, S(3), true), w = fd_leaf(&f, false, S(4, 3), true),
           c = fd_leaf(&f, true, S(4), false);
    NodeId y = op2(f.g, OP_dense, w, op1(f.g, OP_tanh, x)), z = op1(f.g, OP_exp, x), grads[2],
           roots[2] = {y, z}, seeds[2] = {c, x};
    NodeId loss = op1(f.g, OP_batch_sum,
                      op2(f.g, OP_add, op_sum_all(f.g, op2(f.g, OP_mul, y, c)),
                          op_sum_all(f.g, op2(f.g, OP_mul, z, op1(f.g, OP_stop, x)))));
    NodeId same[2];
    Graph *d = ad_reverse(f.a, f.g, roots, seeds, 2, f.wrt, 2, grads),
          *e = ad_reverse(f.a, f.g, &loss, NULL, 1, f.wrt, 2, same);
    Value *v = fd_eval(&f, f.a, d), *u = fd_eval(&f, f.a, e);
    for (int i = 0; i < 6; i++) CHECK_NEAR(v[grads[0]].at[i], u[same[0]].at[i], 1e-12);
    for (int i = 0; i < 12; i++) CHECK_NEAR(v[grads[1]].at[i], u[same[1]].at[i], 1e-12);
    fd_free(&f);
}

TEST(every_operator_was_tried) {
    for (OpKind k = 0; k < OP_COUNT; k++)
        if (!seen[k] && !op_is_leaf(k) && k != OP_loop && k != OP_proj && k != OP_fixed_point)
            FAIL("%s", op_info[k].name);
}

int main(int argc, char **argv) {
    Case cases[] = {T(elementwise),
                    T(axes),
                    T(labels), T(systems),
                    T(products),
                    T(sums_over_axes_come_before_sums_over_the_batch),
                    T(one_cotangent_for_all_samples),
                    T(no_gradient_of_a_weight_per_sample),
                    T(stop_hides_and_unreached_is_zero),
                    T(corners),
                    T(cotangents_may_be_given),
                    T(every_operator_was_tried)};
    return run_tests(argc, argv, cases,
                     sizeof cases / sizeof *cases - (argc > 1)); /* the last one needs all before it */
}
