/* What ops.def promises in words, one small example for each: NaN, ties, edges, labels, random numbers, loops. */
#include "check.h"
#include "op/eval.h"
#include <stdarg.h>

static Arena *arena;
typedef struct In { /* an input: a row-major list of numbers */
    Shape shape;
    const double *at;
} In;
static Shape dims(int rank, int64_t a, int64_t b, int64_t c) { return (Shape){rank, {a, b, c}}; }
#define V(...) (In){dims(1, sizeof((double[]){__VA_ARGS__}) / sizeof(double), 0, 0), (double[]){__VA_ARGS__}}
#define M(r, c, ...) (In){dims(2, r, c, 0), (double[]){__VA_ARGS__}}
#define MAP(ch, h, w, ...) (In){dims(3, ch, h, w), (double[]){__VA_ARGS__}}
#define SCALAR(x) (In){dims(0, 0, 0, 0), (double[]){x}}

/* One operator on values that are not batched. */
static const double *calc_at(OpKind k, Attr at, int n, const In *in) {
    Graph *g = graph_new(arena);
    Value *params = ARENA_ARRAY(arena, Value, n + 1);
    NodeId ids[4];
    for (int i = 0; i < n; i++) {
        params[i] = (Value){in[i].shape, false, (double *)in[i].at};
        ids[i] = op_leaf(g, OP_param, i, in[i].shape, false, (Span){0}, NULL);
    }
    NodeId id = graph_add(g, k, ids, (uint32_t)n, &at, (Span){0});
    return eval_graph(arena, g, &(EvalEnv){.batch = 1, .params = params})[id].at;
}
#define CALC(k, at, ...) calc_at(k, at, sizeof((In[]){__VA_ARGS__}) / sizeof(In), (In[]){__VA_ARGS__})
#define AT(...) ((Attr){__VA_ARGS__})
#define NONE ((Attr){0})

/* Equal, NaN to NaN. */
static void check_list(const char *what, const double *got, int n, const double *want) {
    for (int i = 0; i < n; i++)
        if (!(got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))))
            FAIL("%s: entry %d is %.17g, expected %.17g", what, i, got[i], want[i]);
}
#define GIVES(call, ...) check_list(#call, call, sizeof((double[]){__VA_ARGS__}) / sizeof(double), (double[]){__VA_ARGS__})

TEST(nan_passes_elementwise) {
    for (OpKind k = OP_neg; k <= OP_select; k++) {
        if (k == OP_lt || k == OP_le || k == OP_eq || k == OP_select) continue;
        int n = op_info[k].inputs;
        for (int i = 0; i < n; i++) {
            In in[2] = {V(0, 1, 2), V(1, 1, 0.5)};
            in[i] = V(NAN, 1, 2);
            const double *y = calc_at(k, NONE, n, in);
            if (!isnan(y[0]) || isnan(y[1]) || isnan(y[2])) FAIL("%s, input %d: %g %g %g", op_info[k].name, i, y[0], y[1], y[2]);
        }
    }
    GIVES(CALC(OP_pow, NONE, V(1, NAN), V(NAN, 0)), NAN, NAN);
    GIVES(CALC(OP_max, NONE, V(INFINITY, NAN), V(NAN, -INFINITY)), NAN, NAN);
    GIVES(CALC(OP_min, NONE, V(-INFINITY, NAN), V(NAN, INFINITY)), NAN, NAN);
}

TEST(nan_passes_elsewhere) {
    GIVES(CALC(OP_sum, AT(.axes = 1), M(2, 2, NAN, 1, 2, 3)), NAN, 4);
    GIVES(CALC(OP_amax, AT(.axes = 2), M(2, 3, 9, NAN, 1, 1, 3, 2)), NAN, 3);
    GIVES(CALC(OP_amax, AT(.axes = 1), V(-INFINITY, -INFINITY)), -INFINITY);
    GIVES(CALC(OP_dense, NONE, M(2, 2, 0, 1, 1, 0), V(NAN, 1)), NAN, NAN); /* 0 * NaN */
    GIVES(CALC(OP_slice, AT(.step = 1, .size = 1), V(3, NAN)), 3);
    GIVES(CALC(OP_gather, AT(.list = (int32_t[]){-1, 1}, .list_len = 2), V(NAN, 3)), 0, 3);
}

