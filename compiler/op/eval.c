/* The float64 oracle: its walk over the graph, leaves and elementwise operators. Slow and obvious on purpose. */
#include "op/eval.h"
#include "base/trouble.h"
#include "op/eval_rules.h"
#include <math.h>
#include <string.h>

const double *value_sample(const Value *v, int64_t b) { return v->at + (v->batched ? b * shape_size(v->shape) : 0); }

static void eval_dispatch(EvalAt *e) {
    switch (e->n->op) {
#define OP(id, name, inputs, linear, formula)                                                                  \
    case OP_##id: eval_##id(e); break;
#include "sig/ops.def"
#undef OP
    case OP_COUNT: BUG("a node without an operator");
    }
}

bool eval_shortens(const Graph *g, const Node *n) {
    enum { GROUPS_MOST = 8 };
    bool conv = n->op == OP_conv || n->op == OP_conv_adj, grad = n->op == OP_conv_grad;
    if ((conv || grad) && n->a.conv->groups > GROUPS_MOST) return false;
    if (conv) return !graph_batched(g, n->in[1]);
    if (n->op == OP_dense) return !graph_batched(g, n->in[0]);
    if (n->op == OP_dense_grad) return !n->batched && graph_batched(g, n->in[0]) == graph_batched(g, n->in[1]);
    return grad && !n->batched;
}

/* The value as a product reads it. */
static Value operand(const EvalAt *e, Value v) {
    int64_t n = shape_size(v.shape) * (v.batched ? e->env->batch : 1);
    const double *from = v.at;
    v.at = ARENA_ARRAY(e->a, double, n);
    for (int64_t i = 0; i < n; i++) v.at[i] = e->env->operand((float)from[i]);
    return v;
}

static void eval_node(EvalAt *e, Value *out) {
    const Node *n = e->n;
    Value in[2];
    bool shorter = e->env->operand && eval_shortens(e->g, n);
    for (uint32_t i = 0; i < 2 && shorter; i++) in[i] = operand(e, e->all[n->in[i]]);
    bool any = n->batched;
    for (uint32_t i = 0; i < n->nin; i++) any |= graph_batched(e->g, n->in[i]);
    bool whole = n->op == OP_loop || n->op == OP_proj;
    *out = (Value){n->shape, n->batched, NULL};
    int64_t samples = any && !whole ? e->env->batch : 1, size = shape_size(n->shape);
    if (!whole) out->at = ARENA_ARRAY(e->a, double, size * (n->batched ? e->env->batch : 1));
    e->size = size;
    for (e->sample = 0; e->sample < samples; e->sample++) {
        for (uint32_t i = 0; i < n->nin && !whole; i++) e->x[i] = value_sample(shorter ? &in[i] : &e->all[n->in[i]], e->sample);
        e->y = whole ? NULL : out->at + (n->batched ? e->sample * size : 0);
        eval_dispatch(e);
    }
    if (n->op == OP_proj) *out = *e->made;
    else if (n->op == OP_loop) out->at = (double *)(void *)e->made;
    else if (e->env->round)
        for (int64_t i = 0; i < size * (n->batched ? e->env->batch : 1); i++) out->at[i] = (float)out->at[i];
}

Value *eval_graph(Arena *a, const Graph *g, const EvalEnv *env) {
    Value *all = ARENA_ARRAY(a, Value, g->nodes.len + 1);
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        EvalAt e = {.a = a, .g = g, .n = n, .env = env, .all = all};
        Shape *xs = ARENA_ARRAY(a, Shape, n->nin + 1);
        for (uint32_t k = 0; k < n->nin; k++) xs[k] = graph_shape(g, n->in[k]);
        e.xs = xs;
        e.x = ARENA_ARRAY(a, const double *, n->nin + 1);
        eval_node(&e, &all[i]);
    }
    return all;
}

