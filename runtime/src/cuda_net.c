/* The arena of a net on a device, copies between it and the host, and calls of entries with the host's memory. */
#include "cuda_net.h"
#include "cuda_kernels.h"
#include "cuda_train.h"
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256 };
static size_t up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

bool cuda_owns(const CudaNet *c, const csc_entry *e) {
    const csc_program *p = c->exec.p;
    return e >= p->face && e < p->face + p->nentries;
}

const PgEntry *cuda_entry(const CudaNet *c, const csc_entry *e) {
    return &c->exec.p->entry[e - c->exec.p->face];
}

/* ---- blocks ---- */
csc_status cuda_to_host(CudaNet *c, CudaWhich w) {
    CudaBlock *b = &c->block[w];
    const CuApi *u = &c->d->cu;
    if (!b->device_new || !b->host || !b->host->bytes || !b->at) return CSC_OK;
    csc_status s = cuda_check(c->n->cx, u, u->to_host(b->host->at, b->at, b->host->bytes, c->exec.stream), "cuMemcpyDtoHAsync", "parameters and states");
    if (s == CSC_OK) s = cuda_check(c->n->cx, u, u->stream_wait(c->exec.stream), "cuStreamSynchronize", "parameters and states");
    b->device_new = false;
    return s;
}

csc_status cuda_to_device(CudaNet *c, CudaWhich w) {
    CudaBlock *b = &c->block[w];
    const CuApi *u = &c->d->cu;
    if (!b->host_new || !b->host || !b->host->bytes || !b->at) return CSC_OK;
    csc_status s = cuda_check(c->n->cx, u, u->to_device(b->at, b->host->at, b->host->bytes, c->exec.stream), "cuMemcpyHtoDAsync", "parameters and states");
    if (s == CSC_OK) s = cuda_check(c->n->cx, u, u->stream_wait(c->exec.stream), "cuStreamSynchronize", "parameters and states");
    b->host_new = false;
    return s;
}

/* ---- the arena ---- */
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static void add_need(const CudaNet *c, const csc_entry *e, int64_t batch, CudaNeed *all) {
    const PgEntry *p = cuda_entry(c, e);
    int64_t work = program_work_floats(p, batch);
    CudaNeed n = {.work = work < 0 || work > INT64_MAX / 8 ? SIZE_MAX / 16 : up((size_t)work * 4)};
    for (int64_t i = 0; i < p->nin + p->nout; i++) {
        size_t *to = i < p->nin ? &n.in : &n.out;
        uint64_t bytes;
        if (p->arg[i].floats < 0) continue;
        if (!rt_mul((uint64_t)p->arg[i].floats, 4 * (p->arg[i].batched ? (uint64_t)batch : 1), &bytes) || bytes > SIZE_MAX / 16) bytes = SIZE_MAX / 16;
        *to = *to > SIZE_MAX / 16 ? *to : *to + up(bytes);
    }
    *all = (CudaNeed){larger(n.work, all->work), larger(n.in, all->in), larger(n.out, all->out), larger(n.scratch, all->scratch)};
}

static CudaNeed need_of(const CudaNet *c, const csc_entry *const e[2], int64_t batch, const CudaNeed *more) {
    CudaNeed n = {0};
    for (int i = 0; i < 2; i++)
        if (e[i]) add_need(c, e[i], batch, &n);
    return (CudaNeed){n.work + more->work, n.in + more->in, n.out + more->out, n.scratch + more->scratch};
}

static size_t total(const CudaNet *c, const CudaNeed *n) {
    size_t sum = 0, parts[] = {n->work, CUDA_SLOTS * n->in, CUDA_SLOTS * n->out, n->scratch};
    for (size_t i = 0; i < 4; i++) sum = __builtin_add_overflow(sum, parts[i] > SIZE_MAX / 8 ? SIZE_MAX / 8 : parts[i], &sum) ? SIZE_MAX / 2 : sum;
    for (int i = 0; i < CUDA_BLOCKS; i++)
        if (c->block[i].host) sum += up(c->block[i].host->bytes);
    return sum;
}

