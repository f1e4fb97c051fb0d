/* The vector-Jacobian rule of every operator: ybar is the cotangent of the node's result; each rule gives the
   inputs theirs. Where a rule can use the node's own result it does, so that the input need not be kept (exp,
   sqrt, tanh, sigmoid, relu, recip). Products are trilinear: dense, dense_grad (conv, conv_adj, conv_grad)
   are each other's adjoints. */
#include "ad/sweep.h"
#include "base/trouble.h"

#define RULE(id) static void vjp_##id(Sweep *s, const Node *n, NodeId yb)
#define NO_GRADIENT(id)                                                                                      \
    RULE(id) { (void)s, (void)n, (void)yb; }
#define X(i) value_in(s, n, (i))
#define Y value_out(s)
#define G s->dst

static NodeId like(Sweep *s, NodeId x, double v) { return op_const(G, v, graph_shape(G, x)); }
static NodeId mul(Sweep *s, NodeId x, NodeId y) { return op2(G, OP_mul, x, y); }
static NodeId neg(Sweep *s, NodeId x) { return op1(G, OP_neg, x); }
static NodeId with(Sweep *s, OpKind k, NodeId x, Attr a) {
    return graph_add(G, k, &x, 1, &a, graph_at(G, x)->span);
}
static NodeId with2(Sweep *s, OpKind k, NodeId x, NodeId y, Attr a) {
    return graph_add(G, k, (NodeId[]){x, y}, 2, &a, graph_at(G, x)->span);
}
/* c ? x : 0 and c ? 0 : x: a factor of 0 would make NaN of an infinite cotangent */
static NodeId where(Sweep *s, NodeId c, NodeId x) { return op3(G, OP_select, c, x, like(s, x, 0)); }
static NodeId unless(Sweep *s, NodeId c, NodeId x) { return op3(G, OP_select, c, like(s, x, 0), x); }
static Shape shape_in(const Sweep *s, const Node *n, uint32_t i) { return graph_shape(s->src, n->in[i]); }
/* must a gradient for input i be summed over the batch? */
static bool over_batch(const Sweep *s, const Node *n, uint32_t i) {
    return n->batched && !graph_batched(s->src, n->in[i]);
}

NO_GRADIENT(input)
NO_GRADIENT(param)
NO_GRADIENT(state)
NO_GRADIENT(tunable)
NO_GRADIENT(arg)
NO_GRADIENT(constant)
NO_GRADIENT(table)
NO_GRADIENT(nbatch)
NO_GRADIENT(noise)
NO_GRADIENT(sign)
NO_GRADIENT(floor)
NO_GRADIENT(stop)
NO_GRADIENT(lt)
NO_GRADIENT(le)
NO_GRADIENT(eq)
NO_GRADIENT(argmax)

RULE(neg) { give(s, n, 0, neg(s, yb)); }
RULE(abs) { give(s, n, 0, mul(s, yb, op1(G, OP_sign, X(0)))); }
RULE(relu) { give(s, n, 0, where(s, op2(G, OP_lt, like(s, Y, 0), Y), yb)); }
RULE(exp) { give(s, n, 0, mul(s, yb, Y)); }
RULE(log) { give(s, n, 0, op2(G, OP_div, yb, X(0))); }
RULE(sqrt) {
    give(s, n, 0, unless(s, op2(G, OP_eq, Y, like(s, Y, 0)), op2(G, OP_div, yb, op_scale(G, 2, Y))));
}
RULE(recip) { give(s, n, 0, neg(s, mul(s, yb, mul(s, Y, Y)))); }
RULE(tanh) { give(s, n, 0, mul(s, yb, op2(G, OP_sub, like(s, Y, 1), mul(s, Y, Y)))); }
RULE(sigmoid) { give(s, n, 0, mul(s, yb, mul(s, Y, op2(G, OP_sub, like(s, Y, 1), Y)))); }
RULE(log1pexp) { give(s, n, 0, mul(s, yb, op1(G, OP_sigmoid, X(0)))); }
RULE(sin) { give(s, n, 0, mul(s, yb, op1(G, OP_cos, X(0)))); }
RULE(cos) { give(s, n, 0, neg(s, mul(s, yb, op1(G, OP_sin, X(0))))); }

