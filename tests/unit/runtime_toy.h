/* A csc_model written by hand, for tests of the runtime: softmax regression, logits = W x + b, with a state that counts steps. */
#ifndef CSC_TESTS_RUNTIME_TOY_H
#define CSC_TESTS_RUNTIME_TOY_H
#include "csc.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

enum { TOY_IN = 64, TOY_CLASSES = 10, TOY_W = 0, TOY_B = TOY_IN * TOY_CLASSES, TOY_FLOATS = TOY_B + 16 };

typedef struct ToyWork { /* one sample */
    float p[TOY_CLASSES];
    float loss, right;
    float pad[4];
} ToyWork;
typedef struct ToyJob {
    const csc_call *c;
    ToyWork *work;
} ToyJob;

static inline void toy_run(const csc_call *c, csc_task task, void *arg, int64_t count) {
    if (c->parallel_for) c->parallel_for(c->pool, count, task, arg, 64);
    else
        for (int64_t i = 0; i < count; i++) task(arg, i, NULL);
}

static inline void toy_sample(void *arg, int64_t i, void *scratch) {
    const ToyJob *j = arg;
    const float *w = j->c->params + TOY_W, *b = j->c->params + TOY_B, *x = j->c->in[0] + i * TOY_IN;
    ToyWork *o = &j->work[i];
    int label = (int)j->c->in[1][i], best = 0;
    float most = -INFINITY, sum = 0, logit[TOY_CLASSES];
    (void)scratch;
    for (int k = 0; k < TOY_CLASSES; k++) {
        logit[k] = b[k];
        for (int t = 0; t < TOY_IN; t++) logit[k] += w[k * TOY_IN + t] * x[t];
        if (!(logit[k] <= most)) {
            most = logit[k];
            best = k;
        }
    }
    for (int k = 0; k < TOY_CLASSES; k++) sum += expf(logit[k] - most);
    for (int k = 0; k < TOY_CLASSES; k++) o->p[k] = expf(logit[k] - most) / sum;
    o->loss = logf(sum) + most - logit[label];
    o->right = best == label;
    o->p[label] -= 1;
}

static inline void toy_grad(void *arg, int64_t k, void *scratch) { /* class k */
    const ToyJob *j = arg;
    float *gw = j->c->grads + TOY_W + k * TOY_IN, *gb = j->c->grads + TOY_B + k, n = (float)j->c->batch;
    (void)scratch;
    *gb = 0;
    for (int t = 0; t < TOY_IN; t++) gw[t] = 0;
    for (uint32_t i = 0; i < j->c->batch; i++) {
        float d = j->work[i].p[k] / n;
        *gb += d;
        for (int t = 0; t < TOY_IN; t++) gw[t] += d * j->c->in[0][i * TOY_IN + (uint32_t)t];
    }
}

static inline void toy_scores(const csc_call *c, const ToyWork *w) {
    float loss = 0, right = 0;
    for (uint32_t i = 0; i < c->batch; i++) {
        loss += w[i].loss;
        right += w[i].right;
    }
    c->out[0][0] = loss / (float)c->batch;
    c->out[1][0] = right / (float)c->batch;
}

static inline int toy_eval(const csc_call *c) {
    ToyJob j = {c, c->workspace};
    toy_run(c, toy_sample, &j, c->batch);
    toy_scores(c, j.work);
    return 0;
}

static inline int toy_step(const csc_call *c) {
    ToyJob j = {c, c->workspace};
    toy_run(c, toy_sample, &j, c->batch);
    toy_run(c, toy_grad, &j, TOY_CLASSES);
    toy_scores(c, j.work);
    c->state_out[0] = c->state[0] + 1;
    return 0;
}

static inline int toy_probe(const csc_call *c) { /* x, then the sum of each sample's logs: not finite where x <= 0 */
    memcpy(c->out[0], c->in[0], sizeof(float) * TOY_IN * c->batch);
    for (uint32_t i = 0; i < c->batch; i++) c->out[1][i] = c->params[TOY_W] > 1e30f ? NAN : 1;
    return 0;
}

static inline int toy_init(const csc_call *c) { /* b = 0.25 */
    for (int k = 0; k < TOY_CLASSES; k++) c->out[0][k] = 0.25f;
    return 0;
}

