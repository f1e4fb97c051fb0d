/* Rewriting of one node, given its inputs in a graph under construction. Numbers stay the same to the last
   bit, except that constants are folded (c1 * (c2 * x), sums of constants), sums of sums become one sum, x ^
   2 is x * x and the sign of a zero may change. A structural zero (a constant 0, not a value that happens to
   be 0) annihilates: 0 * x is 0 even where x would be NaN, because "nothing" times x is meant. */
#include "op/rewrite.h"
#include "base/trouble.h"
#include "op/loops.h"
#include <math.h>
#include <string.h>

/* ---- the table of nodes ---- */

Build *build_new(Arena *a) {
    Build *b = ARENA_NEW(a, Build);
    *b = (Build){.a = a, .g = graph_new(a), .cap = 256};
    b->table = ARENA_ARRAY(a, uint32_t, b->cap);
    return b;
}

static bool ints_equal(const int32_t *x, const int32_t *y, size_t n) { return !memcmp(x, y, n * sizeof *x); }
static bool conv_equal(const ConvGeom *x, const ConvGeom *y) {
    return x == y || (x && y && ints_equal(x->kernel, y->kernel, 2) && ints_equal(x->stride, y->stride, 2) &&
                      ints_equal(x->dilation, y->dilation, 2) && ints_equal(x->pad_lo, y->pad_lo, 2) &&
                      ints_equal(x->pad_hi, y->pad_hi, 2) && x->groups == y->groups &&
                      !memcmp(x->in, y->in, sizeof x->in) && !memcmp(x->out, y->out, sizeof x->out) &&
                      x->in_ch == y->in_ch && x->out_ch == y->out_ch);
}
static bool pool_equal(const PoolGeom *x, const PoolGeom *y) {
    return x == y || (x && y && !memcmp(x, y, sizeof *x));
}
static bool body_equal(const Graph *x, const Graph *y) { return x == y || (x && y && graph_equal(x, y)); }
static bool loop_equal(const LoopAttr *x, const LoopAttr *y) {
    return x == y ||
           (x && y && x->turns == y->turns && x->ncarry == y->ncarry && x->ninvariant == y->ninvariant &&
            x->nper == y->nper && x->nemit == y->nemit && x->until == y->until && x->counted == y->counted &&
            x->reverse == y->reverse && x->keep == y->keep && body_equal(x->body, y->body));
}

bool attr_equal(const Attr *x, const Attr *y) {
    return !memcmp(&x->value, &y->value, sizeof x->value) && x->index == y->index && x->axis == y->axis &&
           x->axes == y->axes && x->start == y->start && x->step == y->step && x->size == y->size &&
           x->flag == y->flag && shape_eq(x->shape, y->shape) && x->batched == y->batched &&
           x->list_len == y->list_len &&
           (x->list_len == 0 || ints_equal(x->list, y->list, (size_t)x->list_len)) &&
           (x->data == y->data ||
            (x->data && y->data &&
             !memcmp(x->data, y->data, (size_t)shape_size(x->shape) * sizeof *x->data))) &&
           conv_equal(x->conv, y->conv) && pool_equal(x->pool, y->pool) && loop_equal(x->loop, y->loop) &&
           body_equal(x->body, y->body);
}

static bool same_inputs(const Node *x, const Node *y) {
    bool same = x->nin == y->nin;
    for (uint32_t i = 0; same && i < x->nin; i++) same = x->in[i] == y->in[i];
    return same;
}

bool graph_equal(const Graph *x, const Graph *y) {
    if (x->nodes.len != y->nodes.len || x->outs.len != y->outs.len) return false;
    for (size_t i = 0; i < x->nodes.len; i++) {
        const Node *n = &x->nodes.at[i], *m = &y->nodes.at[i];
        if (n->op != m->op || !same_inputs(n, m) || !attr_equal(&n->a, &m->a)) return false;
    }
    for (size_t i = 0; i < x->outs.len; i++) {
        const GraphOut *o = &x->outs.at[i], *p = &y->outs.at[i];
        if (o->role != p->role || o->index != p->index || o->node != p->node) return false;
    }
    return true;
}

static uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 0x9E3779B97F4A7C15u ^ (h >> 29); }
static size_t hash_of(const Node *n) {
    uint64_t bits, h = mix(n->op, n->nin);
    for (uint32_t i = 0; i < n->nin; i++) h = mix(h, n->in[i]);
    memcpy(&bits, &n->a.value, sizeof bits);
    h = mix(mix(mix(h, bits), (uint64_t)n->a.index), (uint64_t)n->a.axis ^ (uint64_t)n->a.axes << 32);
    h = mix(mix(mix(h, (uint64_t)n->a.start), (uint64_t)n->a.step), (uint64_t)n->a.size ^ n->a.flag);
    h = mix(h, (uint64_t)n->a.shape.rank);
    for (int i = 0; i < n->a.shape.rank; i++) h = mix(h, (uint64_t)n->a.shape.dim[i]);
    for (int64_t i = 0; i < n->a.list_len; i++) h = mix(h, (uint64_t)n->a.list[i]);
    return (size_t)(h ^ h >> 32);
}
static uint32_t *find(Build *b, const Node *n) {
    for (size_t i = hash_of(n) & (b->cap - 1);; i = (i + 1) & (b->cap - 1)) {
        if (!b->table[i]) return &b->table[i];
        const Node *m = graph_at(b->g, b->table[i] - 1);
        if (m->op == n->op && same_inputs(m, n) && attr_equal(&m->a, &n->a)) return &b->table[i];
    }
}

NodeId build_node(Build *b, OpKind op, const NodeId *in, uint32_t nin, const Attr *attr, Span span) {
    static const Attr none;
    Node n = {.op = op, .nin = nin, .in = in, .a = attr ? *attr : none, .span = span};
    const char *why = "";
    if (!graph_infer(b->g, &n, &n.shape, &n.batched, &why)) BUG("%s: %s", op_info[op].name, why);
    NodeId r = op_is_leaf(op) ? NO_NODE : rewrite_node(b, &n);
    if (r != NO_NODE) return r;
    if (b->g->nodes.len * 2 >= b->cap) {
        b->cap *= 4;
        b->table = ARENA_ARRAY(b->a, uint32_t, b->cap);
        for (size_t i = 0; i < b->g->nodes.len; i++) *find(b, &b->g->nodes.at[i]) = (uint32_t)i + 1;
    }
    uint32_t *slot = find(b, &n);
    if (!*slot) *slot = graph_add(b->g, op, in, nin, attr, span) + 1;
    return *slot - 1;
}

NodeId build_as(Build *b, NodeId x, bool batched) {
    return batched && !graph_batched(b->g, x)
               ? build_node(b, OP_per_sample, &x, 1, NULL, graph_at(b->g, x)->span)
               : x;
}
NodeId build_const(Build *b, double v, Shape s, bool batched) {
    return build_as(b, build_node(b, OP_constant, NULL, 0, &(Attr){.value = v, .shape = s}, (Span){0}),
                    batched);
}
bool build_is_const(const Build *b, NodeId x, double *v) {
    const Node *n = graph_at(b->g, x);
    if (n->op == OP_per_sample) n = graph_at(b->g, n->in[0]);
    *v = n->a.value;
    return n->op == OP_constant;
}

/* ---- the rules ---- */

static const Node *at(const Build *b, NodeId x) { return graph_at(b->g, x); }
static bool is(const Build *b, NodeId x, double v) {
    double c;
    return build_is_const(b, x, &c) && c == v;
}
static NodeId make(Build *b, const Node *n, OpKind k, NodeId x, NodeId y,
                   NodeId z) { /* unused inputs: NO_NODE */
    NodeId in[3] = {x, y, z};
    return build_node(b, k, in, y == NO_NODE ? 1 : z == NO_NODE ? 2 : 3, NULL, n->span);
}
static NodeId make1(Build *b, const Node *n, OpKind k, NodeId x) {
    return make(b, n, k, x, NO_NODE, NO_NODE);
}
static NodeId make2(Build *b, const Node *n, OpKind k, NodeId x, NodeId y) {
    return make(b, n, k, x, y, NO_NODE);
}
static NodeId same(Build *b, const Node *n, NodeId x) { return build_as(b, x, n->batched); }

