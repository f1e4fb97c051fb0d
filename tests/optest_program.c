/* Random programs: each step adds an operator, or a form that models are made of, over values made before. */
#include "optest.h"
#include <math.h>
#include <string.h>

typedef struct Prog {
    OpTest t;
    Rng *r;
    Graph *g;
    Vec(NodeId) pool;  /* values that a step may use */
    Vec(double) size;  /* about how large they are */
} Prog;

enum { ENTRIES_MOST = 6000 };

static void keep(Prog *p, NodeId n, double size) {
    if (shape_size(graph_shape(p->g, n)) > ENTRIES_MOST) return;
    if (size > 8) n = op_scale(p->g, 2 / size, n), size = 2;
    vec_push(p->g->arena, &p->pool, n);
    vec_push(p->g->arena, &p->size, size);
}
static NodeId leaf(Prog *p, Shape s, Domain d, int64_t limit) { return optest_leaf(&p->t, p->r, s, rng_chance(p->r, 70), d, limit); }
static size_t some(Prog *p) { /* rather a late one */
    size_t n = p->pool.len, i = (size_t)rng_int(p->r, 0, (int64_t)n - 1), k = (size_t)rng_int(p->r, 0, (int64_t)n - 1);
    return i > k ? i : k;
}
static size_t some_of_rank(Prog *p, int lo, int hi) {
    for (int tries = 0; tries < 8; tries++) {
        size_t i = some(p);
        int rank = graph_shape(p->g, p->pool.at[i]).rank;
        if (rank >= lo && rank <= hi) return i;
    }
    keep(p, leaf(p, optest_shape(p->r, lo, hi, rng_chance(p->r, 15)), DOM_ANY, 0), 2);
    return p->pool.len - 1;
}
static NodeId like(Prog *p, Shape s) { /* another value of this shape */
    for (int tries = 0; tries < 8; tries++) {
        size_t i = some(p);
        if (shape_eq(graph_shape(p->g, p->pool.at[i]), s)) return p->pool.at[i];
    }
    return leaf(p, s, DOM_ANY, 0);
}
static NodeId all(Prog *p, double v, NodeId as) { return op_const(p->g, v, graph_shape(p->g, as)); }
static NodeId away_from_zero(Prog *p, NodeId x) { return op2(p->g, OP_add, op1(p->g, OP_abs, x), all(p, 0.5, x)); }
static NodeId with(Prog *p, OpKind k, NodeId x, Attr a) { return graph_add(p->g, k, &x, 1, &a, (Span){0}); }