/* Are all tensors small enough for the kernels' indices? `cx`: whose message it becomes. */
static csc_status countable(csc_context *cx, const CudaNet *c, const csc_entry *const e[2], int64_t batch) {
    csc_status s = CSC_OK;
    for (int i = 0; i < 2 && s == CSC_OK; i++)
        if (e[i]) s = program_check(cx, c->exec.p, cuda_entry(c, e[i]), batch);
    return s;
}

static bool fits_in(const CudaNet *c, const csc_entry *const e[2], int64_t batch, const CudaNeed *more, size_t available) {
    csc_context quiet = {0};
    const CudaNeed n = need_of(c, e, batch, more);
    return total(c, &n) <= available && countable(&quiet, c, e, batch) == CSC_OK;
}

static csc_status too_large(CudaNet *c, const csc_entry *const e[2], int64_t batch, const CudaNeed *more, size_t available) {
    csc_context *cx = c->n->cx, why = {0};
    int64_t fits = 0;
    CudaNeed n = need_of(c, e, batch, more);
    size_t bytes = total(c, &n);
    for (int64_t step = batch > 1 ? batch : 0; step > 0; step /= 2) /* the largest that does */
        while (fits + step < batch && fits_in(c, e, fits + step, more, available)) fits += step;
    char text[100] = "; no batch fits";
    if (fits) snprintf(text, sizeof text, "; a batch of %lld fits (--batch %lld)", (long long)fits, (long long)fits);
    else if (batch <= 1) *text = 0;
    csc_status s = countable(&why, c, e, batch);
    if (s != CSC_OK) return rt_fail(cx, s, "%s%s", why.text, text);
    return rt_fail(cx, CSC_NO_MEMORY, "out of memory on %s: a batch of %lld needs %.1f MB, %.1f MB are free%s", c->d->name, (long long)batch, (double)bytes / 1e6,
                   (double)available / 1e6, text);
}

csc_status cuda_reserve(CudaNet *c, const csc_entry *const e[2], int64_t batch, const CudaNeed *more) {
    const CuApi *u = &c->d->cu;
    csc_context *cx = c->n->cx;
    const CudaNeed need = need_of(c, e, batch, more);
    CudaNeed n = {larger(need.work, c->has.work), larger(need.in, c->has.in), larger(need.out, c->has.out), larger(need.scratch, c->has.scratch)};
    bool placed = c->arena != 0;
    for (int i = 0; i < CUDA_BLOCKS; i++) placed &= !c->block[i].host || c->block[i].at || !c->block[i].host->bytes;
    if (placed && !memcmp(&n, &c->has, sizeof n)) return CSC_OK;
    csc_status s = cuda_check(cx, u, u->stream_wait(c->exec.stream), "cuStreamSynchronize", c->d->name);
    for (int i = 0; i < CUDA_BLOCKS && s == CSC_OK; i++) s = cuda_to_host(c, (CudaWhich)i);
    if (s != CSC_OK) return s;
    if (c->arena) u->free(c->arena);
    c->arena = 0;
    c->has = (CudaNeed){0};
    for (int i = 0; i < CUDA_BLOCKS; i++) {
        c->block[i].at = 0;
        c->block[i].host_new = true;
    }
    cuda_train_forget(c); /* graphs hold addresses */
    size_t available = 0, all = 0, bytes = total(c, &n);
    s = cuda_check(cx, u, u->memory_info(&available, &all), "cuMemGetInfo", c->d->name);
    if (s != CSC_OK) return s;
    available -= cuda_spare(available);
    if (bytes > available) { /* what an earlier call needed may be too much for this one */
        n = need;
        bytes = total(c, &n);
    }
    csc_context quiet = {0};
    if (bytes > available || countable(&quiet, c, e, batch) != CSC_OK) return too_large(c, e, batch, more, available);
    if (u->alloc(&c->arena, bytes ? bytes : ALIGN) != 0) return c->arena = 0, too_large(c, e, batch, more, bytes - 1);
    c->has = n;
    c->bytes = bytes;
    if (bytes > c->most) c->most = bytes;
    CuPtr at = c->arena;
    for (int i = 0; i < CUDA_BLOCKS; i++) {
        if (!c->block[i].host) continue;
        c->block[i].at = at;
        at += up(c->block[i].host->bytes);
    }
    for (int i = 0; i < CUDA_SLOTS; i++) {
        c->in[i] = at;
        at += n.in;
        c->out[i] = at;
        at += n.out;
    }
    c->scratch = at;
    c->work = at + n.scratch;
    return CSC_OK;
}

