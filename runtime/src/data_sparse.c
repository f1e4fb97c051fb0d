/* Synthetic problems: sparse codes drawn by counter, signals made of them by the model's own dictionary, noise on top. */
#include "cuda_net.h"
#include "data.h"
#include <math.h>
#include <string.h>

#define TEST_NUMBERS ((uint64_t)1 << 40) /* test samples are numbered from here */

csc_status data_open_sparse(csc_data *d, const csc_data_spec *s) {
    static const char *const names[2] = {"signal", "code"};
    if (!(s->density > 0 && s->density <= 1) || s->count < 1 || isnan(s->snr) || !s->synth_entry)
        return rt_fail(d->cx, CSC_BAD_ARGUMENT, "sparse_codes: density must be in (0, 1], count at least 1");
    d->nfields = 2;
    for (int f = 0; f < 2; f++) {
        RtColumn *c = &d->col[f];
        data_column_name(c, names[f]);
        c->info.rank = s->rank[f];
        if (s->rank[f] < 0 || s->rank[f] > CSC_MAX_RANK || (c->floats = rt_product(s->rank[f], s->dim[f])) < 1)
            return rt_fail(d->cx, CSC_BAD_ARGUMENT, "sparse_codes: a bad shape");
        memcpy(c->info.dim, s->dim[f], sizeof c->info.dim);
    }
    d->density = s->density;
    d->snr = s->snr;
    d->seed = s->seed;
    d->synth_entry = s->synth_entry;
    d->total = d->split == CSC_TEST ? (s->count < 100000 ? (s->count + 9) / 10 : 10000) : s->count;
    return CSC_OK;
}

/* The thread that makes batches has a net of its own on the device, and a place of its own for errors. */
static csc_status bind_device(csc_data *d, csc_net *n) {
    csc_error_clear(&d->device_cx);
    csc_net *m = NULL;
    csc_status s = csc_net_new(&d->device_cx, n->model, n->info, NULL, &m);
    if (s == CSC_OK) s = csc_net_use_device(m, n->cuda->d, n->cuda->exec.p, NULL);
    if (s != CSC_OK) {
        csc_net_free(m);
        return rt_fail(n->cx, s, "%s", csc_error(&d->device_cx));
    }
    memcpy(m->params.at, d->params.at, d->params.bytes);
    memcpy(m->states.at, d->states.at, d->states.bytes);
    memcpy(m->tunables.at, d->tunables.at, d->tunables.bytes);
    d->device_net = m;
    return CSC_OK;
}

/* The dictionary is that of the beginning: fixed parameters as they are in the net, the others as this seed makes them, so that a run
   that goes on later sees the same problems. */
csc_status data_sparse_bind(csc_data *d, csc_net *n, uint64_t seed) {
    if (!d || d->kind != CSC_DATA_SPARSE_CODES) return CSC_OK;
    const csc_entry *e = csc_net_entry(n, d->synth_entry);
    if (!e || e->nin != 1 || e->nout != 1) return rt_fail(n->cx, CSC_BAD_ARGUMENT, "the model has no entry `%s` from codes to signals", d->synth_entry);
    rt_block_free(&d->params);
    rt_block_free(&d->states);
    rt_block_free(&d->tunables);
    csc_net_free(d->device_net);
    d->device_net = NULL;
    csc_net *first = NULL;
    csc_status s = net_host(n, NET_READ);
    if (s != CSC_OK) return s;
    bool all_fixed = true;
    for (int i = 0; i < n->info->nparams; i++) all_fixed &= n->info->params[i].fixed;
    if (!all_fixed) {
        s = csc_net_new(n->cx, n->model, n->info, n->pool, &first);
        if (s == CSC_OK && n->cuda) s = csc_net_use_device(first, n->cuda->d, n->cuda->exec.p, NULL);
        if (s == CSC_OK) s = csc_net_init(first, seed);
        if (s == CSC_OK) s = net_host(first, NET_READ);
        if (s != CSC_OK) {
            csc_net_free(first);
            return s;
        }
    }
    const csc_net *from = first ? first : n;
    if (!rt_block_new(&d->params, from->params.bytes) || !rt_block_new(&d->states, from->states.bytes) || !rt_block_new(&d->tunables, n->tunables.bytes))
        s = rt_no_memory(n->cx, from->params.bytes + from->states.bytes);
    else {
        memcpy(d->params.at, from->params.at, from->params.bytes);
        memcpy(d->states.at, from->states.at, from->states.bytes);
        memcpy(d->tunables.at, n->tunables.at, n->tunables.bytes);
        for (int i = 0; i < n->info->nparams; i++) {
            const csc_tensor_info *p = &n->info->params[i];
            if (p->fixed) memcpy((float *)d->params.at + p->offset, (float *)n->params.at + p->offset, 4 * (size_t)net_tensor_floats(p));
        }
        d->model = n->model;
    }
    if (s == CSC_OK && n->cuda) s = bind_device(d, n);
    csc_net_free(first);
    return s;
}

