/* Blocks of a model: made, filled with initial values, handed to entries. */
#include "net.h"
#include "cuda_net.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t net_tensor_floats(const csc_tensor_info *t) {
    int64_t n = rt_product(t->rank, t->dim);
    return n < 0 || __builtin_mul_overflow(n, t->turns > 0 ? t->turns : 1, &n) ? -1 : n;
}

static csc_status check_table(csc_context *cx, const csc_tensor_info *t, int n, uint64_t floats, const char *what) {
    for (int i = 0; i < n; i++) {
        int64_t size = t[i].rank < 0 || t[i].rank > CSC_MAX_RANK ? -1 : net_tensor_floats(&t[i]);
        if (!t[i].name || size < 0 || t[i].offset < 0 || t[i].turns < 0 || (uint64_t)size > floats || (uint64_t)t[i].offset > floats - (uint64_t)size)
            return rt_fail(cx, CSC_BAD_ARGUMENT, "the table of %ss does not fit the model's block (%s)", what, t[i].name ? t[i].name : "no name");
    }
    return CSC_OK;
}

csc_status csc_net_new(csc_context *cx, const csc_model *m, const csc_net_info *info, csc_pool *pool, csc_net **out) {
    *out = NULL;
    if (!m || m->version < 1 || m->size < sizeof *m) return rt_fail(cx, CSC_BAD_ARGUMENT, "this is not a model that this library knows");
    csc_status s = check_table(cx, info->params, info->nparams, m->param_floats, "parameter");
    if (s == CSC_OK) s = check_table(cx, info->states, info->nstates, m->state_floats, "state");
    if (s != CSC_OK) return s;
    csc_net *n = calloc(1, sizeof *n);
    if (!n) return rt_no_memory(cx, sizeof *n);
    *n = (csc_net){.cx = cx, .model = m, .info = info, .pool = pool};
    uint64_t params = 0, states = 0;
    size_t project = 0, scratch = 0;
    bool ok = rt_mul(m->param_floats, 4, &params) && rt_mul(m->state_floats, 4, &states) &&
              project_sizes(info, &n->project_row, &project);
    for (uint32_t i = 0; i < m->entry_count; i++)
        if (m->entries[i].thread_bytes + m->entries[i].lane_bytes > scratch) scratch = m->entries[i].thread_bytes + m->entries[i].lane_bytes;
    if (n->project_row > scratch) scratch = n->project_row;
    ok = ok && rt_block_new(&n->params, params) && rt_block_new(&n->grads, params) && rt_block_new(&n->states, states) &&
         rt_block_new(&n->spare_states, states) && rt_block_new(&n->tunables, 4 * (size_t)m->tunable_count) &&
         rt_block_new(&n->project, project) && (!pool || rt_pool_reserve(pool, scratch));
    if (!ok) {
        csc_net_free(n);
        return rt_no_memory(cx, 2 * params + 2 * states + project);
    }
    if (m->tunable_count) memcpy(n->tunables.at, m->tunable_defaults, 4 * (size_t)m->tunable_count);
    if (m->params) memcpy(n->params.at, m->params, params);
    if (m->state) memcpy(n->states.at, m->state, states);
    *out = n;
    return CSC_OK;
}

void csc_net_free(csc_net *n) {
    if (!n) return;
    cuda_net_free(n->cuda);
    RtBlock *all[] = {&n->params, &n->grads, &n->states, &n->spare_states, &n->tunables, &n->workspace, &n->project};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) rt_block_free(all[i]);
    free(n);
}

void csc_net_hold(csc_net *n, bool on) {
    n->hold = on;
    n->prepared = NULL;
}

static csc_status host(csc_net *n, CudaWhich w, NetSide side) {
    csc_status s = n->cuda ? cuda_to_host(n->cuda, w) : CSC_OK;
    if (n->cuda && side == NET_WRITE) n->cuda->block[w].host_new = true;
    if (side == NET_WRITE && w != CUDA_GRAD) csc_net_hold(n, false);
    return s;
}

csc_status net_host(csc_net *n, NetSide side) {
    csc_status s = host(n, CUDA_PARAM, side);
    return s == CSC_OK ? host(n, CUDA_STATE, side) : s;
}

float *csc_net_params(csc_net *n) {
    host(n, CUDA_PARAM, NET_WRITE);
    return n->params.at;
}

float *csc_net_grads(csc_net *n) {
    host(n, CUDA_GRAD, NET_WRITE);
    return n->grads.at;
}

