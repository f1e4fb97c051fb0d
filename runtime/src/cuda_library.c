/* What is the same in each shared library for GPUs: cscc links it in, with the packed launch program beside it. Opens the driver when an entry
   is called for the first time, keeps the device and its memory from then on; one call at a time. */
#include "csc_cuda.h"
#include "cuda_exec.h"
#include "pack.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256, MOST_ENTRIES = CSC_LIBRARY_ENTRIES, GRAPHS = 16 };
typedef enum Part { PART_PARAM, PART_GRAD, PART_STATE, PART_STATE_OUT, PART_TUNABLE, PARTS } Part;

typedef struct Graph { /* what an entry launches for a batch, from its second call on */
    const PgEntry *entry; /* NULL: free */
    uint32_t batch;
    bool in_place, made;
    uint64_t used; /* when it was called last */
    CudaGraph graph;
} Graph;

static struct Library { /* a process has one device of each library, as it has one model of it */
    pthread_once_t once;
    pthread_mutex_t lock;
    csc_context cx;
    char said[sizeof(((csc_context *)0)->text)];
    csc_program *program; /* NULL: what was linked in is damaged */
    csc_device *device;
    CudaExec exec;
    CuPtr arena, part[PARTS], *at; /* at: inputs, then outputs, of one call */
    size_t bytes;
    bool params_there; /* those inside of the library */
    Graph graph[GRAPHS];
    uint64_t calls;
} lib = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

extern const csc_library_head csc_library_data; /* made by cscc */

/* ---- the device ---- */
static int number_of(PgText arch, const char *before) { /* 90 of "sm_90a"; 0: it is none of these */
    size_t n = strlen(before);
    return arch.len > n && !memcmp(arch.at, before, n) ? (int)strtol(arch.at + n, NULL, 10) : 0;
}

/* A cubin for the device's family (made for it or for an older member), else PTX, which the driver compiles. */
static const void *image_for(const PgKernel *k, const csc_device *d) {
    int own = 10 * d->major + d->minor, best = 0;
    const void *image = NULL;
    for (int64_t i = 0; i < k->nimages; i++) {
        const PgImage *m = &k->image[i];
        int sm = number_of(m->arch, "sm_"), ptx = number_of(m->arch, "compute_");
        bool exact = m->arch.at[m->arch.len - 1] == 'a'; /* runs on that one alone */
        if (sm && sm / 10 == d->major && (exact ? sm == own : sm <= own) && sm + 1000 > best) best = sm + 1000, image = m->bytes.at;
        if (ptx && ptx <= own && ptx > best) best = ptx, image = m->bytes.at;
    }
    return image;
}

static csc_status open_device(void) {
    csc_program *p = lib.program;
    if (lib.device) return CSC_OK;
    CudaImageOf *image = calloc((size_t)p->nkernels + 1, sizeof *image);
    size_t most = 1;
    for (int64_t i = 0; i < p->nentries; i++) most += (size_t)(p->entry[i].nin + p->entry[i].nout);
    free(lib.at);
    lib.at = calloc(most, sizeof *lib.at);
    csc_status s = image && lib.at ? csc_device_open(&lib.cx, 0, &lib.device) : rt_no_memory(&lib.cx, most * 8);
    for (int64_t i = 0; i < p->nkernels && s == CSC_OK; i++)
        if (!(image[i].bytes = image_for(&p->kernel[i], lib.device)))
            s = rt_fail(&lib.cx, CSC_DEVICE, "this library has no code for %s, of compute capability %d.%d", lib.device->name, lib.device->major, lib.device->minor);
    if (s == CSC_OK) s = cuda_exec_new(&lib.exec, &lib.cx, lib.device, p, image);
    free(image);
    if (s == CSC_OK) return s;
    csc_device_close(lib.device);
    lib.device = NULL;
    return s;
}

/* ---- memory ---- */
static size_t up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }
static size_t args_bytes(const PgArg *a, uint32_t batch) { return a->floats < 0 ? 0 : 4 * (size_t)a->floats * (a->batched ? batch : 1); }

