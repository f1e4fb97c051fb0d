/* The shape rule of every operator: rule_<id> for each row of ops.def. A refusal is a sentence that users may read inside a
   diagnostic, so it speaks of sizes, channels and axes (from 1), never of nodes. */
#include "base/trouble.h"
#include "sig/sig.h"
#include <stdarg.h>
#include <string.h>

typedef struct Rule {
    Arena *a;
    const SigIn *in;
    int n;
    const Attr *at;
    Shape shape;  /* the result's; the rule sets it */
    bool batched; /* preset: some input is */
    const char *why;
} Rule;

static const int64_t SIZE_MOST = (int64_t)1 << 40; /* entries of one sample's value */

__attribute__((format(printf, 2, 3))) static bool no(Rule *r, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    r->why = arena_vprintf(r->a, fmt, ap);
    va_end(ap);
    return false;
}

static long long ll(int64_t v) { return (long long)v; }
static const char *text(Rule *r, Shape s) { return shape_text(r->a, s); }

static bool is(Rule *r, Shape s) {
    r->shape = s;
    return true;
}

static bool size_ok(Rule *r, Shape s) {
    if (s.rank < 0 || s.rank > RANK_MAX) return no(r, "a tensor has at most %d axes, this one would have %d", RANK_MAX, s.rank);
    int64_t size = 1;
    for (int i = 0; i < s.rank; i++) {
        if (s.dim[i] < 1) return no(r, "axis %d would have size %lld; sizes are at least 1", i + 1, ll(s.dim[i]));
        if (s.dim[i] > SIZE_MOST / size) return no(r, "%s is too large: a tensor has at most 2^40 entries per sample", text(r, s));
        size *= s.dim[i];
    }
    return true;
}

static bool axis_ok(Rule *r, Shape s) {
    if (r->at->axis < 0 || r->at->axis >= s.rank)
        return no(r, "there is no axis %lld: %s has %d", ll(r->at->axis) + 1, text(r, s), s.rank);
    return true;
}

/* ---- leaves ---- */
static bool leaf(Rule *r, bool batched) {
    r->batched = batched;
    if (r->at->index < 0) return no(r, "number %lld is negative", ll(r->at->index));
    return is(r, r->at->shape);
}
static bool rule_input(Rule *r) { return leaf(r, true); }
static bool rule_param(Rule *r) { return leaf(r, false); }
static bool rule_state(Rule *r) { return leaf(r, false); }
static bool rule_tunable(Rule *r) {
    if (r->at->shape.rank) return no(r, "a tunable is a scalar, not %s", text(r, r->at->shape));
    return leaf(r, false);
}
static bool rule_arg(Rule *r) { return leaf(r, r->at->batched); }
static bool rule_constant(Rule *r) { return leaf(r, false); }
static bool rule_table(Rule *r) {
    if (!r->at->data) return no(r, "a table has no entries");
    return leaf(r, false);
}
static bool rule_nbatch(Rule *r) { return leaf(r, false) && is(r, (Shape){0}); }
static bool rule_noise(Rule *r) { return leaf(r, true); }

/* ---- elementwise ---- */
static bool alike(Rule *r) {
    for (int i = 1; i < r->n; i++)
        if (!shape_eq(r->in[0].shape, r->in[i].shape))
            return no(r, "the shapes differ: %s and %s", text(r, r->in[0].shape), text(r, r->in[i].shape));
    return is(r, r->in[0].shape);
}
#define ALIKE(id) static bool rule_##id(Rule *r) { return alike(r); }
ALIKE(neg)
ALIKE(abs)
ALIKE(sign)
ALIKE(relu)
ALIKE(exp)
ALIKE(log)
ALIKE(sqrt)
ALIKE(recip)
ALIKE(tanh)
ALIKE(sigmoid)
ALIKE(log1pexp)
ALIKE(sin)
ALIKE(cos)
ALIKE(floor)
ALIKE(stop)
ALIKE(add)
ALIKE(sub)
ALIKE(mul)
ALIKE(div)
ALIKE(max)
ALIKE(min)
ALIKE(pow)
ALIKE(lt)
ALIKE(le)
ALIKE(eq)
ALIKE(select)