TEST(comparisons) {
    GIVES(CALC(OP_lt, NONE, V(1, 2, 3, NAN, 1, NAN), V(2, 2, 2, 1, NAN, NAN)), 1, 0, 0, 0, 0, 0);
    GIVES(CALC(OP_le, NONE, V(1, 2, 3, NAN, 1, NAN), V(2, 2, 2, 1, NAN, NAN)), 1, 1, 0, 0, 0, 0);
    GIVES(CALC(OP_eq, NONE, V(1, 2, 0, NAN, 1, NAN), V(2, 2, -0.0, 1, NAN, NAN)), 0, 1, 1, 0, 0, 0);
}

TEST(select_ignores_the_other_branch) {
    GIVES(CALC(OP_select, NONE, V(1, 0, 1, 0, -2), V(5, NAN, NAN, INFINITY, 3), V(NAN, 6, 2, 1, 4)), 5, 6, NAN, 1, 3);
    GIVES(CALC(OP_select, NONE, V(NAN, -0.0), V(1, 1), V(2, 2)), 1, 2);
}

TEST(one_input_values) {
    GIVES(CALC(OP_relu, NONE, V(-1, 0, 2, -INFINITY, INFINITY)), 0, 0, 2, 0, INFINITY);
    GIVES(CALC(OP_sign, NONE, V(-3, 0, 0.5, -INFINITY, -0.0)), -1, 0, 1, -1, 0);
    GIVES(CALC(OP_abs, NONE, V(-3, 0, -INFINITY)), 3, 0, INFINITY);
    GIVES(CALC(OP_floor, NONE, V(-0.5, 1.5, -2, INFINITY)), -1, 1, -2, INFINITY);
    GIVES(CALC(OP_sqrt, NONE, V(0, 4, -1)), 0, 2, NAN);
    GIVES(CALC(OP_log, NONE, V(1, 0, -1)), 0, -INFINITY, NAN);
    GIVES(CALC(OP_recip, NONE, V(0, -0.0, 4, INFINITY)), INFINITY, -INFINITY, 0.25, 0);
    GIVES(CALC(OP_exp, NONE, V(0, -INFINITY, 1e4)), 1, 0, INFINITY);
    GIVES(CALC(OP_log1pexp, NONE, V(1e4, -1e4, INFINITY, -INFINITY, 0)), 1e4, 0, INFINITY, 0, log(2));
    GIVES(CALC(OP_sigmoid, NONE, V(1e4, -1e4, 0, INFINITY, -INFINITY)), 1, 0, 0.5, 1, 0);
    CHECK(CALC(OP_sigmoid, NONE, V(-40))[0] > 0 && CALC(OP_log1pexp, NONE, V(-40))[0] > 0);
    GIVES(CALC(OP_tanh, NONE, V(0, INFINITY, -INFINITY)), 0, 1, -1);
    GIVES(CALC(OP_stop, NONE, V(3, -1)), 3, -1);
}

TEST(two_input_values) {
    GIVES(CALC(OP_pow, NONE, V(2, -2, -2, 0, 0, 5), V(3, 3, 0.5, 0, 2, 0)), 8, -8, NAN, 1, 0, 1);
    GIVES(CALC(OP_div, NONE, V(1, 0, -1), V(0, 0, 0)), INFINITY, NAN, -INFINITY);
    GIVES(CALC(OP_max, NONE, V(1, 2, -1), V(2, 1, -1)), 2, 2, -1);
    GIVES(CALC(OP_min, NONE, V(1, 2, -1), V(2, 1, -1)), 1, 1, -1);
}

TEST(order_and_ties) {
    GIVES(CALC(OP_argmax, AT(.axis = 0), V(1, 3, 3, 2)), 1);
    GIVES(CALC(OP_argmax, AT(.axis = 0), V(1, NAN, 9, NAN)), 1);
    GIVES(CALC(OP_argmax, AT(.axis = 0), V(-INFINITY, -INFINITY)), 0);
    GIVES(CALC(OP_argmax, AT(.axis = 0), M(3, 2, 1, 9, 5, 2, 5, 9)), 1, 0);
    GIVES(CALC(OP_sort, AT(.axis = 0), V(1, 3, NAN, 2, 3, -INFINITY)), NAN, 3, 3, 2, 1, -INFINITY);
    GIVES(CALC(OP_sort, AT(.axis = 1), M(2, 3, 1, 2, 3, 6, 4, 5)), 3, 2, 1, 6, 5, 4);
    GIVES(CALC(OP_sort, AT(.axis = 0), M(2, 3, 1, 7, 3, 6, 4, 5)), 6, 7, 5, 1, 4, 3);
}

