/* A stand-in for the CUDA driver: device memory is the host's, guarded; kernels are shared objects built from the same text by the C
   compiler. Each copy and launch is checked. What it does is told by the environment when it is loaded:
     CSC_SHIM_VERSION=12040   the driver's version          CSC_SHIM_DEVICES=1   how many devices     CSC_SHIM_CC=90   what they can do
     CSC_SHIM_MEMORY=BYTES    of a device                   CSC_SHIM_FAIL=CALL:N  the N-th call of CALL fails
     CSC_SHIM_LAZY=1          work of a stream is done as late as the program allows, not at once
     CSC_SHIM_LOG=FILE        appended at the end: calls, launches, graphs, the most memory */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define API __attribute__((visibility("default"))) int
enum { OK, INVALID = 1, NO_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_IMAGE = 200, NOT_FOUND = 500, LAUNCH_FAILED = 719, CAPTURE = 900 };

typedef struct Block { /* of device memory */
    char *at;
    size_t bytes;
    struct Block *next;
} Block;
typedef struct Module {
    void *library;
    struct Function *functions;
} Module;
typedef void (*Run)(void **args, long long block);
typedef struct Function {
    Run run;
    int shared;
    struct Function *next;
} Function;
typedef struct Event Event;
typedef enum Kind { COPY_IN, COPY_OUT, COPY, CLEAR, LAUNCH, RECORD, AFTER, GRAPH } Kind;
typedef struct Op {
    Kind kind;
    void *to;
    const void *from;
    size_t bytes;
    int value;
    Function *f;
    long long *args;
    unsigned grid, nargs, threads, shared;
    const struct Op *node; /* of an executable graph: the one that it was made of */
    struct Graph *graph;
    Event *event;
    long long turn; /* of the event */
    struct Op *next;
} Op;
typedef struct Stream {
    Op *first, *last;
    Op *captured, *captured_last; /* what is under way waits meanwhile, as on a device */
    bool capturing, busy;
} Stream;
struct Event {
    Stream *stream;
    long long recorded, done;
};
typedef struct Graph { /* also what is made of one, to be launched */
    Op *first, *at; /* at: where the last node was found */
    struct Graph *of, *next; /* of what was made: the graph; next: of those that are not destroyed */
    long long id, of_id, pending; /* pending: launches that have not run yet */
} Graph;

