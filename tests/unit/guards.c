/* What the speed of compiled code rests on, counted: kernels, launches and bytes of the examples' training steps, instructions under
   callgrind, and what stands in the inner loops for AVX-512. Nothing here looks at a clock. Counts may not become worse than those in
   tests/unit/guards.txt; `test_guards --bless` writes what is counted now. */
#include "check.h"
#include "csc_model.h"
#include "driver/args.h"
#include "driver/codegen.h"
#include "driver/link.h"
#include "driver/passes.h"
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the table: "KIND PROGRAM ARGUMENTS" between tabs, then numbers ---- */
enum { ROWS_MOST = 200, NUMBERS_MOST = 6 };
typedef struct Row {
    char key[200];
    double number[NUMBERS_MOST];
    int n;
    bool seen;
} Row;
static Row table[ROWS_MOST];
static int rows;
static bool bless;
#define TABLE CSC_SOURCE_DIR "/tests/unit/guards.txt"

static void table_read(void) {
    FILE *f = fopen(TABLE, "r");
    char line[400];
    while (f && rows < ROWS_MOST && fgets(line, sizeof line, f)) {
        char *at = line;
        for (int tab = 0; tab < 3 && at; tab++) at = strchr(at, '\t') ? strchr(at, '\t') + 1 : NULL;
        if (*line == '#' || !at) continue;
        Row *r = &table[rows++];
        snprintf(r->key, sizeof r->key, "%.*s", (int)(at - line - 1), line);
        for (char *end; r->n < NUMBERS_MOST; at = end, r->n++) {
            r->number[r->n] = strtod(at, &end);
            if (end == at) break;
        }
    }
    if (f) fclose(f);
}

static void table_write(void) {
    FILE *f = fopen(TABLE, "w");
    if (!f) exit(2);
    fprintf(f, "# Written by test_guards --bless.\n"
               "# schedule: a training step for AVX2, batch 64: kernels, launches, MB through memory if each launch touches what it reads and writes once, KB of workspace\n"
               "# instructions: millions of a call of `backward`, x86-64-v3\n"
               "# tiles: inner loops of x86-64-v4 with 8 multiply-adds or more: loops, multiply-adds, loads of vectors and numbers, spills and reloads\n"
               "# gpu: as schedule, for a GPU; loops that the device ends run to their bound\n");
    for (int i = 0; i < rows; i++) {
        if (!table[i].seen) continue;
        fprintf(f, "%s", table[i].key);
        for (int k = 0; k < table[i].n; k++) fprintf(f, "%c%.6g", k ? ' ' : '\t', table[i].number[k]);
        fputc('\n', f);
    }
    fclose(f);
}

/* The recorded row, with what is counted now put in its place when blessing. */
static const Row *recorded(const char *kind, const char *program, const char *args, const double *now, int n) {
    char key[200];
    snprintf(key, sizeof key, "%s\t%s\t%s", kind, program, args);
    Row *r = NULL;
    for (int i = 0; i < rows; i++)
        if (!strcmp(table[i].key, key)) r = &table[i];
    if (!r && bless && rows < ROWS_MOST) r = &table[rows++], snprintf(r->key, sizeof r->key, "%s", key);
    if (!r) FAIL("%s %s %s is not in the table: test_guards --bless", kind, program, args);
    if (bless) memcpy(r->number, now, (size_t)n * sizeof *now), r->n = n;
    if (r->n != n) FAIL("%s %s %s: the table has %d numbers", kind, program, args, r->n);
    r->seen = true;
    return r;
}

static void keep(const char *kind) { /* when blessing where it cannot be counted */
    for (int i = 0; i < rows; i++)
        if (!strncmp(table[i].key, kind, strlen(kind))) table[i].seen = true;
}

static void no_more(const char *kind, const char *program, const char *args, const char *what, double now, double was, double slack) {
    if (now > was * (1 + slack) + 0.5) FAIL("%s %s %s: %.6g %s, %.6g are recorded", kind, program, args, now, what, was);
    if (getenv("CSC_SHOW") && now < was * 0.95) printf("%s %s %s: %.6g %s, fewer than the %.6g recorded\n", kind, program, args, now, what, was);
}

/* ---- programs ---- */
typedef struct Guarded {
    Cx *cx;
    Options o;
    Compile c;
} Guarded;