static void step_one(Prog *p) {
    static const OpKind plain[] = {OP_neg, OP_abs, OP_relu, OP_stop, OP_tanh, OP_sigmoid, OP_log1pexp, OP_sin, OP_cos};
    size_t i = some(p);
    NodeId x = p->pool.at[i];
    switch (rng_int(p->r, 0, 6)) {
    case 0: keep(p, op1(p->g, OP_exp, op1(p->g, OP_tanh, x)), 2); break;
    case 1: keep(p, op1(p->g, OP_log, away_from_zero(p, x)), 1 + p->size.at[i] / 2); break;
    case 2: keep(p, op1(p->g, OP_sqrt, away_from_zero(p, x)), 1 + p->size.at[i] / 2); break;
    case 3: keep(p, op1(p->g, OP_recip, away_from_zero(p, x)), 2); break;
    default: keep(p, op1(p->g, plain[rng_int(p->r, 0, 8)], x), p->size.at[i] + 0.7);
    }
}
static void step_two(Prog *p) {
    static const OpKind sums[] = {OP_add, OP_sub, OP_max, OP_min};
    size_t i = some(p);
    NodeId x = p->pool.at[i], y = like(p, graph_shape(p->g, x));
    double s = p->size.at[i];
    switch (rng_int(p->r, 0, 5)) {
    case 0: keep(p, op2(p->g, OP_mul, x, y), 2 * s); break;
    case 1: keep(p, op2(p->g, OP_div, x, away_from_zero(p, y)), s); break;
    case 2: keep(p, op2(p->g, OP_pow, away_from_zero(p, x), op1(p->g, OP_tanh, y)), 1 + s); break;
    default: keep(p, op2(p->g, sums[rng_int(p->r, 0, 3)], x, y), 2 + s);
    }
}
static void step_choice(Prog *p) { /* jumps, at leaves only */
    static const OpKind compare[] = {OP_lt, OP_le, OP_eq};
    size_t i = some(p);
    NodeId x = p->pool.at[i];
    Shape s = graph_shape(p->g, x);
    NodeId y = leaf(p, s, DOM_WHOLE, 3), z = leaf(p, s, DOM_WHOLE, 3), c = op2(p->g, compare[rng_int(p->r, 0, 2)], y, z);
    switch (rng_int(p->r, 0, 3)) {
    case 0: keep(p, op1(p->g, rng_chance(p->r, 50) ? OP_floor : OP_sign, leaf(p, s, DOM_ANY, 0)), 2); break;
    case 1:
        if (s.rank) {
            OpKind k = rng_chance(p->r, 50) ? OP_argmax : OP_sort;
            keep(p, with(p, k, leaf(p, s, DOM_APART, 0), (Attr){.axis = (int32_t)rng_int(p->r, 0, s.rank - 1)}), 4);
        }
        break;
    default: keep(p, op3(p->g, OP_select, c, x, like(p, s)), p->size.at[i]);
    }
}
static void step_axes(Prog *p) {
    size_t i = some_of_rank(p, 1, 4);
    NodeId x = p->pool.at[i];
    Shape s = graph_shape(p->g, x), o = s;
    double size = p->size.at[i];
    int ax = (int)rng_int(p->r, 0, s.rank - 1);
    uint32_t axes = (uint32_t)rng_int(p->r, 1, (1 << s.rank) - 1);
    int32_t list[8];
    switch (rng_int(p->r, 0, 8)) {
    case 0: { /* a new axis */
        memmove(&o.dim[ax + 1], &o.dim[ax], sizeof o.dim[0] * (size_t)(s.rank - ax));
        o.dim[ax] = rng_int(p->r, 1, 4);
        o.rank++;
        keep(p, with(p, OP_expand, x, (Attr){.axes = 1u << ax, .shape = o}), size);
        break;
    }
    case 1: keep(p, op_sum(p->g, x, axes), size * sqrt((double)shape_size(s))); break;
    case 2: keep(p, with(p, OP_amax, x, (Attr){.axes = axes}), 2 * size); break;
    case 3: keep(p, op_reshape(p->g, x, shape_of(1, shape_size(s))), size); break;
    case 4:
        for (int k = 0; k < s.rank; k++) list[k] = (k + ax) % s.rank;
        keep(p, with(p, OP_permute, x, (Attr){.list = list, .list_len = s.rank}), size);
        break;
    case 5: {
        int64_t start = rng_int(p->r, 0, s.dim[ax] - 1), step = rng_int(p->r, 1, 2);
        keep(p, with(p, OP_slice, x, (Attr){.axis = ax, .start = start, .step = step, .size = rng_int(p->r, 1, (s.dim[ax] - 1 - start) / step + 1)}), size);
        break;
    }
    case 6: {
        int64_t start = rng_int(p->r, 0, 2), step = rng_int(p->r, 1, 2);
        keep(p, with(p, OP_embed, x, (Attr){.axis = ax, .start = start, .step = step, .size = start + (s.dim[ax] - 1) * step + 1 + rng_int(p->r, 0, 2)}), size);
        break;
    }
    case 7:
        for (int k = 0; k < 6; k++) list[k] = (int32_t)rng_int(p->r, -1, s.dim[ax] - 1);
        keep(p, with(p, OP_gather, x, (Attr){.axis = ax, .list = list, .list_len = rng_int(p->r, 1, 6)}), size);
        break;
    default: {
        NodeId in[3] = {x, like(p, s), x};
        int64_t n = rng_int(p->r, 2, 3);
        keep(p, graph_add(p->g, OP_concat, in, (uint32_t)n, &(Attr){.axis = ax}, (Span){0}), size);
    }
    }
}
static void step_label(Prog *p) {
    size_t i = some_of_rank(p, 1, 3);
    NodeId x = p->pool.at[i];
    Shape s = graph_shape(p->g, x), rest = {.rank = s.rank - 1};
    memcpy(rest.dim, s.dim + 1, sizeof s.dim[0] * (size_t)rest.rank);
    if (rng_chance(p->r, 60)) keep(p, op2(p->g, OP_pick, x, leaf(p, rest, DOM_WHOLE, s.dim[0])), p->size.at[i]);
    else keep(p, graph_add(p->g, OP_place, (NodeId[]){x, leaf(p, s, DOM_WHOLE, 4)}, 2, &(Attr){.size = 4}, (Span){0}), p->size.at[i]);
}
static void step_batch(Prog *p) {
    size_t i = some(p);
    NodeId x = p->pool.at[i];
    if (!graph_batched(p->g, x)) keep(p, op1(p->g, OP_per_sample, x), p->size.at[i]);
    else {
        NodeId n = op_expand(p->g, graph_add(p->g, OP_nbatch, NULL, 0, NULL, (Span){0}), graph_shape(p->g, x));
        keep(p, op2(p->g, OP_div, op1(p->g, OP_batch_sum, x), n), p->size.at[i]);
    }
}
static void step_noise(Prog *p) {
    Attr a = {.index = (int32_t)rng_int(p->r, 0, 5), .flag = rng_chance(p->r, 50), .shape = optest_shape(p->r, 0, 3, false)};
    keep(p, graph_add(p->g, OP_noise, NULL, 0, &a, (Span){0}), 1);
}
static void step_dense(Prog *p) {
    size_t i = some_of_rank(p, 1, 3);
    NodeId x = p->pool.at[i];
    Shape s = graph_shape(p->g, x), y = s;
    bool flag = rng_chance(p->r, 50);
    int64_t k = rng_int(p->r, 1, rng_chance(p->r, 20) ? 40 : 7);
    double size = p->size.at[i] * sqrt((double)s.dim[0]);
    if (rng_chance(p->r, 25)) {
        y.dim[0] = k;
        NodeId other = leaf(p, y, DOM_ANY, 0);
        keep(p, graph_add(p->g, OP_dense_grad, (NodeId[]){other, x}, 2, NULL, (Span){0}), p->size.at[i] * sqrt((double)shape_size(s)));
        return;
    }
    NodeId w = leaf(p, flag ? shape_of(2, s.dim[0], k) : shape_of(2, k, s.dim[0]), DOM_ANY, 0);
    NodeId o = graph_add(p->g, OP_dense, (NodeId[]){w, x}, 2, &(Attr){.flag = flag}, (Span){0});
    if (rng_chance(p->r, 50)) {
        o = op2(p->g, OP_add, o, op_expand(p->g, leaf(p, shape_of(1, k), DOM_ANY, 0), graph_shape(p->g, o)));
        if (rng_chance(p->r, 70)) o = op1(p->g, OP_relu, o);
    }
    keep(p, o, size + 1);
}