static struct {
    pthread_mutex_t lock;
    bool ready, lazy;
    int version, devices, cc;
    size_t memory, used, most;
    long long launches, blocks, copies, graphs, graph_launches, node_sets, calls, ids;
    char fail[64];
    long long fail_at, fail_seen;
    int sticky; /* an error that does not go away */
    Block *blocks_first;
    Graph *graphs_first;
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

static long long env(const char *name, long long usual) {
    const char *v = getenv(name);
    return v && *v ? strtoll(v, NULL, 10) : usual;
}

__attribute__((constructor)) static void load(void) {
    shim.version = (int)env("CSC_SHIM_VERSION", 12040);
    shim.devices = (int)env("CSC_SHIM_DEVICES", 1);
    shim.cc = (int)env("CSC_SHIM_CC", 90);
    shim.memory = (size_t)env("CSC_SHIM_MEMORY", 4LL << 30);
    shim.lazy = env("CSC_SHIM_LAZY", 0) != 0;
    const char *fail = getenv("CSC_SHIM_FAIL");
    if (fail && strchr(fail, ':')) {
        snprintf(shim.fail, sizeof shim.fail, "%.*s", (int)(strchr(fail, ':') - fail), fail);
        shim.fail_at = strtoll(strchr(fail, ':') + 1, NULL, 10);
    }
}

__attribute__((destructor)) static void unload(void) {
    const char *path = getenv("CSC_SHIM_LOG");
    FILE *f = path && *path ? fopen(path, "a") : NULL;
    if (!f) return;
    fprintf(f, "calls %lld launches %lld blocks %lld copies %lld graphs %lld graph_launches %lld most_bytes %zu left_bytes %zu node_sets %lld\n", shim.calls, shim.launches, shim.blocks,
            shim.copies, shim.graphs, shim.graph_launches, shim.most, shim.used, shim.node_sets);
    fclose(f);
}

/* Every call begins here. Nonzero: what it returns. */
static int enter(const char *call, bool needs_init) {
    shim.calls++;
    if (needs_init && !shim.ready) return NOT_INITIALIZED;
    if (shim.sticky) return shim.sticky;
    if (*shim.fail && !strcmp(call, shim.fail) && ++shim.fail_seen == shim.fail_at) {
        bool memory = !strcmp(call, "cuMemAlloc_v2");
        if (!memory) shim.sticky = LAUNCH_FAILED;
        return memory ? NO_MEMORY : LAUNCH_FAILED;
    }
    return OK;
}
#define ENTER(init) do { int r_ = enter(__func__, init); if (r_) return r_; } while (0)
/* Memory that comes or goes while this thread captures is an error, as in the driver's mode for threads. */
static _Thread_local bool captures;
#define NO_CAPTURE() do { if (captures) return CAPTURE; } while (0)
#define LOCKED(expr) do { pthread_mutex_lock(&shim.lock); int r_ = (expr); pthread_mutex_unlock(&shim.lock); return r_; } while (0)

static bool inside(const void *at, size_t bytes) {
    for (Block *b = shim.blocks_first; b; b = b->next)
        if ((const char *)at >= b->at && (const char *)at + bytes <= b->at + b->bytes) return true;
    return bytes == 0;
}

/* ---- what streams do ---- */
static void drain(Stream *s, const Event *until, long long turn);

static void perform(Op *o) {
    switch (o->kind) {
    case COPY_IN:
    case COPY_OUT:
    case COPY: memmove(o->to, o->from, o->bytes); break;
    case CLEAR: memset(o->to, o->value, o->bytes); break;
    case LAUNCH: {
        void *args[256];
        for (unsigned i = 0; i < o->nargs; i++) args[i] = &o->args[i];
        for (unsigned b = 0; b < o->grid; b++) o->f->run(args, b);
        shim.launches++;
        shim.blocks += o->grid;
        break;
    }
    case RECORD:
        if (o->turn > o->event->done) o->event->done = o->turn;
        break;
    case AFTER:
        if (o->event->stream && o->event->done < o->turn) drain(o->event->stream, o->event, o->turn);
        break;
    case GRAPH:
        for (Op *b = o->graph->first; b; b = b->next) perform(b);
        break;
    }
}

static void op_free(Op *o) {
    free(o->args);
    free(o);
}

/* until NULL: all of it. */
static void drain(Stream *s, const Event *until, long long turn) {
    if (s->busy) return;
    s->busy = true;
    while (s->first && !(until && until->done >= turn)) {
        Op *o = s->first;
        s->first = o->next;
        if (!s->first) s->last = NULL;
        if (!shim.sticky) perform(o); /* after an error nothing runs any more */
        if (o->kind == GRAPH) o->graph->pending--;
        op_free(o);
    }
    s->busy = false;
}

static int push(Stream *s, Op op) {
    if (!s) return INVALID; /* the program uses streams of its own */
    if (op.kind == COPY_IN || op.kind == COPY_OUT || op.kind == COPY) shim.copies++;
    Op *o = malloc(sizeof *o);
    *o = op;
    o->next = NULL;
    Op **first = s->capturing ? &s->captured : &s->first, **last = s->capturing ? &s->captured_last : &s->last;
    if (*last) (*last)->next = o;
    else *first = o;
    *last = o;
    if (!s->capturing && !shim.lazy) drain(s, NULL, 0);
    return OK;
}

/* ---- the calls ---- */
API cuInit(unsigned flags) {
    (void)flags;
    shim.calls++;
    if (!shim.devices) return NO_DEVICE;
    shim.ready = true;
    ENTER(false);
    return OK;
}
API cuDriverGetVersion(int *v) { return *v = shim.version, OK; }
API cuGetErrorName(int e, const char **name) {
    *name = e == NO_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : e == LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : e == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : e == INVALID_IMAGE ? "CUDA_ERROR_INVALID_IMAGE" : e == NOT_FOUND ? "CUDA_ERROR_NOT_FOUND" : "CUDA_ERROR_INVALID_VALUE";
    return OK;
}
API cuGetErrorString(int e, const char **text) {
    *text = e == NO_MEMORY ? "out of memory" : e == LAUNCH_FAILED ? "unspecified launch failure" : e == NO_DEVICE ? "no CUDA-capable device is detected" : "invalid argument";
    return OK;
}
API cuDeviceGetCount(int *n) { ENTER(true); return *n = shim.devices, OK; }
API cuDeviceGet(int *d, int i) { ENTER(true); return *d = i, i < shim.devices ? OK : INVALID; }
API cuDeviceGetName(char *name, int len, int d) { ENTER(true); return snprintf(name, (size_t)len, "stand-in %d", d), OK; }
API cuDeviceTotalMem_v2(size_t *bytes, int d) { ENTER(true); return *bytes = shim.memory, (void)d, OK; }
API cuDeviceGetAttribute(int *v, int a, int d) {
    ENTER(true);
    (void)d;
    *v = a == 75 ? shim.cc / 10 : a == 76 ? shim.cc % 10 : a == 97 ? 227 << 10 : a == 16 ? 4 : 0;
    return OK;
}
API cuDevicePrimaryCtxRetain(void **c, int d) { ENTER(true); return *c = &shim, (void)d, OK; }
API cuDevicePrimaryCtxRelease_v2(int d) { return (void)d, OK; }
static _Thread_local void *current;
API cuCtxSetCurrent(void *c) { ENTER(true); return current = c, OK; }
API cuCtxGetCurrent(void **c) { ENTER(true); return *c = current, OK; }
API cuMemGetInfo_v2(size_t *available, size_t *total) {
    ENTER(true);
    *total = shim.memory;
    *available = shim.memory - shim.used;
    return OK;
}

static int allocate(uint64_t *at, size_t bytes) {
    if (!bytes || bytes > shim.memory - shim.used) return NO_MEMORY;
    Block *b = malloc(sizeof *b);
    void *p = NULL;
    if (posix_memalign(&p, 256, bytes)) return NO_MEMORY;
    memset(p, 0x7f, bytes); /* nothing may count on zeros: as floats, 3.4e38 */
    *b = (Block){p, bytes, shim.blocks_first};
    shim.blocks_first = b;
    shim.used += bytes;
    if (shim.used > shim.most) shim.most = shim.used;
    *at = (uint64_t)(uintptr_t)p;
    return OK;
}
API cuMemAlloc_v2(uint64_t *at, size_t bytes) { ENTER(true); NO_CAPTURE(); LOCKED(allocate(at, bytes)); }

static int release(uint64_t at) {
    for (Block **b = &shim.blocks_first; *b; b = &(*b)->next) {
        if ((uint64_t)(uintptr_t)(*b)->at != at) continue;
        Block *gone = *b;
        *b = gone->next;
        shim.used -= gone->bytes;
        free(gone->at);
        free(gone);
        return OK;
    }
    return INVALID;
}
API cuMemFree_v2(uint64_t at) { NO_CAPTURE(); LOCKED(release(at)); }
API cuMemHostAlloc(void **at, size_t bytes, unsigned flags) {
    ENTER(true);
    NO_CAPTURE();
    (void)flags;
    *at = malloc(bytes ? bytes : 1);
    return *at ? OK : NO_MEMORY;
}
API cuMemFreeHost(void *at) { return free(at), OK; }

static void *pointer(uint64_t at) { return (void *)(uintptr_t)at; }
static int copy(Kind k, void *to, const void *from, size_t bytes, Stream *s) {
    if ((k != COPY_OUT && !inside(to, bytes)) || (k != COPY_IN && !inside(from, bytes))) return INVALID;
    return push(s, (Op){.kind = k, .to = to, .from = from, .bytes = bytes});
}
API cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, Stream *s) { ENTER(true); LOCKED(copy(COPY_IN, pointer(to), from, bytes, s)); }
API cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, Stream *s) { ENTER(true); LOCKED(copy(COPY_OUT, to, pointer(from), bytes, s)); }
API cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Stream *s) { ENTER(true); LOCKED(copy(COPY, pointer(to), pointer(from), bytes, s)); }
static int clear(void *at, int value, size_t bytes, Stream *s) { return inside(at, bytes) ? push(s, (Op){.kind = CLEAR, .to = at, .value = value, .bytes = bytes}) : INVALID; }
API cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, Stream *s) { ENTER(true); LOCKED(clear(pointer(at), value, bytes, s)); }