static void compile(Guarded *g, const char *program, const char *args, const char *cpu, EntryKind kind, const char *stop_at) {
    Cx *cx = g->cx = cx_new();
    const char *words[32] = {"cscc", "train", arena_printf(cx->keep, "%s/examples/%s.csc", CSC_SOURCE_DIR, program), "--cpu", cpu};
    int n = 5, code;
    char *copy = arena_strndup(cx->keep, args, strlen(args));
    for (char *w = strtok(copy, " "); w && n < 32; w = strtok(NULL, " ")) words[n++] = w;
    bool ok = args_read(cx, n, (char **)words, &g->o, &code) && compile_read(&g->c, cx, &g->o);
    g->c.free_default = true;
    ok = ok && compile_declare(&g->c);
    if (ok) compile_want(&g->c, kind, 0), ok = compile_model(&g->c, stop_at);
    if (!ok) {
        diag_print_all(cx, stderr, false);
        FAIL("%s does not compile", program);
    }
}

/* ---- kernels, launches and bytes: the entry is walked, its integers computed, its kernels not run ---- */
typedef struct Walk {
    const LpModule *m;
    int64_t *var, launches;
    int32_t nvar;
    int64_t *of; /* launches of each kernel */
    double floats;
    bool left;
} Walk;

static int64_t value(const Lx *x, const int64_t *var) {
    int64_t a = x->a ? value(x->a, var) : 0, b = x->b ? value(x->b, var) : 0;
    switch ((int)x->kind) {
    case LX_INT: return x->i;
    case LX_VAR: return var[x->i];
    case LX_IADD: return a + b;
    case LX_ISUB: return a - b;
    case LX_IMUL: return a * b;
    case LX_IDIV: return b ? a / b : 0;
    case LX_IMOD: return b ? a % b : 0;
    case LX_IMIN: return a < b ? a : b;
    case LX_IMAX: return a > b ? a : b;
    case LX_ILT: return a < b;
    case LX_IEQ: return a == b;
    case LX_IAND: return a && b;
    case LX_IOR: return a || b;
    case LX_INOT: return !a;
    case LX_ISELECT: return a ? b : value(x->c, var);
    default: FAIL("an entry computes with expression %d", (int)x->kind);
    }
}

static void launch(Walk *w, const Ls *s) {
    const LpKernel *k = &w->m->kernels.at[s->kernel];
    int64_t var[64] = {0};
    CHECK(k->nint + 2 <= 64);
    for (int32_t i = 0; i < k->nint; i++) var[i] = value(s->ints[i], w->var);
    var[lp_batch_var(k)] = w->var[LP_VAR_BATCH];
    if (value(s->grid, w->var) <= 0) return;
    w->launches++;
    w->of[s->kernel]++;
    for (int32_t i = 0; i < k->nptr; i++)
        if (!k->ptr[i].thread && k->ptr[i].elem == LP_F32 && k->ptr[i].extent) w->floats += (double)value(k->ptr[i].extent, var);
}

static void walk(Walk *w, const Ls *s) {
    for (; s && !w->left; s = s->next) switch ((int)s->kind) {
        case LS_FOR: {
            int64_t hi = value(s->hi, w->var), step = value(s->step, w->var);
            for (int64_t i = value(s->lo, w->var); i < hi && !w->left; i += step) w->var[s->var] = i, walk(w, s->body);
            w->left = false;
            break;
        }
        case LS_IF: walk(w, value(s->cond, w->var) ? s->body : s->orelse); break;
        case LS_SETVAR: w->var[s->var] = value(s->cond, w->var); break;
        case LS_BREAK_IF: w->left = s->cond && value(s->cond, w->var); break; /* a float never stops it */
        case LS_LANES: {
            int64_t n = value(s->hi, w->var), *outer = w->var, var[512];
            CHECK(w->nvar <= 512);
            w->var = var;
            for (int64_t i = 0; i < n; i++) memcpy(var, outer, (size_t)w->nvar * sizeof *var), var[s->var] = i, walk(w, s->body);
            w->var = outer;
            break;
        }
        case LS_LAUNCH: launch(w, s); break;
        default: break;
        }
}

