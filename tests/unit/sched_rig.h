/* Programs made of one graph, for the tests of sched: their memory, what the evaluator of graphs says, products of every form. */
#ifndef CSC_TESTS_SCHED_RIG_H
#define CSC_TESTS_SCHED_RIG_H
#include "check.h"
#include "ad/ad.h"
#include "csc_model.h"
#include "optest.h"
#include "sched/sched.h"

/* A program with the leaves of the test, and one entry. */
typedef struct Rig {
    Cx *cx;
    Arena *a;
    OpTest t;
    Program p;
    Entry entry;
    csc_call call;
    float **in, **out;
    float *params, *state;
    Value *want; /* one per output */
    double tolerance;
    int winograd, tiles; /* as in SchedTarget */
    unsigned choice; /* not 0: which of the tiles to be measured is forced on each product */
} Rig;

static inline float *floats(Arena *a, int64_t n) {
    float *f = arena_alloc(a, (size_t)(n + 32) * sizeof *f);
    return (float *)(((uintptr_t)f + 63) / 64 * 64);
}

static inline void narrow(double *at, int64_t n) { /* values that a float holds, so that both sides see the same */
    for (int64_t i = 0; i < n; i++) at[i] = (float)at[i];
}

static inline void rig_set_batch(Rig *r, int64_t batch) {
    for (uint32_t i = 0; i < r->t.ninput; i++) {
        Value *v = (Value *)&r->t.env.inputs[i];
        int64_t n = shape_size(v->shape), had = r->t.env.batch;
        double *more = ARENA_ARRAY(r->a, double, n *batch);
        for (int64_t s = 0; s < batch; s++)
            for (int64_t k = 0; k < n; k++) more[s * n + k] = v->at[(s % had) * n + k];
        v->at = more;
    }
    r->t.env.batch = batch;
}

static inline void rig_open(Rig *r, OpTest t) {
    *r = (Rig){.cx = cx_new(), .t = t, .tolerance = 2e-5};
    r->a = r->cx->keep;
}

static inline void rig_declare(Rig *r) { /* the program: enough for a schedule */
    Arena *a = r->a;
    const EvalEnv *env = &r->t.env;
    r->p = (Program){.arena = a};
    for (uint32_t i = 0; i < r->t.nparam; i++)
        vec_push(a, &r->p.params, ((ParamDecl){.shape = env->params[i].shape}));
    for (uint32_t i = 0; i < r->t.nstate; i++)
        vec_push(a, &r->p.states, ((StateDecl){.shape = env->states[i].shape}));
    int64_t at = 0;
    for (size_t i = 0; i < r->p.params.len; i++)
        r->p.params.at[i].offset = at, at += (shape_size(env->params[i].shape) + 15) / 16 * 16;
    r->p.param_floats = at;
    at = 0;
    for (size_t i = 0; i < r->p.states.len; i++)
        r->p.states.at[i].offset = at, at += (shape_size(env->states[i].shape) + 15) / 16 * 16;
    r->p.state_floats = at;
    InputDecl *in = ARENA_ARRAY(a, InputDecl, r->t.ninput + 1);
    for (uint32_t i = 0; i < r->t.ninput; i++) in[i].shape = env->inputs[i].shape;
    r->entry = (Entry){.kind = ENTRY_FORWARD,
                       .graph = r->t.graph,
                       .nin = (int32_t)r->t.ninput,
                       .in = in,
                       .name = name_of(r->cx, "forward")};
}