/* The "cubin" is a shared object; its length is in its ELF header's section table, which ends it. The architecture stands behind. */
static size_t elf_length(const unsigned char *e) {
    uint64_t at;
    uint16_t size, n;
    if (memcmp(e, "\177ELF", 4)) return 0;
    memcpy(&at, e + 40, 8);
    memcpy(&size, e + 58, 2);
    memcpy(&n, e + 60, 2);
    return (size_t)(at + (uint64_t)size * n);
}
static bool runs_here(const char *arch) { /* as on a device: within the family, what an `a` ends on its own alone, PTX on all later ones */
    char rest = 0;
    int n = 0;
    if (sscanf(arch, "compute_%d", &n) == 1) return n <= shim.cc;
    if (sscanf(arch, "sm_%d%c", &n, &rest) < 1) return false;
    return rest == 'a' ? n == shim.cc : n / 10 == shim.cc / 10 && n <= shim.cc;
}
API cuModuleLoadData(Module **m, const void *image) {
    ENTER(true);
    NO_CAPTURE();
    size_t len = elf_length(image);
    if (!len || !runs_here((const char *)image + len)) return INVALID_IMAGE;
    const char *tmp = getenv("TMPDIR");
    char path[300];
    snprintf(path, sizeof path, "%s/shim-kernel-XXXXXX", tmp ? tmp : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, image, len) != (ssize_t)len) return NO_MEMORY;
    close(fd);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) fprintf(stderr, "stand-in driver: %s\n", dlerror());
    unlink(path);
    if (!library) return INVALID_IMAGE;
    *m = calloc(1, sizeof **m);
    (*m)->library = library;
    return OK;
}
API cuModuleUnload(Module *m) {
    for (Function *f = m->functions, *next; f; f = next) next = f->next, free(f);
#ifndef __SANITIZE_ADDRESS__ /* what it says of a leak or an error must still have its names */
    dlclose(m->library);
#endif
    free(m);
    return OK;
}
API cuModuleGetFunction(Function **f, Module *m, const char *name) {
    ENTER(true);
    char host[300];
    snprintf(host, sizeof host, "%s_host", name);
    void *symbol = dlsym(m->library, host);
    if (!symbol) return NOT_FOUND;
    *f = calloc(1, sizeof **f);
    memcpy(&(*f)->run, &symbol, sizeof symbol);
    (*f)->shared = 48 << 10;
    (*f)->next = m->functions;
    m->functions = *f;
    return OK;
}
API cuFuncSetAttribute(Function *f, int a, int v) {
    ENTER(true);
    if (a == 8 && v > 227 << 10) return INVALID;
    if (a == 8) f->shared = v;
    return OK;
}