/* A geometry whose input is s. */
static ConvGeom conv_for(Prog *p, Shape s) {
    ConvGeom g;
    do {
        g = optest_conv(p->r, rng_chance(p->r, 15));
        g.in_ch = s.dim[0];
        if (g.in_ch % g.groups) g.groups = 1;
        g.out_ch = g.groups * rng_int(p->r, 1, rng_chance(p->r, 20) ? 17 : 4);
        for (int i = 0; i < 2; i++) {
            g.in[i] = s.dim[i + 1];
            g.out[i] = sig_conv_out(g.in[i], g.kernel[i], g.stride[i], g.dilation[i], g.pad_lo[i], g.pad_hi[i]);
        }
    } while (g.out[0] < 1 || g.out[1] < 1);
    return g;
}
static NodeId filters(Prog *p, const ConvGeom *g) {
    Shape s = shape_of(4, g->out_ch, g->in_ch / g->groups, (int64_t)g->kernel[0], (int64_t)g->kernel[1]);
    return optest_leaf(&p->t, p->r, s, rng_chance(p->r, 10), DOM_ANY, 0);
}
static NodeId product(Prog *p, OpKind k, NodeId x, NodeId y, const ConvGeom *g) {
    return graph_add(p->g, k, (NodeId[]){x, y}, 2, &(Attr){.conv = g}, (Span){0});
}
static double conv_gain(const ConvGeom *g) { return sqrt((double)(g->in_ch / g->groups * g->kernel[0] * g->kernel[1])); }

