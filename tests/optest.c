/* Random instances of each operator: a make_<id> for each row of the table. */
#include "optest.h"
#include "base/trouble.h"
#include <math.h>
#include <string.h>

enum { LEAVES_MOST = 400 };

uint64_t rng_next(Rng *r) { /* splitmix64 */
    uint64_t z = (r->s += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
int64_t rng_int(Rng *r, int64_t lo, int64_t hi) { return lo + (int64_t)(rng_next(r) % (uint64_t)(hi - lo + 1)); }
double rng_real(Rng *r, double lo, double hi) { return lo + (hi - lo) * (double)(rng_next(r) >> 11) * 0x1p-53; }
bool rng_chance(Rng *r, int percent) { return rng_int(r, 0, 99) < percent; }

/* ---- leaves ---- */
static void fill(Rng *r, double *v, int64_t n, Domain d, int64_t limit) {
    for (int64_t i = 0; i < n; i++) switch (d) {
        case DOM_ANY:
            v[i] = (double)rng_int(r, -2, 1) + rng_real(r, 0.1, 0.9);
            break;
        case DOM_POSITIVE: v[i] = rng_real(r, 0.3, 2); break;
        case DOM_NONZERO: v[i] = rng_real(r, 0.3, 2) * (rng_chance(r, 50) ? 1 : -1); break;
        case DOM_APART: v[i] = ((double)i - (double)n / 2 + rng_real(r, 0.3, 0.7)) * (n < 400 ? 4.0 / (double)n : 0.01); break;
        case DOM_WHOLE: v[i] = (double)rng_int(r, 0, limit - 1); break;
        }
    if (d == DOM_APART)
        for (int64_t i = n - 1; i > 0; i--) {
            int64_t k = rng_int(r, 0, i);
            double x = v[i];
            v[i] = v[k], v[k] = x;
        }
    for (int64_t i = 0; i < n; i++) v[i] = (float)v[i]; /* so that float32 code starts from the same numbers */
}

void optest_start(OpTest *t, Arena *a, Rng *r) {
    *t = (OpTest){.graph = graph_new(a)};
    t->leaf = ARENA_ARRAY(a, NodeId, LEAVES_MOST);
    t->real = ARENA_ARRAY(a, bool, LEAVES_MOST);
    t->env.inputs = ARENA_ARRAY(a, Value, LEAVES_MOST);
    t->env.params = ARENA_ARRAY(a, Value, LEAVES_MOST);
    t->env.states = ARENA_ARRAY(a, Value, LEAVES_MOST);
    t->env.tunables = ARENA_ARRAY(a, Value, LEAVES_MOST);
    t->env.batch = rng_chance(r, 40) ? 1 : 3;
    t->env.seed = rng_next(r);
    t->env.step = (uint64_t)rng_int(r, 0, 1000);
    t->env.first_sample = rng_int(r, 0, 100);
}

static NodeId leaf_of_kind(OpTest *t, Rng *r, OpKind k, Shape s, Domain d, int64_t limit) {
    MUST(t->nleaf < LEAVES_MOST);
    bool batched = k == OP_input;
    uint32_t *count = k == OP_input ? &t->ninput : k == OP_param ? &t->nparam : &t->nstate;
    const Value *list = k == OP_input ? t->env.inputs : k == OP_param ? t->env.params : t->env.states;
    Value v = {s, batched, NULL};
    int64_t n = shape_size(s) * (batched ? t->env.batch : 1);
    v.at = ARENA_ARRAY(t->graph->arena, double, n);
    fill(r, v.at, n, d, limit);
    *((Value *)&list[*count]) = v;
    t->real[t->nleaf] = d != DOM_WHOLE && k != OP_state;
    return t->leaf[t->nleaf++] = op_leaf(t->graph, k, (int32_t)(*count)++, s, batched, (Span){0}, NULL);
}

NodeId optest_leaf(OpTest *t, Rng *r, Shape s, bool batched, Domain d, int64_t limit) {
    return leaf_of_kind(t, r, batched ? OP_input : OP_param, s, d, limit);
}

double *optest_values(const OpTest *t, uint32_t leaf, int64_t *count) {
    const Node *n = graph_at(t->graph, t->leaf[leaf]);
    const Value *v = n->op == OP_input ? t->env.inputs : n->op == OP_param ? t->env.params : n->op == OP_state ? t->env.states : t->env.tunables;
    *count = shape_size(n->shape) * (n->batched ? t->env.batch : 1);
    return v[n->a.index].at;
}

/* ---- sizes ---- */
Shape optest_shape(Rng *r, int least_rank, int most_rank, bool large) {
    Shape s = {.rank = (int32_t)rng_int(r, least_rank, most_rank)};
    for (int i = 0; i < s.rank; i++) s.dim[i] = rng_int(r, 1, s.rank > 3 ? 3 : 5);
    if (large && s.rank) s.dim[rng_int(r, 0, s.rank - 1)] = rng_int(r, 9, 37);
    return s;
}

ConvGeom optest_conv(Rng *r, bool large) {
    ConvGeom g = {.groups = rng_chance(r, 65) ? 1 : (int32_t)rng_int(r, 2, 3)};
    g.in_ch = g.groups * rng_int(r, 1, large ? 9 : 3);
    g.out_ch = g.groups * rng_int(r, 1, large ? 18 : 3);
    bool flat = rng_chance(r, 15), simple = rng_chance(r, 30); /* 1-D; stride and dilation 1 */
    for (int i = 0; i < 2; i++) {
        bool one = flat && i == 0;
        g.kernel[i] = one ? 1 : (int32_t)rng_int(r, 1, 4);
        g.stride[i] = one || simple ? 1 : (int32_t)rng_int(r, 1, 3);
        g.dilation[i] = one || simple ? 1 : (int32_t)rng_int(r, 1, 3);
        int32_t span = g.dilation[i] * (g.kernel[i] - 1);
        g.pad_lo[i] = one ? 0 : (int32_t)rng_int(r, 0, span < 4 ? span : 4);
        g.pad_hi[i] = one ? 0 : (int32_t)rng_int(r, 0, span < 4 ? span : 4);
        int64_t least = span + 1 - g.pad_lo[i] - g.pad_hi[i];
        if (least < 1) least = 1;
        g.in[i] = one ? 1 : rng_int(r, least, least + (large ? 14 : 5));
        g.out[i] = sig_conv_out(g.in[i], g.kernel[i], g.stride[i], g.dilation[i], g.pad_lo[i], g.pad_hi[i]);
    }
    return g;
}

PoolGeom optest_pool(Rng *r, bool large) {
    PoolGeom g = {0};
    for (int i = 0; i < 2; i++) {
        g.kernel[i] = (int32_t)rng_int(r, 1, 4);
        g.stride[i] = (int32_t)rng_int(r, 1, 3);
        g.pad[i] = (int32_t)rng_int(r, 0, g.kernel[i] - 1);
        int64_t least = g.kernel[i] - 2 * g.pad[i];
        if (least < 1) least = 1;
        g.in[i] = rng_int(r, least, least + (large ? 14 : 5));
        g.out[i] = sig_conv_out(g.in[i], g.kernel[i], g.stride[i], 1, g.pad[i], g.pad[i]);
    }
    return g;
}

/* ---- one operator ---- */
typedef struct Make {
    OpTest *t;
    Rng *r;
    bool large;
    OpKind kind;
} Make;

static bool batched(Make *m) { return rng_chance(m->r, 65); }
static NodeId any(Make *m, Shape s) { return optest_leaf(m->t, m->r, s, batched(m), DOM_ANY, 0); }
static NodeId of(Make *m, Shape s, Domain d) { return optest_leaf(m->t, m->r, s, batched(m), d, 2); }
/* Adds the operator over all leaves made so far, as its inputs. */
static NodeId apply(Make *m, Attr at) { return graph_add(m->t->graph, m->kind, m->t->leaf, m->t->nleaf, &at, (Span){0}); }
static Shape shape(Make *m, int least, int most) { return optest_shape(m->r, least, most, m->large); }
static Shape without_first(Shape s) {
    Shape o = {.rank = s.rank - 1};
    memcpy(o.dim, s.dim + 1, sizeof s.dim[0] * (size_t)o.rank);
    return o;
}

static NodeId leaf(Make *m) { return leaf_of_kind(m->t, m->r, m->kind, shape(m, 0, 4), DOM_ANY, 0); }
static NodeId make_input(Make *m) { return leaf(m); }
static NodeId make_param(Make *m) { return leaf(m); }
static NodeId make_state(Make *m) { return leaf(m); }
static NodeId make_tunable(Make *m) {
    double *v = ARENA_NEW(m->t->graph->arena, double);
    *v = rng_real(m->r, 0, 1);
    ((Value *)m->t->env.tunables)[0].at = v;
    return m->t->leaf[m->t->nleaf++] = op_leaf(m->t->graph, OP_tunable, 0, (Shape){0}, false, (Span){0}, NULL);
}
static NodeId make_constant(Make *m) { return op_const(m->t->graph, rng_real(m->r, -2, 2), shape(m, 0, 4)); }
static NodeId make_table(Make *m) {
    Shape s = shape(m, 0, 4);
    double *data = ARENA_ARRAY(m->t->graph->arena, double, shape_size(s));
    fill(m->r, data, shape_size(s), DOM_ANY, 0);
    return graph_add(m->t->graph, OP_table, NULL, 0, &(Attr){.shape = s, .data = data}, (Span){0});
}
static NodeId make_nbatch(Make *m) { return apply(m, (Attr){0}); }
static NodeId make_noise(Make *m) {
    return apply(m, (Attr){.index = (int32_t)rng_int(m->r, 0, 9), .flag = rng_chance(m->r, 50), .shape = shape(m, 0, 4)});
}

/* an argument shows itself in a body: the loop that adds it up */
static NodeId make_loop(Make *m);
static NodeId make_arg(Make *m) {
    m->kind = OP_loop;
    return make_loop(m);
}

static NodeId one(Make *m, Domain d) { return of(m, shape(m, 0, 4), d), apply(m, (Attr){0}); }
#define ONE(id, domain) static NodeId make_##id(Make *m) { return one(m, domain); }
ONE(neg, DOM_ANY)
ONE(abs, DOM_ANY)
ONE(sign, DOM_ANY)
ONE(relu, DOM_ANY)
ONE(exp, DOM_ANY)
ONE(log, DOM_POSITIVE)
ONE(sqrt, DOM_POSITIVE)
ONE(recip, DOM_NONZERO)
ONE(tanh, DOM_ANY)
ONE(sigmoid, DOM_ANY)
ONE(log1pexp, DOM_ANY)
ONE(sin, DOM_ANY)
ONE(cos, DOM_ANY)
ONE(floor, DOM_ANY)
ONE(stop, DOM_ANY)

static NodeId two(Make *m, Domain d, Domain e) {
    Shape s = shape(m, 0, 4);
    of(m, s, d), of(m, s, e);
    return apply(m, (Attr){0});
}
#define TWO(id, first, second) static NodeId make_##id(Make *m) { return two(m, first, second); }
TWO(add, DOM_ANY, DOM_ANY)
TWO(sub, DOM_ANY, DOM_ANY)
TWO(mul, DOM_ANY, DOM_ANY)
TWO(div, DOM_ANY, DOM_NONZERO)
TWO(pow, DOM_POSITIVE, DOM_ANY)
TWO(eq, DOM_WHOLE, DOM_WHOLE)

/* The second input is the first one, away from it by at least 0.1 up or down (as far as the batch of either allows). */
static NodeId apart(Make *m) {
    Shape s = shape(m, 0, 4);
    NodeId x = of(m, s, DOM_ANY), y = of(m, s, DOM_ANY);
    int64_t nx, ny, size = shape_size(s);
    double *vx = optest_values(m->t, 0, &nx), *vy = optest_values(m->t, 1, &ny);
    for (int64_t i = 0; i < nx; i++) vx[i] = (float)((double)rng_int(m->r, -4, 4) * 0.5);
    for (int64_t i = 0; i < ny; i++) vy[i] = (float)((double)rng_int(m->r, -4, 3) * 0.5 + 0.25 + rng_real(m->r, -0.1, 0.1));
    (void)x, (void)y, (void)size;
    return apply(m, (Attr){0});
}
static NodeId make_max(Make *m) { return apart(m); }
static NodeId make_min(Make *m) { return apart(m); }
static NodeId make_lt(Make *m) { return apart(m); }
static NodeId make_le(Make *m) { return apart(m); }
static NodeId make_select(Make *m) {
    Shape s = shape(m, 0, 4);
    of(m, s, DOM_WHOLE), any(m, s), any(m, s);
    return apply(m, (Attr){0});
}

static uint32_t some_axes(Make *m, int rank) { return (uint32_t)rng_int(m->r, 1, (1 << rank) - 1); }
static NodeId make_expand(Make *m) {
    Shape to = shape(m, 1, 4), x = {0};
    uint32_t axes = some_axes(m, to.rank);
    for (int i = 0; i < to.rank; i++)
        if (!(axes >> i & 1)) x.dim[x.rank++] = to.dim[i];
    any(m, x);
    return apply(m, (Attr){.axes = axes, .shape = to});
}
static NodeId make_sum(Make *m) {
    Shape s = shape(m, 1, 4);
    any(m, s);
    return apply(m, (Attr){.axes = some_axes(m, s.rank)});
}
static NodeId make_amax(Make *m) {
    Shape s = shape(m, 1, 4);
    of(m, s, DOM_APART);
    return apply(m, (Attr){.axes = some_axes(m, s.rank)});
}
static NodeId make_argmax(Make *m) {
    Shape s = shape(m, 1, 4);
    of(m, s, DOM_APART);
    return apply(m, (Attr){.axis = (int32_t)rng_int(m->r, 0, s.rank - 1)});
}
static NodeId make_sort(Make *m) { return make_argmax(m); }
static NodeId make_batch_sum(Make *m) {
    optest_leaf(m->t, m->r, shape(m, 0, 4), true, DOM_ANY, 0);
    return apply(m, (Attr){0});
}
static NodeId make_per_sample(Make *m) {
    optest_leaf(m->t, m->r, shape(m, 0, 4), false, DOM_ANY, 0);
    return apply(m, (Attr){0});
}
static NodeId make_reshape(Make *m) {
    Shape s = shape(m, 0, 4), to = {.rank = s.rank};
    memcpy(to.dim, s.dim, sizeof s.dim);
    any(m, s);
    if (s.rank == 0) to = shape_of(1, (int64_t)1);
    else if (s.rank == 1) to = shape_of(2, s.dim[0], (int64_t)1);
    else { /* two neighbours become one */
        int k = (int)rng_int(m->r, 0, s.rank - 2);
        to.dim[k] *= to.dim[k + 1];
        memmove(&to.dim[k + 1], &to.dim[k + 2], sizeof to.dim[0] * (size_t)(s.rank - k - 2));
        to.dim[--to.rank] = 0;
    }
    return apply(m, (Attr){.shape = to});
}
static NodeId make_permute(Make *m) {
    Shape s = shape(m, 1, 4);
    int32_t order[RANK_MAX];
    for (int i = 0; i < s.rank; i++) order[i] = i;
    for (int i = s.rank - 1; i > 0; i--) {
        int k = (int)rng_int(m->r, 0, i), x = order[i];
        order[i] = order[k], order[k] = x;
    }
    any(m, s);
    return apply(m, (Attr){.list = order, .list_len = s.rank});
}
static NodeId make_slice(Make *m) {
    Shape s = shape(m, 1, 4);
    int axis = (int)rng_int(m->r, 0, s.rank - 1);
    int64_t start = rng_int(m->r, 0, s.dim[axis] - 1), step = rng_int(m->r, 1, 3);
    any(m, s);
    return apply(m, (Attr){.axis = axis, .start = start, .step = step, .size = rng_int(m->r, 1, (s.dim[axis] - 1 - start) / step + 1)});
}
static NodeId make_embed(Make *m) {
    Shape s = shape(m, 1, 4);
    int axis = (int)rng_int(m->r, 0, s.rank - 1);
    int64_t start = rng_int(m->r, 0, 3), step = rng_int(m->r, 1, 3);
    any(m, s);
    return apply(m, (Attr){.axis = axis, .start = start, .step = step, .size = start + (s.dim[axis] - 1) * step + 1 + rng_int(m->r, 0, 3)});
}
static NodeId make_concat(Make *m) {
    Shape s = shape(m, 1, 4);
    int axis = (int)rng_int(m->r, 0, s.rank - 1);
    for (int64_t n = rng_int(m->r, 1, 4); n > 0; n--) {
        s.dim[axis] = rng_int(m->r, 1, 5);
        any(m, s);
    }
    return apply(m, (Attr){.axis = axis});
}
static NodeId moved(Make *m, bool scatter) {
    Shape s = shape(m, 1, 4);
    int axis = (int)rng_int(m->r, 0, s.rank - 1);
    int64_t size = scatter ? rng_int(m->r, 1, 7) : s.dim[axis], n = scatter ? s.dim[axis] : rng_int(m->r, 1, 7);
    int32_t list[64];
    for (int64_t i = 0; i < n; i++) list[i] = rng_chance(m->r, 15) ? -1 : (int32_t)rng_int(m->r, 0, size - 1);
    any(m, s);
    return apply(m, (Attr){.axis = axis, .list = list, .list_len = n, .size = scatter ? size : 0});
}
static NodeId make_gather(Make *m) { return moved(m, false); }
static NodeId make_scatter(Make *m) { return moved(m, true); }
static NodeId make_pick(Make *m) {
    Shape s = shape(m, 1, 3);
    any(m, s);
    optest_leaf(m->t, m->r, without_first(s), batched(m), DOM_WHOLE, s.dim[0]);
    return apply(m, (Attr){0});
}
static NodeId make_place(Make *m) {
    Shape s = shape(m, 0, 3);
    int64_t classes = rng_int(m->r, 1, m->large ? 21 : 6);
    any(m, s);
    optest_leaf(m->t, m->r, s, batched(m), DOM_WHOLE, classes);
    return apply(m, (Attr){.size = classes});
}

static NodeId make_dense(Make *m) {
    Shape x = shape(m, 1, 3);
    bool flag = rng_chance(m->r, 50);
    int64_t k = rng_int(m->r, 1, m->large ? 35 : 6);
    any(m, flag ? shape_of(2, x.dim[0], k) : shape_of(2, k, x.dim[0]));
    any(m, x);
    return apply(m, (Attr){.flag = flag});
}
static NodeId make_solve(Make *m) { /* large on the diagonal: positive whatever stands beside it */
    int64_t n = rng_int(m->r, 1, m->large ? 17 : 5), count;
    Shape b = shape(m, 1, 3);
    b.dim[0] = n;
    any(m, shape_of(2, n, n));
    double *v = optest_values(m->t, 0, &count);
    for (int64_t i = 0; i < count; i++)
        if (i % (n * n) % (n + 1) == 0) v[i] += (double)(3 * n);
    any(m, b);
    return apply(m, (Attr){0});
}
static bool some_batched(const OpTest *t) { return t->ninput > 0; }
static NodeId make_dense_grad(Make *m) {
    Shape x = shape(m, 1, 3), y = x;
    y.dim[0] = rng_int(m->r, 1, m->large ? 35 : 6);
    any(m, y), any(m, x);
    return apply(m, (Attr){.flag = some_batched(m->t) && rng_chance(m->r, 50)});
}
static Shape conv_x(const ConvGeom *g) { return shape_of(3, g->in_ch, g->in[0], g->in[1]); }
static Shape conv_y(const ConvGeom *g) { return shape_of(3, g->out_ch, g->out[0], g->out[1]); }
static Shape conv_w(const ConvGeom *g) {
    return shape_of(4, g->out_ch, g->in_ch / g->groups, (int64_t)g->kernel[0], (int64_t)g->kernel[1]);
}
static NodeId filters(Make *m, const ConvGeom *g) { return optest_leaf(m->t, m->r, conv_w(g), rng_chance(m->r, 20), DOM_ANY, 0); }
static NodeId make_conv(Make *m) {
    ConvGeom g = optest_conv(m->r, m->large);
    any(m, conv_x(&g)), filters(m, &g);
    return apply(m, (Attr){.conv = &g});
}
static NodeId make_conv_adj(Make *m) {
    ConvGeom g = optest_conv(m->r, m->large);
    any(m, conv_y(&g)), filters(m, &g);
    return apply(m, (Attr){.conv = &g});
}
static NodeId make_conv_grad(Make *m) {
    ConvGeom g = optest_conv(m->r, m->large);
    any(m, conv_x(&g)), any(m, conv_y(&g));
    return apply(m, (Attr){.conv = &g, .flag = some_batched(m->t) && rng_chance(m->r, 50)});
}

static NodeId pooled(Make *m, bool wide_first, int second /* 0 none, 1 small, 2 wide */, Domain d) {
    PoolGeom g = optest_pool(m->r, m->large);
    int64_t c = rng_int(m->r, 1, m->large ? 19 : 4);
    Shape wide = shape_of(3, c, g.in[0], g.in[1]), small = shape_of(3, c, g.out[0], g.out[1]);
    of(m, wide_first ? wide : small, d);
    if (second) any(m, second == 2 ? wide : small);
    return apply(m, (Attr){.pool = &g});
}
static NodeId make_sum_pool(Make *m) { return pooled(m, true, 0, DOM_ANY); }
static NodeId make_sum_pool_adj(Make *m) { return pooled(m, false, 0, DOM_ANY); }
static NodeId make_max_pool(Make *m) { return pooled(m, true, 0, DOM_APART); }
static NodeId make_max_pool_adj(Make *m) { return pooled(m, true, 1, DOM_APART); }
static NodeId make_max_pool_at(Make *m) { return pooled(m, true, 2, DOM_APART); }

/* ---- bodies ---- */
/* A loop over a tensor c of shape [n, ...] and, sometimes, a scalar t that is the same for all samples (as FISTA's momentum is):
     c = tanh(0.5 W c + v * per[turn] + t) and t = 0.5 t + 0.1 turn; W, v invariant; emits c * c. */
static NodeId make_loop(Make *m) {
    OpTest *t = m->t;
    Rng *r = m->r;
    Graph *g = t->graph, *b = graph_new(g->arena);
    bool momentum = rng_chance(r, 50), per = rng_chance(r, 60), emit = rng_chance(r, 60);
    LoopAttr l = {.body = b, .turns = rng_int(r, 1, 6), .ncarry = 1u + momentum, .ninvariant = 3, .nper = per, .nemit = emit,
                  .keep = rng_chance(r, 30)};
    int form = (int)rng_int(r, 0, 3);
    l.until = form == 1;
    l.reverse = form == 2;
    l.counted = form == 2 ? rng_chance(r, 50) : form == 3;
    bool test_batched = l.until && rng_chance(r, 70);
    Shape s = shape(m, 1, 2), w = shape_of(2, s.dim[0], s.dim[0]), p = {.rank = s.rank + 1, .dim = {l.turns}};
    memcpy(p.dim + 1, s.dim, sizeof s.dim[0] * (size_t)s.rank);

    NodeId c = any(m, s);
    if (momentum) optest_leaf(t, r, (Shape){0}, false, DOM_ANY, 0);
    NodeId W = optest_leaf(t, r, w, rng_chance(r, 20), DOM_ANY, 0), v = any(m, s), limit = optest_leaf(t, r, (Shape){0}, test_batched, DOM_WHOLE, l.turns);
    NodeId perturn = per ? any(m, p) : NO_NODE;
    if (l.counted) optest_leaf(t, r, (Shape){0}, false, DOM_WHOLE, l.turns + 2);

    bool all = graph_batched(g, c) || graph_batched(g, W) || graph_batched(g, v) || (per && graph_batched(g, perturn)) || test_batched;
    int32_t k = 0;
    NodeId ac = op_leaf(b, OP_arg, k++, s, all, (Span){0}, NULL);
    NodeId at = momentum ? op_leaf(b, OP_arg, k++, (Shape){0}, test_batched, (Span){0}, NULL) : NO_NODE;
    NodeId aw = op_leaf(b, OP_arg, k++, w, graph_batched(g, W), (Span){0}, NULL);
    NodeId av = op_leaf(b, OP_arg, k++, s, graph_batched(g, v), (Span){0}, NULL);
    NodeId al = op_leaf(b, OP_arg, k++, (Shape){0}, graph_batched(g, limit), (Span){0}, NULL);
    NodeId ap = per ? op_leaf(b, OP_arg, k++, s, graph_batched(g, perturn), (Span){0}, NULL) : NO_NODE;
    NodeId turn = op_leaf(b, OP_arg, k++, (Shape){0}, false, (Span){0}, NULL);

    NodeId x = op2(b, OP_add, op_scale(b, 0.5, op2(b, OP_dense, aw, ac)), per ? op2(b, OP_mul, av, ap) : av);
    if (momentum) x = op2(b, OP_add, x, op_expand(b, at, s));
    NodeId out = op1(b, OP_tanh, x);
    graph_out(b, OUT_VALUE, 0, out, NULL);
    if (momentum) graph_out(b, OUT_VALUE, 1, op2(b, OP_add, op_scale(b, 0.5, at), op_scale(b, 0.1, turn)), NULL);
    if (emit) graph_out(b, OUT_VALUE, (int32_t)b->outs.len, op2(b, OP_mul, out, out), NULL);
    if (l.until) graph_out(b, OUT_VALUE, (int32_t)b->outs.len, op2(b, OP_le, al, turn), NULL);

    NodeId loop = op_loop(g, &l, t->leaf, t->nleaf, (Span){0});
    for (uint32_t i = 0; i < l.ncarry + l.nemit + l.until; i++) graph_out(g, OUT_VALUE, (int32_t)i, op_proj(g, loop, (int32_t)i), NULL);
    return loop;
}
static NodeId make_proj(Make *m) {
    m->kind = OP_loop;
    return make_loop(m) + 1;
}

/* g = 0.5 tanh(0.3 W g / n) + v, solved by sixty turns, then stated as an equation. */
static NodeId equation(Graph *b, NodeId g, NodeId w, NodeId v) {
    double n = (double)graph_shape(b, g).dim[0];
    return op2(b, OP_add, op_scale(b, 0.5, op1(b, OP_tanh, op_scale(b, 0.3 / n, op2(b, OP_dense, w, g)))), v);
}
static NodeId make_fixed_point(Make *m) {
    Graph *g = m->t->graph;
    Shape s = shape(m, 1, 2), w = shape_of(2, s.dim[0], s.dim[0]);
    NodeId W = optest_leaf(m->t, m->r, w, rng_chance(m->r, 20), DOM_ANY, 0), v = any(m, s);
    bool all = graph_batched(g, W) || graph_batched(g, v);
    Graph *b = graph_new(g->arena);
    NodeId arg[3] = {op_leaf(b, OP_arg, 0, s, all, (Span){0}, NULL), op_leaf(b, OP_arg, 1, w, graph_batched(g, W), (Span){0}, NULL),
                     op_leaf(b, OP_arg, 2, s, graph_batched(g, v), (Span){0}, NULL)};
    graph_out(b, OUT_VALUE, 0, equation(b, arg[0], arg[1], arg[2]), NULL);
    NodeId zero = op_const(g, 0, s);
    NodeId loop = op_loop(g, &(LoopAttr){.body = b, .turns = 60, .ncarry = 1, .ninvariant = 2}, (NodeId[]){zero, W, v}, 3, (Span){0});
    NodeId solved = op_proj(g, loop, 0);
    return graph_add(g, OP_fixed_point, (NodeId[]){solved, W, v}, 3, &(Attr){.body = b}, (Span){0});
}

OpTest optest_instance(Arena *a, OpKind kind, uint64_t seed) {
    Rng r = {seed * 0x2545F4914F6CDD1Du + (uint64_t)kind};
    OpTest t;
    optest_start(&t, a, &r);
    Make m = {&t, &r, rng_chance(&r, 17), kind};
    switch (kind) {
#define OP(id, name, inputs, linear, formula)                                                                  \
    case OP_##id: t.node = make_##id(&m); break;
#include "sig/ops.def"
#undef OP
    case OP_COUNT: BUG("no such operator");
    }
    if (!t.graph->outs.len) graph_out(t.graph, OUT_VALUE, 0, t.node, NULL);
    return t;
}