static int launch(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream *s, void **args, void **extra) {
    if (args || !extra || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4]) return INVALID; /* a packed buffer, as the runtime does it */
    size_t bytes = *(size_t *)extra[3];
    if (!gx || gx > 0x7fffffff || gy != 1 || gz != 1 || !bx || bx > 1024 || by != 1 || bz != 1 || bytes % 8 || bytes > 256 * 8 || shared > (unsigned)f->shared) return INVALID;
    long long *copy_of = malloc(bytes + 1);
    memcpy(copy_of, extra[1], bytes);
    if (copy_of[0] != (long long)gx) return free(copy_of), INVALID; /* the first argument is the grid */
    return push(s, (Op){.kind = LAUNCH, .f = f, .args = copy_of, .grid = gx, .nargs = (unsigned)(bytes / 8), .threads = bx, .shared = shared});
}
API cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream *s, void **args, void **extra) {
    ENTER(true);
    LOCKED(launch(f, gx, gy, gz, bx, by, bz, shared, s, args, extra));
}

API cuStreamCreate(Stream **s, unsigned flags) { ENTER(true); return *s = calloc(1, sizeof **s), (void)flags, OK; }
static int finish(Stream *s) { return s->capturing ? CAPTURE : (drain(s, NULL, 0), OK); }
API cuStreamSynchronize(Stream *s) { ENTER(true); LOCKED(finish(s)); }
API cuStreamDestroy_v2(Stream *s) {
    pthread_mutex_lock(&shim.lock);
    drain(s, NULL, 0);
    pthread_mutex_unlock(&shim.lock);
    return free(s), OK;
}
API cuEventCreate(Event **e, unsigned flags) { ENTER(true); return *e = calloc(1, sizeof **e), (void)flags, OK; }
API cuEventDestroy_v2(Event *e) { return free(e), OK; }
static int record(Event *e, Stream *s) {
    e->stream = s;
    return push(s, (Op){.kind = RECORD, .event = e, .turn = ++e->recorded});
}
API cuEventRecord(Event *e, Stream *s) { ENTER(true); LOCKED(record(e, s)); }
static int settle(Event *e) {
    if (e->stream) drain(e->stream, e, e->recorded);
    return OK;
}
API cuEventSynchronize(Event *e) { ENTER(true); LOCKED(settle(e)); }
API cuStreamWaitEvent(Stream *s, Event *e, unsigned flags) { ENTER(true); (void)flags; LOCKED(push(s, (Op){.kind = AFTER, .event = e, .turn = e->recorded})); }