static void histogram(const LpModule *m, const int64_t *launches) { /* launches by what kernels are called */
    for (size_t i = 0; i < m->kernels.len; i++) {
        int64_t n = 0;
        bool first = true;
        for (size_t k = 0; k < m->kernels.len; k++) {
            if (strcmp(m->kernels.at[k].name, m->kernels.at[i].name)) continue;
            first &= k >= i;
            n += launches[k];
        }
        if (first) printf("    %5lld %s\n", (long long)n, m->kernels.at[i].name);
    }
}

static void schedule(const char *kind, const char *program, const char *args) {
    Guarded g;
    bool gpu = !strcmp(kind, "gpu");
    compile(&g, program, args, gpu ? "cuda" : "x86-64-v3", ENTRY_STEP, "sched");
    const LpModule *m = g.c.sched->module;
    const LpEntry *e = &m->entries.at[0];
    Walk w = {.m = m, .nvar = e->nvar, .var = ARENA_ARRAY(g.cx->keep, int64_t, e->nvar), .of = ARENA_ARRAY(g.cx->keep, int64_t, m->kernels.len)};
    memset(w.var, 0, (size_t)e->nvar * sizeof *w.var);
    w.var[LP_VAR_BATCH] = 64;
    walk(&w, e->body);
    double now[4] = {(double)m->kernels.len, (double)w.launches, w.floats * 4e-6, (double)(e->fixed_floats + 64 * e->batch_floats) * 4e-3};
    const Row *r = recorded(kind, program, args, now, 4);
    if (gpu && getenv("CSC_SHOW")) printf("%s %s: %lld launches\n", program, args, (long long)w.launches), histogram(m, w.of);
    static const char *const what[] = {"kernels", "launches", "MB moved", "KB of workspace"};
    for (int i = 0; i < 4; i++) no_more(kind, program, args, what[i], now[i], r->number[i], 0.03);
    cx_free(g.cx);
}

TEST(kernels_and_bytes) {
    static const char *const examples[][2] = {
        {"digits/digits", ""}, {"ml_ista_mnist/ml_ista_mnist", "--set unfold=0"}, {"ml_ista_mnist/ml_ista_mnist", "--set unfold=2"},
        {"ml_csc_cifar/ml_csc_cifar", ""}, {"msd_csc/msd_csc", "--set d=6 --set unfold=0"}, {"msd_csc/msd_csc", "--set d=6 --set unfold=1"},
        {"msd_csc/msd_csc", "--set d=12 --set unfold=2"}, {"res_csc/res_csc", "--set n=3"}, {"resnet/resnet", ""}, {"sdnet/sdnet", ""},
        {"lista/lista", ""}, {"lenet/lenet", ""}, {"vgg/vgg", ""}, {"crate/crate", ""}, {"denoise/denoise", ""}, {"scn/scn", ""},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) schedule("schedule", examples[i][0], examples[i][1]);
}

TEST(gpu_launches) {
    static const char *const examples[][2] = {
        {"ml_ista_mnist/ml_ista_mnist", "--set unfold=2"}, {"msd_csc/msd_csc", "--set d=6 --set unfold=1"}, {"res_csc/res_csc", "--set n=3"},
        {"resnet/resnet", ""}, {"sdnet/sdnet", "--set form=all"}, {"crate/crate", ""}, {"denoise/denoise", ""},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) schedule("gpu", examples[i][0], examples[i][1]);
}

#ifdef __SANITIZE_ADDRESS__
#define RELEASE_ONLY() SKIP("instrumented code")
#else
#define RELEASE_ONLY()
#endif

/* ---- instructions ---- */
static const char *self;

__attribute__((noinline)) int guarded_call(const csc_entry *e, const csc_call *c);
__attribute__((noinline)) int guarded_call(const csc_entry *e, const csc_call *c) { return e->run(c); }

static void *memory(size_t n) {
    void *p = aligned_alloc(64, (n + 127) / 64 * 64);
    if (!p) exit(2);
    memset(p, 0, n);
    return p;
}