/* ---- axes ---- */
static Shape without(Shape s, uint32_t axes) {
    Shape o = {0};
    for (int i = 0; i < s.rank; i++)
        if (!(axes >> i & 1)) o.dim[o.rank++] = s.dim[i];
    return o;
}
static bool axes_ok(Rule *r, Shape s) {
    if (!r->at->axes) return no(r, "no axis is named");
    if (r->at->axes >> s.rank) return no(r, "an axis is named that %s does not have", text(r, s));
    return true;
}
static bool rule_expand(Rule *r) {
    if (!size_ok(r, r->at->shape) || !axes_ok(r, r->at->shape)) return false;
    if (!shape_eq(without(r->at->shape, r->at->axes), r->in[0].shape))
        return no(r, "%s does not fit into %s: the sizes of the axes they share differ", text(r, r->in[0].shape), text(r, r->at->shape));
    return is(r, r->at->shape);
}
static bool rule_sum(Rule *r) { return axes_ok(r, r->in[0].shape) && is(r, without(r->in[0].shape, r->at->axes)); }
static bool rule_amax(Rule *r) { return rule_sum(r); }
static bool rule_argmax(Rule *r) { return axis_ok(r, r->in[0].shape) && is(r, without(r->in[0].shape, 1u << r->at->axis)); }
static bool rule_sort(Rule *r) { return axis_ok(r, r->in[0].shape) && is(r, r->in[0].shape); }
static bool rule_batch_sum(Rule *r) {
    if (!r->batched) return no(r, "a sum over the batch needs one value per sample, this one is the same for all");
    r->batched = false;
    return is(r, r->in[0].shape);
}
static bool rule_per_sample(Rule *r) {
    if (r->batched) return no(r, "there is one value per sample already");
    r->batched = true;
    return is(r, r->in[0].shape);
}
static bool rule_reshape(Rule *r) {
    if (!size_ok(r, r->at->shape)) return false;
    int64_t from = shape_size(r->in[0].shape), to = shape_size(r->at->shape);
    if (from != to)
        return no(r, "%s has %lld entries, %s has %lld", text(r, r->in[0].shape), ll(from), text(r, r->at->shape), ll(to));
    return is(r, r->at->shape);
}
static bool rule_permute(Rule *r) {
    Shape x = r->in[0].shape, o = {.rank = x.rank};
    if (r->at->list_len != x.rank) return no(r, "the new order names %lld axes, %s has %d", ll(r->at->list_len), text(r, x), x.rank);
    uint32_t seen = 0;
    for (int i = 0; i < x.rank; i++) {
        int32_t k = r->at->list[i];
        if (k < 0 || k >= x.rank) return no(r, "there is no axis %lld: %s has %d", ll(k) + 1, text(r, x), x.rank);
        if (seen >> k & 1) return no(r, "axis %d is named twice", k + 1);
        seen |= 1u << k;
        o.dim[i] = x.dim[k];
    }
    return is(r, o);
}
/* `count` places start, start+step, ... must lie within `size` */
static bool stretch_ok(Rule *r, int64_t count, int64_t size) {
    const Attr *at = r->at;
    if (at->step < 1) return no(r, "a step of %lld is not possible; steps are at least 1", ll(at->step));
    if (count < 1) return no(r, "a stretch of %lld entries is not possible", ll(count));
    if (at->start < 0 || at->start >= size) return no(r, "the first entry lies outside the %lld of axis %d", ll(size), at->axis + 1);
    if (count - 1 > (size - 1 - at->start) / at->step)
        return no(r, "%lld entries from entry %lld on (step %lld) do not lie within the %lld of axis %d", ll(count), ll(at->start) + 1,
                  ll(at->step), ll(size), at->axis + 1);
    return true;
}
static bool rule_slice(Rule *r) {
    Shape x = r->in[0].shape;
    if (!axis_ok(r, x) || !stretch_ok(r, r->at->size, x.dim[r->at->axis])) return false;
    x.dim[r->at->axis] = r->at->size;
    return is(r, x);
}
static bool rule_embed(Rule *r) {
    Shape x = r->in[0].shape;
    if (!axis_ok(r, x) || !stretch_ok(r, x.dim[r->at->axis], r->at->size)) return false;
    x.dim[r->at->axis] = r->at->size;
    return is(r, x);
}
static bool rule_concat(Rule *r) {
    if (r->n < 1) return no(r, "there is nothing to put together");
    Shape o = r->in[0].shape;
    int ax = r->at->axis;
    if (!axis_ok(r, o)) return false;
    for (int i = 1; i < r->n; i++) {
        Shape x = r->in[i].shape, want = o;
        if (x.rank == o.rank) want.dim[ax] = x.dim[ax];
        if (!shape_eq(x, want))
            return no(r, "along axis %d only tensors can be put together that have the same other sizes, not %s and %s", ax + 1,
                      text(r, r->in[0].shape), text(r, x));
        o.dim[ax] += x.dim[ax];
    }
    return is(r, o);
}
static bool list_ok(Rule *r, int64_t size) {
    for (int64_t i = 0; i < r->at->list_len; i++)
        if (r->at->list[i] >= size)
            return no(r, "there is no entry %lld: axis %d has %lld", ll(r->at->list[i]) + 1, r->at->axis + 1, ll(size));
    return true;
}
static bool rule_gather(Rule *r) {
    Shape x = r->in[0].shape;
    if (!axis_ok(r, x) || !list_ok(r, x.dim[r->at->axis])) return false;
    x.dim[r->at->axis] = r->at->list_len;
    return is(r, x);
}
static bool rule_scatter(Rule *r) {
    Shape x = r->in[0].shape;
    if (!axis_ok(r, x) || !list_ok(r, r->at->size)) return false;
    if (r->at->list_len != x.dim[r->at->axis])
        return no(r, "%lld places are given for the %lld entries of axis %d", ll(r->at->list_len), ll(x.dim[r->at->axis]), r->at->axis + 1);
    x.dim[r->at->axis] = r->at->size;
    return is(r, x);
}
static bool rule_pick(Rule *r) {
    Shape x = r->in[0].shape, label = r->in[1].shape;
    if (!x.rank || !shape_eq(without(x, 1), label))
        return no(r, "the label is %s, %s needs one that has its shape without the first axis", text(r, label), text(r, x));
    return is(r, label);
}
static bool rule_place(Rule *r) {
    Shape x = r->in[0].shape, o = {.rank = x.rank + 1, .dim = {r->at->size}};
    if (!shape_eq(x, r->in[1].shape)) return no(r, "the label is %s, not %s", text(r, r->in[1].shape), text(r, x));
    if (o.rank > RANK_MAX) return size_ok(r, o);
    memcpy(o.dim + 1, x.dim, sizeof x.dim[0] * (size_t)x.rank);
    return is(r, o);
}