static void step_conv(Prog *p) {
    size_t i = some_of_rank(p, 3, 3);
    NodeId x = p->pool.at[i];
    ConvGeom g = conv_for(p, graph_shape(p->g, x));
    NodeId w = filters(p, &g), y = product(p, OP_conv, x, w, &g);
    double size = p->size.at[i] * conv_gain(&g);
    int form = (int)rng_int(p->r, 0, 4);
    if (form == 0) { /* with bias, perhaps relu */
        y = op2(p->g, OP_add, y, op_expand(p->g, leaf(p, shape_of(1, g.out_ch), DOM_ANY, 0), graph_shape(p->g, y)));
        if (rng_chance(p->r, 70)) y = op1(p->g, OP_relu, y);
    } else if (form == 1) { /* there and back, with a residual */
        y = op_scale(p->g, 1 / size, y);
        NodeId back = product(p, OP_conv_adj, y, w, &g);
        y = rng_chance(p->r, 50) ? op2(p->g, OP_sub, back, x) : back;
        size = 2 + p->size.at[i];
    } else if (form == 2) {
        y = product(p, OP_conv_grad, x, op_scale(p->g, 1 / size, y), &g);
        size = p->size.at[i] * sqrt((double)(g.out[0] * g.out[1]));
    }
    keep(p, y, size);
}
static void step_pool(Prog *p) {
    size_t i = some_of_rank(p, 3, 3);
    NodeId x = p->pool.at[i];
    Shape s = graph_shape(p->g, x);
    PoolGeom g;
    do {
        g = optest_pool(p->r, false);
        for (int k = 0; k < 2; k++) {
            g.in[k] = s.dim[k + 1];
            g.out[k] = sig_conv_out(g.in[k], g.kernel[k], g.stride[k], 1, g.pad[k], g.pad[k]);
        }
    } while (g.out[0] < 1 || g.out[1] < 1);
    Attr a = {.pool = &g};
    double size = p->size.at[i];
    switch (rng_int(p->r, 0, 4)) {
    case 0: keep(p, with(p, OP_max_pool, x, a), size); break;
    case 1: keep(p, with(p, OP_sum_pool_adj, with(p, OP_sum_pool, x, a), a), 3 * size); break;
    case 2: keep(p, graph_add(p->g, OP_max_pool_at, (NodeId[]){leaf(p, s, DOM_APART, 0), x}, 2, &a, (Span){0}), size); break;
    case 3: {
        NodeId y = leaf(p, shape_of(3, s.dim[0], g.out[0], g.out[1]), DOM_ANY, 0);
        keep(p, graph_add(p->g, OP_max_pool_adj, (NodeId[]){leaf(p, s, DOM_APART, 0), y}, 2, &a, (Span){0}), 3);
        break;
    }
    default: keep(p, with(p, OP_sum_pool, x, a), 2 * size);
    }
}