void cuda_place(CudaNet *c, const PgEntry *e, int64_t batch, int slot, CudaMemory *m) {
    CuPtr at = c->in[slot];
    for (int64_t i = 0; i < e->nin + e->nout; i++) {
        if (i == e->nin) at = c->out[slot];
        (i < e->nin ? c->in_at : c->out_at)[i < e->nin ? i : i - e->nin] = at;
        at += up(4 * (size_t)pg_arg_floats(&e->arg[i], batch));
    }
    *m = (CudaMemory){.work = c->work, .param = c->block[CUDA_PARAM].at, .grad = c->block[CUDA_GRAD].at, .state = c->block[CUDA_STATE].at,
                      .state_out = c->block[CUDA_STATE].at, .tunable = c->block[CUDA_TUNABLE].at, .in = c->in_at, .out = c->out_at};
}

/* ---- calls ---- */
static csc_status copy_args(CudaNet *c, const PgEntry *e, const csc_call *call, bool in) {
    const CuApi *u = &c->d->cu;
    csc_status s = CSC_OK;
    for (int64_t i = 0; i < (in ? e->nin : e->nout) && s == CSC_OK; i++) {
        size_t bytes = 4 * (size_t)pg_arg_floats(&e->arg[in ? i : e->nin + i], call->batch);
        if (!bytes) continue;
        if (in) s = cuda_check(c->n->cx, u, u->to_device(c->in_at[i], call->in[i], bytes, c->exec.stream), "cuMemcpyHtoDAsync", "an input");
        else if (call->out[i]) s = cuda_check(c->n->cx, u, u->to_host(call->out[i], c->out_at[i], bytes, c->exec.stream), "cuMemcpyDtoHAsync", "an output");
    }
    return s;
}

csc_status cuda_call(csc_net *n, const csc_entry *e, csc_call *call) {
    CudaNet *c = n->cuda;
    const CuApi *u = &c->d->cu;
    const PgEntry *p = cuda_entry(c, e);
    const csc_entry *const both[2] = {e};
    const CudaNeed none = {0};
    CudaMemory m;
    csc_status s = cuda_check(n->cx, u, u->set_current(c->d->context), "cuCtxSetCurrent", c->d->name);
    if (s == CSC_OK) s = cuda_reserve(c, both, call->batch, &none);
    if (s == CSC_OK && n->tunables.bytes && memcmp(c->tunables, n->tunables.at, 4 * (size_t)n->model->tunable_count)) {
        memcpy(c->tunables, n->tunables.at, 4 * (size_t)n->model->tunable_count);
        c->block[CUDA_TUNABLE].host_new = true;
    }
    for (int i = 0; i < CUDA_BLOCKS && s == CSC_OK; i++) s = cuda_to_device(c, (CudaWhich)i);
    if (s != CSC_OK) return s;
    cuda_place(c, p, call->batch, 0, &m);
    CudaWhich to = call->state_out == (float *)n->states.at ? CUDA_STATE : CUDA_SPARE;
    m.state_out = c->block[to].at;
    PgCall pc = {c->exec.p, p, call->batch, call->seed, call->step, call->first_sample};
    s = copy_args(c, p, call, true);
    if (s == CSC_OK) s = cuda_exec_run(&c->exec, &pc, &m);
    if (s == CSC_OK) s = copy_args(c, p, call, false);
    if (s == CSC_OK) s = cuda_check(n->cx, u, u->stream_wait(c->exec.stream), "cuStreamSynchronize", e->name);
    c->block[to].device_new = c->block[CUDA_GRAD].device_new = true;
    return s;
}

