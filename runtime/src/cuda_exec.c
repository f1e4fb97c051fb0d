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
    CudaGraph *g; /* an update: of this graph */
    size_t node, piece; /* that come next in it */
    bool same;
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

static size_t put_args(const Sink *s, const PgLaunch *l) {
    int64_t *args = s->x->args;
    size_t n = 0;
    args[n++] = l->grid;
    args[n++] = l->batch;
    for (int64_t i = 0; i < l->kernel->nptrs; i++) args[n++] = (int64_t)address(s, l->ptr[i]);
    for (int64_t i = 0; i < l->kernel->nints; i++) args[n++] = l->integer[i];
    return n;
}

/* Room for `more` after the n that there are. */
static csc_status grow(CudaExec *x, void *list, size_t *room, size_t n, size_t more, size_t size) {
    void *old, *bigger;
    if (n + more <= *room) return CSC_OK;
    memcpy(&old, list, sizeof old);
    bigger = realloc(old, (2 * n + more + 8) * size);
    if (!bigger) return rt_no_memory(x->cx, (2 * n + more + 8) * size);
    memcpy(list, &bigger, sizeof bigger);
    *room = 2 * n + more + 8;
    return CSC_OK;
}

/* The launch that was captured just now: what the stream's next one would wait for. */
static csc_status keep_node(CudaExec *x, const PgKernel *k, size_t nargs) {
    const CuApi *c = &x->d->cu;
    CudaGraph *g = x->into;
    const CuGraphNode *last = NULL;
    int status = 0;
    size_t n = 0;
    csc_status s = cuda_check(x->cx, c, c->capture_info(x->stream, &status, NULL, NULL, &last, &n), "cuStreamGetCaptureInfo", k->label);
    if (s == CSC_OK && (status != CU_CAPTURE_ACTIVE || n != 1)) s = rt_fail(x->cx, CSC_DEVICE, "%s: cuStreamGetCaptureInfo tells of %zu launches, not of one", k->label, n);
    if (s == CSC_OK) s = grow(x, &g->node, &g->room[1], g->nnodes, 1, sizeof *g->node);
    if (s == CSC_OK) s = grow(x, &g->args, &g->room[2], g->nargs, nargs, sizeof *g->args);
    if (s != CSC_OK) return s;
    g->node[g->nnodes++] = (CudaNode){*last, k, (int)g->npieces, g->nargs};
    memcpy(g->args + g->nargs, x->args, nargs * sizeof *x->args);
    g->nargs += nargs;
    return CSC_OK;
}

static csc_status launch(void *user, const PgLaunch *l) {
    const Sink *s = user;
    CudaExec *x = s->x;
    const PgKernel *k = l->kernel;
    size_t n = put_args(s, l);
    x->launches++;
    csc_status st = cuda_launch(x->cx, x->d, x->function[k - x->p->kernel], k->label, l->grid, k->threads, k->shared, x->stream, x->args, n);
    return st == CSC_OK && x->into && x->into->changes ? keep_node(x, k, n) : st;
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
    if (s == CSC_OK) s = grow(x, &g->piece, &g->room[0], g->npieces, 1, sizeof *g->piece);
    if (s == CSC_OK) s = cuda_check(x->cx, c, c->graph_ready(&p.exec, graph, 0), "cuGraphInstantiate", "a step");
    if (s == CSC_OK && g->changes) p.graph = graph; /* whose nodes name those of exec */
    else if (graph) c->graph_free(graph);
    if (s == CSC_OK) g->piece[g->npieces++] = p;
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
    for (size_t i = 0; i < g->npieces; i++)
        if (g->piece[i].flag && g->piece[i].depth == depth && g->piece[i].leave < 0) g->piece[i].leave = (int)g->npieces;
    return st == CSC_OK ? capture(x) : st;
}

csc_status cuda_exec_run(CudaExec *x, const PgCall *c, const CudaMemory *m) {
    Sink s = {.x = x, .m = m};
    x->launches = 0;
    const PgSink sink = {&s, launch, ended, left};
    return program_run(x->cx, c, &sink);
}