/* z = relu(z - s * conv(conv_adj(z) - x) - lambda), some turns of it, as a loop with a threshold per turn; or one, written out. */
static void step_ista(Prog *p) {
    NodeId x = p->pool.at[some_of_rank(p, 3, 3)];
    ConvGeom g = conv_for(p, graph_shape(p->g, x));
    Shape z = shape_of(3, g.out_ch, g.out[0], g.out[1]);
    double s = 0.05 / (double)(g.in_ch * g.kernel[0] * g.kernel[1]);
    NodeId w = filters(p, &g), z0 = rng_chance(p->r, 50) ? op_const(p->g, 0, z) : like(p, z);
    LoopAttr l = {.turns = rng_int(p->r, 1, 4), .ncarry = 1, .ninvariant = 2, .nper = 1, .nemit = rng_chance(p->r, 30), .keep = rng_chance(p->r, 30),
                  .until = rng_chance(p->r, 25)};
    NodeId per = leaf(p, shape_of(2, l.turns, z.dim[0]), DOM_POSITIVE, 0);
    Graph *b = graph_new(p->g->arena);
    bool batched = graph_batched(p->g, x) || graph_batched(p->g, w) || graph_batched(p->g, z0) || graph_batched(p->g, per);
    NodeId az = op_leaf(b, OP_arg, 0, z, batched, (Span){0}, NULL), ax = op_leaf(b, OP_arg, 1, graph_shape(p->g, x), graph_batched(p->g, x), (Span){0}, NULL),
           aw = op_leaf(b, OP_arg, 2, graph_shape(p->g, w), graph_batched(p->g, w), (Span){0}, NULL),
           at = op_leaf(b, OP_arg, 3, shape_of(1, z.dim[0]), graph_batched(p->g, per), (Span){0}, NULL);
    NodeId turn = op_leaf(b, OP_arg, 4, (Shape){0}, false, (Span){0}, NULL);
    Attr geom = {.conv = &g};
    NodeId r = op2(b, OP_sub, graph_add(b, OP_conv_adj, (NodeId[]){az, aw}, 2, &geom, (Span){0}), ax);
    NodeId step = op_scale(b, s, graph_add(b, OP_conv, (NodeId[]){r, aw}, 2, &geom, (Span){0}));
    NodeId next = op1(b, OP_relu, op2(b, OP_sub, op2(b, OP_sub, az, step), op_expand(b, op_scale(b, 0.05, at), z)));
    graph_out(b, OUT_VALUE, 0, next, NULL);
    if (l.nemit) graph_out(b, OUT_VALUE, 1, op_sum_all(b, op2(b, OP_mul, next, next)), NULL);
    if (l.until) graph_out(b, OUT_VALUE, 1 + (int32_t)l.nemit, op2(b, OP_le, op_const(b, 1, (Shape){0}), turn), NULL);
    l.body = b;
    NodeId loop = op_loop(p->g, &l, (NodeId[]){z0, x, w, per}, 4, (Span){0});
    keep(p, op_proj(p->g, loop, 0), 3);
    if (l.nemit) keep(p, op_proj(p->g, loop, 1), 0.5 * (double)shape_size(z));
}

OpTest optest_program(Arena *a, uint64_t seed) {
    static void (*const steps[])(Prog *) = {step_one, step_one, step_two,  step_two,   step_choice, step_axes, step_axes,  step_axes,
                                            step_label, step_batch, step_noise, step_dense, step_dense, step_conv, step_conv, step_conv, step_pool, step_ista};
    Rng r = {seed * 0xD1342543DE82EF95u + 99};
    Prog p = {.r = &r};
    optest_start(&p.t, a, &r);
    p.g = p.t.graph;
    keep(&p, optest_leaf(&p.t, &r, shape_of(3, rng_int(&r, 1, 6), rng_int(&r, 3, 9), rng_int(&r, 3, 9)), true, DOM_ANY, 0), 2);
    keep(&p, leaf(&p, optest_shape(&r, 1, 2, rng_chance(&r, 50)), DOM_ANY, 0), 2);
    for (int64_t n = rng_int(&r, 5, 30); n > 0; n--) steps[rng_int(&r, 0, (int64_t)(sizeof steps / sizeof *steps) - 1)](&p);

    int32_t outs = (int32_t)rng_int(&r, 1, 4);
    NodeId loss = op_const(p.g, 0, (Shape){0});
    for (int32_t i = 0; i < outs; i++) {
        NodeId x = p.pool.at[i ? some(&p) : p.pool.len - 1];
        graph_out(p.g, OUT_VALUE, i, x, NULL);
        NodeId e = op_scale(p.g, 1 / (double)shape_size(graph_shape(p.g, x)), op_sum_all(p.g, op1(p.g, OP_tanh, x)));
        if (graph_batched(p.g, e))
            e = op2(p.g, OP_div, op1(p.g, OP_batch_sum, e), graph_add(p.g, OP_nbatch, NULL, 0, NULL, (Span){0}));
        loss = op2(p.g, OP_add, loss, e);
    }
    graph_out(p.g, OUT_LOSS, 0, loss, NULL);
    return p.t;
}