static size_t part_bytes(Part i) {
    const csc_model *m = &lib.program->model;
    return 4 * (size_t)(i == PART_TUNABLE ? m->tunable_count : i < PART_STATE ? m->param_floats : m->state_floats);
}

static void forget(Graph *g) {
    if (g->made) cuda_graph_free(&lib.exec, &g->graph);
    *g = (Graph){0};
}

/* Of all that a call needs; 0: more than can be counted. */
static size_t call_bytes(const PgEntry *e, uint32_t batch) {
    int64_t floats = program_work_floats(e, batch);
    size_t bytes = 0;
    bool over = floats < 0 || floats > INT64_MAX / 8;
    for (int i = 0; i < PARTS; i++) bytes += up(part_bytes((Part)i));
    for (int64_t i = 0; i < e->nin + e->nout; i++) over |= __builtin_add_overflow(bytes, up(args_bytes(&e->arg[i], batch)), &bytes);
    over |= __builtin_add_overflow(bytes, 4 * (size_t)(over ? 0 : floats), &bytes);
    return over ? 0 : bytes;
}

static csc_status too_large(const PgEntry *e, uint32_t batch, size_t available) {
    uint32_t fits = 0;
    for (uint32_t step = UINT32_C(1) << 30; step; step /= 2) /* the largest that does */
        if (fits + step < batch && call_bytes(e, fits + step) && call_bytes(e, fits + step) <= available) fits += step;
    char text[60] = "; no batch fits";
    if (fits) snprintf(text, sizeof text, "; a batch of %u fits", fits);
    return rt_fail(&lib.cx, CSC_NO_MEMORY, "out of memory on %s: a batch of %u needs %.1f MB, %.1f MB are free%s", lib.device->name, batch, (double)call_bytes(e, batch) / 1e6,
                   (double)available / 1e6, text);
}

/* One block: the parts, inputs and outputs, workspace. */
static csc_status reserve(const PgEntry *e, uint32_t batch, CuPtr *work) {
    const CuApi *c = &lib.device->cu;
    size_t bytes = call_bytes(e, batch), available = 0, all = 0;
    if (!bytes) return rt_fail(&lib.cx, CSC_NO_MEMORY, "a batch of %u is too large", batch);
    if (bytes > lib.bytes) {
        csc_status s = program_check(&lib.cx, lib.program, e, batch);
        if (s != CSC_OK) return s;
        for (int i = 0; i < GRAPHS; i++) forget(&lib.graph[i]); /* they hold addresses */
        if (lib.arena) c->free(lib.arena);
        lib.arena = 0, lib.bytes = 0, lib.params_there = false;
        s = cuda_check(&lib.cx, c, c->memory_info(&available, &all), "cuMemGetInfo", lib.device->name);
        if (s != CSC_OK) return s;
        available -= cuda_spare(available);
        if (bytes > available) return too_large(e, batch, available);
        if (c->alloc(&lib.arena, bytes) != 0) return lib.arena = 0, too_large(e, batch, bytes - 1);
        lib.bytes = bytes;
    }
    CuPtr at = lib.arena;
    for (int i = 0; i < PARTS; i++) lib.part[i] = at, at += up(part_bytes((Part)i));
    for (int64_t i = 0; i < e->nin + e->nout; i++) lib.at[i] = at, at += up(args_bytes(&e->arg[i], batch));
    *work = at;
    return CSC_OK;
}

static csc_status bring(CuPtr to, const void *from, size_t bytes, const char *what) {
    const CuApi *c = &lib.device->cu;
    return bytes ? cuda_check(&lib.cx, c, c->to_device(to, from, bytes, lib.exec.stream), "cuMemcpyHtoDAsync", what) : CSC_OK;
}

static csc_status take(void *to, CuPtr from, size_t bytes, const char *what) {
    const CuApi *c = &lib.device->cu;
    return bytes ? cuda_check(&lib.cx, c, c->to_host(to, from, bytes, lib.exec.stream), "cuMemcpyDtoHAsync", what) : CSC_OK;
}

