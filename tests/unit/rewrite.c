/* Chains of operators of the kind that cancel, with random axes, starts, steps and orders: simplification
 * keeps their values. */
#include "check.h"
#include "op/passes.h"
#include "optest.h"

static NodeId with(Graph *g, OpKind k, NodeId x, Attr a) { return graph_add(g, k, &x, 1, &a, (Span){0}); }

/* Another shape of the same size, axes of size 1 among it. */
static Shape reshaped(Rng *r, Shape s) {
    int64_t left = shape_size(s);
    Shape o = {0};
    while (left > 1 && o.rank < 4) {
        int64_t d = rng_int(r, 1, left);
        while (left % d) d--;
        if (o.rank == 3) d = left;
        o.dim[o.rank++] = d;
        left /= d;
    }
    if (rng_chance(r, 30) && o.rank < 4) o.dim[o.rank++] = 1;
    return o;
}
static NodeId embedded(Graph *g, Rng *r, NodeId x, int axis, int64_t size) { /* size 0: any */
    int64_t len = graph_shape(g, x).dim[axis], step = size ? 1 : rng_int(r, 1, 2),
            span = (len - 1) * step + 1;
    int64_t whole = size ? size : span + rng_int(r, 0, 2);
    return with(g, OP_embed, x,
                (Attr){.axis = axis, .start = rng_int(r, 0, whole - span), .step = step, .size = whole});
}
static NodeId sliced(Graph *g, Rng *r, NodeId x, int axis) {
    int64_t len = graph_shape(g, x).dim[axis], start = rng_int(r, 0, len - 1), step = rng_int(r, 1, 2);
    return with(
        g, OP_slice, x,
        (Attr){
            .axis = axis, .start = start, .step = step, .size = rng_int(r, 1, (len - 1 - start) / step + 1)});
}
static NodeId like(OpTest *t, Rng *r, NodeId x, int percent_constant) { /* an operand of x's shape */
    Shape s = graph_shape(t->graph, x);
    static const double few[] = {0, 0, 1, -1, 2, 0.5};
    if (rng_chance(r, percent_constant)) {
        NodeId c = op_const(t->graph, few[rng_int(r, 0, 5)], s);
        return rng_chance(r, 30) ? op1(t->graph, OP_per_sample, c) : c;
    }
    return optest_leaf(t, r, s, rng_chance(r, 50), DOM_ANY, 0);
}

static NodeId next(OpTest *t, Rng *r, NodeId x, NodeId *cond) {
    Graph *g = t->graph;
    Shape s = graph_shape(g, x);
    int axis = s.rank ? (int)rng_int(r, 0, s.rank - 1) : 0;
    int64_t what = rng_int(r, 0, s.rank ? 17 : 6);
    if (shape_size(s) > 200) what = 9;
    switch (what) {
    case 0:
        return op1(g, OP_neg, x);
    case 1:
        return op2(g, (OpKind[]){OP_add, OP_sub, OP_mul}[rng_int(r, 0, 2)], x, like(t, r, x, 60));
    case 2:
        return op2(g, (OpKind[]){OP_add, OP_sub, OP_mul}[rng_int(r, 0, 2)], like(t, r, x, 60), x);
    case 3: { /* conditions that come again */
        Shape sc = *cond == NO_NODE ? (Shape){.rank = -1} : graph_shape(g, *cond);
        if (!shape_eq(sc, s)) *cond = optest_leaf(t, r, s, rng_chance(r, 50), DOM_WHOLE, 2);
        NodeId y = like(t, r, x, 50);
        return rng_chance(r, 50) ? op3(g, OP_select, *cond, x, y) : op3(g, OP_select, *cond, y, x);
    }
    case 4: { /* expand, also in the middle */
        if (s.rank > 3) return op1(g, OP_stop, x);
        Shape o = {.rank = s.rank + 1};
        int at = (int)rng_int(r, 0, s.rank);
        for (int i = 0, k = 0; i < o.rank; i++) o.dim[i] = i == at ? rng_int(r, 1, 3) : s.dim[k++];
        return with(g, OP_expand, x, (Attr){.axes = 1u << at, .shape = o});
    }
    case 5:
        return op1(g, (OpKind[]){OP_abs, OP_relu, OP_stop}[rng_int(r, 0, 2)], x);
    case 6:
        return graph_batched(g, x) ? op1(g, OP_batch_sum, x) : op1(g, OP_per_sample, x);
    case 7:
    case 8:
        return op_sum(g, x, (uint32_t)rng_int(r, 1, (1 << s.rank) - 1));
    case 9:
    case 10:
    case 11:
        return sliced(g, r, x, axis);
    case 12:
        return embedded(g, r, x, axis, 0);
    case 13:
        return op_reshape(g, x, reshaped(r, s));
    case 14: {
        int32_t list[RANK_MAX] = {0, 1, 2, 3, 4, 5};
        for (int i = s.rank - 1; i > 0; i--) {
            int k = (int)rng_int(r, 0, i);
            int32_t v = list[i];
            list[i] = list[k], list[k] = v;
        }
        return with(g, OP_permute, x, (Attr){.list = list, .list_len = s.rank});
    }
    case 15: { /* parts, some of them neighbours in one tensor, some zero */
        NodeId in[4];
        int n = (int)rng_int(r, 1, 4);
        int64_t cut = rng_int(r, 1, s.dim[axis]);
        for (int i = 0; i < n; i++) {
            in[i] = i % 2 && cut < s.dim[axis] ? op_slice(g, x, axis, cut, s.dim[axis] - cut)
                                               : op_slice(g, x, axis, 0, cut);
            if (rng_chance(r, 25)) in[i] = op_const(g, rng_chance(r, 70) ? 0 : 1, graph_shape(g, in[i]));
        }
        return graph_add(g, OP_concat, in, (uint32_t)n, &(Attr){.axis = axis}, (Span){0});
    }
    case 16: { /* stretches that lie beside each other, with a gap, or overlap */
        int64_t size = 2 * s.dim[axis] + rng_int(r, 0, 2);
        NodeId y = embedded(g, r, x, axis, size);
        for (int i = 0; i < 2; i++)
            y = op2(g, OP_add, y, embedded(g, r, rng_chance(r, 50) ? sliced(g, r, x, axis) : x, axis, size));
        return y;
    }
    default: {
        int32_t list[32];
        int64_t n = s.dim[axis] < 32 ? s.dim[axis] : 32;
        bool plain = rng_chance(r, 30);
        for (int64_t i = 0; i < n; i++)
            list[i] = plain ? (int32_t)i : (int32_t)rng_int(r, -1, s.dim[axis] - 1);
        return with(g, OP_gather, x, (Attr){.axis = axis, .list = list, .list_len = n});
    }
    }
}