RULE(add) {
    give(s, n, 0, yb);
    give(s, n, 1, yb);
}
RULE(sub) {
    give(s, n, 0, yb);
    if (wants(s, n, 1)) give(s, n, 1, neg(s, yb));
}
RULE(mul) {
    if (wants(s, n, 0)) give(s, n, 0, mul(s, yb, X(1)));
    if (wants(s, n, 1)) give(s, n, 1, mul(s, yb, X(0)));
}
RULE(div) {
    NodeId q = op2(G, OP_div, yb, X(1));
    give(s, n, 0, q);
    if (wants(s, n, 1)) give(s, n, 1, neg(s, mul(s, q, Y)));
}
static void to_one_of(Sweep *s, const Node *n, NodeId second, NodeId yb) {
    if (wants(s, n, 0)) give(s, n, 0, unless(s, second, yb));
    if (wants(s, n, 1)) give(s, n, 1, where(s, second, yb));
}
RULE(max) { to_one_of(s, n, op2(G, OP_lt, X(0), X(1)), yb); }
RULE(min) { to_one_of(s, n, op2(G, OP_lt, X(1), X(0)), yb); }
RULE(pow) {
    if (wants(s, n, 0)) {
        const Node y = *graph_at(G, X(1));
        NodeId d;
        if (y.op == OP_constant && y.a.value == 2)
            d = op_scale(G, 2, X(0));
        else if (y.op == OP_constant)
            d = op_scale(G, y.a.value, op2(G, OP_pow, X(0), like(s, Y, y.a.value - 1)));
        else { /* x^0 is 1, also at x = 0, where y x^(y-1) would be 0 * inf */
            d = mul(s, X(1), op2(G, OP_pow, X(0), op2(G, OP_sub, X(1), like(s, Y, 1))));
            d = unless(s, op2(G, OP_eq, X(1), like(s, Y, 0)), d);
        }
        if (y.op != OP_constant || y.a.value != 0) give(s, n, 0, mul(s, yb, d));
    }
    if (wants(s, n, 1)) {
        NodeId d = mul(s, yb, mul(s, Y, op1(G, OP_log, X(0))));
        give(s, n, 1, where(s, op2(G, OP_lt, like(s, Y, 0), X(0)), d));
    }
}
RULE(select) {
    if (wants(s, n, 1)) give(s, n, 1, where(s, X(0), yb));
    if (wants(s, n, 2)) give(s, n, 2, unless(s, X(0), yb));
}

RULE(expand) { give(s, n, 0, op_sum(G, yb, n->a.axes)); }
static NodeId expand_back(Sweep *s, const Node *n, NodeId x) {
    return with(s, OP_expand, x, (Attr){.axes = n->a.axes, .shape = shape_in(s, n, 0)});
}
RULE(sum) { give(s, n, 0, expand_back(s, n, yb)); }
RULE(amax) {
    NodeId hit = op2(G, OP_eq, X(0), expand_back(s, n, Y));
    give(s, n, 0, where(s, hit, expand_back(s, n, op2(G, OP_div, yb, op_sum(G, hit, n->a.axes)))));
}
/* Entry i receives the mean of ybar over the sorted places that hold its value: exact, equal entries share.
 * Quadratic in the axis. */