/* In a process of its own, under callgrind: one call of `backward`. Sizes of inputs and outputs come from the command line. */
static int run_library(int argc, char **argv) {
    void *lib = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
    if (!lib) return fprintf(stderr, "%s\n", dlerror()), 2;
    const csc_model *(*query)(uint32_t);
    *(void **)&query = dlsym(lib, "csc_model_query");
    const csc_model *m = query(CSC_MODEL_VERSION);
    const csc_entry *e = &m->entries[0];
    uint32_t batch = (uint32_t)atoi(argv[3]);
    const float *in[16];
    float *out[64];
    if (argc != (int)(4 + e->nin + e->nout)) return fprintf(stderr, "%d words, %u + %u tensors\n", argc, e->nin, e->nout), 2;
    for (uint32_t i = 0; i < e->nin; i++) {
        size_t n = (size_t)atoll(argv[4 + i]);
        float *at = memory(n * 4);
        for (size_t k = 0; k < n; k++) at[k] = (float)(k % 7) * 0.1f - 0.2f;
        in[i] = at;
    }
    for (uint32_t i = 0; i < e->nout; i++) out[i] = memory((size_t)atoll(argv[4 + e->nin + i]) * 4);
    float *params = memory(m->param_floats * 4), *state = memory(m->state_floats * 4 + 64);
    for (uint64_t k = 0; k < m->param_floats; k++) params[k] = (float)(k % 11) * 0.01f - 0.04f;
    for (uint64_t k = 0; k < m->state_floats; k++) state[k] = 1;
    csc_call c = {.size = sizeof c, .batch = batch, .in = in, .out = out, .params = params, .grads = memory(m->param_floats * 4), .state = state,
                  .state_out = state, .tunables = m->tunable_defaults,
                  .workspace = memory(e->fixed_bytes + batch * e->batch_bytes + e->thread_bytes)};
    return guarded_call(e, &c);
}

static void instructions(const char *program, const char *args, int64_t batch) {
    Guarded g;
    compile(&g, program, args, "x86-64-v3", ENTRY_BACKWARD, "llvm");
    Arena *a = g.cx->keep;
    if (!link_shared(g.cx, g.c.object->bytes, g.c.object->len, false, "./guarded.so")) FAIL("%s: no library", program);
    const Entry *e = &g.c.entries.at[0];
    const char *sizes = "";
    for (int32_t i = 0; i < e->nin; i++) sizes = arena_printf(a, "%s %lld", sizes, (long long)(batch * shape_size(e->in[i].shape)));
    for (size_t i = 0; i < e->graph->outs.len; i++) {
        const GraphOut *o = &e->graph->outs.at[i];
        if (o->role == OUT_GRAD || o->role == OUT_STATE) continue;
        sizes = arena_printf(a, "%s %lld", sizes, (long long)(batch * shape_size(graph_shape(e->graph, o->node))));
    }
    const char *command = arena_printf(a, "valgrind --tool=callgrind --callgrind-out-file=callgrind.out --toggle-collect=guarded_call '%s' --run ./guarded.so %lld%s 2>callgrind.log", self,
                                       (long long)batch, sizes);
    if (system(command)) FAIL("%s: %s: see callgrind.log", program, command);
    FILE *f = fopen("callgrind.out", "r");
    char line[400];
    double count = 0;
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "summary: %lf", &count);
        sscanf(line, "totals: %lf", &count);
    }
    if (f) fclose(f);
    if (count < 1000) FAIL("%s: callgrind counted %.0f instructions", program, count);
    count *= 1e-6;
    no_more("instructions", program, args, "million instructions", count, recorded("instructions", program, args, &count, 1)->number[0], 0.03);
    cx_free(g.cx);
}

TEST(instructions) {
    RELEASE_ONLY();
    if (system("command -v valgrind >/dev/null 2>&1")) {
        keep("instructions");
        SKIP("valgrind is not here");
    }
    instructions("digits/digits", "", 4);
    instructions("ml_ista_mnist/ml_ista_mnist", "--set unfold=1", 1);
    instructions("msd_csc/msd_csc", "--set d=3 --set unfold=1", 1);
    instructions("res_csc/res_csc", "--set n=1", 1);
}

/* ---- inner loops ---- */
typedef struct Counts {
    int loops, fma, loads, spills, stores;
} Counts;

static bool jump_target(const char *line, char name[64]) { return sscanf(line, " j%*[a-z] %63[.A-Za-z0-9_$]", name) == 1 && name[0] == '.'; }

