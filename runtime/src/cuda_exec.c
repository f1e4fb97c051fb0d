/* Loads kernels, launches them as the statements of an entry say, or makes graphs of that. */
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
    void *flag = NULL;
    if (s == CSC_OK) s = cuda_check(cx, c, c->stream_new(&x->stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->host_alloc(&flag, 2 * CUDA_DEPTHS * sizeof *x->flag, 0), "cuMemHostAlloc", d->name);
    x->flag = flag;
    for (int i = 0; i < 2 * CUDA_DEPTHS && s == CSC_OK; i++) s = cuda_check(cx, c, c->event_new(&x->known[i], CU_EVENT_NO_TIMING), "cuEventCreate", d->name);
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
    if (x->flag) c->host_free(x->flag);
    for (int i = 0; i < 2 * CUDA_DEPTHS; i++)
        if (x->known[i]) c->event_free(x->known[i]);
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

/* ---- loops that the device ends ---- */
static csc_status ask(CudaExec *x, CuPtr flag, int depth, int64_t asked, bool *leave) {
    const CuApi *c = &x->d->cu;
    int64_t now = 2 * depth + asked % 2, before = 2 * depth + (asked + 1) % 2;
    csc_status s = cuda_check(x->cx, c, c->to_host(&x->flag[now], flag, 4, x->stream), "cuMemcpyDtoHAsync", "the end of a loop");
    if (s == CSC_OK) s = cuda_check(x->cx, c, c->event_record(x->known[now], x->stream), "cuEventRecord", "the end of a loop");
    if (s == CSC_OK && asked) s = cuda_check(x->cx, c, c->event_wait(x->known[before]), "cuEventSynchronize", "the end of a loop");
    *leave = s == CSC_OK && asked && x->flag[before] != 0;
    return s;
}

static csc_status capture(CudaExec *x) {
    const CuApi *c = &x->d->cu;
    return cuda_check(x->cx, c, c->capture_begin(x->stream, CU_CAPTURE_THREAD), "cuStreamBeginCapture", "a step");
}

/* What was captured becomes a piece; nothing is being captured afterwards. */
static csc_status cut(CudaExec *x, CudaPiece p, csc_status s) {
    const CuApi *c = &x->d->cu;
    CudaGraph *g = x->into;
    CuGraph graph = NULL;
    CuResult ended = c->capture_end(x->stream, &graph); /* also after an error */
    if (s == CSC_OK) s = cuda_check(x->cx, c, ended, "cuStreamEndCapture", "a step");
    if (s == CSC_OK && g->n == g->room) {
        CudaPiece *more = realloc(g->piece, (size_t)(2 * g->room + 8) * sizeof *more);
        if (!more) s = rt_no_memory(x->cx, (size_t)g->room * sizeof *more);
        else g->piece = more, g->room = 2 * g->room + 8;
    }
    if (s == CSC_OK) s = cuda_check(x->cx, c, c->graph_ready(&p.exec, graph, 0), "cuGraphInstantiate", "a step");
    if (graph) c->graph_free(graph);
    if (s == CSC_OK) g->piece[g->n++] = p;
    return s;
}

static csc_status ended(void *user, PgAt flag, int depth, int64_t asked, bool *leave) {
    const Sink *s = user;
    CudaExec *x = s->x;
    *leave = false;
    if (depth >= CUDA_DEPTHS) return CSC_OK;
    if (!x->into) return ask(x, address(s, flag), depth, asked, leave);
    csc_status st = cut(x, (CudaPiece){.flag = address(s, flag), .depth = depth, .asked = asked, .leave = -1}, CSC_OK);
    return st == CSC_OK ? capture(x) : st;
}

static csc_status left(void *user, int depth) {
    const Sink *s = user;
    CudaExec *x = s->x;
    CudaGraph *g = x->into;
    if (!g || depth >= CUDA_DEPTHS) return CSC_OK;
    csc_status st = cut(x, (CudaPiece){.leave = -1}, CSC_OK);
    for (int i = 0; i < g->n; i++)
        if (g->piece[i].flag && g->piece[i].depth == depth && g->piece[i].leave < 0) g->piece[i].leave = g->n;
    return st == CSC_OK ? capture(x) : st;
}

csc_status cuda_exec_run(CudaExec *x, const PgCall *c, const CudaMemory *m) {
    Sink s = {x, m};
    x->launches = 0;
    const PgSink sink = {&s, launch, ended, left};
    return program_run(x->cx, c, &sink);
}

/* ---- graphs ---- */
csc_status cuda_graph_begin(CudaExec *x, CudaGraph *g) {
    *g = (CudaGraph){0};
    csc_status s = capture(x);
    if (s == CSC_OK) x->into = g;
    return s;
}

csc_status cuda_graph_end(CudaExec *x, csc_status s) {
    CudaGraph *g = x->into;
    s = cut(x, (CudaPiece){.leave = -1}, s);
    x->into = NULL;
    if (s != CSC_OK) cuda_graph_free(x, g);
    return s;
}

csc_status cuda_graph_run(CudaExec *x, const CudaGraph *g) {
    const CuApi *c = &x->d->cu;
    csc_status s = CSC_OK;
    for (int i = 0; i < g->n && s == CSC_OK;) {
        const CudaPiece *p = &g->piece[i++];
        bool leave = false;
        s = cuda_check(x->cx, c, c->graph_launch(p->exec, x->stream), "cuGraphLaunch", "a step");
        if (s == CSC_OK && p->flag) s = ask(x, p->flag, p->depth, p->asked, &leave);
        if (leave) i = p->leave;
    }
    return s;
}

void cuda_graph_free(CudaExec *x, CudaGraph *g) {
    for (int i = 0; i < g->n; i++) x->d->cu.graph_exec_free(g->piece[i].exec);
    free(g->piece);
    *g = (CudaGraph){0};
}
