/* The oracle: loops, turn after turn, as LoopAttr says; and fixed points, which are their first input. */
#include "base/trouble.h"
#include "op/eval_rules.h"
#include "op/loops.h"
#include <string.h>

typedef struct Run {
    EvalAt *e;
    const LoopAttr *l;
    Value *args, *results;
    bool *stopped; /* per sample */
    int64_t batch;
} Run;

static int64_t samples(const Run *r, const Value *v) { return v->batched ? r->batch : 1; }
static Value value_new(const Run *r, SigIn s) {
    Value v = {s.shape, s.batched, NULL};
    v.at = ARENA_ARRAY(r->e->a, double, shape_size(s.shape) * samples(r, &v));
    return v;
}
static double *own_sample(Value *v, int64_t b) { return v->at + (v->batched ? b * shape_size(v->shape) : 0); }

static void start(Run *r) {
    const LoopAttr *l = r->l;
    const Node *n = r->e->n;
    SigIn *in = ARENA_ARRAY(r->e->a, SigIn, n->nin + 1);
    for (uint32_t i = 0; i < n->nin; i++) in[i] = (SigIn){r->e->all[n->in[i]].shape, r->e->all[n->in[i]].batched};
    r->args = ARENA_ARRAY(r->e->a, Value, loop_args(l));
    r->results = ARENA_ARRAY(r->e->a, Value, loop_results(l) + 1);
    r->stopped = ARENA_ARRAY(r->e->a, bool, r->batch);
    for (uint32_t i = 0; i < loop_results(l); i++) r->results[i] = value_new(r, loop_result(r->e->g, n, i));
    for (uint32_t i = 0; i < loop_args(l); i++) {
        if (i >= l->ncarry && i < l->ncarry + l->ninvariant) r->args[i] = r->e->all[n->in[i]];
        else r->args[i] = value_new(r, loop_arg(l, in, i));
    }
    for (uint32_t i = 0; i < l->ncarry; i++)
        for (int64_t b = 0; b < samples(r, &r->args[i]); b++)
            memcpy(own_sample(&r->args[i], b), value_sample(&r->e->all[n->in[i]], b), (size_t)shape_size(r->args[i].shape) * sizeof(double));
}

/* One turn: afterwards the carried arguments, stacks and stopped samples are up to date. */
static void turn(Run *r, int64_t t) {
    const LoopAttr *l = r->l;
    for (uint32_t i = l->ncarry + l->ninvariant; i < l->ncarry + l->ninvariant + l->nper; i++) {
        Value *arg = &r->args[i];
        int64_t size = shape_size(arg->shape);
        for (int64_t b = 0; b < samples(r, arg); b++)
            memcpy(own_sample(arg, b), value_sample(&r->e->all[r->e->n->in[i]], b) + t * size, (size_t)size * sizeof(double));
    }
    r->args[loop_args(l) - 1].at[0] = (double)t;

    Arena *now = arena_new();
    EvalEnv env = *r->e->env;
    env.inputs = env.params = env.states = env.tunables = NULL;
    env.args = r->args;
    Value *all = eval_graph(now, l->body, &env);
    for (uint32_t i = 0; i < l->ncarry + l->nemit; i++) {
        const Value *from = &all[l->body->outs.at[i].node];
        Value *to = i < l->ncarry ? &r->args[i] : &r->results[i];
        int64_t size = shape_size(from->shape), at = i < l->ncarry ? 0 : t * size;
        for (int64_t b = 0; b < samples(r, to); b++)
            if (!r->stopped[b]) memcpy(own_sample(to, b) + at, value_sample(from, b), (size_t)size * sizeof(double));
    }
    if (l->until) {
        const Value *test = &all[l->body->outs.at[l->ncarry + l->nemit].node];
        for (int64_t b = 0; b < r->batch; b++) r->stopped[b] |= *value_sample(test, b) != 0;
    }
    arena_free(now);
}

static bool all_stopped(const Run *r) {
    for (int64_t b = 0; b < r->batch; b++)
        if (!r->stopped[b]) return false;
    return true;
}

void eval_loop(EvalAt *e) {
    Run r = {.e = e, .l = e->n->a.loop, .batch = e->env->batch};
    start(&r);
    int64_t count = r.l->turns, done = 0;
    if (r.l->counted) {
        double asked = e->all[e->n->in[e->n->nin - 1]].at[0];
        count = asked >= (double)count ? count : asked >= 1 ? (int64_t)asked : 0;
    }
    for (; done < count && !(r.l->until && all_stopped(&r)); done++) turn(&r, r.l->reverse ? count - 1 - done : done);
    for (uint32_t i = 0; i < r.l->ncarry; i++) r.results[i] = r.args[i];
    if (r.l->until) r.results[r.l->ncarry + r.l->nemit].at[0] = (double)done;
    e->made = r.results;
}

void eval_proj(EvalAt *e) {
    Value *results = (Value *)(void *)e->all[e->n->in[0]].at;
    e->made = &results[e->n->a.index];
}

void eval_fixed_point(EvalAt *e) { memcpy(e->y, e->x[0], (size_t)e->size * sizeof *e->y); }