static inline void rig_fill(Rig *r) {
    Arena *a = r->a;
    const EvalEnv *env = &r->t.env;
    rig_declare(r);
    float *tunables = floats(a, 16);
    for (size_t i = 0; i < r->t.graph->nodes.len; i++) {
        const Node *n = &r->t.graph->nodes.at[i];
        if (n->op != OP_tunable) continue;
        while (r->p.tunables.len <= (size_t)n->a.index) vec_push(a, &r->p.tunables, ((TunableDecl){0}));
        narrow(env->tunables[n->a.index].at, 1);
        tunables[n->a.index] = (float)*env->tunables[n->a.index].at;
    }

    r->params = floats(a, r->p.param_floats), r->state = floats(a, r->p.state_floats);
    r->in = ARENA_ARRAY(a, float *, r->t.ninput + 1);
    for (uint32_t i = 0; i < r->t.nparam; i++) {
        narrow(env->params[i].at, shape_size(env->params[i].shape));
        for (int64_t k = 0; k < shape_size(env->params[i].shape); k++)
            r->params[r->p.params.at[i].offset + k] = (float)env->params[i].at[k];
    }
    for (uint32_t i = 0; i < r->t.nstate; i++) {
        narrow(env->states[i].at, shape_size(env->states[i].shape));
        for (int64_t k = 0; k < shape_size(env->states[i].shape); k++)
            r->state[r->p.states.at[i].offset + k] = (float)env->states[i].at[k];
    }
    for (uint32_t i = 0; i < r->t.ninput; i++) {
        int64_t n = shape_size(env->inputs[i].shape) * env->batch;
        narrow(env->inputs[i].at, n);
        r->in[i] = floats(a, n);
        for (int64_t k = 0; k < n; k++) r->in[i][k] = (float)env->inputs[i].at[k];
    }
    Value *all = eval_graph(a, r->t.graph, env);
    size_t nout = r->t.graph->outs.len;
    r->want = ARENA_ARRAY(a, Value, nout + 1);
    r->out = ARENA_ARRAY(a, float *, nout + 1);
    for (size_t i = 0; i < nout; i++) {
        r->want[i] = all[r->t.graph->outs.at[i].node];
        int64_t n = shape_size(r->want[i].shape) * env->batch;
        r->out[i] = floats(a, n);
        for (int64_t k = 0; k < n; k++) r->out[i][k] = NAN;
    }
    r->call = (csc_call){.size = sizeof r->call,
                         .batch = (uint32_t)env->batch,
                         .in = (const float *const *)r->in,
                         .out = r->out,
                         .params = r->params,
                         .state = r->state,
                         .tunables = tunables,
                         .seed = env->seed,
                         .step = env->step,
                         .first_sample = (uint64_t)env->first_sample};
}

static inline void compare(const Rig *r, const char *how, const char *what, uint64_t seed) {
    for (size_t i = 0; i < r->t.graph->outs.len; i++) {
        const Value *v = &r->want[i];
        int64_t n = shape_size(v->shape);
        double most = 0;
        for (int64_t k = 0; k < n * (v->batched ? r->t.env.batch : 1); k++)
            if (isfinite(v->at[k]) && fabs(v->at[k]) > most) most = fabs(v->at[k]);
        bool once = r->t.graph->outs.at[i].role == OUT_LOSS;
        for (int64_t k = 0; k < n * (once ? 1 : r->t.env.batch); k++) {
            double want = v->at[v->batched ? k : k % n], got = r->out[i][k];
            if (isnan(want) ? isnan(got) : isinf(want) ? got == want : fabs(got - want) <= r->tolerance * (1 + most))
                continue;
            FAIL("%s, %s seed %llu, batch %lld: output %zu entry %lld is %.9g, expected %.9g", how, what,
                 (unsigned long long)seed, (long long)r->t.env.batch, i, (long long)k, got, want);
        }
    }
}

/* The graph and the gradients of the sum of all its outputs. */
static inline OpTest with_gradients(Arena *a, OpTest t) {
    Graph *g = t.graph;
    NodeId sum = op_const(g, 0, (Shape){0});
    for (size_t i = 0; i < g->outs.len; i++) {
        NodeId v = op_sum_all(g, g->outs.at[i].node);
        sum = op2(g, OP_add, sum, graph_batched(g, v) ? op1(g, OP_batch_sum, v) : v);
    }
    NodeId *wrt = ARENA_ARRAY(a, NodeId, t.nleaf + 1), *grads = ARENA_ARRAY(a, NodeId, t.nleaf + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < t.nleaf; i++)
        if (t.real[i]) wrt[n++] = t.leaf[i];
    t.graph = ad_reverse(a, g, &sum, NULL, 1, wrt, n, grads);
    for (uint32_t i = 0; i < n; i++)
        graph_out(t.graph, OUT_VALUE, (int32_t)t.graph->outs.len, grads[i], NULL);
    return t;
}

/* Products of every form, with and without an ending in the registers, and with samples enough for whole
 * tiles of columns. */