TEST(systems) {
    GIVES(CALC(OP_solve, NONE, M(2, 2, 4, 2, 2, 3), V(8, 8)), 1, 2);
    GIVES(CALC(OP_solve, NONE, M(2, 2, 4, 1, 3, 3), V(8, 8)), 1, 2); /* of the symmetric part */
    GIVES(CALC(OP_solve, NONE, M(2, 2, 2, 0, 0, 4), M(2, 2, 2, 4, 6, 8)), 1, 2, 1.5, 2);
    GIVES(CALC(OP_solve, NONE, M(3, 3, 4, 4, 2, 4, 4, 2, 2, 2, 3), V(8, 8, 8)), 1, 0, 2); /* the second is the first */
    GIVES(CALC(OP_solve, NONE, M(2, 2, 0, 0, 0, 2), V(5, 6)), 0, 3);
    GIVES(CALC(OP_solve, NONE, M(2, 2, -1, 0, 0, 2), V(5, 6)), 0, 3);
    GIVES(CALC(OP_solve, NONE, M(1, 1, NAN), V(1)), NAN);
}

TEST(labels) {
    In x = M(3, 2, 1, 2, 3, 4, 5, 6);
    GIVES(CALC(OP_pick, NONE, x, V(2, 0)), 5, 2);
    GIVES(CALC(OP_pick, NONE, x, V(3, -1)), 0, 0); /* names no entry */
    GIVES(CALC(OP_pick, NONE, x, V(0.5, NAN)), 0, 0);
    GIVES(CALC(OP_place, AT(.size = 3), V(7, 8), V(2, 0)), 0, 8, 0, 0, 7, 0);
    GIVES(CALC(OP_place, AT(.size = 2), V(7, 8), V(2, -1)), 0, 0, 0, 0);
    GIVES(CALC(OP_pick, NONE, V(4, 5, 6), SCALAR(1)), 5);
}

TEST(axes_by_example) {
    GIVES(CALC(OP_expand, AT(.axes = 1, .shape = dims(2, 2, 3, 0)), V(1, 2, 3)), 1, 2, 3, 1, 2, 3);
    GIVES(CALC(OP_expand, AT(.axes = 2, .shape = dims(2, 3, 2, 0)), V(1, 2, 3)), 1, 1, 2, 2, 3, 3);
    GIVES(CALC(OP_sum, AT(.axes = 2), M(2, 3, 1, 2, 3, 4, 5, 6)), 6, 15);
    GIVES(CALC(OP_sum, AT(.axes = 1), M(2, 3, 1, 2, 3, 4, 5, 6)), 5, 7, 9);
    GIVES(CALC(OP_sum, AT(.axes = 3), M(2, 3, 1, 2, 3, 4, 5, 6)), 21);
    GIVES(CALC(OP_permute, AT(.list = (int32_t[]){1, 0}, .list_len = 2), M(2, 3, 1, 2, 3, 4, 5, 6)), 1, 4, 2, 5, 3, 6);
    /* axis i of the result is axis list[i] of x: x[1][2][3] -> y[2][3][1] has y[a][b][0] = x[0][a][b] */
    GIVES(CALC(OP_permute, AT(.list = (int32_t[]){2, 0, 1}, .list_len = 3), MAP(1, 2, 3, 1, 2, 3, 4, 5, 6)), 1, 4, 2, 5, 3, 6);
    GIVES(CALC(OP_slice, AT(.start = 1, .step = 2, .size = 2), V(1, 2, 3, 4, 5)), 2, 4);
    GIVES(CALC(OP_embed, AT(.start = 1, .step = 2, .size = 5), V(7, 8)), 0, 7, 0, 8, 0);
    GIVES(CALC(OP_concat, AT(.axis = 1), M(2, 1, 1, 2), M(2, 2, 3, 4, 5, 6)), 1, 3, 4, 2, 5, 6);
    GIVES(CALC(OP_gather, AT(.list = (int32_t[]){2, 0, -1, 2}, .list_len = 4), V(1, 2, 3)), 3, 1, 0, 3);
    GIVES(CALC(OP_scatter, AT(.list = (int32_t[]){1, -1, 1}, .list_len = 3, .size = 3), V(1, 2, 3)), 0, 4, 0);
    GIVES(CALC(OP_reshape, AT(.shape = dims(2, 3, 2, 0)), M(2, 3, 1, 2, 3, 4, 5, 6)), 1, 2, 3, 4, 5, 6);
}