/* ---- products ---- */
static bool over_batch(Rule *r) { /* of dense_grad, conv_grad with their flag */
    if (!r->at->flag) return true;
    if (!r->batched) return no(r, "a sum over the batch needs one value per sample, these are the same for all");
    r->batched = false;
    return true;
}
static bool rule_dense(Rule *r) {
    Shape a = r->in[0].shape, x = r->in[1].shape;
    if (a.rank != 2) return no(r, "a matrix has two axes, %s has %d", text(r, a), a.rank);
    if (!x.rank) return no(r, "a matrix applies to a tensor, not to a scalar");
    int64_t from = a.dim[!r->at->flag], to = a.dim[r->at->flag];
    if (x.dim[0] != from)
        return no(r, "the matrix maps from %lld to %lld, the first axis of %s has size %lld", ll(from), ll(to), text(r, x), ll(x.dim[0]));
    x.dim[0] = to;
    return is(r, x);
}
static bool rule_dense_grad(Rule *r) {
    Shape y = r->in[0].shape, x = r->in[1].shape;
    if (!y.rank || !x.rank) return no(r, "an outer product needs tensors with at least one axis");
    if (!shape_eq(without(y, 1), without(x, 1))) return no(r, "%s and %s differ beyond the first axis", text(r, y), text(r, x));
    return over_batch(r) && is(r, shape_of(2, y.dim[0], x.dim[0]));
}

static bool rule_solve(Rule *r) {
    Shape a = r->in[0].shape, b = r->in[1].shape;
    if (a.rank != 2 || a.dim[0] != a.dim[1]) return no(r, "a system of equations has a square matrix, not %s", text(r, a));
    if (!b.rank || b.dim[0] != a.dim[0]) return no(r, "the right side is %s, the matrix has %lld rows", text(r, b), ll(a.dim[0]));
    return is(r, b);
}

int64_t sig_conv_out(int64_t in, int32_t kernel, int32_t stride, int32_t dilation, int32_t pad_lo, int32_t pad_hi) {
    int64_t room = in + pad_lo + pad_hi - (int64_t)dilation * (kernel - 1) - 1;
    return room < 0 || stride < 1 ? 0 : room / stride + 1;
}

