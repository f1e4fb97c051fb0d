/* Laws of the operator table, on random instances: linearity, adjoint pairs <A x, y> = <x, A' y>, convolution against its definition. */
#include "check.h"
#include "op/eval.h"
#include "optest.h"

enum { SEEDS = 60 };
static const char *where; /* "conv, seed 3": for the messages */

static int64_t count_of(const OpTest *t, Shape s, bool batched) { return shape_size(s) * (batched ? t->env.batch : 1); }
static double *node_copy(Arena *a, const OpTest *t) {
    const Value *v = &eval_graph(a, t->graph, &t->env)[t->node];
    return arena_copy(a, v->at, (size_t)count_of(t, v->shape, v->batched) * sizeof(double));
}

static void check_linear(Arena *a, OpTest *t, uint32_t slot) {
    Rng r = {slot + 5};
    int64_t n, m = count_of(t, graph_shape(t->graph, t->node), graph_batched(t->graph, t->node));
    double *x = optest_values(t, slot, &n), *x1 = arena_copy(a, x, (size_t)n * sizeof *x), c = rng_real(&r, -2, 2);
    double *y1 = node_copy(a, t);
    for (int64_t i = 0; i < n; i++) x[i] = rng_real(&r, -2, 2);
    double *y2 = node_copy(a, t);
    for (int64_t i = 0; i < n; i++) x[i] = x1[i] + c * x[i];
    double *y = node_copy(a, t);
    for (int64_t i = 0; i < m; i++)
        if (!(fabs(y[i] - y1[i] - c * y2[i]) <= 1e-10 * (1 + fabs(y1[i]) + fabs(y2[i])))) FAIL("%s, input %u is not linear", where, slot);
    memset(x, 0, (size_t)n * sizeof *x);
    y = node_copy(a, t);
    for (int64_t i = 0; i < m; i++) CHECK(y[i] == 0);
}

TEST(linear_slots) {
    int seen = 0;
    for (OpKind k = 0; k < OP_COUNT; k++)
        for (int slot = 0; slot < op_info[k].inputs; slot++) {
            if (!(op_info[k].linear >> slot & 1)) continue;
            seen++;
            for (uint64_t seed = 0; seed < SEEDS; seed++) {
                Arena *a = arena_new();
                OpTest t = optest_instance(a, k, seed);
                where = arena_printf(a, "%s, seed %d", op_info[k].name, (int)seed);
                check_linear(a, &t, (uint32_t)slot);
                arena_free(a);
            }
        }
    CHECK(seen >= 30);
}

/* The adjoint of node n in its input `slot`, applied to y; NO_NODE when n is not linear there. By hand, as the table states the partners. */
static NodeId adjoint(Graph *g, NodeId id, uint32_t slot, NodeId y) {
    const Node n = *graph_at(g, id);
    Attr at = {0};
    NodeId other = n.nin == 2 ? n.in[!slot] : NO_NODE;
    Shape xs = graph_shape(g, n.in[slot]);
    int32_t inverse[RANK_MAX];
#define MADE(kind, ...) graph_add(g, kind, (NodeId[]){__VA_ARGS__}, sizeof((NodeId[]){__VA_ARGS__}) / sizeof(NodeId), &at, (Span){0})
    if (!(op_info[n.op].linear >> slot & 1)) return NO_NODE;
    if (n.op == OP_neg) return op1(g, OP_neg, y);
    if (n.op == OP_stop) return y; /* linear; that no gradient passes is another law */
    if (n.op == OP_mul) return op2(g, OP_mul, y, other);
    if (n.op == OP_div) return op2(g, OP_div, y, other);
    if (n.op == OP_expand) return op_sum(g, y, n.a.axes);
    if (n.op == OP_sum) return at.axes = n.a.axes, at.shape = xs, MADE(OP_expand, y);
    if (n.op == OP_batch_sum) return op1(g, OP_per_sample, y);
    if (n.op == OP_per_sample) return op1(g, OP_batch_sum, y);
    if (n.op == OP_reshape) return op_reshape(g, y, xs);
    if (n.op == OP_permute) {
        for (int i = 0; i < xs.rank; i++) inverse[n.a.list[i]] = i;
        return at.list = inverse, at.list_len = xs.rank, MADE(OP_permute, y);
    }
    if (n.op == OP_slice || n.op == OP_embed) {
        at = n.a;
        at.size = xs.dim[n.a.axis];
        return n.op == OP_slice ? MADE(OP_embed, y) : MADE(OP_slice, y);
    }
    if (n.op == OP_gather || n.op == OP_scatter) {
        at = n.a;
        at.size = n.op == OP_gather ? xs.dim[n.a.axis] : 0;
        return n.op == OP_gather ? MADE(OP_scatter, y) : MADE(OP_gather, y);
    }
    if (n.op == OP_pick) return at.size = xs.dim[0], MADE(OP_place, y, other);
    if (n.op == OP_place) return MADE(OP_pick, y, other);
    if (n.op == OP_dense) {
        at.flag = slot == 1 && !n.a.flag;
        return slot == 1 ? MADE(OP_dense, other, y) : n.a.flag ? MADE(OP_dense_grad, other, y) : MADE(OP_dense_grad, y, other);
    }
    if (n.op == OP_dense_grad) return at.flag = slot == 1, MADE(OP_dense, y, other);
    if (n.op == OP_solve) return MADE(OP_solve, other, y); /* s is symmetric */
    at.conv = n.a.conv;
    if (n.op == OP_conv) return slot ? MADE(OP_conv_grad, other, y) : MADE(OP_conv_adj, y, other);
    if (n.op == OP_conv_adj) return slot ? MADE(OP_conv_grad, y, other) : MADE(OP_conv, y, other);
    if (n.op == OP_conv_grad) return slot ? MADE(OP_conv, other, y) : MADE(OP_conv_adj, other, y);
    at.conv = NULL;
    at.pool = n.a.pool;
    if (n.op == OP_sum_pool) return MADE(OP_sum_pool_adj, y);
    if (n.op == OP_sum_pool_adj) return MADE(OP_sum_pool, y);
    if (n.op == OP_max_pool_adj) return MADE(OP_max_pool_at, other, y);
    if (n.op == OP_max_pool_at) return MADE(OP_max_pool_adj, other, y);
    FAIL("%s has no adjoint here", op_info[n.op].name);
}