/* ---- calls ---- */
static bool uses(const PgEntry *e, enum csc_space s) { return e->spaces >> s & 1; }

static bool in_place(const PgEntry *e, const csc_call *c) { return uses(e, CSC_AT_STATE) && c->state_out == c->state; }

static csc_status copy_in(const PgEntry *e, const csc_call *c) {
    const void *own = csc_library_data.params ? lib.program->model.params : NULL;
    csc_status s = CSC_OK;
    if (uses(e, CSC_AT_PARAM) && !(own && c->params == own && lib.params_there)) {
        s = bring(lib.part[PART_PARAM], c->params, part_bytes(PART_PARAM), "parameters");
        lib.params_there = own && c->params == own;
    }
    /* what an entry does not write of gradients and states stays as the caller has it */
    if (s == CSC_OK && uses(e, CSC_AT_GRAD)) s = bring(lib.part[PART_GRAD], c->grads, part_bytes(PART_GRAD), "gradients");
    if (s == CSC_OK && uses(e, CSC_AT_STATE)) s = bring(lib.part[PART_STATE], c->state, part_bytes(PART_STATE), "states");
    if (s == CSC_OK && uses(e, CSC_AT_STATE_OUT) && !in_place(e, c)) s = bring(lib.part[PART_STATE_OUT], c->state_out, part_bytes(PART_STATE), "states");
    if (s == CSC_OK && uses(e, CSC_AT_TUNABLE)) s = bring(lib.part[PART_TUNABLE], c->tunables, part_bytes(PART_TUNABLE), "tunables");
    for (int64_t i = 0; i < e->nin && s == CSC_OK; i++) s = bring(lib.at[i], c->in[i], args_bytes(&e->arg[i], c->batch), "an input");
    return s;
}

static csc_status copy_out(const PgEntry *e, const csc_call *c, const CudaMemory *m) {
    csc_status s = uses(e, CSC_AT_GRAD) ? take(c->grads, m->grad, part_bytes(PART_GRAD), "gradients") : CSC_OK;
    if (s == CSC_OK && uses(e, CSC_AT_STATE_OUT)) s = take(c->state_out, m->state_out, part_bytes(PART_STATE), "states");
    for (int64_t i = 0; i < e->nout && s == CSC_OK; i++) s = take(c->out[i], m->out[i], args_bytes(&e->arg[e->nin + i], c->batch), "an output");
    return s;
}

/* The graph of such calls, or the one that was not called for longest, forgotten. */
static Graph *graph_for(const PgEntry *e, uint32_t batch, bool in_place) {
    Graph *g = NULL, *oldest = &lib.graph[0];
    for (int i = 0; i < GRAPHS && !g; i++) {
        Graph *k = &lib.graph[i];
        if (k->entry == e && k->batch == batch && k->in_place == in_place) g = k;
        if (k->used < oldest->used) oldest = k;
    }
    bool first = !g;
    if (first) forget(g = oldest);
    g->entry = e, g->batch = batch, g->in_place = in_place, g->used = ++lib.calls;
    return first || !cuda_graphs_wanted() ? NULL : g;
}

/* Once one by one, then as a graph: what is called only once is not worth making one. */
static csc_status launch(const PgCall *c, const CudaMemory *m, bool in_place) {
    Graph *g = graph_for(c->entry, (uint32_t)c->batch, in_place);
    csc_status s = CSC_OK;
    bool same = false;
    if (!g) return cuda_exec_run(&lib.exec, c, m);
    if (g->made) s = cuda_graph_update(&lib.exec, &g->graph, c, m, &same);
    if (s == CSC_OK && !same) {
        if (g->made) cuda_graph_free(&lib.exec, &g->graph);
        g->made = false;
        s = cuda_graph_begin(&lib.exec, &g->graph, c->entry);
        if (s == CSC_OK) s = cuda_graph_end(&lib.exec, cuda_exec_run(&lib.exec, c, m));
        g->made = s == CSC_OK;
    }
    return s == CSC_OK ? cuda_graph_run(&lib.exec, &g->graph) : s;
}