static const char *const side[2] = {"height", "width"};

static bool geom_ok(Rule *r) {
    const ConvGeom *g = r->at->conv;
    if (!g) return no(r, "a convolution has no geometry");
    if (g->in_ch < 1 || g->out_ch < 1 || g->groups < 1)
        return no(r, "a convolution needs at least 1 channel on both sides and at least 1 group");
    if (g->in_ch % g->groups || g->out_ch % g->groups)
        return no(r, "%d groups do not divide %lld and %lld channels", g->groups, ll(g->in_ch), ll(g->out_ch));
    for (int i = 0; i < 2; i++) {
        if (g->kernel[i] < 1 || g->stride[i] < 1 || g->dilation[i] < 1)
            return no(r, "kernel sizes, strides and dilations are at least 1 (%s: %d, %d, %d)", side[i], g->kernel[i], g->stride[i],
                      g->dilation[i]);
        if (g->pad_lo[i] < 0 || g->pad_hi[i] < 0) return no(r, "the padding is negative (%s: %d, %d)", side[i], g->pad_lo[i], g->pad_hi[i]);
        if (g->in[i] < 1 || g->in[i] > SIZE_MOST) return no(r, "the %s %lld is not possible", side[i], ll(g->in[i]));
        int64_t out = sig_conv_out(g->in[i], g->kernel[i], g->stride[i], g->dilation[i], g->pad_lo[i], g->pad_hi[i]);
        if (out < 1)
            return no(r, "the kernel (%d, dilation %d) is larger than the padded %s (%lld)", g->kernel[i], g->dilation[i], side[i],
                      ll(g->in[i] + g->pad_lo[i] + g->pad_hi[i]));
        if (out != g->out[i]) return no(r, "the %s of the result is %lld, not %lld", side[i], ll(out), ll(g->out[i]));
    }
    return true;
}
static bool map_is(Rule *r, Shape x, int64_t ch, const int64_t size[2]) {
    Shape want = shape_of(3, ch, size[0], size[1]);
    if (x.rank != 3) return no(r, "%s is expected (channels, height, width), this is %s", text(r, want), text(r, x));
    if (x.dim[0] != ch) return no(r, "%lld channels are expected, %s has %lld", ll(ch), text(r, x), ll(x.dim[0]));
    if (!shape_eq(x, want)) return no(r, "%s is expected, this is %s", text(r, want), text(r, x));
    return true;
}
static Shape filters(const ConvGeom *g) {
    return shape_of(4, g->out_ch, g->in_ch / g->groups, (int64_t)g->kernel[0], (int64_t)g->kernel[1]);
}
static bool filters_ok(Rule *r, Shape w) {
    Shape want = filters(r->at->conv);
    return shape_eq(w, want) || no(r, "filters of shape %s are expected, these are %s", text(r, want), text(r, w));
}
static bool rule_conv(Rule *r) {
    const ConvGeom *g = r->at->conv;
    return geom_ok(r) && map_is(r, r->in[0].shape, g->in_ch, g->in) && filters_ok(r, r->in[1].shape) &&
           is(r, shape_of(3, g->out_ch, g->out[0], g->out[1]));
}
static bool rule_conv_adj(Rule *r) {
    const ConvGeom *g = r->at->conv;
    return geom_ok(r) && map_is(r, r->in[0].shape, g->out_ch, g->out) && filters_ok(r, r->in[1].shape) &&
           is(r, shape_of(3, g->in_ch, g->in[0], g->in[1]));
}
static bool rule_conv_grad(Rule *r) {
    const ConvGeom *g = r->at->conv;
    return geom_ok(r) && map_is(r, r->in[0].shape, g->in_ch, g->in) && map_is(r, r->in[1].shape, g->out_ch, g->out) && over_batch(r) &&
           is(r, filters(g));
}