/* One value for all is computed once: per_sample moves behind every operator that treats the samples alike.
 */
static bool treats_samples_alike(const Node *n) {
    switch ((int)n->op) {
    case OP_batch_sum:
    case OP_per_sample:
        return false;
    case OP_dense_grad:
    case OP_conv_grad:
        return !n->a.flag;
    default:
        return true;
    }
}
static NodeId per_sample_last(Build *b, const Node *n) {
    if (n->op == OP_loop || n->op == OP_fixed_point || n->op == OP_proj)
        return NO_NODE; /* arguments say what is batched */
    NodeId few[8], *in = n->nin <= 8 ? few : ARENA_ARRAY(b->a, NodeId, n->nin);
    bool found = false, batched = false;
    for (uint32_t i = 0; i < n->nin; i++) {
        const Node *x = at(b, n->in[i]);
        in[i] = x->op == OP_per_sample ? x->in[0] : n->in[i];
        found |= x->op == OP_per_sample;
        batched |= x->op != OP_per_sample && x->batched;
    }
    if (!found || (!batched && !treats_samples_alike(n))) return NO_NODE;
    return build_as(b, build_node(b, n->op, in, n->nin, &n->a, n->span), n->batched);
}

static NodeId zero_slots(Build *b, const Node *n) {
    unsigned linear = n->op == OP_concat ? ~0u : n->op == OP_select ? 6u : op_info[n->op].linear;
    bool together = n->op == OP_select || n->op == OP_concat, any = false,
         all = true; /* linear in all their values together */
    for (uint32_t i = 0; i < n->nin; i++) {
        if (!(linear >> (i < 31 ? i : 31) & 1)) continue;
        bool zero = is(b, n->in[i], 0);
        any |= zero;
        all &= zero;
    }
    return any && (all || !together) ? build_const(b, 0, n->shape, n->batched) : NO_NODE;
}

/* A sign moves outwards, where a sum takes it in: at zero, an update D'(D g - x) is one product of x. */
static NodeId sign_last(Build *b, const Node *n) {
    bool product = (n->op >= OP_dense && n->op <= OP_conv_grad) || n->op == OP_mul, join = n->op == OP_concat;
    if (!product && !join && n->op != OP_embed && n->op != OP_reshape && n->op != OP_permute && n->op != OP_gather && n->op != OP_slice) return NO_NODE;
    NodeId *in = ARENA_ARRAY(b->a, NodeId, n->nin);
    uint32_t signs = 0;
    for (uint32_t i = 0; i < n->nin; i++) {
        const Node *x = at(b, n->in[i]);
        in[i] = x->op == OP_neg ? x->in[0] : n->in[i];
        signs += x->op == OP_neg;
    }
    if (!signs || (join && signs < n->nin)) return NO_NODE;
    NodeId r = build_node(b, n->op, in, n->nin, &n->a, n->span);
    return product && signs == 2 ? r : build_node(b, OP_neg, &r, 1, NULL, n->span);
}

