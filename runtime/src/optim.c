/* SGD (Nesterov 1983 as in Sutskever et al. 2013), Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), schedules. */
#include "optim.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLICE 16384 /* floats */

double csc_learning_rate(const csc_optimizer *o, int64_t step, int64_t steps_per_epoch, int64_t epochs) {
    const csc_schedule *s = &o->schedule;
    int64_t spe = steps_per_epoch < 1 ? 1 : steps_per_epoch, warm = s->warmup_steps + s->warmup_epochs * spe, epoch = step / spe;
    if (step < warm) return o->lr * (double)(step + 1) / (double)warm;
    double rate = o->lr;
    switch (s->kind) {
    case CSC_CONSTANT: break;
    case CSC_STEP_DECAY:
        for (int i = 0; i < s->nat; i++) rate *= epoch >= s->at[i] ? s->by : 1;
        if (s->every > 0) rate *= pow(s->by, (double)(epoch / s->every));
        break;
    case CSC_COSINE: {
        int64_t last = spe * epochs - warm - 1;
        double t = last > 0 ? (double)(step - warm) / (double)last : 1;
        rate = s->to + (o->lr - s->to) * 0.5 * (1 + cos(3.141592653589793 * (t < 1 ? t : 1)));
        break;
    }
    }
    return rate;
}

int optim_slots(csc_optimizer_kind k) {
    return k == CSC_SGD ? 1 : 2;
}

csc_status optim_new(RtOptim *p, csc_net *n, const csc_stage *s) {
    *p = (RtOptim){.net = n, .o = s->optimizer};
    if (p->o.beta1 == 0) p->o.beta1 = 0.9;
    if (p->o.beta2 == 0) p->o.beta2 = 0.999;
    if (p->o.epsilon == 0) p->o.epsilon = 1e-8;
    const csc_net_info *f = n->info;
    int *param = calloc((size_t)f->nparams + 1, sizeof *param);
    if (!param) return rt_no_memory(n->cx, 4096);
    p->param = param;
    for (int i = 0; i < f->nparams; i++) {
        bool learns = s->nonly == 0 && !f->params[i].fixed;
        for (int k = 0; k < s->nonly; k++) learns |= s->only[k] == i;
        if (!learns) continue;
        param[p->nparams++] = i;
        p->nslices += (net_tensor_floats(&f->params[i]) + SLICE - 1) / SLICE;
    }
    p->slice = calloc((size_t)p->nslices + 1, sizeof *p->slice);
    p->square = calloc((size_t)p->nslices + 1, sizeof *p->square);
    p->bad = calloc((size_t)p->nslices + 1, 1);
    int slots = optim_slots(p->o.kind);
    bool ok = p->slice && p->square && p->bad && rt_block_new(&p->m, n->params.bytes) && (slots < 2 || rt_block_new(&p->v, n->params.bytes));
    if (!ok) {
        optim_free(p);
        return rt_no_memory(n->cx, n->params.bytes * (size_t)slots);
    }
    int64_t at = 0;
    for (int i = 0; i < p->nparams; i++) {
        const csc_tensor_info *t = &f->params[param[i]];
        int64_t size = net_tensor_floats(t);
        for (int64_t k = 0; k < size; k += SLICE) p->slice[at++] = (RtSlice){param[i], t->offset + k, size - k < SLICE ? size - k : SLICE};
    }
    return CSC_OK;
}

void optim_free(RtOptim *p) {
    free((void *)p->param);
    free(p->slice);
    free(p->square);
    free(p->bad);
    rt_block_free(&p->m);
    rt_block_free(&p->v);
    *p = (RtOptim){0};
}