typedef struct Product {
    int64_t ci, co, h, w;
    int k, s, d, lo, hi;
} Product;
static const Product products[] = {
    {5, 19, 6, 7, 3, 1, 1, 1, 1}, {3, 2, 9, 17, 3, 1, 1, 1, 1}, {20, 1, 7, 9, 3, 1, 1, 1, 1},
    {1, 33, 8, 8, 5, 1, 1, 2, 2}, {5, 19, 4, 4, 4, 1, 1, 0, 0}, {18, 5, 5, 4, 4, 1, 1, 0, 0},
    {6, 17, 9, 9, 3, 2, 1, 1, 1}, {17, 6, 9, 8, 6, 2, 1, 0, 0}, {4, 4, 7, 7, 3, 1, 3, 3, 3},
    {4, 20, 6, 6, 1, 1, 1, 0, 0}, {7, 9, 6, 6, 1, 2, 1, 0, 0},  {3, 16, 11, 30, 5, 3, 1, 2, 1},
};

static inline OpTest grouped_graph(Arena *a, Rng *r, const Product *p, int groups, OpKind op, bool ending, int64_t batch) {
    OpTest t;
    optest_start(&t, a, r);
    t.env.batch = batch;
    int64_t oh = sig_conv_out(p->h, p->k, p->s, p->d, p->lo, p->hi),
            ow = sig_conv_out(p->w, p->k, p->s, p->d, p->lo, p->hi);
    ConvGeom c = {{p->k, p->k}, {p->s, p->s}, {p->d, p->d}, {p->lo, p->lo}, {p->hi, p->hi}, groups,
                  {p->h, p->w}, {oh, ow},     p->ci,        p->co};
    Shape x = shape_of(3, p->ci, p->h, p->w), y = shape_of(3, p->co, oh, ow),
          w = shape_of(4, p->co, p->ci / groups, (int64_t)p->k, (int64_t)p->k);
    bool back = op == OP_conv_adj, grad = op == OP_conv_grad;
    Shape result = grad ? w : back ? x : y;
    NodeId in[2] = {optest_leaf(&t, r, back ? y : x, true, DOM_ANY, 0),
                    optest_leaf(&t, r, grad ? y : w, grad, DOM_ANY, 0)};
    NodeId bias = optest_leaf(&t, r, shape_of(1, result.dim[0]), false, DOM_ANY, 0),
           more = optest_leaf(&t, r, result, !grad, DOM_ANY, 0);
    /* computed, so that they lie as they do inside of a network */
    for (int i = 0; i < 2; i++) in[i] = op1(t.graph, OP_neg, in[i]);
    NodeId v = graph_add(t.graph, op, in, 2, &(Attr){.conv = &c, .flag = grad}, (Span){0});
    if (ending) {
        v = op2(t.graph, OP_add, v, op1(t.graph, OP_neg, more));
        graph_out(t.graph, OUT_VALUE, 1, op2(t.graph, OP_mul, v, v), NULL);
        v = op1(t.graph, OP_relu, op2(t.graph, OP_sub, v, op_expand(t.graph, bias, result)));
        v = op2(t.graph, OP_mul, v, op_const(t.graph, 0.5, result));
    }
    graph_out(t.graph, OUT_VALUE, 0, op1(t.graph, OP_neg, v), NULL);
    return t;
}

static inline OpTest product_graph(Arena *a, Rng *r, const Product *p, OpKind op, bool ending, int64_t batch) {
    return grouped_graph(a, r, p, 1, op, ending, batch);
}

static inline OpTest dense_graph(Arena *a, Rng *r, int64_t m, int64_t n, int64_t rest, int form, int64_t batch) {
    OpTest t;
    optest_start(&t, a, r);
    t.env.batch = batch;
    bool flag = form & 1, grad = form & 2, ending = form & 4;
    Shape x = rest ? shape_of(2, n, rest) : shape_of(1, n), y = rest ? shape_of(2, m, rest) : shape_of(1, m);
    Shape w = flag && !grad ? shape_of(2, n, m) : shape_of(2, m, n), result = grad ? shape_of(2, m, n) : y;
    NodeId in[2] = {optest_leaf(&t, r, grad ? y : w, grad, DOM_ANY, 0),
                    optest_leaf(&t, r, x, true, DOM_ANY, 0)};
    NodeId more = optest_leaf(&t, r, result, !grad, DOM_ANY, 0);
    if (form & 8) in[1] = op1(t.graph, OP_neg, in[1]), in[0] = grad ? op1(t.graph, OP_neg, in[0]) : in[0];
    NodeId v =
        graph_add(t.graph, grad ? OP_dense_grad : OP_dense, in, 2, &(Attr){.flag = grad || flag}, (Span){0});
    if (ending) v = op1(t.graph, OP_relu, op2(t.graph, OP_add, v, more));
    graph_out(t.graph, OUT_VALUE, 0, op1(t.graph, OP_neg, v), NULL);
    return t;
}
#endif