/* ---- making ---- */
static csc_status images(csc_context *cx, csc_device *d, const csc_program *p, const csc_cuda_progress *progress, csc_kernel_text *source) {
    RtText looked = {0};
    char arch[ARCH_LEN];
    csc_status s = CSC_OK;
    if (!d->rtc.library && !cuda_open_rtc(&d->rtc, &looked)) s = rt_fail(cx, CSC_DEVICE, "NVRTC was not found; looked for: %s", looked.at ? looked.at : "");
    rt_text_free(&looked);
    for (int64_t i = 0; i < p->nkernels; i++) source[i] = (csc_kernel_text){.name = p->kernel[i].name, .label = p->kernel[i].label, .text = p->kernel[i].source.at, .len = p->kernel[i].source.len};
    if (s == CSC_OK) s = cuda_arch(cx, &d->rtc, d->major, d->minor, arch);
    if (s == CSC_OK) s = cuda_compile(cx, &d->rtc, arch, source, (int)p->nkernels, progress);
    return s;
}

csc_status csc_net_use_device(csc_net *n, csc_device *d, const csc_program *p, const csc_cuda_progress *progress) {
    if (n->model != &p->model || n->cuda) return rt_fail(n->cx, CSC_BAD_ARGUMENT, "the net was not made of this program, or is on a device already");
    csc_kernel_text *source = calloc((size_t)p->nkernels + 1, sizeof *source);
    CudaImageOf *image = calloc((size_t)p->nkernels + 1, sizeof *image);
    CudaNet *c = calloc(1, sizeof *c);
    int64_t most = 0;
    for (int64_t i = 0; i < p->nentries; i++) most = p->entry[i].nin + p->entry[i].nout > most ? p->entry[i].nin + p->entry[i].nout : most;
    csc_status s = source && image && c ? CSC_OK : rt_no_memory(n->cx, (size_t)p->nkernels * sizeof *source);
    if (s == CSC_OK) s = images(n->cx, d, p, progress, source);
    for (int64_t i = 0; s == CSC_OK && i < p->nkernels; i++) image[i].bytes = source[i].image;
    if (s == CSC_OK) {
        c->in_at = calloc((size_t)most + 1, sizeof *c->in_at);
        c->out_at = calloc((size_t)most + 1, sizeof *c->out_at);
        c->tunables = calloc(n->model->tunable_count + 1, sizeof *c->tunables);
        if (!c->in_at || !c->out_at || !c->tunables) s = rt_no_memory(n->cx, (size_t)most * 16);
    }
    if (s == CSC_OK) s = cuda_exec_new(&c->exec, n->cx, d, p, image);
    if (s == CSC_OK) {
        c->n = n;
        c->d = d;
        RtBlock *const host[] = {&n->params, &n->grads, &n->states, &n->spare_states, &n->tunables};
        for (int i = 0; i < 5; i++) c->block[i] = (CudaBlock){.host = host[i], .host_new = true};
        n->cuda = c;
        c = NULL;
    }
    for (int64_t i = 0; source && i < p->nkernels; i++) free(source[i].image);
    if (c) {
        free(c->in_at);
        free(c->out_at);
        free(c->tunables);
    }
    free(c);
    free(source);
    free(image);
    return s;
}

void cuda_net_free(CudaNet *c) {
    if (!c) return;
    c->d->cu.stream_wait(c->exec.stream);
    cuda_train_free(c);
    if (c->arena) c->d->cu.free(c->arena);
    cuda_exec_free(&c->exec);
    free(c->in_at);
    free(c->out_at);
    free(c->tunables);
    free(c);
}

size_t csc_net_device_bytes(const csc_net *n) {
    return n->cuda ? n->cuda->most : 0;
}