RULE(sort) {
    Shape x = shape_in(s, n, 0), three = shape_of(3, (int64_t)1, x.dim[n->a.axis], (int64_t)1);
    for (int i = 0; i < n->a.axis; i++) three.dim[0] *= x.dim[i];
    for (int i = n->a.axis + 1; i < x.rank; i++) three.dim[2] *= x.dim[i];
    Shape four = shape_of(4, three.dim[0], three.dim[1], three.dim[1], three.dim[2]);
    NodeId from = with(s, OP_expand, op_reshape(G, X(0), three), (Attr){.axes = 4, .shape = four});
    NodeId to = with(s, OP_expand, op_reshape(G, Y, three), (Attr){.axes = 2, .shape = four});
    NodeId hit = op2(G, OP_eq, from, to),
           yb4 = with(s, OP_expand, op_reshape(G, yb, three), (Attr){.axes = 2, .shape = four});
    NodeId xb = op2(G, OP_div, op_sum(G, where(s, hit, yb4), 4), op_sum(G, hit, 4));
    give(s, n, 0, op_reshape(G, xb, x));
}
RULE(batch_sum) { give_summed(s, n, 0, yb); }
RULE(per_sample) { give(s, n, 0, yb); }
RULE(reshape) { give(s, n, 0, op_reshape(G, yb, shape_in(s, n, 0))); }
RULE(permute) {
    int32_t back[RANK_MAX];
    for (int64_t i = 0; i < n->a.list_len; i++) back[n->a.list[i]] = (int32_t)i;
    give(s, n, 0, with(s, OP_permute, yb, (Attr){.list = back, .list_len = n->a.list_len}));
}
static int64_t size_in(const Sweep *s, const Node *n) { return shape_in(s, n, 0).dim[n->a.axis]; }
RULE(slice) {
    give(s, n, 0,
         with(s, OP_embed, yb,
              (Attr){.axis = n->a.axis, .start = n->a.start, .step = n->a.step, .size = size_in(s, n)}));
}
RULE(embed) {
    give(s, n, 0,
         with(s, OP_slice, yb,
              (Attr){.axis = n->a.axis, .start = n->a.start, .step = n->a.step, .size = size_in(s, n)}));
}
RULE(concat) {
    int64_t at = 0;
    for (uint32_t i = 0; i < n->nin; i++) {
        int64_t size = shape_in(s, n, i).dim[n->a.axis];
        if (wants(s, n, i)) give(s, n, i, op_slice(G, yb, n->a.axis, at, size));
        at += size;
    }
}
RULE(gather) {
    give(
        s, n, 0,
        with(s, OP_scatter, yb,
             (Attr){.axis = n->a.axis, .list = n->a.list, .list_len = n->a.list_len, .size = size_in(s, n)}));
}
RULE(scatter) {
    give(s, n, 0,
         with(s, OP_gather, yb, (Attr){.axis = n->a.axis, .list = n->a.list, .list_len = n->a.list_len}));
}
RULE(pick) { give(s, n, 0, with2(s, OP_place, yb, X(1), (Attr){.size = shape_in(s, n, 0).dim[0]})); }
RULE(place) { give(s, n, 0, with2(s, OP_pick, yb, X(1), (Attr){0})); }

/* The gradient of a weight that serves every sample is summed over the batch where it is made: none per
 * sample exists. */