/* op of constants, as the evaluator has it */
static bool fold(OpKind op, const double *v, double *r) {
    double x = v[0], y = v[1];
    switch ((int)op) {
    case OP_neg:
        *r = -x;
        break;
    case OP_abs:
        *r = fabs(x);
        break;
    case OP_sign:
        *r = x > 0 ? 1 : x < 0 ? -1 : x;
        break;
    case OP_relu:
        *r = x < 0 ? 0 : x;
        break;
    case OP_exp:
        *r = exp(x);
        break;
    case OP_log:
        *r = log(x);
        break;
    case OP_sqrt:
        *r = sqrt(x);
        break;
    case OP_recip:
        *r = 1 / x;
        break;
    case OP_tanh:
        *r = tanh(x);
        break;
    case OP_sigmoid:
        *r = x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
        break;
    case OP_log1pexp:
        *r = x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
        break;
    case OP_sin:
        *r = sin(x);
        break;
    case OP_cos:
        *r = cos(x);
        break;
    case OP_floor:
        *r = floor(x);
        break;
    case OP_stop:
        *r = x;
        break;
    case OP_add:
        *r = x + y;
        break;
    case OP_sub:
        *r = x - y;
        break;
    case OP_mul:
        *r = x * y;
        break;
    case OP_div:
        *r = x / y;
        break;
    case OP_max:
        *r = x < y ? y : isnan(y) ? y : x;
        break;
    case OP_min:
        *r = y < x ? y : isnan(y) ? y : x;
        break;
    case OP_pow:
        *r = isnan(x) || isnan(y) ? NAN : pow(x, y);
        break;
    case OP_lt:
        *r = x < y;
        break;
    case OP_le:
        *r = x <= y;
        break;
    case OP_eq:
        *r = x == y;
        break;
    case OP_select:
        *r = x != 0 ? y : v[2];
        break;
    default:
        return false;
    }
    return true;
}
static NodeId fold_constants(Build *b, const Node *n) {
    double v[3] = {0}, r;
    if (!op_is_elementwise(n->op)) return NO_NODE;
    for (uint32_t i = 0; i < n->nin; i++)
        if (!build_is_const(b, n->in[i], &v[i])) return NO_NODE;
    return fold(n->op, v, &r) ? build_const(b, r, n->shape, n->batched) : NO_NODE;
}

static NodeId rewrite_unary(Build *b, const Node *n) {
    const Node x = *at(b, n->in[0]);
    switch ((int)n->op) {
    case OP_neg:
        if (x.op == OP_neg) return x.in[0];
        if (x.op == OP_sub) return make2(b, n, OP_sub, x.in[1], x.in[0]);
        if (x.op == OP_mul && at(b, x.in[0])->op == OP_constant)
            return make2(b, n, OP_mul, build_const(b, -at(b, x.in[0])->a.value, n->shape, false), x.in[1]);
        return NO_NODE;
    case OP_abs:
        return x.op == OP_abs ? n->in[0] : x.op == OP_neg ? make1(b, n, OP_abs, x.in[0]) : NO_NODE;
    case OP_relu:
        return x.op == OP_relu || x.op == OP_abs ? n->in[0] : NO_NODE;
    case OP_sign:
        return x.op == OP_sign ? n->in[0] : NO_NODE;
    case OP_floor:
        return x.op == OP_floor ? n->in[0] : NO_NODE;
    case OP_stop:
        return x.op == OP_stop ? n->in[0] : NO_NODE;
    default:
        return NO_NODE;
    }
}

