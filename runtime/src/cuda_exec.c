/* Loads kernels, launches them as the statements of an entry say. */
#include "cuda_exec.h"
#include <stdlib.h>
#include <string.h>

enum { SHARED_WITHOUT_ASKING = 48 << 10 };

csc_status cuda_module(csc_context *cx, csc_device *d, const void *image, const char *name, const char *label, int64_t shared, CuModule *m, CuFunction *f) {
    const CuApi *c = &d->cu;
    csc_status s = CSC_OK;
    if (shared > d->most_shared)
        return rt_fail(cx, CSC_DEVICE, "kernel %s needs %lld bytes of shared memory, %s has %d for a block", label, (long long)shared, d->name, d->most_shared);
    s = cuda_check(cx, c, c->module_load(m, image), "cuModuleLoadData", label);
    if (s == CSC_OK) s = cuda_check(cx, c, c->function(f, *m, name), "cuModuleGetFunction", label);
    if (s == CSC_OK && shared > SHARED_WITHOUT_ASKING) s = cuda_check(cx, c, c->function_set(*f, CU_FUNCTION_SHARED, (int)shared), "cuFuncSetAttribute", label);
    return s;
}

static csc_status tables(CudaExec *x) {
    const CuApi *c = &x->d->cu;
    size_t bytes = (size_t)x->p->table_entries * 4;
    csc_status s = bytes ? cuda_check(x->cx, c, c->alloc(&x->tables, bytes), "cuMemAlloc", "tables") : CSC_OK;
    for (int64_t i = 0; i < x->p->ntables && s == CSC_OK; i++) {
        const PgTable *t = &x->p->table[i];
        if (t->len) s = cuda_check(x->cx, c, c->to_device(x->tables + 4 * (CuPtr)t->offset, t->at, 4 * (size_t)t->len, x->stream), "cuMemcpyHtoDAsync", "tables");
    }
    return s == CSC_OK ? cuda_check(x->cx, c, c->stream_wait(x->stream), "cuStreamSynchronize", "tables") : s;
}

csc_status cuda_exec_new(CudaExec *x, csc_context *cx, csc_device *d, const csc_program *p, const CudaImageOf *image) {
    const CuApi *c = &d->cu;
    *x = (CudaExec){.cx = cx, .d = d, .p = p};
    x->module = calloc((size_t)p->nkernels + 1, sizeof *x->module);
    x->function = calloc((size_t)p->nkernels + 1, sizeof *x->function);
    x->args = calloc(p->most_args + 3, sizeof *x->args);
    csc_status s = x->module && x->function && x->args ? CSC_OK : rt_no_memory(cx, p->most_args * 8);
    void *read = NULL;
    if (s == CSC_OK) s = cuda_check(cx, c, c->stream_new(&x->stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->host_alloc(&read, 64, 0), "cuMemHostAlloc", d->name);
    x->read = read;
    for (int64_t i = 0; i < p->nkernels && s == CSC_OK; i++)
        s = cuda_module(cx, d, image[i].bytes, p->kernel[i].name, p->kernel[i].label, p->kernel[i].shared, &x->module[i], &x->function[i]);
    if (s == CSC_OK) s = tables(x);
    if (s != CSC_OK) cuda_exec_free(x);
    return s;
}

void cuda_exec_free(CudaExec *x) {
    if (!x->d) return;
    const CuApi *c = &x->d->cu;
    if (x->stream) c->stream_wait(x->stream);
    for (int64_t i = 0; x->module && i < x->p->nkernels; i++)
        if (x->module[i]) c->module_unload(x->module[i]);
    if (x->tables) c->free(x->tables);
    if (x->read) c->host_free(x->read);
    if (x->stream) c->stream_free(x->stream);
    free(x->module);
    free(x->function);
    free(x->args);
    *x = (CudaExec){0};
}

csc_status cuda_launch(csc_context *cx, const csc_device *d, CuFunction f, const char *name, int64_t grid, int64_t threads, int64_t shared, CuStream s, int64_t *args,
                       size_t nargs) {
    size_t bytes = nargs * sizeof *args; /* every parameter has 8 bytes */
    void *extra[] = {CU_LAUNCH_POINTER, args, CU_LAUNCH_SIZE, &bytes, CU_LAUNCH_END};
    return cuda_check(cx, &d->cu, d->cu.launch(f, (unsigned)grid, 1, 1, (unsigned)threads, 1, 1, (unsigned)shared, s, NULL, extra), "cuLaunchKernel", name);
}

typedef struct Sink {
    CudaExec *x;
    const CudaMemory *m;
} Sink;

static CuPtr address(const Sink *s, PgAt at) {
    CuPtr base = 0;
    const CudaMemory *m = s->m;
    switch ((enum csc_space)at.space) {
    case CSC_AT_FIXED:
    case CSC_AT_BATCH: base = m->work; break;
    case CSC_AT_IN: base = m->in[at.which]; break;
    case CSC_AT_OUT: base = m->out[at.which]; break;
    case CSC_AT_PARAM: base = m->param; break;
    case CSC_AT_GRAD: base = m->grad; break;
    case CSC_AT_STATE: base = m->state; break;
    case CSC_AT_STATE_OUT: base = m->state_out; break;
    case CSC_AT_TUNABLE: base = m->tunable; break;
    case CSC_AT_TABLE:
    case CSC_AT_FTABLE: base = s->x->tables; break;
    case CSC_AT_KINDS: break;
    }
    return base + 4 * (CuPtr)at.offset;
}

static csc_status launch(void *user, const PgLaunch *l) {
    const Sink *s = user;
    CudaExec *x = s->x;
    const PgKernel *k = l->kernel;
    size_t n = 0;
    x->args[n++] = l->grid;
    x->args[n++] = l->batch;
    for (int64_t i = 0; i < k->nptrs; i++) x->args[n++] = (int64_t)address(s, l->ptr[i]);
    for (int64_t i = 0; i < k->nints; i++) x->args[n++] = l->integer[i];
    x->launches++;
    return cuda_launch(x->cx, x->d, x->function[k - x->p->kernel], k->label, l->grid, k->threads, k->shared, x->stream, x->args, n);
}

static csc_status read_float(void *user, PgAt at, float *value) {
    const Sink *s = user;
    CudaExec *x = s->x;
    const CuApi *c = &x->d->cu;
    csc_status st = cuda_check(x->cx, c, c->to_host(x->read, address(s, at), 4, x->stream), "cuMemcpyDtoHAsync", "the end of a loop");
    if (st == CSC_OK) st = cuda_check(x->cx, c, c->stream_wait(x->stream), "cuStreamSynchronize", "the end of a loop");
    *value = *x->read;
    return st;
}

csc_status cuda_exec_run(CudaExec *x, const PgCall *c, const CudaMemory *m) {
    Sink s = {x, m};
    const PgSink sink = {&s, launch, read_float};
    x->launches = 0;
    return program_run(x->cx, c, &sink);
}