RULE(dense) {
    bool t = n->a.flag;
    if (wants(s, n, 0)) {
        NodeId y = t ? X(1) : yb, x = t ? yb : X(1);
        give_summed(s, n, 0, with2(s, OP_dense_grad, y, x, (Attr){.flag = over_batch(s, n, 0)}));
    }
    if (wants(s, n, 1)) give(s, n, 1, with2(s, OP_dense, X(0), yb, (Attr){.flag = !t}));
}
RULE(dense_grad) {
    if (wants(s, n, 0)) give(s, n, 0, with2(s, OP_dense, yb, X(1), (Attr){0}));
    if (wants(s, n, 1)) give(s, n, 1, with2(s, OP_dense, yb, X(0), (Attr){.flag = true}));
}
/* w = s^-1 ybar is b's; s = (a + a')/2 gets -w z' and its transpose, half each */
RULE(solve) {
    NodeId w = with2(s, OP_solve, X(0), yb, (Attr){0});
    give_summed(s, n, 1, w);
    if (!wants(s, n, 0)) return;
    Attr at = {.flag = over_batch(s, n, 0)};
    NodeId both = op2(G, OP_add, with2(s, OP_dense_grad, w, Y, at), with2(s, OP_dense_grad, Y, w, at));
    give_summed(s, n, 0, op_scale(G, -0.5, both));
}
RULE(conv) {
    if (wants(s, n, 0)) give(s, n, 0, with2(s, OP_conv_adj, yb, X(1), (Attr){.conv = n->a.conv}));
    if (wants(s, n, 1))
        give_summed(s, n, 1,
                    with2(s, OP_conv_grad, X(0), yb, (Attr){.conv = n->a.conv, .flag = over_batch(s, n, 1)}));
}
RULE(conv_adj) {
    if (wants(s, n, 0)) give(s, n, 0, with2(s, OP_conv, yb, X(1), (Attr){.conv = n->a.conv}));
    if (wants(s, n, 1))
        give_summed(s, n, 1,
                    with2(s, OP_conv_grad, yb, X(0), (Attr){.conv = n->a.conv, .flag = over_batch(s, n, 1)}));
}
RULE(conv_grad) {
    if (wants(s, n, 0)) give(s, n, 0, with2(s, OP_conv_adj, X(1), yb, (Attr){.conv = n->a.conv}));
    if (wants(s, n, 1)) give(s, n, 1, with2(s, OP_conv, X(0), yb, (Attr){.conv = n->a.conv}));
}

RULE(sum_pool) { give(s, n, 0, with(s, OP_sum_pool_adj, yb, (Attr){.pool = n->a.pool})); }
RULE(sum_pool_adj) { give(s, n, 0, with(s, OP_sum_pool, yb, (Attr){.pool = n->a.pool})); }
RULE(max_pool) { give(s, n, 0, with2(s, OP_max_pool_adj, X(0), yb, (Attr){.pool = n->a.pool})); }
RULE(max_pool_adj) { give(s, n, 1, with2(s, OP_max_pool_at, X(0), yb, (Attr){.pool = n->a.pool})); }
RULE(max_pool_at) { give(s, n, 1, with2(s, OP_max_pool_adj, X(0), yb, (Attr){.pool = n->a.pool})); }

RULE(loop) { /* the sweep calls loop_reverse: a loop has several results */
    (void)s, (void)n, (void)yb;
    BUG("a loop has no cotangent of its own");
}
RULE(proj) {
    NodeId *c = &s->res_cot[n->in[0]][n->a.index];
    *c = *c == NO_NODE ? yb : op2(G, OP_add, *c, yb);
}
RULE(fixed_point) { fixed_point_reverse(s, n, yb); }

bool rule_passes(const Node *n, uint32_t i) {
    switch ((int)n->op) {
    case OP_sign:
    case OP_floor:
    case OP_stop:
    case OP_lt:
    case OP_le:
    case OP_eq:
    case OP_argmax:
        return false;
    case OP_pick:
    case OP_place:
        return i == 0;
    case OP_select:
    case OP_max_pool_adj:
    case OP_max_pool_at:
    case OP_fixed_point:
        return i >= 1;
    case OP_loop:
        return i < n->a.loop->ncarry + n->a.loop->ninvariant + n->a.loop->nper;
    default:
        return true;
    }
}

void rule_apply(Sweep *s, const Node *n, NodeId yb) {
    switch (n->op) {
#define OP(id, name, inputs, linear, formula)                                                                \
    case OP_##id:                                                                                            \
        vjp_##id(s, n, yb);                                                                                  \
        break;
#include "sig/ops.def"
#undef OP
    case OP_COUNT:
        BUG("no operator");
    }
}