/* ---- graphs ---- */
bool cuda_graphs_wanted(void) {
    const char *graphs = getenv("CSC_GRAPHS");
    return !(graphs && !strcmp(graphs, "off"));
}

csc_status cuda_graph_begin(CudaExec *x, CudaGraph *g, const PgEntry *e) {
    *g = (CudaGraph){.changes = e->numbers};
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

/* As launch: the next one of the graph, made again where it is not what it was. */
static csc_status launch_again(void *user, const PgLaunch *l) {
    Sink *s = user;
    CudaExec *x = s->x;
    const PgKernel *k = l->kernel;
    const CudaNode *node = s->node < s->g->nnodes ? &s->g->node[s->node] : NULL;
    if (!node || node->kernel != k) s->same = false;
    if (!s->same) return CSC_OK;
    size_t n = put_args(s, l), bytes = n * sizeof *x->args;
    int64_t *args = s->g->args + node->args;
    s->node++;
    if (!memcmp(args, x->args, bytes)) return CSC_OK;
    void *extra[] = {CU_LAUNCH_POINTER, x->args, CU_LAUNCH_SIZE, &bytes, CU_LAUNCH_END};
    const CuLaunch with = {.f = x->function[k - x->p->kernel], .gx = (unsigned)l->grid, .gy = 1, .gz = 1, .bx = (unsigned)k->threads, .by = 1, .bz = 1, .shared = (unsigned)k->shared, .extra = extra};
    const CuApi *c = &x->d->cu;
    csc_status st = cuda_check(x->cx, c, c->graph_set(s->g->piece[node->piece].exec, node->node, &with), "cuGraphExecKernelNodeSetParams", k->label);
    if (st == CSC_OK) memcpy(args, x->args, bytes);
    return st;
}

static csc_status asked_again(void *user, PgAt flag, int depth, int64_t asked, bool *leave) {
    Sink *s = user;
    const CudaGraph *g = s->g;
    *leave = false;
    if (depth >= CUDA_DEPTHS) return CSC_OK;
    while (s->piece < g->npieces && !g->piece[s->piece].flag) s->piece++;
    const CudaPiece *p = s->piece < g->npieces ? &g->piece[s->piece++] : NULL;
    s->same &= p && p->flag == address(s, flag) && p->depth == depth && p->asked == asked;
    return CSC_OK;
}

csc_status cuda_graph_update(CudaExec *x, CudaGraph *g, const PgCall *c, const CudaMemory *m, bool *same) {
    Sink s = {.x = x, .m = m, .g = g, .same = true};
    const PgSink sink = {&s, launch_again, asked_again, NULL};
    csc_status st = g->changes ? program_run(x->cx, c, &sink) : CSC_OK;
    *same = !g->changes || (s.same && s.node == g->nnodes);
    return st;
}

csc_status cuda_graph_run(CudaExec *x, const CudaGraph *g) {
    const CuApi *c = &x->d->cu;
    csc_status s = CSC_OK;
    for (size_t i = 0; i < g->npieces && s == CSC_OK;) {
        const CudaPiece *p = &g->piece[i++];
        bool leave = false;
        s = cuda_check(x->cx, c, c->graph_launch(p->exec, x->stream), "cuGraphLaunch", "a step");
        if (s == CSC_OK && p->flag) s = ask(x, p->flag, p->depth, p->asked, &leave);
        if (leave) i = (size_t)p->leave;
    }
    return s;
}

void cuda_graph_free(CudaExec *x, CudaGraph *g) {
    for (size_t i = 0; i < g->npieces; i++) {
        x->d->cu.graph_exec_free(g->piece[i].exec);
        if (g->piece[i].graph) x->d->cu.graph_free(g->piece[i].graph);
    }
    free(g->piece);
    free(g->node);
    free(g->args);
    *g = (CudaGraph){0};
}