static Shape small(Rng *r) {
    Shape s = {.rank = (int)rng_int(r, 1, 3)};
    for (int i = 0; i < s.rank; i++) s.dim[i] = rng_int(r, 1, 4);
    return s;
}

TEST(chains_keep_their_values) {
    int64_t less = 0, all = 0;
    for (uint64_t seed = 0; seed < 4000; seed++) {
        Arena *a = arena_new();
        Rng r = {seed * 77 + 5};
        OpTest t = optest_instance(a, OP_input, seed); /* a graph with one leaf, batch 1 or 3 */
        t.graph->outs.len = 0;
        NodeId cond = NO_NODE, x = optest_leaf(&t, &r, small(&r), rng_chance(&r, 50), DOM_ANY, 0);
        for (int i = 0; i < 6; i++) {
            x = next(&t, &r, x, &cond);
            if (rng_chance(&r, 25)) graph_out(t.graph, OUT_VALUE, (int32_t)t.graph->outs.len, x, NULL);
        }
        graph_out(t.graph, OUT_VALUE, (int32_t)t.graph->outs.len, x, NULL);
        Graph *s = op_simplify(a, t.graph);
        const char *why = NULL;
        if (!graph_check(s, &why)) FAIL("seed %d: %s", (int)seed, why);
        less += (int64_t)t.graph->nodes.len - (int64_t)s->nodes.len;
        all += (int64_t)t.graph->nodes.len;
        Value *was = eval_graph(a, t.graph, &t.env), *is = eval_graph(a, s, &t.env);
        for (size_t o = 0; o < s->outs.len; o++) {
            Value p = was[t.graph->outs.at[o].node], q = is[s->outs.at[o].node];
            if (!shape_eq(p.shape, q.shape) || p.batched != q.batched)
                FAIL("seed %d: output %d has another shape", (int)seed, (int)o);
            for (int64_t i = 0; i < shape_size(p.shape) * (p.batched ? t.env.batch : 1); i++)
                if (!(fabs(p.at[i] - q.at[i]) <= 1e-9 * (1 + fabs(p.at[i]))))
                    FAIL("seed %d: output %d[%d] is %.17g, was %.17g", (int)seed, (int)o, (int)i, q.at[i],
                         p.at[i]);
        }
        arena_free(a);
    }
    CHECK(less * 4 > all); /* many do vanish */
}

int main(int argc, char **argv) { return run_tests(argc, argv, (Case[]){T(chains_keep_their_values)}, 1); }