static void draw_code(const csc_data *d, uint64_t number, float *code) {
    RtRandom r = rt_random(d->seed, RT_FOR_CODES, number, 0);
    for (int64_t k = 0; k < d->col[1].floats; k++) {
        bool on = rt_random_unit(&r) < d->density;
        code[k] = on ? (float)rt_random_normal(&r) : 0;
    }
}

static void add_noise(const csc_data *d, uint64_t number, float *signal) {
    int64_t m = d->col[0].floats;
    double power = 0;
    for (int64_t k = 0; k < m; k++) power += (double)signal[k] * signal[k];
    double sigma = sqrt(power / (double)m * pow(10, -d->snr / 10));
    RtRandom r = rt_random(d->seed, RT_FOR_SNR, number, 0);
    rt_random_add_normal(&r, (float)sigma, signal, m);
}

/* Runs on the calling thread alone: it may be the one that makes batches while the pool trains. */
csc_status data_sparse_get(csc_data *d, csc_context *cx, const int64_t *number, int64_t n, float *signals, float *codes) {
    uint64_t base = d->split == CSC_TEST ? TEST_NUMBERS : 0;
    for (int64_t i = 0; i < n; i++) draw_code(d, base + (uint64_t)number[i], codes + i * d->col[1].floats);
    const csc_entry *e = NULL;
    for (uint32_t i = 0; d->model && i < d->model->entry_count; i++)
        if (!strcmp(d->model->entries[i].name, d->synth_entry)) e = &d->model->entries[i];
    if (!e) return rt_fail(cx, CSC_BAD_ARGUMENT, "the signals of sparse_codes are made by a model, and none is bound yet");
    const float *in[1] = {codes};
    float *out[1] = {signals};
    if (d->device_net) {
        csc_status s = csc_net_run(d->device_net, csc_net_entry(d->device_net, d->synth_entry), n, in, out, false);
        if (s != CSC_OK) return rt_fail(cx, s, "%s", csc_error(&d->device_cx));
        for (int64_t i = 0; i < n && isfinite(d->snr); i++) add_noise(d, base + (uint64_t)number[i], signals + i * d->col[0].floats);
        return CSC_OK;
    }
    if (n > d->workspace_batch) {
        uint64_t bytes;
        RtBlock b;
        if (!rt_mul(e->batch_bytes, (uint64_t)n, &bytes) || !rt_block_new(&b, bytes + e->fixed_bytes + 64 + e->thread_bytes))
            return rt_no_memory(cx, e->fixed_bytes);
        rt_block_free(&d->workspace);
        d->workspace = b;
        d->workspace_batch = n;
    }
    csc_call c = {.size = sizeof c, .batch = (uint32_t)n, .in = in, .out = out, .params = d->params.at, .state = d->states.at,
                  .tunables = d->tunables.at, .workspace = d->workspace.at};
    if (e->run(&c) != 0) return rt_fail(cx, CSC_BAD_ARGUMENT, "entry `%s` refuses this call", e->name);
    for (int64_t i = 0; i < n && isfinite(d->snr); i++) add_noise(d, base + (uint64_t)number[i], signals + i * d->col[0].floats);
    return CSC_OK;
}
