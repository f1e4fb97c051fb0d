/* Gradients that ops.def promises in words: at ties, at corners, beside branches not taken. The cotangent is 1, 2, 3, ... */
#include "ad/ad.h"
#include "check.h"
#include "op/eval.h"

static Arena *arena;
static Shape dims(int rank, int64_t a, int64_t b, int64_t c) { return (Shape){rank, {a, b, c}}; }
typedef struct In {
    Shape shape;
    const double *at;
} In;
#define V(...) (In){dims(1, sizeof((double[]){__VA_ARGS__}) / sizeof(double), 0, 0), (double[]){__VA_ARGS__}}
#define MAP(ch, h, w, ...) (In){dims(3, ch, h, w), (double[]){__VA_ARGS__}}
#define AT(...) ((Attr){__VA_ARGS__})
#define NONE ((Attr){0})

/* The gradient for input `wrt` of one operator. */
static const double *grad_at(OpKind k, Attr at, int wrt, int n, const In *in) {
    Graph *g = graph_new(arena);
    Value *params = ARENA_ARRAY(arena, Value, n + 1);
    NodeId ids[3], grad;
    for (int i = 0; i < n; i++) {
        params[i] = (Value){in[i].shape, false, (double *)in[i].at};
        ids[i] = op_leaf(g, OP_param, i, in[i].shape, false, (Span){0}, NULL);
    }
    NodeId y = graph_add(g, k, ids, (uint32_t)n, &at, (Span){0});
    int64_t size = shape_size(graph_shape(g, y));
    double *c = ARENA_ARRAY(arena, double, size);
    for (int64_t i = 0; i < size; i++) c[i] = (double)(i + 1);
    NodeId seed = graph_add(g, OP_table, NULL, 0, &AT(.shape = graph_shape(g, y), .data = c), (Span){0});
    Graph *d = ad_reverse(arena, g, &y, &seed, 1, &ids[wrt], 1, &grad);
    const char *why = "";
    if (!graph_check(d, &why)) FAIL("%s: %s", op_info[k].name, why);
    return eval_graph(arena, d, &(EvalEnv){.batch = 1, .params = params})[grad].at;
}
static void check_list(const char *what, const double *got, int n, const double *want) {
    for (int i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-12 || got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))))
            FAIL("%s: entry %d is %.17g, expected %.17g", what, i, got[i], want[i]);
}
#define GIVES(call, ...) check_list(#call, call, sizeof((double[]){__VA_ARGS__}) / sizeof(double), (double[]){__VA_ARGS__})
#define GRAD(wrt, k, at, ...) grad_at(k, at, wrt, sizeof((In[]){__VA_ARGS__}) / sizeof(In), (In[]){__VA_ARGS__})

TEST(one_input) {
    GIVES(GRAD(0, OP_abs, NONE, V(-2, 0, 2)), -1, 0, 3);
    GIVES(GRAD(0, OP_relu, NONE, V(-2, 0, 2)), 0, 0, 3);
    GIVES(GRAD(0, OP_sqrt, NONE, V(4, 0, 1)), 0.25, 0, 1.5);
    GIVES(GRAD(0, OP_sign, NONE, V(-2, 0, 2)), 0, 0, 0);
    GIVES(GRAD(0, OP_floor, NONE, V(-2, 0.5, 2)), 0, 0, 0);
    GIVES(GRAD(0, OP_stop, NONE, V(1, 2)), 0, 0);
    GIVES(GRAD(0, OP_log1pexp, NONE, V(1e4, -1e4, 0)), 1, 0, 1.5);
    GIVES(GRAD(0, OP_sigmoid, NONE, V(1e4, -1e4, 0)), 0, 0, 0.75);
}

TEST(two_inputs) {
    In x = V(1, 2, 3), y = V(3, 2, 1);
    GIVES(GRAD(0, OP_max, NONE, x, y), 0, 2, 3);
    GIVES(GRAD(1, OP_max, NONE, x, y), 1, 0, 0);
    GIVES(GRAD(0, OP_min, NONE, x, y), 1, 2, 0);
    GIVES(GRAD(1, OP_min, NONE, x, y), 0, 0, 3);
    GIVES(GRAD(0, OP_lt, NONE, x, y), 0, 0, 0);
    GIVES(GRAD(1, OP_eq, NONE, x, y), 0, 0, 0);
    GIVES(GRAD(0, OP_pow, NONE, V(-2, 0, 0, 3, 0), V(3, 2, 1, 0, 0)), 12, 0, 3, 0, 0);
    GIVES(GRAD(1, OP_pow, NONE, V(-2, 0, 0, 1, exp(1)), V(3, 2, 0, 5, 1)), 0, 0, 0, 0, 5 * exp(1));
}

TEST(branches_not_taken) {
    In c = V(1, 0, -2), x = V(NAN, NAN, 1), y = V(2, INFINITY, NAN);
    GIVES(GRAD(1, OP_select, NONE, c, x, y), 1, 0, 3);
    GIVES(GRAD(2, OP_select, NONE, c, x, y), 0, 2, 0);
    GIVES(GRAD(0, OP_select, NONE, c, x, y), 0, 0, 0);
}

TEST(largest_and_sorted) {
    GIVES(GRAD(0, OP_amax, AT(.axes = 1), V(1, 3, 3, 2)), 0, 0.5, 0.5, 0);
    GIVES(GRAD(0, OP_argmax, AT(.axis = 0), V(1, 3, 3, 2)), 0, 0, 0, 0);
    GIVES(GRAD(0, OP_sort, AT(.axis = 0), V(1, 3, 2)), 3, 1, 2);
    GIVES(GRAD(0, OP_sort, AT(.axis = 0), V(2, 3, 2)), 2.5, 1, 2.5);
    PoolGeom g = {.kernel = {1, 2}, .stride = {1, 1}, .in = {1, 4}, .out = {1, 3}};
    GIVES(GRAD(0, OP_max_pool, AT(.pool = &g), MAP(1, 1, 4, 5, 5, 5, 1)), 1, 2, 3, 0); /* of equal ones the first */
}

TEST(labels_have_no_gradient) {
    In x = (In){dims(2, 3, 2, 0), (double[]){1, 2, 3, 4, 5, 6}};
    GIVES(GRAD(0, OP_pick, NONE, x, V(2, 7)), 0, 0, 0, 0, 1, 0);
    GIVES(GRAD(1, OP_pick, NONE, x, V(2, 0)), 0, 0);
    GIVES(GRAD(0, OP_place, AT(.size = 2), V(5, 6), V(1, -1)), 3, 0);
    GIVES(GRAD(1, OP_place, AT(.size = 2), V(5, 6), V(1, 0)), 0, 0);
}

int main(int argc, char **argv) {
    arena = arena_new();
    Case cases[] = {T(one_input), T(two_inputs), T(branches_not_taken), T(largest_and_sorted), T(labels_have_no_gradient)};
    int bad = run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
    arena_free(arena);
    return bad;
}