static int begin(Stream *s) {
    if (s->capturing) return INVALID;
    s->capturing = captures = true;
    return OK;
}
API cuStreamBeginCapture_v2(Stream *s, int mode) { ENTER(true); (void)mode; LOCKED(begin(s)); }
static Graph *graph_new(Graph *of) {
    Graph *g = calloc(1, sizeof *g);
    *g = (Graph){.of = of, .of_id = of ? of->id : 0, .id = ++shim.ids, .next = shim.graphs_first};
    return shim.graphs_first = g;
}
static bool alive(const Graph *g, long long id) { /* another may be where a destroyed one was */
    for (const Graph *k = shim.graphs_first; k; k = k->next)
        if (k == g) return k->id == id;
    return false;
}
static int end(Stream *s, Graph **g) {
    if (!s->capturing) return INVALID;
    s->capturing = captures = false;
    *g = graph_new(NULL);
    (*g)->first = s->captured;
    s->captured = s->captured_last = NULL;
    return OK;
}
API cuStreamEndCapture(Stream *s, Graph **g) { ENTER(true); LOCKED(end(s, g)); }
API cuStreamGetCaptureInfo_v2(Stream *s, int *status, uint64_t *id, Graph **g, const Op *const **last, size_t *n) {
    ENTER(true);
    if (!s || id || g) return INVALID;
    *status = s->capturing;
    *last = (const Op *const *)&s->captured_last;
    *n = s->capturing && s->captured_last;
    return OK;
}
static int ready(Graph **x, Graph *g) {
    *x = graph_new(g);
    for (Op *o = g->first, *last = NULL; o; o = o->next) {
        Op *c = malloc(sizeof *c);
        *c = *o;
        c->next = NULL;
        c->node = o;
        if (o->kind == LAUNCH) c->args = memcpy(malloc(o->nargs * 8 + 1), o->args, o->nargs * 8);
        if (last) last->next = c;
        else (*x)->first = c;
        last = c;
    }
    shim.graphs++;
    return OK;
}
API cuGraphInstantiateWithFlags(Graph **x, Graph *g, unsigned long long flags) { ENTER(true); (void)flags; LOCKED(ready(x, g)); }

/* As CUDA_KERNEL_NODE_PARAMS. The function, its threads and how many parameters it has stay; a graph that is not destroyed has the node. A launch under
   way would keep what it was launched with; here it is an error, for the program never does that. */
typedef struct Launch {
    Function *f;
    unsigned gx, gy, gz, bx, by, bz, shared;
    void **args, **extra;
} Launch;
static int set_node(Graph *x, const Op *node, const Launch *l) {
    if (!x->of || x->pending || !alive(x->of, x->of_id)) return INVALID;
    Op *o = x->at ? x->at : x->first;
    while (o && o->node != node) o = o->next;
    for (o = o ? o : x->first; o && o->node != node;) o = o->next;
    if (!o || o->kind != LAUNCH || o->f != l->f || o->threads != l->bx || o->shared != l->shared || l->by != 1 || l->bz != 1 || !l->gx || l->gx > 0x7fffffff || l->gy != 1 || l->gz != 1) return INVALID;
    if (l->args || !l->extra || l->extra[0] != (void *)1 || l->extra[2] != (void *)2 || l->extra[4] || *(size_t *)l->extra[3] != 8 * (size_t)o->nargs || *(long long *)l->extra[1] != (long long)l->gx) return INVALID;
    memcpy(o->args, l->extra[1], 8 * (size_t)o->nargs);
    o->grid = l->gx;
    x->at = o;
    shim.node_sets++;
    return OK;
}
API cuGraphExecKernelNodeSetParams(Graph *x, const Op *node, const Launch *l) { ENTER(true); LOCKED(set_node(x, node, l)); }
static int launch_graph(Graph *x, Stream *s) {
    shim.graph_launches++;
    x->pending++;
    return push(s, (Op){.kind = GRAPH, .graph = x});
}
API cuGraphLaunch(Graph *x, Stream *s) { ENTER(true); LOCKED(launch_graph(x, s)); }
static int destroy(Graph *g) {
    Graph **at = &shim.graphs_first;
    while (*at && *at != g) at = &(*at)->next;
    if (!*at || g->pending) return INVALID;
    *at = g->next;
    for (Op *o = g->first, *next; o; o = next) next = o->next, op_free(o);
    return free(g), OK;
}
API cuGraphDestroy(Graph *g) { LOCKED(destroy(g)); }
API cuGraphExecDestroy(Graph *g) { LOCKED(destroy(g)); }