/* ---- leaves ---- */
static void leaf(EvalAt *e, const Value *list, const char *what) {
    const Value *v = list ? &list[e->n->a.index] : NULL;
    if (!v || !v->at) BUG("%s %d has no value", what, e->n->a.index);
    if (!shape_eq(v->shape, e->n->shape) || (v->batched && !e->n->batched))
        BUG("%s %d has the shape %s, not %s", what, e->n->a.index, shape_text(e->a, v->shape), shape_text(e->a, e->n->shape));
    memcpy(e->y, value_sample(v, e->sample), (size_t)e->size * sizeof *e->y);
}
void eval_input(EvalAt *e) { leaf(e, e->env->inputs, "input"); }
void eval_param(EvalAt *e) { leaf(e, e->env->params, "param"); }
void eval_state(EvalAt *e) { leaf(e, e->env->states, "state"); }
void eval_tunable(EvalAt *e) { leaf(e, e->env->tunables, "tunable"); }
void eval_arg(EvalAt *e) { leaf(e, e->env->args, "arg"); }
void eval_constant(EvalAt *e) {
    for (int64_t i = 0; i < e->size; i++) e->y[i] = e->n->a.value;
}
void eval_table(EvalAt *e) { memcpy(e->y, e->n->a.data, (size_t)e->size * sizeof *e->y); }
void eval_nbatch(EvalAt *e) { e->y[0] = (double)e->env->batch; }

void eval_noise(EvalAt *e) {
    const EvalEnv *v = e->env;
    double (*draw)(uint64_t, uint64_t, uint64_t, uint32_t, uint64_t) = e->n->a.flag ? noise_normal : noise_uniform;
    for (int64_t i = 0; i < e->size; i++)
        e->y[i] = draw(v->seed, v->step, (uint64_t)(v->first_sample + e->sample), (uint32_t)e->n->a.index, (uint64_t)i);
}

void noise_words(uint64_t seed, uint64_t step, uint64_t sample, uint32_t index, uint64_t entry, uint32_t w[4]) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c[4] = {(uint32_t)entry, (uint32_t)sample, (uint32_t)step, index};
    for (int r = 0; r < 10; r++) {
        uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n0 = (uint32_t)(q >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p >> 32) ^ c[3] ^ k1;
        c[0] = n0, c[1] = (uint32_t)q, c[2] = n2, c[3] = (uint32_t)p;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    memcpy(w, c, sizeof c);
}
double noise_uniform(uint64_t seed, uint64_t step, uint64_t sample, uint32_t index, uint64_t entry) {
    uint32_t w[4];
    noise_words(seed, step, sample, index, entry, w);
    return (double)(w[0] >> 8) * 0x1p-24;
}
double noise_normal(uint64_t seed, uint64_t step, uint64_t sample, uint32_t index, uint64_t entry) {
    uint32_t w[4];
    noise_words(seed, step, sample, index, entry, w);
    return sqrt(-2 * log(1 - (double)(w[0] >> 8) * 0x1p-24)) * cos(2 * M_PI * (double)(w[1] >> 8) * 0x1p-24);
}

/* ---- elementwise ---- */
#define EACH(id, formula)                                                                                      \
    void eval_##id(EvalAt *e) {                                                                                \
        for (int64_t i = 0; i < e->size; i++) {                                                                \
            const double x = e->x[0][i];                                                                       \
            e->y[i] = formula;                                                                                 \
        }                                                                                                      \
    }
EACH(neg, -x)
EACH(abs, fabs(x))
EACH(sign, x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x)
EACH(relu, x < 0 ? 0 : x)
EACH(exp, exp(x))
EACH(log, log(x))
EACH(sqrt, sqrt(x))
EACH(recip, 1 / x)
EACH(tanh, tanh(x))
EACH(sigmoid, x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)))
EACH(log1pexp, x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
EACH(sin, sin(x))
EACH(cos, cos(x))
EACH(floor, floor(x))
EACH(stop, x)

#define EACH2(id, formula)                                                                                     \
    void eval_##id(EvalAt *e) {                                                                                \
        for (int64_t i = 0; i < e->size; i++) {                                                                \
            const double x = e->x[0][i], y = e->x[1][i];                                                       \
            e->y[i] = formula;                                                                                 \
        }                                                                                                      \
    }
EACH2(add, x + y)
EACH2(sub, x - y)
EACH2(mul, x *y)
EACH2(div, x / y)
EACH2(max, x < y ? y : isnan(y) ? y : x)
EACH2(min, y < x ? y : isnan(y) ? y : x)
EACH2(pow, isnan(x) || isnan(y) ? NAN : pow(x, y)) /* C's 1^NaN and NaN^0 are 1 */
EACH2(lt, x < y)
EACH2(le, x <= y)
EACH2(eq, x == y)

void eval_select(EvalAt *e) {
    for (int64_t i = 0; i < e->size; i++) e->y[i] = e->x[0][i] != 0 ? e->x[1][i] : e->x[2][i];
}