static inline int toy_synth(const csc_call *c) { /* 64 signals from 10 codes: y = W' z */
    for (uint32_t i = 0; i < c->batch; i++)
        for (int t = 0; t < TOY_IN; t++) {
            float s = 0;
            for (int k = 0; k < TOY_CLASSES; k++) s += c->params[TOY_W + k * TOY_IN + t] * c->in[0][i * TOY_CLASSES + (uint32_t)k];
            c->out[0][i * TOY_IN + (uint32_t)t] = s;
        }
    return 0;
}

enum { TOY_PREPARED = 4 * (TOY_FLOATS + 16) };
static int toy_prepares; /* how often */
static inline int toy_prepare(const csc_call *c) { /* parameters and tunables as they are */
    float *to = c->prepared;
    memcpy(to, c->params, 4 * TOY_FLOATS);
    to[TOY_FLOATS] = c->tunables[0];
    toy_prepares++;
    return 0;
}

static inline int toy_forward(const csc_call *c) {
    float own[TOY_FLOATS + 16];
    csc_call p = *c;
    if (!p.prepared) p.prepared = own, toy_prepare(&p);
    const float *w = p.prepared;
    for (uint32_t i = 0; i < c->batch; i++)
        for (int k = 0; k < TOY_CLASSES; k++) {
            float s = w[TOY_B + k];
            for (int t = 0; t < TOY_IN; t++) s += w[TOY_W + k * TOY_IN + t] * c->in[0][i * TOY_IN + (uint32_t)t];
            c->out[0][i * TOY_CLASSES + (uint32_t)k] = s * w[TOY_FLOATS];
        }
    return 0;
}

static const float toy_tunables[] = {1};
static const char toy_json[] =
    "{\"params\": [{\"name\": \"logits.weight\", \"shape\": [10, 64], \"turns\": 0, \"offset\": 0},"
    " {\"name\": \"logits.bias\", \"shape\": [10], \"turns\": 0, \"offset\": 640}],"
    " \"states\": [{\"name\": \"steps\", \"shape\": [], \"offset\": 0}], \"tunables\": [{\"name\": \"scale\", \"default\": 1}],"
    " \"entries\": [{\"name\": \"forward\", \"inputs\": [{\"name\": \"X\", \"kind\": \"real\", \"shape\": [1, 8, 8]}],"
    " \"outputs\": [{\"name\": \"logits\", \"shape\": [10], \"per_sample\": true}]}]}";
static const csc_entry toy_entries[] = {
    {"step", 2, 2, 0, sizeof(ToyWork), 64, 0, toy_step, 0, NULL},   {"eval", 2, 2, 0, sizeof(ToyWork), 64, 0, toy_eval, 0, NULL},
    {"probe", 2, 2, 0, 0, 0, 0, toy_probe, 0, NULL},                {"init", 0, 1, 0, 0, 0, 0, toy_init, 0, NULL},
    {"synth", 1, 1, 0, 0, 0, 0, toy_synth, 0, NULL},                {"forward", 1, 1, TOY_PREPARED, 0, 0, 0, toy_forward, TOY_PREPARED, toy_prepare},
};
static const csc_model toy_model = {
    .version = 1, .size = sizeof(csc_model), .info = toy_json, .param_floats = TOY_FLOATS, .state_floats = 16,
    .tunable_count = 1, .tunable_defaults = toy_tunables,
    .entry_count = sizeof toy_entries / sizeof *toy_entries, .entries = toy_entries,
};
static const csc_tensor_info toy_params[] = {
    {.name = "logits.weight", .rank = 2, .dim = {TOY_CLASSES, TOY_IN}, .offset = TOY_W, .init = CSC_INIT_NORMAL, .b = 0.1},
    {.name = "logits.bias", .rank = 1, .dim = {TOY_CLASSES}, .offset = TOY_B, .init = CSC_INIT_ENTRY, .init_out = 0},
};
static const csc_tensor_info toy_states[] = {{.name = "steps", .rank = 0, .offset = 0, .init = CSC_INIT_CONST, .a = 0}};
static const csc_net_info toy_info = {.params = toy_params, .states = toy_states, .nparams = 2, .nstates = 1, .program_hash = "toy"};
static const csc_input toy_inputs[] = {{"X", CSC_IN_REAL, TOY_IN, 0}, {"y", CSC_IN_LABEL, 1, TOY_CLASSES}};
static const csc_metric toy_metrics[] = {{.name = "accuracy", .index = 1, .larger_is_better = true}};
#endif