/* A jump back to a label that no other jump back lies between closes an inner loop. */
static void count_loops(const char *text, Counts *c, int *worst) {
    enum { LABELS = 4096 };
    static struct {
        char name[64];
        const char *at;
    } label[LABELS];
    int labels = 0;
    const char *last_start = text;
    *worst = 0;
    for (const char *line = text, *next; *line; line = next) {
        next = strchr(line, '\n');
        next = next ? next + 1 : line + strlen(line);
        char name[64];
        if (*line == '.' && sscanf(line, "%63[.A-Za-z0-9_$]:", name) == 1) {
            if (labels == LABELS) labels = 0;
            memcpy(label[labels].name, name, sizeof name);
            label[labels++].at = line;
            continue;
        }
        if (*line != '\t' && *line != ' ' && *line != '#' && *line != '\n') labels = 0; /* another function */
        if (!jump_target(line, name)) continue;
        const char *start = NULL;
        for (int i = labels; i-- > 0 && !start;)
            if (!strcmp(label[i].name, name)) start = label[i].at;
        if (!start || start < last_start) continue; /* forward, or around a loop */
        last_start = line;
        Counts one = {.loops = 1};
        for (const char *s = start; s < line; s = strchr(s, '\n') + 1) {
            int n = (int)(strchr(s, '\n') - s);
            char copy[300];
            snprintf(copy, sizeof copy, "%.*s", n < 299 ? n : 299, s);
            bool spill = strstr(copy, "64-byte Spill") || strstr(copy, "64-byte Reload") || strstr(copy, "64-byte Folded");
            copy[strcspn(copy, "#")] = 0;
            for (size_t end = strlen(copy); end && strchr(" \t", copy[end - 1]);) copy[--end] = 0;
            bool store = (*copy && copy[strlen(copy) - 1] == ')') || strstr(copy, ") {%k"); /* AT&T: the target is the last operand */
            one.fma += strstr(copy, "vfmadd") != NULL || strstr(copy, "vfnmadd") != NULL;
            one.loads += strchr(copy, '(') && !store && copy[0] == '\t' && copy[1] == 'v';
            one.stores += store && !spill && copy[1] == 'v';
            one.spills += spill;
        }
        if (one.fma < 8 || one.stores) continue; /* what stores as it goes is a transform, not a sum */
        c->loops++, c->fma += one.fma, c->loads += one.loads, c->spills += one.spills;
        if (one.spills > *worst) *worst = one.spills;
        if (getenv("CSC_SHOW")) printf("%s: %d multiply-adds, %d loads, %d spills\n", name, one.fma, one.loads, one.spills);
    }
}

static void tiles(const char *program, const char *args) {
    Guarded g;
    compile(&g, program, args, "x86-64-v4", ENTRY_BACKWARD, "sched");
    const char *why = "";
    const LlvmRoom *room = codegen_open(g.cx->keep, &why);
    if (!room) FAIL("%s", why);
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    LlvmModelInfo info = {.json = "{}", .symbol_prefix = ""};
    room->emit(g.cx->keep, g.c.sched->module, &info, &(LlvmOptions){.cpu = "x86-64-v4", .level = 1}, NULL, f);
    fclose(f);
    Counts c = {0};
    int worst;
    count_loops(text, &c, &worst);
    free(text);
    double now[4] = {c.loops, c.fma, c.loads, c.spills};
    const Row *r = recorded("tiles", program, args, now, 4);
    if (c.loops < 2) FAIL("%s %s: %d inner loops were found", program, args, c.loops);
    if (c.spills) FAIL("%s %s: %d spills or reloads in inner loops, %d in the worst", program, args, c.spills, worst);
    if (c.fma <= c.loads) FAIL("%s %s: %d multiply-adds for %d loads", program, args, c.fma, c.loads);
    no_more("tiles", program, args, "loads for 1000 multiply-adds", 1000.0 * c.loads / c.fma, 1000 * r->number[2] / r->number[1], 0.03);
    cx_free(g.cx);
}

TEST(inner_loops) {
    RELEASE_ONLY();
    tiles("digits/digits", "");
    tiles("ml_ista_mnist/ml_ista_mnist", "--set unfold=1");
    tiles("msd_csc/msd_csc", "--set d=6 --set unfold=1");
    tiles("res_csc/res_csc", "--set n=2");
    tiles("resnet/resnet", "");
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc > 3 && !strcmp(argv[1], "--run")) return run_library(argc, argv);
    if (argc > 1 && !strcmp(argv[1], "--bless")) bless = true, argc = 1;
    table_read();
    static const Case cases[] = {T(kernels_and_bytes), T(gpu_launches), T(instructions), T(inner_loops)};
    int bad = run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
    if (bless) table_write();
    return bad;
}