TEST(products_by_example) {
    GIVES(CALC(OP_dense, NONE, M(2, 3, 1, 2, 3, 4, 5, 6), V(1, 0, -1)), -2, -2);
    GIVES(CALC(OP_dense, AT(.flag = true), M(2, 3, 1, 2, 3, 4, 5, 6), V(1, -1)), -3, -3, -3);
    GIVES(CALC(OP_dense, NONE, M(1, 2, 1, 10), M(2, 2, 1, 2, 3, 4)), 31, 42);
    GIVES(CALC(OP_dense_grad, NONE, M(2, 2, 1, 2, 3, 4), M(1, 2, 10, 100)), 210, 430);
    /* stride 2 over 4 entries with a kernel of 1 sees entries 0 and 2; its adjoint leaves 1 and 3 at zero */
    ConvGeom g = {.kernel = {1, 1}, .stride = {1, 2}, .dilation = {1, 1}, .groups = 1, .in = {1, 4}, .out = {1, 2}, .in_ch = 1, .out_ch = 1};
    In w = {(Shape){4, {1, 1, 1, 1}}, (double[]){3}};
    GIVES(CALC(OP_conv, AT(.conv = &g), MAP(1, 1, 4, 1, 2, 4, 8), w), 3, 12);
    GIVES(CALC(OP_conv_adj, AT(.conv = &g), MAP(1, 1, 2, 1, 2), w), 3, 0, 6, 0);
    GIVES(CALC(OP_conv_grad, AT(.conv = &g), MAP(1, 1, 4, 1, 2, 4, 8), MAP(1, 1, 2, 1, 10)), 41);
}

TEST(pooling_by_example) {
    PoolGeom g = {.kernel = {2, 2}, .stride = {2, 2}, .pad = {1, 1}, .in = {3, 3}, .out = {2, 2}};
    In x = MAP(1, 3, 3, -1, -2, -3, -4, -5, -5, -7, -4, -4);
    GIVES(CALC(OP_max_pool, AT(.pool = &g), x), -1, -2, -4, -4); /* outside counts as -inf, not 0 */
    GIVES(CALC(OP_sum_pool, AT(.pool = &g), x), -1, -5, -11, -18);
    GIVES(CALC(OP_sum_pool_adj, AT(.pool = &g), MAP(1, 2, 2, 1, 2, 3, 4)), 1, 2, 2, 3, 4, 4, 3, 4, 4);
    /* of equal ones the first, row by row */
    GIVES(CALC(OP_max_pool_adj, AT(.pool = &g), x, MAP(1, 2, 2, 1, 2, 3, 4)), 1, 2, 0, 3, 0, 0, 0, 4, 0);
    GIVES(CALC(OP_max_pool_at, AT(.pool = &g), x, MAP(1, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9)), 1, 2, 4, 8);
    PoolGeom over = {.kernel = {1, 2}, .stride = {1, 1}, .in = {1, 3}, .out = {1, 2}}; /* windows that overlap: their shares add */
    GIVES(CALC(OP_max_pool_adj, AT(.pool = &over), MAP(1, 1, 3, 1, 5, 2), MAP(1, 1, 2, 10, 20)), 0, 30, 0);
    GIVES(CALC(OP_max_pool, AT(.pool = &over), MAP(1, 1, 3, 1, NAN, 2)), NAN, NAN);
    GIVES(CALC(OP_max_pool_at, AT(.pool = &over), MAP(1, 1, 3, 7, NAN, 9), MAP(1, 1, 3, 1, 2, 3)), 2, 2);
    PoolGeom rest = {.kernel = {1, 2}, .stride = {1, 2}, .in = {1, 3}, .out = {1, 1}}; /* the last entry is in no window */
    GIVES(CALC(OP_max_pool, AT(.pool = &rest), MAP(1, 1, 3, 1, 2, 9)), 2);
    GIVES(CALC(OP_sum_pool_adj, AT(.pool = &rest), MAP(1, 1, 1, 5)), 5, 5, 0);
}