float *csc_net_states(csc_net *n) {
    host(n, CUDA_STATE, NET_WRITE);
    return n->states.at;
}

float *csc_net_tunables(csc_net *n) {
    csc_net_hold(n, false);
    return n->tunables.at;
}

const csc_model *csc_net_model(const csc_net *n) {
    return n->model;
}

int csc_net_find_param(const csc_net *n, const char *name) {
    for (int i = 0; i < n->info->nparams; i++)
        if (!strcmp(n->info->params[i].name, name)) return i;
    return -1;
}

const csc_entry *csc_net_entry(const csc_net *n, const char *name) {
    for (uint32_t i = 0; name && i < n->model->entry_count; i++)
        if (!strcmp(n->model->entries[i].name, name)) return &n->model->entries[i];
    return NULL;
}

size_t csc_net_workspace_bytes(const csc_net *n, const csc_entry *e, int64_t batch) {
    uint64_t b;
    if (batch < 1 || !rt_mul(e->batch_bytes, (uint64_t)batch, &b) || __builtin_add_overflow(b, e->fixed_bytes, &b)) return SIZE_MAX;
    b = (b + 63) / 64 * 64;
    return n->pool ? b : b + e->thread_bytes; /* csc_call.parallel_for NULL: scratch stands at the end */
}

csc_status net_reserve(csc_net *n, const csc_entry *e, int64_t batch) {
    size_t bytes = csc_net_workspace_bytes(n, e, batch);
    if (bytes <= n->workspace.bytes) return CSC_OK;
    RtBlock b;
    n->prepared = NULL;
    rt_block_free(&n->workspace); /* nothing else in it outlives a call */
    if (!rt_block_new_for(&b, bytes, n->pool ? bytes - e->lane_bytes : bytes)) return rt_no_memory(n->cx, bytes);
    n->workspace = b;
    return CSC_OK;
}

/* At the end of the workspace, which is as large as if the call did it itself. */
static bool prepare(csc_net *n, const csc_entry *e, csc_call *c) {
    bool had = n->prepared == e;
    n->prepared = NULL;
    if (!n->hold || !e->prepare) return true;
    c->prepared = (char *)n->workspace.at + (n->workspace.bytes - e->prepared_bytes) / 64 * 64;
    if (!had && e->prepare(c) != 0) return false;
    n->prepared = e;
    return true;
}

csc_status net_call(csc_net *n, const csc_entry *e, csc_call *c) {
    if (c->state_out && c->state_out == n->states.at) csc_net_hold(n, false);
    if (n->cuda && cuda_owns(n->cuda, e)) return cuda_call(n, e, c);
    csc_status s = net_host(n, NET_READ); /* an entry of the processor may run beside a device */
    if (s != CSC_OK) return s;
    s = net_reserve(n, e, c->batch);
    if (s != CSC_OK) return s;
    c->size = sizeof *c;
    c->params = n->params.at;
    c->grads = n->grads.at;
    c->state = n->states.at;
    c->tunables = n->tunables.at;
    c->workspace = n->workspace.at;
    c->pool = n->pool;
    c->parallel_for = n->pool ? csc_pool_parallel_for : NULL;
    c->threads = n->pool ? (uint32_t)csc_pool_threads(n->pool) : 0;
    if (!prepare(n, e, c) || e->run(c) != 0) return rt_fail(n->cx, CSC_BAD_ARGUMENT, "entry `%s` refuses this call", e->name);
    if (n->pool && rt_pool_failed(n->pool)) return rt_no_memory(n->cx, e->thread_bytes);
    return CSC_OK;
}

csc_status csc_net_run(csc_net *n, const csc_entry *e, int64_t batch, const float *const *in, float *const *out, bool update_states) {
    if (batch < 1 || batch > UINT32_MAX) return rt_fail(n->cx, CSC_BAD_ARGUMENT, "a batch of %lld samples", (long long)batch);
    csc_call c = {.batch = (uint32_t)batch, .in = in, .out = out, .state_out = update_states ? n->states.at : n->spare_states.at};
    return net_call(n, e, &c);
}