/* ---- pooling ---- */
static bool pool_ok(Rule *r) {
    const PoolGeom *g = r->at->pool;
    if (!g) return no(r, "a pooling has no geometry");
    for (int i = 0; i < 2; i++) {
        if (g->kernel[i] < 1 || g->stride[i] < 1)
            return no(r, "window sizes and strides are at least 1 (%s: %d, %d)", side[i], g->kernel[i], g->stride[i]);
        if (g->pad[i] < 0 || g->pad[i] >= g->kernel[i])
            return no(r, "the padding (%d) must be smaller than the window (%d)", g->pad[i], g->kernel[i]);
        if (g->in[i] < 1 || g->in[i] > SIZE_MOST) return no(r, "the %s %lld is not possible", side[i], ll(g->in[i]));
        int64_t out = sig_conv_out(g->in[i], g->kernel[i], g->stride[i], 1, g->pad[i], g->pad[i]);
        if (out < 1) return no(r, "the window (%d) is larger than the %s (%lld)", g->kernel[i], side[i], ll(g->in[i] + 2 * g->pad[i]));
        if (out != g->out[i]) return no(r, "the %s of the result is %lld, not %lld", side[i], ll(out), ll(g->out[i]));
    }
    return true;
}
static bool pool(Rule *r, int which, const int64_t from[2], const int64_t to[2]) { /* input number `which` has `from` */
    Shape x = r->in[which].shape;
    if (x.rank != 3) return no(r, "pooling needs channels, height and width, this is %s", text(r, x));
    return map_is(r, x, x.dim[0], from) && is(r, shape_of(3, x.dim[0], to[0], to[1]));
}
static bool rule_sum_pool(Rule *r) { return pool_ok(r) && pool(r, 0, r->at->pool->in, r->at->pool->out); }
static bool rule_sum_pool_adj(Rule *r) { return pool_ok(r) && pool(r, 0, r->at->pool->out, r->at->pool->in); }
static bool rule_max_pool(Rule *r) { return rule_sum_pool(r); }
static bool channels_agree(Rule *r) {
    int64_t x = r->in[0].shape.dim[0], y = r->in[1].shape.dim[0];
    return x == y || no(r, "%lld and %lld channels do not fit together", ll(x), ll(y));
}
static bool rule_max_pool_adj(Rule *r) {
    return pool_ok(r) && pool(r, 0, r->at->pool->in, r->at->pool->out) && pool(r, 1, r->at->pool->out, r->at->pool->in) && channels_agree(r);
}
static bool rule_max_pool_at(Rule *r) {
    return pool_ok(r) && pool(r, 0, r->at->pool->in, r->at->pool->out) && pool(r, 1, r->at->pool->in, r->at->pool->out) && channels_agree(r);
}

/* ---- bodies: what a body says is checked by the graph ---- */
static bool rule_loop(Rule *r) { return no(r, "the results of a loop are known by its body"); }
static bool rule_proj(Rule *r) { return no(r, "the results of a loop are known by its body"); }
static bool rule_fixed_point(Rule *r) {
    if (r->n < 1) return no(r, "a fixed point needs a value");
    r->batched = r->in[0].batched;
    return is(r, r->in[0].shape);
}

bool sig_infer(Arena *a, OpKind k, const SigIn *in, int n, const Attr *attr, Shape *shape, bool *batched, const char **why) {
    static const Attr none;
    Rule r = {.a = a, .in = in, .n = n, .at = attr ? attr : &none};
    MUST(k < OP_COUNT);
    bool ok = op_info[k].inputs < 0 || op_info[k].inputs == n || no(&r, "%s takes %d values, not %d", op_info[k].name, op_info[k].inputs, n);
    for (int i = 0; i < n; i++) r.batched |= in[i].batched;
    if (ok) switch (k) {
#define OP(id, name, inputs, linear, formula)                                                                  \
    case OP_##id: ok = rule_##id(&r); break;
#include "sig/ops.def"
#undef OP
        case OP_COUNT: break;
        }
    ok = ok && size_ok(&r, r.shape);
    if (ok) {
        *shape = r.shape;
        *batched = r.batched;
    } else if (why)
        *why = r.why;
    return ok;
}

const OpInfo op_info[OP_COUNT] = {
#define OP(id, name, inputs, linear, formula) [OP_##id] = {#id, name, formula, inputs, (unsigned)(linear)},
#include "sig/ops.def"
#undef OP
};

bool op_find(const char *name, OpKind *out) {
    for (OpKind k = 0; k < OP_COUNT; k++)
        if (!strcmp(op_info[k].name, name)) {
            *out = k;
            return true;
        }
    return false;
}

bool op_is_leaf(OpKind k) { return k <= OP_noise; }
bool op_is_elementwise(OpKind k) { return k >= OP_neg && k <= OP_select; }