static double dot(const Value *x, const Value *y, int64_t batch) {
    double s = 0;
    for (int64_t b = 0; b < (x->batched || y->batched ? batch : 1); b++)
        for (int64_t i = 0, n = shape_size(x->shape); i < n; i++)
            s += x->at[(x->batched ? b * n : 0) + i] * y->at[(y->batched ? b * n : 0) + i];
    return s;
}

TEST(adjoint_pairs) {
    for (OpKind k = 0; k < OP_COUNT; k++)
        for (int slot = 0; slot < op_info[k].inputs; slot++) {
            if (!(op_info[k].linear >> slot & 1)) continue;
            for (uint64_t seed = 0; seed < SEEDS; seed++) {
                Arena *a = arena_new();
                OpTest t = optest_instance(a, k, seed);
                Rng r = {seed};
                NodeId y = optest_leaf(&t, &r, graph_shape(t.graph, t.node), graph_batched(t.graph, t.node), DOM_ANY, 0);
                NodeId z = adjoint(t.graph, t.node, (uint32_t)slot, y);
                Value *v = eval_graph(a, t.graph, &t.env);
                double left = dot(&v[t.node], &v[y], t.env.batch), right = dot(&v[t.leaf[slot]], &v[z], t.env.batch);
                if (!(fabs(left - right) <= 1e-10 * (1 + fabs(left)))) FAIL("%s, input %d, seed %d: %.15g and %.15g", op_info[k].name, slot, (int)seed, left, right);
                arena_free(a);
            }
        }
}

/* ConvGeom's sentence, word for word. */
TEST(conv_by_definition) {
    for (uint64_t seed = 0; seed < 200; seed++) {
        Arena *a = arena_new();
        OpTest t = optest_instance(a, OP_conv, seed);
        Value *v = eval_graph(a, t.graph, &t.env);
        const ConvGeom *g = graph_at(t.graph, t.node)->a.conv;
        int64_t cg = g->in_ch / g->groups, kg = g->out_ch / g->groups, kh = g->kernel[0], kw = g->kernel[1];
        for (int64_t b = 0; b < (v[t.node].batched ? t.env.batch : 1); b++) {
            const Value *xv = &v[t.leaf[0]], *wv = &v[t.leaf[1]];
            const double *x = xv->at + (xv->batched ? b * shape_size(xv->shape) : 0), *w = wv->at + (wv->batched ? b * shape_size(wv->shape) : 0);
            const double *y = v[t.node].at + b * shape_size(v[t.node].shape);
            for (int64_t k = 0; k < g->out_ch; k++)
                for (int64_t oy = 0; oy < g->out[0]; oy++)
                    for (int64_t ox = 0; ox < g->out[1]; ox++) {
                        double s = 0;
                        for (int64_t c = 0; c < cg; c++)
                            for (int64_t i = 0; i < kh; i++)
                                for (int64_t j = 0; j < kw; j++) {
                                    int64_t iy = oy * g->stride[0] + i * g->dilation[0] - g->pad_lo[0];
                                    int64_t ix = ox * g->stride[1] + j * g->dilation[1] - g->pad_lo[1];
                                    bool inside = iy >= 0 && ix >= 0 && iy < g->in[0] && ix < g->in[1];
                                    if (inside) s += w[((k * cg + c) * kh + i) * kw + j] * x[((k / kg * cg + c) * g->in[0] + iy) * g->in[1] + ix];
                                }
                        CHECK_NEAR(y[(k * g->out[0] + oy) * g->out[1] + ox], s, 1e-12);
                    }
        }
        arena_free(a);
    }
}