TEST(batch) {
    Graph *g = graph_new(arena);
    Value inputs[] = {{dims(1, 2, 0, 0), true, (double[]){1, 2, 3, 4, 5, 6}}}, params[] = {{dims(1, 2, 0, 0), false, (double[]){10, 20}}};
    NodeId x = op_leaf(g, OP_input, 0, dims(1, 2, 0, 0), true, (Span){0}, NULL), w = op_leaf(g, OP_param, 0, dims(1, 2, 0, 0), false, (Span){0}, NULL);
    NodeId n = graph_add(g, OP_nbatch, NULL, 0, NULL, (Span){0}), s = op1(g, OP_batch_sum, x), b = op1(g, OP_per_sample, w), y = op2(g, OP_add, x, w);
    Attr over = {.flag = true};
    NodeId each = graph_add(g, OP_dense_grad, (NodeId[]){x, w}, 2, NULL, (Span){0}), all = graph_add(g, OP_dense_grad, (NodeId[]){x, w}, 2, &over, (Span){0});
    Value *v = eval_graph(arena, g, &(EvalEnv){.batch = 3, .inputs = inputs, .params = params});
    GIVES(v[n].at, 3);
    GIVES(v[s].at, 9, 12);
    GIVES(v[b].at, 10, 20, 10, 20, 10, 20);
    GIVES(v[y].at, 11, 22, 13, 24, 15, 26);
    GIVES(v[each].at, 10, 20, 20, 40, 30, 60, 40, 80, 50, 100, 60, 120);
    GIVES(v[all].at, 90, 180, 120, 240);
    CHECK(!v[n].batched && !v[s].batched && v[b].batched && v[each].batched && !v[all].batched);
}

/* Known answers of Random123: counter and key of zeros, of ones, and of the digits of pi. */
TEST(philox_known_answers) {
    uint32_t w[4];
    noise_words(0, 0, 0, 0, 0, w);
    CHECK(w[0] == 0x6627e8d5 && w[1] == 0xe169c58d && w[2] == 0xbc57ac4c && w[3] == 0x9b00dbd8);
    noise_words(UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT64_MAX, w);
    CHECK(w[0] == 0x408f276d && w[1] == 0x41c83b0e && w[2] == 0xa20bc7c6 && w[3] == 0x6d5451fd);
    noise_words(0x299f31d0a4093822, 0x13198a2e, 0x85a308d3, 0x03707344, 0x243f6a88, w);
    CHECK(w[0] == 0xd16cfe09 && w[1] == 0x94fdcceb && w[2] == 0x5001e420 && w[3] == 0x24126ea1);
}

static Value noise(uint64_t seed, uint64_t step, int64_t first, int64_t batch, int32_t index, bool normal, int64_t size) {
    Graph *g = graph_new(arena);
    NodeId n = graph_add(g, OP_noise, NULL, 0, &AT(.index = index, .flag = normal, .shape = dims(1, size, 0, 0)), (Span){0});
    return eval_graph(arena, g, &(EvalEnv){.batch = batch, .seed = seed, .step = step, .first_sample = first})[n];
}

TEST(noise_is_a_function_of_its_place) {
    Value all = noise(5, 6, 10, 4, 1, false, 50), part = noise(5, 6, 12, 2, 1, false, 50);
    CHECK(all.batched && !memcmp(all.at + 100, part.at, 100 * sizeof(double)));
    CHECK(memcmp(all.at, noise(5, 6, 10, 4, 2, false, 50).at, 8) && memcmp(all.at, noise(5, 7, 10, 4, 1, false, 50).at, 8) &&
          memcmp(all.at, noise(4, 6, 10, 4, 1, false, 50).at, 8) && memcmp(all.at, all.at + 50, 8) && memcmp(all.at, all.at + 1, 8));
    double mean = 0, square = 0, nmean = 0, nsquare = 0;
    Value u = noise(1, 2, 0, 10, 0, false, 2000), n = noise(1, 2, 0, 10, 0, true, 2000);
    for (int i = 0; i < 20000; i++) {
        CHECK(u.at[i] >= 0 && u.at[i] < 1 && isfinite(n.at[i]) && fabs(n.at[i]) < 6);
        mean += u.at[i] / 20000, square += u.at[i] * u.at[i] / 20000;
        nmean += n.at[i] / 20000, nsquare += n.at[i] * n.at[i] / 20000;
    }
    CHECK(fabs(mean - 0.5) < 0.01 && fabs(square - 1.0 / 3) < 0.01 && fabs(nmean) < 0.03 && fabs(nsquare - 1) < 0.05);
}