static NodeId rewrite_binary(Build *b, const Node *n) {
    NodeId x = n->in[0], y = n->in[1];
    const Node nx = *at(b, x), ny = *at(b, y);
    double c;
    int e;
    switch ((int)n->op) {
    case OP_add:
        if (is(b, x, 0)) return same(b, n, y);
        if (is(b, y, 0)) return same(b, n, x);
        if (ny.op == OP_neg) return make2(b, n, OP_sub, x, ny.in[0]);
        if (nx.op == OP_neg) return make2(b, n, OP_sub, y, nx.in[0]);
        if (nx.op == OP_embed && ny.op == OP_embed) {
            NodeId r = rewrite_add_embeds(b, &nx, &ny, n->span);
            if (r != NO_NODE) return same(b, n, r);
        }
        break;
    case OP_sub:
        if (is(b, y, 0)) return same(b, n, x);
        if (is(b, x, 0)) return same(b, n, make1(b, n, OP_neg, y));
        if (ny.op == OP_neg) return make2(b, n, OP_add, x, ny.in[0]);
        return nx.op == OP_neg ? make1(b, n, OP_neg, make2(b, n, OP_add, nx.in[0], y)) : NO_NODE;
    case OP_mul:
        if (is(b, x, 1)) return same(b, n, y);
        if (is(b, y, 1)) return same(b, n, x);
        if (is(b, x, -1)) return same(b, n, make1(b, n, OP_neg, y));
        if (nx.op == OP_constant && ny.op == OP_mul && at(b, ny.in[0])->op == OP_constant)
            return make2(b, n, OP_mul, build_const(b, nx.a.value * at(b, ny.in[0])->a.value, n->shape, false),
                         ny.in[1]);
        break;
    case OP_div:
        if (is(b, y, 1)) return same(b, n, x);
        if (is(b, x, 1)) return same(b, n, make1(b, n, OP_recip, y));
        if (ny.op == OP_constant && fabs(frexp(c = ny.a.value, &e)) == 0.5 && e > -100 &&
            e < 100) /* exact for powers of two */
            return make2(b, n, OP_mul, build_const(b, 1 / c, n->shape, false), x);
        return NO_NODE;
    case OP_pow:
        if (is(b, y, 1)) return same(b, n, x);
        if (is(b, y, 2)) return same(b, n, make2(b, n, OP_mul, x, x));
        return is(b, y, -1) ? same(b, n, make1(b, n, OP_recip, x)) : NO_NODE;
    case OP_max:
    case OP_min:
        return x == y ? x : NO_NODE;
    default:
        return NO_NODE;
    }
    /* sums and products: a constant first, else the older value first */
    bool later = nx.op != OP_constant && (ny.op == OP_constant || x > y);
    return later ? make2(b, n, n->op, y, x) : NO_NODE;
}

static NodeId rewrite_select(Build *b, const Node *n) {
    NodeId c = n->in[0], x = n->in[1], y = n->in[2];
    double v;
    if (build_is_const(b, c, &v)) return same(b, n, v != 0 ? x : y);
    if (x == y) return same(b, n, x);
    const Node nx = *at(b, x), ny = *at(b, y);
    if (nx.op == OP_neg && is(b, y, 0)) return make1(b, n, OP_neg, make(b, n, OP_select, c, nx.in[0], y));
    if (ny.op == OP_neg && is(b, x, 0)) return make1(b, n, OP_neg, make(b, n, OP_select, c, x, ny.in[0]));
    if (nx.op == OP_select && nx.in[0] == c) return same(b, n, make(b, n, OP_select, c, nx.in[1], y));
    if (ny.op == OP_select && ny.in[0] == c) return same(b, n, make(b, n, OP_select, c, x, ny.in[2]));
    return NO_NODE;
}

/* A matrix that was transposed only to be applied, or made the wrong way round. */
static NodeId rewrite_product(Build *b, const Node *n) {
    const Node x = *at(b, n->in[0]);
    if (n->op == OP_dense && x.op == OP_permute) {
        Attr t = n->a;
        t.flag = !t.flag;
        return build_node(b, OP_dense, (NodeId[]){x.in[0], n->in[1]}, 2, &t, n->span);
    }
    return NO_NODE;
}

NodeId rewrite_node(Build *b, const Node *n) {
    NodeId r = per_sample_last(b, n);
    if (r == NO_NODE && n->op != OP_loop && n->op != OP_proj && n->op != OP_per_sample) r = zero_slots(b, n);
    if (r == NO_NODE) r = fold_constants(b, n);
    if (r == NO_NODE) r = sign_last(b, n);
    if (r != NO_NODE) return r;
    if (n->op >= OP_neg && n->op <= OP_stop) return rewrite_unary(b, n);
    if (n->op >= OP_add && n->op <= OP_eq) return rewrite_binary(b, n);
    if (n->op == OP_select) return rewrite_select(b, n);
    if (n->op >= OP_dense && n->op <= OP_conv_grad) return rewrite_product(b, n);
    if (n->op >= OP_expand && n->op <= OP_scatter) return rewrite_axes(b, n);
    return NO_NODE;
}