/* Each saved tensor has its own stream, named by seed and name: what else the model holds, and its order, do not matter. */
void net_init_random(const csc_net *n, const csc_tensor_info *t, uint64_t seed, float *block) {
    (void)n;
    int64_t turns = t->turns > 0 ? t->turns : 1, size = net_tensor_floats(t) / turns;
    for (int64_t turn = 0; turn < turns; turn++) {
        float *at = block + t->offset + turn * size;
        RtRandom r = rt_random(seed, RT_FOR_INIT, rt_hash(t->name), t->turns > 0 ? (uint32_t)turn + 1 : 0);
        switch (t->init) {
        case CSC_INIT_CONST:
            for (int64_t i = 0; i < size; i++) at[i] = (float)t->a;
            break;
        case CSC_INIT_NORMAL:
            for (int64_t i = 0; i < size; i++) at[i] = (float)(t->a + t->b * rt_random_normal(&r));
            break;
        case CSC_INIT_UNIFORM:
            for (int64_t i = 0; i < size; i++) at[i] = (float)(t->a + (t->b - t->a) * rt_random_unit(&r));
            break;
        case CSC_INIT_ENTRY: break;
        }
    }
}

csc_status net_compute_states(csc_net *n) {
    const csc_entry *e = csc_net_entry(n, "init");
    if (!e) return rt_fail(n->cx, CSC_BAD_ARGUMENT, "the model has computed states and no entry `init`");
    float **out = calloc((size_t)e->nout + 1, sizeof *out);
    RtBlock params = {0}; /* the entry's initial parameters are not wanted */
    if (n->cuda) n->cuda->block[CUDA_STATE].host_new = true;
    csc_status s = out && rt_block_new(&params, n->params.bytes) ? CSC_OK : rt_no_memory(n->cx, n->params.bytes);
    for (int i = 0; s == CSC_OK && i < n->info->nparams; i++) {
        const csc_tensor_info *p = &n->info->params[i];
        if (p->init == CSC_INIT_ENTRY && p->init_out >= 0 && (uint32_t)p->init_out < e->nout) out[p->init_out] = params.at + p->offset;
    }
    if (s == CSC_OK) s = csc_net_run(n, e, 1, NULL, out, true);
    rt_block_free(&params);
    free(out);
    return s;
}

csc_status csc_net_init(csc_net *n, uint64_t seed) {
    const csc_net_info *f = n->info;
    bool computed = false;
    csc_status s = net_host(n, NET_WRITE);
    if (s != CSC_OK) return s;
    memset(n->params.at, 0, n->params.bytes);
    memset(n->states.at, 0, n->states.bytes);
    for (int i = 0; i < f->nstates; i++) {
        net_init_random(n, &f->states[i], seed, n->states.at);
        computed |= f->states[i].init == CSC_INIT_ENTRY || f->states[i].computed;
    }
    for (int i = 0; i < f->nparams; i++) {
        net_init_random(n, &f->params[i], seed, n->params.at);
        if (f->params[i].init == CSC_INIT_ENTRY) computed = true;
        else project_param(n, &f->params[i], 0);
    }
    if (!computed) return CSC_OK;
    const csc_entry *e = csc_net_entry(n, "init");
    if (!e) return rt_fail(n->cx, CSC_BAD_ARGUMENT, "the model has computed initial values and no entry `init`");
    float **out = calloc((size_t)e->nout + 1, sizeof *out);
    if (!out) return rt_no_memory(n->cx, e->nout * sizeof *out);
    float *params = n->params.at;
    for (int i = 0; i < f->nparams; i++) {
        const csc_tensor_info *p = &f->params[i];
        if (p->init != CSC_INIT_ENTRY) continue;
        if (p->init_out < 0 || (uint32_t)p->init_out >= e->nout)
            s = rt_fail(n->cx, CSC_BAD_ARGUMENT, "parameter `%s` is output %d of an entry with %u", p->name, p->init_out, e->nout);
        else out[p->init_out] = params + p->offset;
    }
    for (uint32_t k = 0; s == CSC_OK && k < e->nout; k++)
        if (!out[k]) s = rt_fail(n->cx, CSC_BAD_ARGUMENT, "output %u of the entry `init` belongs to no parameter", k);
    /* States that the entry does not compute must keep theirs: it writes into the block that it also reads. */
    if (s == CSC_OK) s = csc_net_run(n, e, 1, NULL, out, true);
    if (n->cuda) n->cuda->block[CUDA_PARAM].host_new = true; /* where the outputs went */
    for (int i = 0; s == CSC_OK && i < f->nparams; i++)
        if (f->params[i].init == CSC_INIT_ENTRY) project_param(n, &f->params[i], 0);
    free(out);
    return s;
}

void csc_net_project(csc_net *n, double learning_rate) {
    if (net_host(n, NET_WRITE) != CSC_OK) return;
    for (int i = 0; i < n->info->nparams; i++) project_param(n, &n->info->params[i], learning_rate);
}