TEST(rounding_to_float32) {
    Graph *g = graph_new(arena);
    NodeId third = op_const(g, 1.0 / 3, (Shape){0}), big = op_scale(g, 16777217, op_const(g, 1, (Shape){0}));
    Value *v = eval_graph(arena, g, &(EvalEnv){.batch = 1, .round = 1});
    CHECK(v[third].at[0] == (double)(1.0f / 3.0f) && v[big].at[0] == 16777216);
}

/* ---- loops ---- */
typedef struct Body {
    Graph *g;
    NodeId arg[6];
} Body;
static Body body_new(int n, const bool *batched) { /* scalar arguments */
    Body b = {.g = graph_new(arena)};
    for (int i = 0; i < n; i++) b.arg[i] = op_leaf(b.g, OP_arg, i, (Shape){0}, batched && batched[i], (Span){0}, NULL);
    return b;
}
static void gives(Body *b, NodeId n) { graph_out(b->g, OUT_VALUE, (int32_t)b->g->outs.len, n, NULL); }
static void check_ok(const Graph *g) {
    const char *why = "";
    if (!graph_check(g, &why)) FAIL("%s", why);
}

/* c = 10 c + per[turn]; emits c: the digits of the turns that ran, in their order. */
static void digits(LoopAttr l, double count, double want, const double *stack) {
    Body b = body_new(3, NULL);
    NodeId next = op2(b.g, OP_add, op_scale(b.g, 10, b.arg[0]), b.arg[1]);
    gives(&b, next), gives(&b, next);
    l.body = b.g, l.turns = 3, l.ncarry = 1, l.nper = 1, l.nemit = 1;
    Graph *g = graph_new(arena);
    double *per = ARENA_ARRAY(arena, double, 3);
    for (int i = 0; i < 3; i++) per[i] = i + 1;
    NodeId table = graph_add(g, OP_table, NULL, 0, &AT(.shape = dims(1, 3, 0, 0), .data = per), (Span){0});
    NodeId loop = op_loop(g, &l, (NodeId[]){op_const(g, 0, (Shape){0}), table, op_const(g, count, (Shape){0})}, 2u + l.counted, (Span){0});
    NodeId last = op_proj(g, loop, 0), all = op_proj(g, loop, 1);
    check_ok(g);
    Value *v = eval_graph(arena, g, &(EvalEnv){.batch = 2});
    check_list("last", v[last].at, 1, &want);
    check_list("stack", v[all].at, 3, stack);
}
TEST(loops_forward_reverse_counted) {
    digits((LoopAttr){0}, 0, 123, (double[]){1, 12, 123});
    digits((LoopAttr){.reverse = true}, 0, 321, (double[]){321, 32, 3});
    digits((LoopAttr){.counted = true}, 2, 12, (double[]){1, 12, 0});
    digits((LoopAttr){.counted = true}, 0, 0, (double[]){0, 0, 0});
    digits((LoopAttr){.counted = true}, 7, 123, (double[]){1, 12, 123});
    digits((LoopAttr){.counted = true}, -1, 0, (double[]){0, 0, 0});
    digits((LoopAttr){.counted = true, .reverse = true}, 2, 21, (double[]){21, 2, 0});
}

