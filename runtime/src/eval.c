/* Loss and metrics of a model over a data set. */
#include "eval.h"
#include "cuda_train.h"
#include <math.h>
#include <string.h>

static int64_t last_output(const csc_metric *m) { return m->terms ? 2 * (int64_t)m->terms - 1 : 0; }

csc_status scores_check(csc_context *cx, const csc_stage *s, const csc_entry *e) {
    if (e->nout < 1 || e->nout > MAX_SCORES || s->nmetrics > MAX_METRICS)
        return rt_fail(cx, CSC_BAD_ARGUMENT, "entry `%s` has %u outputs and %d metrics; a loss and up to %d metrics of %d numbers in all are expected", e->name, e->nout, s->nmetrics, MAX_METRICS, MAX_SCORES - 1);
    if ((int)e->nin != s->ninputs) return rt_fail(cx, CSC_BAD_ARGUMENT, "entry `%s` takes %u inputs, the stage has %d", e->name, e->nin, s->ninputs);
    for (int i = 0; i < s->nmetrics; i++)
        if (s->metrics[i].index < 0 || s->metrics[i].terms < 0 || s->metrics[i].index + last_output(&s->metrics[i]) >= (int64_t)e->nout)
            return rt_fail(cx, CSC_BAD_ARGUMENT, "metric `%s` is output %d of an entry with %u", s->metrics[i].name, s->metrics[i].index, e->nout);
    return CSC_OK;
}

double score_of(const csc_metric *m, const double *sums, int64_t samples) {
    if (!m->terms) {
        double v = sums[m->index] / (double)samples;
        return m->psnr || m->db ? (m->psnr ? -10 : 10) * log10(v) : v;
    }
    const double *top = sums + m->index, *bottom = top + m->terms;
    double sum = 0;
    int n = 0;
    for (int k = 0; k < m->terms; k++)
        if (bottom[k] != 0) {
            sum += top[k] / bottom[k];
            n++;
        }
    double v = sum / n; /* NaN where nothing can be said */
    return m->db ? 10 * log10(v) : v;
}

static csc_status look(csc_net *n, const csc_entry *e, int64_t samples, double *sums, csc_eval_result *r) {
    CudaResult x;
    csc_status s = cuda_end(n, &x);
    for (uint32_t i = 0; s == CSC_OK && i < e->nout; i++) sums[i] += (double)x.score[i * CUDA_SCORE_STRIDE] * (double)samples;
    r->samples += samples;
    return s;
}

/* On a device: a batch is copied and begun while the one before it runs. */
static csc_status device_pass(csc_net *n, const csc_entry *e, RtFeed *f, const volatile sig_atomic_t *interrupt, double *sums, csc_eval_result *r) {
    csc_status s = CSC_OK;
    int64_t before = 0;
    for (const RtBatch *b; s == CSC_OK && (s = feed_next(f, &b)) == CSC_OK && b;) {
        if (interrupt && *interrupt) s = CSC_INTERRUPTED;
        CudaNumbers numbers = {.first_sample = (uint64_t)b->first};
        if (s == CSC_OK) s = cuda_begin(n, e, b->n, b->in, &numbers, false);
        if (s == CSC_OK && before) s = look(n, e, before, sums, r);
        before = b->n;
    }
    csc_eval_result dropped = {0};
    double unseen[MAX_SCORES];
    if (s != CSC_OK) sums = memset(unseen, 0, sizeof unseen), r = &dropped;
    while (cuda_ahead(n)) {
        csc_status last = look(n, e, before, sums, r);
        if (s == CSC_OK) s = last;
        if (last != CSC_OK) break;
    }
    return s;
}

csc_status eval_pass(csc_net *n, const csc_stage *s, const csc_entry *e, RtFeed *f, const volatile sig_atomic_t *interrupt, csc_eval_result *r) {
    double sums[MAX_SCORES] = {0}, start = rt_now();
    RtScores o;
    csc_status st = CSC_OK;
    for (int i = 0; i < MAX_SCORES; i++) o.out[i] = &o.value[i];
    *r = (csc_eval_result){0};
    feed_epoch(f, UINT32_MAX, 0);
    if (n->cuda) st = device_pass(n, e, f, interrupt, sums, r);
    bool held = n->hold;
    if (!held) csc_net_hold(n, true); /* nothing else runs until the end */
    for (const RtBatch *b; !n->cuda && (st = feed_next(f, &b)) == CSC_OK && b;) {
        if (interrupt && *interrupt) st = CSC_INTERRUPTED;
        csc_call c = {.batch = (uint32_t)b->n, .in = (const float *const *)b->in, .out = o.out, .state_out = n->spare_states.at,
                      .first_sample = (uint64_t)b->first};
        if (st != CSC_OK || (st = net_call(n, e, &c)) != CSC_OK) break;
        for (uint32_t i = 0; i < e->nout; i++) sums[i] += (double)o.value[i] * (double)b->n;
        r->samples += b->n;
    }
    if (!held) csc_net_hold(n, false);
    if (st != CSC_OK) return st;
    r->loss = sums[0] / (double)r->samples;
    for (int i = 0; i < s->nmetrics; i++) r->metric[i] = score_of(&s->metrics[i], sums, r->samples);
    r->seconds = rt_now() - start;
    return CSC_OK;
}

csc_status csc_eval(csc_net *n, const csc_stage *s, csc_data *data, uint64_t seed, const volatile sig_atomic_t *interrupt, csc_eval_result *out) {
    RtPlan plan = {0};
    RtFeed *feed = NULL;
    const csc_entry *e = csc_net_entry(n, s->eval_entry);
    if (!e) return rt_fail(n->cx, CSC_BAD_ARGUMENT, "the model has no entry `%s`", s->eval_entry ? s->eval_entry : "");
    csc_status st = scores_check(n->cx, s, e);
    if (st == CSC_OK) st = data_sparse_bind(data, n, seed);
    if (st == CSC_OK && s->data && s->data != data) st = data_sparse_bind(s->data, n, seed);
    if (st == CSC_OK) st = plan_new(&plan, n->cx, s, data);
    if (st == CSC_OK) st = feed_new(&feed, n->cx, &plan, data, s->batch, false, seed, true);
    if (st == CSC_OK && n->cuda) st = cuda_train_open(n, NULL, NULL, e, s->batch);
    if (st == CSC_OK) st = eval_pass(n, s, e, feed, interrupt, out);
    cuda_train_close(n);
    feed_free(feed);
    plan_free(&plan);
    return st;
}