/* A shift of the image is a shift of its coefficients, and an impulse shows the filter, turned around. */
TEST(conv_shift_and_impulse) {
    Arena *a = arena_new();
    Rng r = {3};
    ConvGeom g = {.kernel = {3, 2}, .stride = {1, 1}, .dilation = {1, 2}, .pad_lo = {1, 1}, .pad_hi = {1, 1}, .groups = 1, .in = {9, 8}, .in_ch = 2, .out_ch = 3};
    for (int i = 0; i < 2; i++) g.out[i] = sig_conv_out(g.in[i], g.kernel[i], 1, g.dilation[i], 1, 1);
    CHECK(g.out[0] == 9 && g.out[1] == 8);
    OpTest t;
    optest_start(&t, a, &r);
    Shape xs = shape_of(3, (int64_t)2, (int64_t)9, (int64_t)8), ws = shape_of(4, (int64_t)3, (int64_t)2, (int64_t)3, (int64_t)2);
    NodeId x = optest_leaf(&t, &r, xs, false, DOM_ANY, 0), w = optest_leaf(&t, &r, ws, false, DOM_ANY, 0);
    t.node = graph_add(t.graph, OP_conv, (NodeId[]){x, w}, 2, &(Attr){.conv = &g}, (Span){0});
    int64_t n;
    double *xv = optest_values(&t, 0, &n);
    for (int64_t i = 0; i < n; i++) xv[i] = i % 72 / 8 >= 2 && i % 72 / 8 < 5 && i % 8 >= 2 && i % 8 < 5 ? rng_real(&r, -1, 1) : 0; /* inside */
    double *y = node_copy(a, &t), *wv = optest_values(&t, 1, &n);
    memmove(xv + 8 + 1, xv, (2 * 72 - 9) * sizeof *xv); /* one row down, one column right */
    memset(xv, 0, 9 * sizeof *xv);
    double *shifted = node_copy(a, &t);
    for (int64_t k = 0; k < 3; k++)
        for (int64_t i = 1; i < 9; i++)
            for (int64_t j = 1; j < 8; j++) CHECK_NEAR(shifted[(k * 9 + i) * 8 + j], y[(k * 9 + i - 1) * 8 + j - 1], 1e-14);
    memset(xv, 0, 2 * 72 * sizeof *xv);
    xv[72 + 4 * 8 + 4] = 1; /* channel 1, row 4, column 4 */
    y = node_copy(a, &t);
    for (int64_t k = 0; k < 3; k++)
        for (int64_t i = 0; i < 9; i++)
            for (int64_t j = 0; j < 8; j++) {
                int64_t p = 4 - i + 1, q = 4 - j + 1; /* the tap that meets it: row p, column q / 2 */
                bool hit = p >= 0 && p < 3 && q >= 0 && q % 2 == 0 && q / 2 < 2;
                CHECK(y[(k * 9 + i) * 8 + j] == (hit ? wv[((k * 2 + 1) * 3 + p) * 2 + q / 2] : 0));
            }
    arena_free(a);
}

/* add, sub, concat, select: linear in all their values together. */
TEST(linear_together) {
    static const OpKind kinds[] = {OP_add, OP_sub, OP_concat, OP_select};
    for (int i = 0; i < 4; i++)
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            Arena *a = arena_new();
            OpTest t = optest_instance(a, kinds[i], seed);
            double *y1 = node_copy(a, &t);
            for (uint32_t k = kinds[i] == OP_select; k < t.nleaf; k++) {
                int64_t n;
                double *x = optest_values(&t, k, &n);
                for (int64_t j = 0; j < n; j++) x[j] *= -3;
            }
            double *y = node_copy(a, &t);
            for (int64_t j = 0; j < count_of(&t, graph_shape(t.graph, t.node), graph_batched(t.graph, t.node)); j++) CHECK_NEAR(y[j], -3 * y1[j], 1e-12);
            arena_free(a);
        }
}

/* Each sample alone: changing one sample of one input changes the other samples of no result, except through "batch" operators. */
TEST(samples_do_not_mix) {
    for (OpKind k = 0; k < OP_COUNT; k++)
        for (uint64_t seed = 0; seed < SEEDS / 2; seed++) {
            Arena *a = arena_new();
            OpTest t = optest_instance(a, k, seed);
            Node n = *graph_at(t.graph, t.node);
            bool body = k == OP_loop || k == OP_proj || k == OP_arg || k == OP_fixed_point;
            if (t.env.batch == 3 && n.batched && !body) {
                int64_t size = shape_size(n.shape);
                double *before = node_copy(a, &t);
                for (uint32_t i = 0; i < t.nleaf; i++) {
                    int64_t len;
                    double *x = optest_values(&t, i, &len);
                    if (graph_batched(t.graph, t.leaf[i]))
                        for (int64_t j = len / 3; j < 2 * (len / 3); j++) x[j] = x[j] == 1 ? 0 : 1; /* sample 1 */
                }
                double *after = node_copy(a, &t);
                CHECK(!memcmp(before, after, (size_t)size * sizeof *before));
                CHECK(!memcmp(before + 2 * size, after + 2 * size, (size_t)size * sizeof *before));
            }
            arena_free(a);
        }
}

int main(int argc, char **argv) {
    return run_tests(argc, argv, (Case[]){T(linear_slots), T(linear_together), T(adjoint_pairs), T(conv_by_definition), T(conv_shift_and_impulse),
                                          T(samples_do_not_mix)}, 6);
}