/* Integers: an OR over bits may be done in any order, so it can be done eight at a time. */
bool finite_floats(const float *x, int64_t n) {
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], 4);
        bad |= (u & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

static void check_slice(void *arg, int64_t i, void *scratch) {
    RtOptim *p = arg;
    const RtSlice *s = &p->slice[i];
    const float *g = (const float *)p->net->grads.at + s->at;
    (void)scratch;
    p->bad[i] = !finite_floats(g, s->n);
    if (p->o.clip <= 0) return;
    double sum[8] = {0}; /* eight lanes, in a fixed order */
    int64_t k = 0;
    for (; k + 8 <= s->n; k += 8)
        for (int l = 0; l < 8; l++) sum[l] += (double)g[k + l] * g[k + l];
    for (; k < s->n; k++) sum[0] += (double)g[k] * g[k];
    p->square[i] = ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

static int first_bad(const RtOptim *p) {
    for (int64_t i = 0; i < p->nslices; i++)
        if (p->bad[i]) return p->slice[i].param;
    return -1;
}

int optim_check(RtOptim *p, double *norm) {
    csc_net *n = p->net;
    rt_parallel(n->pool, p->nslices, check_slice, p, 0, NULL);
    double sum = 0;
    for (int64_t i = 0; i < p->nslices; i++) sum += p->square[i];
    *norm = sqrt(sum);
    return first_bad(p);
}

typedef struct Update {
    RtOptim *p;
    float rate, scale, decay, shrink, momentum, beta1, beta2, rest1, rest2, root2, step1, epsilon;
    bool nesterov;
} Update;

static void sgd(float *restrict w, const float *restrict g, float *restrict m, int64_t n, const Update *u) {
    float rate = u->rate, scale = u->scale, decay = u->decay, mu = u->momentum;
    if (mu == 0)
        for (int64_t i = 0; i < n; i++) w[i] -= rate * (scale * g[i] + decay * w[i]);
    else if (u->nesterov)
        for (int64_t i = 0; i < n; i++) {
            float d = scale * g[i] + decay * w[i];
            m[i] = mu * m[i] + d;
            w[i] -= rate * (d + mu * m[i]);
        }
    else
        for (int64_t i = 0; i < n; i++) {
            m[i] = mu * m[i] + (scale * g[i] + decay * w[i]);
            w[i] -= rate * m[i];
        }
}

static void adam(float *restrict w, const float *restrict g, float *restrict m, float *restrict v, int64_t n, const Update *u) {
    float scale = u->scale, decay = u->decay, shrink = u->shrink, b1 = u->beta1, b2 = u->beta2, r1 = u->rest1, r2 = u->rest2;
    float root2 = u->root2, step1 = u->step1, epsilon = u->epsilon;
    for (int64_t i = 0; i < n; i++) {
        float d = scale * g[i] + decay * w[i];
        m[i] = b1 * m[i] + r1 * d;
        v[i] = b2 * v[i] + r2 * d * d;
        w[i] = shrink * w[i] - step1 * m[i] / (sqrtf(v[i]) * root2 + epsilon);
    }
}

static void update_slice(void *arg, int64_t i, void *scratch) {
    const Update *u = arg;
    RtOptim *p = u->p;
    const RtSlice *s = &p->slice[i];
    float *w = (float *)p->net->params.at + s->at, *m = (float *)p->m.at + s->at;
    const float *g = (const float *)p->net->grads.at + s->at;
    (void)scratch;
    if (p->o.kind == CSC_SGD) sgd(w, g, m, s->n, u);
    else adam(w, g, m, (float *)p->v.at + s->at, s->n, u);
    p->bad[i] = !finite_floats(w, s->n);
}

int optim_update(RtOptim *p, double rate, double norm) {
    const csc_optimizer *o = &p->o;
    p->step++;
    double t = (double)p->step, left1 = 1 - pow(o->beta1, t), left2 = 1 - pow(o->beta2, t);
    Update u = {
        .p = p,
        .rate = (float)rate,
        .scale = o->clip > 0 && norm > o->clip ? (float)(o->clip / norm) : 1,
        .decay = o->kind == CSC_ADAMW ? 0 : (float)o->weight_decay,
        .shrink = o->kind == CSC_ADAMW ? (float)(1 - rate * o->weight_decay) : 1,
        .momentum = (float)o->momentum,
        .beta1 = (float)o->beta1,
        .beta2 = (float)o->beta2,
        .rest1 = (float)(1 - o->beta1),
        .rest2 = (float)(1 - o->beta2),
        .root2 = (float)(1 / sqrt(left2)),
        .step1 = (float)(rate / left1),
        .epsilon = (float)o->epsilon,
        .nesterov = o->nesterov,
    };
    rt_parallel(p->net->pool, p->nslices, update_slice, &u, 0, NULL);
    int bad = first_bad(p);
    for (int i = 0; i < p->nparams && bad < 0; i++) project_param(p->net, &p->net->info->params[p->param[i]], rate);
    return bad;
}