static csc_status call(const PgEntry *e, const csc_call *c) {
    CuPtr work = 0;
    csc_status s = reserve(e, c->batch, &work);
    if (s == CSC_OK) s = copy_in(e, c);
    if (s != CSC_OK) return s;
    const CudaMemory m = {.work = work, .param = lib.part[PART_PARAM], .grad = lib.part[PART_GRAD], .state = lib.part[PART_STATE],
                          .state_out = lib.part[in_place(e, c) ? PART_STATE : PART_STATE_OUT], .tunable = lib.part[PART_TUNABLE], .in = lib.at, .out = lib.at + e->nin};
    const PgCall one = {lib.program, e, c->batch, c->seed, c->step, c->first_sample};
    s = launch(&one, &m, in_place(e, c));
    if (s == CSC_OK) s = copy_out(e, c, &m);
    csc_status end = cuda_check(&lib.cx, &lib.device->cu, lib.device->cu.stream_wait(lib.exec.stream), "cuStreamSynchronize", e->name);
    return s == CSC_OK ? end : s;
}

static bool whole(const PgEntry *e, const csc_call *c) {
    return c && c->size >= sizeof *c && c->batch >= 1 && c->batch <= INT32_MAX && (c->grads || !uses(e, CSC_AT_GRAD)) && (c->state_out || !uses(e, CSC_AT_STATE_OUT));
}

static int run(int64_t i, const csc_call *c) {
    const PgEntry *e = &lib.program->entry[i];
    if (!whole(e, c)) return 1;
    pthread_mutex_lock(&lib.lock);
    csc_error_clear(&lib.cx);
    bool opens = !lib.device;
    csc_status s = open_device();
    CuContext before = NULL; /* the caller may have a device of its own */
    if (s == CSC_OK && opens) before = lib.device->before;
    else if (s == CSC_OK) lib.device->cu.current(&before);
    if (s == CSC_OK) s = cuda_check(&lib.cx, &lib.device->cu, lib.device->cu.set_current(lib.device->context), "cuCtxSetCurrent", lib.device->name);
    if (s == CSC_OK) s = call(e, c);
    if (lib.device) lib.device->cu.set_current(before);
    if (s != CSC_OK) memcpy(lib.said, lib.cx.text, sizeof lib.said);
    pthread_mutex_unlock(&lib.lock);
    return s == CSC_OK ? 0 : 2;
}

static const char *last_error(void) { return lib.said; }

/* An entry's function knows its number and nothing else. */
#define RUNS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define X(i) static int run_##i(const csc_call *c) { return run(i, c); }
RUNS(X)
#undef X

static void read_program(void) {
#define X(i) run_##i,
    static int (*const runs[MOST_ENTRIES])(const csc_call *) = {RUNS(X)};
#undef X
    const csc_library_head *h = &csc_library_data;
    const char *base = (const char *)h;
    void *bytes = malloc(h->bytes);
    csc_program *p = NULL;
    if (bytes && csc_unpack(base + h->program, h->packed, bytes, h->bytes)) csc_program_read(&lib.cx, bytes, h->bytes, &p);
    free(bytes);
    if (!p || p->nentries > MOST_ENTRIES) return;
    for (int64_t i = 0; i < p->nentries; i++) p->face[i] = (csc_entry){.name = p->entry[i].name, .nin = p->face[i].nin, .nout = p->face[i].nout, .run = runs[i]};
    if (h->params) p->model.params = (const float *)(base + h->params);
    if (h->states) p->model.state = (const float *)(base + h->states);
    p->model.error = last_error;
    lib.program = p;
}

__attribute__((visibility("default"))) const csc_model *csc_model_query(uint32_t max_version) {
    pthread_once(&lib.once, read_program);
    return max_version >= CSC_MODEL_VERSION && lib.program ? &lib.program->model : NULL;
}