/* Each sample counts to its own limit; what is not batched (c) becomes so, for a sample that stopped keeps its own. */
TEST(until_stops_each_sample_by_itself) {
    Body b = body_new(3, (bool[]){true, true, false});
    NodeId next = op2(b.g, OP_add, b.arg[0], op_const(b.g, 1, (Shape){0}));
    gives(&b, next), gives(&b, b.arg[2]), gives(&b, op2(b.g, OP_le, b.arg[1], next));
    LoopAttr l = {.body = b.g, .turns = 6, .ncarry = 1, .ninvariant = 1, .nemit = 1, .until = true};
    Graph *g = graph_new(arena);
    Value inputs[] = {{(Shape){0}, true, (double[]){4, 1, -3}}};
    NodeId limit = op_leaf(g, OP_input, 0, (Shape){0}, true, (Span){0}, NULL);
    NodeId loop = op_loop(g, &l, (NodeId[]){op_const(g, 0, (Shape){0}), limit}, 2, (Span){0});
    NodeId c = op_proj(g, loop, 0), stack = op_proj(g, loop, 1), turns = op_proj(g, loop, 2);
    check_ok(g);
    Value *v = eval_graph(arena, g, &(EvalEnv){.batch = 3, .inputs = inputs});
    CHECK(v[c].batched && v[stack].batched && !v[turns].batched);
    GIVES(v[c].at, 4, 1, 1); /* the turn in which it stops still counts */
    GIVES(v[stack].at, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    GIVES(v[turns].at, 4);
    inputs[0].at = (double[]){9, 1, NAN}; /* never */
    v = eval_graph(arena, g, &(EvalEnv){.batch = 3, .inputs = inputs});
    GIVES(v[c].at, 6, 1, 6);
    GIVES(v[turns].at, 6);
}

TEST(carried_values_meet_their_batch) {
    Body b = body_new(3, (bool[]){true, true, false}); /* c starts as one for all, becomes x + c */
    gives(&b, op2(b.g, OP_add, b.arg[0], b.arg[1]));
    LoopAttr l = {.body = b.g, .turns = 2, .ncarry = 1, .ninvariant = 1};
    Graph *g = graph_new(arena);
    Value inputs[] = {{(Shape){0}, true, (double[]){1, 10}}};
    NodeId x = op_leaf(g, OP_input, 0, (Shape){0}, true, (Span){0}, NULL);
    NodeId c = op_proj(g, op_loop(g, &l, (NodeId[]){op_const(g, 5, (Shape){0}), x}, 2, (Span){0}), 0);
    check_ok(g);
    Value *v = eval_graph(arena, g, &(EvalEnv){.batch = 2, .inputs = inputs});
    GIVES(v[c].at, 7, 25);
    Body d = body_new(3, (bool[]){true, true, false}); /* c starts batched, becomes one for all */
    gives(&d, op_const(d.g, 3, (Shape){0}));
    l.body = d.g;
    NodeId e = op_proj(g, op_loop(g, &l, (NodeId[]){x, x}, 2, (Span){0}), 0);
    check_ok(g);
    v = eval_graph(arena, g, &(EvalEnv){.batch = 2, .inputs = inputs});
    GIVES(v[e].at, 3, 3);
}

TEST(fixed_point_is_its_first_input) {
    Body b = body_new(2, NULL);
    gives(&b, op2(b.g, OP_mul, b.arg[0], b.arg[1]));
    Graph *g = graph_new(arena);
    NodeId x = op_const(g, 5, (Shape){0}), f = graph_add(g, OP_fixed_point, (NodeId[]){x, x}, 2, &AT(.body = b.g), (Span){0});
    check_ok(g);
    GIVES(eval_graph(arena, g, &(EvalEnv){.batch = 1})[f].at, 5);
}

TEST(checker_finds_broken_promises) {
    const char *why = "";
    Graph *g = graph_new(arena);
    NodeId x = op_leaf(g, OP_input, 0, dims(1, 2, 0, 0), true, (Span){0}, NULL), y = op1(g, OP_relu, x);
    graph_out(g, OUT_LOSS, 0, y, NULL);
    CHECK(!graph_check(g, &why));
    CHECK_STR(why, "output 0, a loss or metric, is not one scalar");
    g->outs.at[0].role = OUT_GRAD;
    CHECK(!graph_check(g, &why));
    g->outs.at[0].role = OUT_VALUE;
    CHECK(graph_check(g, &why));
    g->nodes.at[y].shape.dim[0] = 3;
    CHECK(!graph_check(g, &why));
    CHECK_STR(why, "node 1 (relu) says real[3] batched, the rule says real[2] batched");
    g->nodes.at[y].shape.dim[0] = 2;
    ((NodeId *)g->nodes.at[y].in)[0] = y;
    CHECK(!graph_check(g, &why));
    CHECK_STR(why, "node 1 (relu) uses node 1, which comes later");
}

int main(int argc, char **argv) {
    arena = arena_new();
    Case cases[] = {T(nan_passes_elementwise), T(nan_passes_elsewhere), T(comparisons), T(select_ignores_the_other_branch), T(one_input_values), T(two_input_values),
                    T(order_and_ties), T(labels), T(systems), T(axes_by_example), T(products_by_example), T(pooling_by_example), T(batch), T(philox_known_answers),
                    T(noise_is_a_function_of_its_place), T(rounding_to_float32), T(loops_forward_reverse_counted), T(until_stops_each_sample_by_itself),
                    T(carried_values_meet_their_batch), T(fixed_point_is_its_first_input), T(checker_finds_broken_promises)};
    int bad = run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
    arena_free(arena);
    return bad;
}
