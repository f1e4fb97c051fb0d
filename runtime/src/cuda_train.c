/* The queue of steps. A step's launches, its update and the copy of its results are captured once as a graph for each batch size and slot (cut
   where the device may have ended a loop); integers that change with the step are set in its nodes before each launch. */
#include "cuda_train.h"
#include "cuda_kernels.h"
#include "cuda_net.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 16, NUMBER_BYTES = 256, RECORD_BYTES = 256, GRAPHS = 16, T = 256, ALIGN = 256, MOST_CONSTRAINTS = CSC_SPARSE_L1 + 1 };
typedef enum Own { KEEP, CHECK, JUDGE, SGD, ADAM, UNIT_ATOMS, UNIT_COLUMNS, NONNEGATIVE, SHRINK, KEEP_LARGEST, ORTHOGONAL, OWN } Own;
static const char *const own_name[OWN] = {"csc_keep", "csc_check", "csc_judge", "csc_sgd", "csc_adam", "csc_unit_atoms", "csc_unit_columns", "csc_nonnegative", "csc_shrink",
                                          "csc_keep_largest", "csc_orthogonal"};

typedef struct Slice { /* these two as in optim.cu.h */
    int64_t param, at, n;
} Slice;
typedef struct Record {
    int32_t kind, param;
    double norm;
    float scale;
} Record;
typedef struct Graph {
    const csc_entry *entry;
    int64_t batch;
    int slot;
    bool update;
    CudaGraph graph;
} Graph;

typedef struct CudaTrain {
    RtOptim *optim;
    CuModule module;
    CuFunction own[OWN];
    CuStream copies;
    CuEvent copied[CUDA_SLOTS], done[CUDA_SLOTS];
    char *in[CUDA_SLOTS], *out[CUDA_SLOTS]; /* pinned */
    size_t in_bytes, out_bytes;
    size_t record_at[CUDA_SLOTS];
    bool updated[CUDA_SLOTS];
    int begun, ended;                       /* slots, counted on */
    CuPtr numbers, slices, bad, squares, room; /* numbers: `stopped` after the 16; room: for `orthogonal` */
    Graph graph[GRAPHS];
    int ngraphs;
    bool opened;
} CudaTrain;

static size_t up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }
static csc_status check(csc_net *n, CuResult r, const char *call) { return cuda_check(n->cx, &n->cuda->d->cu, r, call, "a step"); }

void cuda_train_forget(CudaNet *c) {
    CudaTrain *t = c->train;
    for (int i = 0; t && i < t->ngraphs; i++) cuda_graph_free(&c->exec, &t->graph[i].graph);
    if (t) t->ngraphs = 0;
}

void cuda_train_free(CudaNet *c) {
    CudaTrain *t = c->train;
    const CuApi *u = &c->d->cu;
    if (!t) return;
    cuda_train_forget(c);
    for (int i = 0; i < CUDA_SLOTS; i++) {
        if (t->copied[i]) u->event_free(t->copied[i]);
        if (t->done[i]) u->event_free(t->done[i]);
        if (t->in[i]) u->host_free(t->in[i]);
        if (t->out[i]) u->host_free(t->out[i]);
    }
    if (t->copies) u->stream_free(t->copies);
    if (t->module) u->module_unload(t->module);
    free(t);
    c->train = NULL;
}

/* ---- opening ---- */
static csc_status load(csc_net *n) {
    CudaNet *c = n->cuda;
    CudaTrain *t = calloc(1, sizeof *t);
    const CuApi *u = &c->d->cu;
    csc_kernel_text source = {.name = "csc_optim", .text = csc_cuda_optim, .len = strlen(csc_cuda_optim)};
    char arch[ARCH_LEN];
    if (!t) return rt_no_memory(n->cx, sizeof *t);
    c->train = t;
    csc_status s = cuda_arch(n->cx, &c->d->rtc, c->d->major, c->d->minor, arch);
    if (s == CSC_OK) s = cuda_compile(n->cx, &c->d->rtc, arch, &source, 1, NULL);
    if (s == CSC_OK) s = check(n, u->module_load(&t->module, source.image), "cuModuleLoadData");
    for (int i = 0; i < OWN && s == CSC_OK; i++) s = check(n, u->function(&t->own[i], t->module, own_name[i]), "cuModuleGetFunction");
    if (s == CSC_OK) s = check(n, u->stream_new(&t->copies, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    for (int i = 0; i < CUDA_SLOTS && s == CSC_OK; i++) {
        s = check(n, u->event_new(&t->copied[i], CU_EVENT_NO_TIMING), "cuEventCreate");
        if (s == CSC_OK) s = check(n, u->event_new(&t->done[i], CU_EVENT_NO_TIMING), "cuEventCreate");
    }
    free(source.image);
    return s;
}

static void shape(const csc_tensor_info *t, int64_t *turns, int64_t *rows, int64_t *rest) {
    *turns = t->turns > 0 ? t->turns : 1;
    *rows = t->rank > 0 ? t->dim[0] : 1;
    *rest = t->rank > 1 ? rt_product(t->rank - 1, t->dim + 1) : 1;
}

static size_t room_of(const RtOptim *p) { /* project.c checked these products */
    size_t most = 0;
    for (int i = 0; p && i < p->nparams; i++) {
        const csc_tensor_info *t = &p->net->info->params[p->param[i]];
        int64_t turns, rows, rest;
        shape(t, &turns, &rows, &rest);
        int64_t wide = rows < rest ? rows : rest;
        size_t need = (size_t)turns * (size_t)(2 * rows * rest + wide * wide) * 8;
        for (int k = 0; k < t->nconstraints; k++)
            if (t->constraints[k].kind == CSC_ORTHOGONAL && need > most) most = need;
    }
    return most;
}

static csc_status pinned(csc_net *n, char **at, size_t *have, size_t bytes) {
    const CuApi *u = &n->cuda->d->cu;
    if (bytes <= *have) return CSC_OK;
    for (int i = 0; i < CUDA_SLOTS; i++) {
        if (at[i]) u->host_free(at[i]);
        at[i] = NULL;
    }
    *have = 0;
    for (int i = 0; i < CUDA_SLOTS; i++) {
        void *p = NULL;
        csc_status s = check(n, u->host_alloc(&p, bytes, 0), "cuMemHostAlloc");
        if (s != CSC_OK) return s;
        at[i] = p;
    }
    *have = bytes;
    return CSC_OK;
}

static csc_status put_slices(csc_net *n, const RtOptim *p) {
    CudaTrain *t = n->cuda->train;
    const CuApi *u = &n->cuda->d->cu;
    CuStream s = n->cuda->exec.stream;
    Slice *list = calloc((size_t)p->nslices + 1, sizeof *list);
    if (!list) return rt_no_memory(n->cx, (size_t)p->nslices * sizeof *list);
    for (int64_t i = 0; i < p->nslices; i++) list[i] = (Slice){p->slice[i].param, p->slice[i].at, p->slice[i].n};
    csc_status st = check(n, u->clear(t->numbers, 0, NUMBER_BYTES, s), "cuMemsetD8Async");
    if (st == CSC_OK && p->nslices) st = check(n, u->to_device(t->slices, list, (size_t)p->nslices * sizeof *list, s), "cuMemcpyHtoDAsync");
    if (st == CSC_OK) st = check(n, u->stream_wait(s), "cuStreamSynchronize");
    free(list);
    return st;
}

csc_status cuda_train_open(csc_net *n, RtOptim *p, const csc_entry *step, const csc_entry *eval, int64_t batch) {
    CudaNet *c = n->cuda;
    csc_status s = check(n, c->d->cu.set_current(c->d->context), "cuCtxSetCurrent");
    if (s == CSC_OK && !c->train) s = load(n);
    if (s != CSC_OK) return s;
    CudaTrain *t = c->train;
    size_t slices = p ? (size_t)p->nslices : 0, of_slices = up(slices * (sizeof(Slice) + 4)), room = room_of(p);
    const CudaNeed more = {.in = NUMBER_BYTES, .out = RECORD_BYTES, .scratch = NUMBER_BYTES + of_slices + up(slices * 8) + up(room)};
    const csc_entry *const both[2] = {step ? step : eval, step ? eval : NULL};
    if (p) {
        c->block[CUDA_M] = (CudaBlock){.host = &p->m, .host_new = true};
        if (optim_slots(p->o.kind) > 1) c->block[CUDA_V] = (CudaBlock){.host = &p->v, .host_new = true};
    }
    s = cuda_reserve(c, both, batch, &more);
    if (s == CSC_OK) s = pinned(n, t->in, &t->in_bytes, c->has.in);
    if (s == CSC_OK) s = pinned(n, t->out, &t->out_bytes, c->has.out);
    t->optim = p;
    t->begun = t->ended = 0;
    t->opened = true;
    t->numbers = c->scratch;
    t->slices = t->numbers + NUMBER_BYTES;
    t->bad = t->slices + slices * sizeof(Slice);
    t->squares = t->slices + of_slices;
    t->room = t->squares + up(slices * 8);
    if (s == CSC_OK && p) s = put_slices(n, p);
    if (s != CSC_OK) cuda_train_close(n);
    return s;
}

void cuda_train_close(csc_net *n) {
    CudaNet *c = n->cuda;
    if (!c || !c->train || !c->train->opened) return;
    c->d->cu.stream_wait(c->exec.stream);
    cuda_train_forget(c);
    c->block[CUDA_M] = c->block[CUDA_V] = (CudaBlock){0};
    c->train->optim = NULL;
    c->train->opened = false;
}

/* ---- one step ---- */
static csc_status own(csc_net *n, Own k, int64_t grid, const CuPtr p[6], int64_t i0, int64_t i1, int64_t i2) {
    CudaTrain *t = n->cuda->train;
    int64_t args[12] = {grid, 0};
    if (grid <= 0) return CSC_OK;
    for (int i = 0; i < 6; i++) args[2 + i] = (int64_t)p[i];
    args[8] = i0;
    args[9] = i1;
    args[10] = i2;
    return cuda_launch(n->cx, n->cuda->d, t->own[k], own_name[k], grid, T, 0, n->cuda->exec.stream, args, 12);
}

static int64_t kept(double value, int64_t rest) { /* as project.c */
    double k = value >= 1 ? floor(value) : ceil(value * (double)rest);
    return k >= (double)rest ? rest : k < 0 ? 0 : (int64_t)k;
}

static csc_status constrain(csc_net *n, const csc_tensor_info *t) {
    CudaTrain *r = n->cuda->train;
    int64_t turns, rows, rest;
    shape(t, &turns, &rows, &rest);
    csc_status s = CSC_OK;
    for (int k = 0; k < t->nconstraints && s == CSC_OK; k++) {
        CuPtr p[6] = {n->cuda->block[CUDA_PARAM].at + 4 * (CuPtr)t->offset, r->numbers, r->room};
        int64_t all = turns * rows * rest, bits;
        memcpy(&bits, &t->constraints[k].value, 8);
        switch (t->constraints[k].kind) {
        case CSC_UNIT_ATOMS: s = own(n, UNIT_ATOMS, turns * rows, p, rows, rest, 0); break;
        case CSC_UNIT_COLUMNS: s = own(n, UNIT_COLUMNS, turns * ((rest + T - 1) / T), p, rows, rest, 0); break;
        case CSC_NONNEGATIVE: s = own(n, NONNEGATIVE, (all + T - 1) / T, p, all, 0, 0); break;
        case CSC_ORTHOGONAL: s = own(n, ORTHOGONAL, turns, p, rows, rest, 0); break;
        case CSC_SPARSE_L0: s = own(n, KEEP_LARGEST, turns * rows, p, rows, rest, kept(t->constraints[k].value, rest)); break;
        case CSC_SPARSE_L1: s = own(n, SHRINK, (all + T - 1) / T, p, all, 0, bits); break;
        }
    }
    return s;
}

static csc_status update(csc_net *n, CuPtr loss, CuPtr record) {
    CudaNet *c = n->cuda;
    CudaTrain *t = c->train;
    RtOptim *o = t->optim;
    CuPtr w = c->block[CUDA_PARAM].at, g = c->block[CUDA_GRAD].at;
    csc_status s = own(n, CHECK, o->nslices, (CuPtr[6]){g, t->slices, t->squares, t->bad}, o->o.clip > 0, 0, 0);
    if (s == CSC_OK) s = own(n, JUDGE, 1, (CuPtr[6]){record, t->slices, t->squares, t->bad, loss, t->numbers}, o->nslices, 0, 0);
    if (s == CSC_OK) s = own(n, o->o.kind == CSC_SGD ? SGD : ADAM, o->nslices, (CuPtr[6]){w, g, c->block[CUDA_M].at, c->block[CUDA_V].at, t->slices, t->numbers}, o->nslices, (int64_t)record, 0);
    if (s == CSC_OK) s = own(n, JUDGE, 1, (CuPtr[6]){record, t->slices, t->squares, t->bad, loss, t->numbers}, o->nslices, 1, 0);
    for (int i = 0; i < o->nparams && s == CSC_OK; i++) s = constrain(n, &n->info->params[o->param[i]]);
    return s;
}

/* The entry's call in this slot, and its memory. */
static PgCall placed(csc_net *n, const Graph *w, const CudaNumbers *numbers, CudaMemory *m) {
    CudaNet *c = n->cuda;
    const PgEntry *p = cuda_entry(c, w->entry);
    cuda_place(c, p, w->batch, w->slot, m);
    if (!w->update) m->state_out = c->block[CUDA_SPARE].at;
    return (PgCall){c->exec.p, p, w->batch, numbers->seed, numbers->step, numbers->first_sample};
}

/* Everything after the inputs are there. */
static csc_status enqueue(csc_net *n, const Graph *w, const CudaNumbers *numbers, size_t in_bytes, size_t out_bytes) {
    CudaNet *c = n->cuda;
    CudaTrain *t = c->train;
    const CuApi *u = &c->d->cu;
    CudaMemory m;
    CuPtr record = c->out[w->slot] + out_bytes - RECORD_BYTES;
    const PgCall call = placed(n, w, numbers, &m);
    csc_status s = check(n, u->on_device(t->numbers, c->in[w->slot] + in_bytes - NUMBER_BYTES, NUMBERS * 8, c->exec.stream), "cuMemcpyDtoDAsync");
    int64_t states = (int64_t)n->model->state_floats;
    if (s == CSC_OK && w->update) s = own(n, KEEP, (states + T - 1) / T, (CuPtr[6]){c->block[CUDA_SPARE].at, c->block[CUDA_STATE].at, t->numbers + NUMBERS * 8}, states, 0, 0);
    if (s == CSC_OK) s = cuda_exec_run(&c->exec, &call, &m);
    if (s == CSC_OK && w->update) s = update(n, m.out[0], record);
    if (s == CSC_OK) s = check(n, u->to_host(t->out[w->slot], c->out[w->slot], out_bytes, c->exec.stream), "cuMemcpyDtoHAsync");
    return s;
}

static Graph *known(CudaTrain *t, const Graph *w) {
    for (int i = 0; i < t->ngraphs; i++) {
        Graph *g = &t->graph[i];
        if (g->entry == w->entry && g->batch == w->batch && g->slot == w->slot && g->update == w->update) return g;
    }
    return NULL;
}

static csc_status launch(csc_net *n, const Graph *w, const CudaNumbers *numbers, size_t in_bytes, size_t out_bytes) {
    CudaNet *c = n->cuda;
    CudaTrain *t = c->train;
    Graph *g = known(t, w);
    if (g) { /* the step before the last ran it, and is over */
        CudaMemory m;
        const PgCall call = placed(n, w, numbers, &m);
        bool same;
        csc_status s = cuda_graph_update(&c->exec, &g->graph, &call, &m, &same);
        if (s != CSC_OK) return s;
        if (same) return cuda_graph_run(&c->exec, &g->graph);
        cuda_graph_free(&c->exec, &g->graph);
        *g = t->graph[--t->ngraphs];
    }
    if (t->ngraphs == GRAPHS || !cuda_graphs_wanted()) return enqueue(n, w, numbers, in_bytes, out_bytes);
    g = &t->graph[t->ngraphs];
    *g = *w;
    csc_status s = cuda_graph_begin(&c->exec, &g->graph, cuda_entry(c, w->entry));
    if (s != CSC_OK) return s;
    s = cuda_graph_end(&c->exec, enqueue(n, w, numbers, in_bytes, out_bytes));
    if (s != CSC_OK) return s;
    t->ngraphs++;
    return cuda_graph_run(&c->exec, &g->graph);
}

static void put_numbers(RtOptim *p, double rate, double *to) {
    memset(to, 0, NUMBER_BYTES);
    if (!p) return;
    const csc_optimizer *o = &p->o;
    double t = (double)++p->step;
    bool w = o->kind == CSC_ADAMW;
    double v[] = {rate, w ? 0 : o->weight_decay, w ? 1 - rate * o->weight_decay : 1, o->momentum, o->beta1, o->beta2, 1 - o->beta1, 1 - o->beta2,
                  1 / sqrt(1 - pow(o->beta2, t)), rate / (1 - pow(o->beta1, t)), o->epsilon, o->nesterov, o->clip};
    memcpy(to, v, sizeof v);
}

csc_status cuda_begin(csc_net *n, const csc_entry *e, int64_t batch, float *const *in, const CudaNumbers *numbers, bool with_update) {
    CudaNet *c = n->cuda;
    CudaTrain *t = c->train;
    const CuApi *u = &c->d->cu;
    const PgEntry *p = cuda_entry(c, e);
    int slot = t->begun % CUDA_SLOTS;
    size_t at = 0, out_bytes = RECORD_BYTES;
    csc_status s = CSC_OK;
    if (n->tunables.bytes && memcmp(c->tunables, n->tunables.at, 4 * (size_t)n->model->tunable_count)) {
        memcpy(c->tunables, n->tunables.at, 4 * (size_t)n->model->tunable_count);
        c->block[CUDA_TUNABLE].host_new = true;
    }
    for (int i = 0; i < CUDA_BLOCKS && s == CSC_OK; i++) s = cuda_to_device(c, (CudaWhich)i);
    if (s != CSC_OK) return s;
    for (int64_t i = 0; i < p->nin; i++) {
        size_t bytes = 4 * (size_t)pg_arg_floats(&p->arg[i], batch);
        memcpy(t->in[slot] + at, in[i], bytes);
        at += up(bytes);
    }
    for (int64_t i = 0; i < p->nout; i++) out_bytes += up(4 * (size_t)pg_arg_floats(&p->arg[p->nin + i], batch));
    put_numbers(with_update ? t->optim : NULL, numbers->rate, (double *)(void *)(t->in[slot] + at));
    at += NUMBER_BYTES;
    t->record_at[slot] = out_bytes - RECORD_BYTES;
    t->updated[slot] = with_update;
    s = check(n, u->to_device(c->in[slot], t->in[slot], at, t->copies), "cuMemcpyHtoDAsync");
    if (s == CSC_OK) s = check(n, u->event_record(t->copied[slot], t->copies), "cuEventRecord");
    if (s == CSC_OK) s = check(n, u->stream_after(c->exec.stream, t->copied[slot], 0), "cuStreamWaitEvent");
    if (s == CSC_OK) s = launch(n, &(Graph){.entry = e, .batch = batch, .slot = slot, .update = with_update}, numbers, at, out_bytes);
    if (s == CSC_OK) s = check(n, u->event_record(t->done[slot], c->exec.stream), "cuEventRecord");
    if (s != CSC_OK) return s;
    t->begun++;
    c->block[CUDA_SPARE].device_new = true;
    static const CudaWhich changed[] = {CUDA_PARAM, CUDA_GRAD, CUDA_STATE, CUDA_M, CUDA_V};
    for (int i = 0; i < 5 && with_update; i++) c->block[changed[i]].device_new = true;
    return CSC_OK;
}

csc_status cuda_end(csc_net *n, CudaResult *r) {
    CudaTrain *t = n->cuda->train;
    int slot = t->ended % CUDA_SLOTS;
    csc_status s = check(n, n->cuda->d->cu.event_wait(t->done[slot]), "cuEventSynchronize");
    Record record;
    t->ended++;
    memcpy(&record, t->out[slot] + t->record_at[slot], sizeof record);
    bool update = t->updated[slot];
    *r = (CudaResult){update ? record.kind : 0, update ? record.param : -1, (const float *)(void *)t->out[slot]};
    return s;
}

int cuda_ahead(const csc_net *n) {
    return n->cuda && n->cuda->train ? n->cuda->train->begun - n->cuda->train->ended : 0;
}

void cuda_inputs(csc_net *n, const csc_entry *e, int64_t batch, float **in) {
    const CudaTrain *t = n->cuda->train;
    const PgEntry *p = cuda_entry(n->cuda, e);
    char *at = t->in[(t->ended + CUDA_SLOTS - 1) % CUDA_SLOTS];
    for (int64_t i = 0; i < p->nin; i++) {
        in[i] = (float *)(void *)at;
        at += up(4 * (size_t)pg_arg_floats(&p->arg[i], batch));
    }
}

csc_status cuda_undo(csc_net *n) {
    CudaNet *c = n->cuda;
    CudaTrain *t = c->train;
    csc_status s = check(n, c->d->cu.stream_wait(c->exec.stream), "cuStreamSynchronize");
    t->ended = t->begun; /* what was ahead is dropped */
    if (s == CSC_OK) s = cuda_to_host(c, CUDA_SPARE);
    if (s == CSC_OK) s = net_host(n, NET_WRITE);
    return s;
}
