/* cscc autotune: measures a handful of tiles for each product of a program's entries, and writes those that won beside it. Each product is
   compiled by itself, with its own tile and with the others, and runs on one thread; what reads or feeds it in the program is left out. */
#include "driver/codegen.h"
#include "driver/commands.h"
#include "driver/tiles.h"
#include "base/trouble.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHOICES = 12, TRIES = 7 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A product of the program, as an entry of its own: the gradient of a parameter, so that something is left of it. */
typedef struct Lone {
    Program program;
    Entry entry;
    InputDecl in;
    int64_t batch;
} Lone;

static bool isolate(Cx *cx, const Graph *from, const Node *n, Lone *out) {
    Arena *a = cx->keep;
    if (n->op != OP_conv && n->op != OP_conv_adj && n->op != OP_dense) return false;
    int w = n->op == OP_dense ? 0 : 1;
    const Node *x = graph_at(from, n->in[!w]), *weights = graph_at(from, n->in[w]);
    if (!x->batched || weights->batched) return false;
    Graph *g = graph_new(a);
    Span none = {0};
    NodeId at[2];
    at[w] = op_leaf(g, OP_param, 0, weights->shape, false, none, NULL);
    at[!w] = op1(g, OP_neg, op_leaf(g, OP_input, 0, x->shape, true, none, NULL)); /* computed: it lies as it does inside a network */
    NodeId v = graph_add(g, n->op, at, 2, &n->a, none);
    v = op1(g, OP_batch_sum, op_slice(g, v, 0, 0, 1));
    graph_out(g, OUT_GRAD, 1, v, NULL);
    *out = (Lone){.program = {.arena = a, .model = n->name}, .in = {.shape = x->shape}};
    vec_push(a, &out->program.params, ((ParamDecl){.shape = weights->shape}));
    vec_push(a, &out->program.params, ((ParamDecl){.shape = graph_shape(g, v), .offset = (shape_size(weights->shape) + 15) / 16 * 16}));
    out->program.param_floats = out->program.params.at[1].offset + (shape_size(graph_shape(g, v)) + 15) / 16 * 16;
    out->entry = (Entry){.kind = ENTRY_BACKWARD, .graph = g, .nin = 1, .in = &out->in, .name = name_of(cx, "backward")};
    double flops = graph_product_flops(from, n);
    out->batch = 32;
    while (out->batch > 1 && flops * (double)out->batch > 4e8) out->batch /= 2;
    return flops * (double)out->batch > 1e5; /* less is not worth a measurement */
}

static float *numbers(int64_t n) {
    float *p = aligned_alloc(64, ((size_t)n * 4 + 191) / 64 * 64);
    if (!p) machine_trouble("there is no memory left");
    for (int64_t i = 0; i < n + 16; i++) p[i] = (float)(i % 7) * 0.1f - 0.3f;
    return p;
}

/* Seconds of a call, the best of a few; 0: it cannot be run. */
static double seconds(Cx *cx, const Lone *l, const SchedResult *s, const char *cpu, const LlvmRoom *room) {
    Arena *a = cx->keep;
    LlvmModelInfo info = {.json = "{}", .param_floats = (uint64_t)l->program.param_floats};
    const csc_model *m;
    const char *why = NULL;
    CodeImage *j = code_load(a, room->emit(a, s->module, &info, &(LlvmOptions){.cpu = cpu, .level = 1}, NULL, NULL), &m, &why);
    if (!j) return 0;
    const csc_entry *e = &m->entries[0];
    float *in = numbers(shape_size(l->in.shape) * l->batch), *params = numbers(l->program.param_floats), *grads = numbers(l->program.param_floats);
    float *work = numbers((int64_t)((e->fixed_bytes + (uint64_t)l->batch * e->batch_bytes + e->thread_bytes) / 4));
    csc_call call = {.size = sizeof call, .batch = (uint32_t)l->batch, .in = (const float *const[]){in}, .params = params, .grads = grads, .workspace = work};
    double best = 0, begin = now();
    for (int i = 0; i < TRIES * 8 && (i < TRIES || now() - begin < 2e-2); i++) {
        double t = now();
        if (e->run(&call)) break;
        t = now() - t;
        if (best == 0 || t < best) best = t;
    }
    free(in), free(params), free(grads), free(work);
    code_free(j);
    return best;
}

typedef struct Tuning {
    Cx *cx;
    Compile *c;
    const LlvmRoom *room;
    SchedTarget target;
    Vec(uint64_t) seen; /* products measured, by the hash of their graph */
    Vec(SchedTile) won;
    double before, after;
    int products;
} Tuning;

static const SchedTile *find(const SchedTile *list, size_t n, const SchedTile *work) {
    for (size_t i = 0; i < n; i++)
        if (sched_tile_same_work(&list[i], work)) return &list[i];
    return NULL;
}

/* Samples at a time as in the program, where its tiles say so: the group whose products are met there. */
static SchedResult *schedule(Tuning *t, const Lone *l) {
    static const int32_t groups[] = {0, 1, 2, 4, 8, 16, 32};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        t->target.group = groups[i];
        SchedResult *s = sched_program(t->cx, t->cx->keep, &l->program, &l->entry, 1, &t->target);
        for (size_t k = 0; k < s->tiles.len; k++)
            if (find(t->c->sched->tiles.at, t->c->sched->tiles.len, &s->tiles.at[k])) return s;
    }
    return NULL;
}

static void measure(Tuning *t, const Graph *g, const Node *n) {
    Lone l;
    if (!isolate(t->cx, g, n, &l)) return;
    uint64_t hash = graph_hash(l.entry.graph);
    for (size_t i = 0; i < t->seen.len; i++)
        if (t->seen.at[i] == hash) return;
    vec_push(t->cx->keep, &t->seen, hash);
    SchedTarget usual = t->target;
    SchedResult *s = schedule(t, &l);
    const char *cpu = t->c->cpu;
    double first = s ? seconds(t->cx, &l, s, cpu, t->room) : 0, best = first;
    if (first > 0) {
        size_t works = s->tiles.len, most = 0, winner = CHOICES;
        SchedTile(*choice)[CHOICES] = arena_alloc(t->cx->keep, (works + 1) * sizeof *choice), *taken = ARENA_ARRAY(t->cx->keep, SchedTile, works + 1);
        size_t *count = ARENA_ARRAY(t->cx->keep, size_t, works + 1);
        for (size_t i = 0; i < works; i++) {
            count[i] = sched_tile_choices(&t->target, &s->tiles.at[i], choice[i], CHOICES);
            if (count[i] > most) most = count[i];
        }
        for (size_t k = 0; k < most; k++) {
            size_t same = 0;
            for (size_t i = 0; i < works; i++) {
                const SchedTile *own = &s->tiles.at[i];
                taken[i] = k < count[i] ? choice[i][k] : *own;
                same += taken[i].kv == own->kv && taken[i].tile_rows == own->tile_rows && taken[i].tile_cols == own->tile_cols;
            }
            if (same == works) continue;
            t->target.tuned = taken, t->target.ntuned = works;
            SchedResult *other = sched_program(t->cx, t->cx->keep, &l.program, &l.entry, 1, &t->target);
            double took = seconds(t->cx, &l, other, cpu, t->room);
            if (took > 0 && took < best * 0.97) best = took, winner = k; /* a hair's breadth may be chance */
        }
        for (size_t i = 0; i < works && winner < CHOICES; i++)
            if (winner < count[i] && !find(t->won.at, t->won.len, &s->tiles.at[i])) vec_push(t->cx->keep, &t->won, choice[i][winner]);
        t->products++, t->before += first, t->after += best;
        if (!t->c->o->json)
            printf("%-8s %-28s %8.1f us, best %8.1f us%s\n", op_info[n->op].id, shape_text(t->cx->keep, n->shape), 1e6 * first, 1e6 * best, best < first ? "  *" : "");
        fflush(stdout);
    }
    t->target = usual;
}

static void measure_all(Tuning *t, const Graph *g) {
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        measure(t, g, n);
        if (n->op == OP_loop) measure_all(t, n->a.loop->body);
    }
}

int command_autotune(Cx *cx, const Options *o) {
    Compile c;
    if (!compile_read(&c, cx, o)) return 1;
    c.free_default = true;
    if (!compile_declare(&c) || !c.program) return 1;
    compile_want(&c, ENTRY_FORWARD, 0);
    if (c.program->stages.len) compile_want(&c, ENTRY_STEP, 0);
    else compile_want(&c, ENTRY_BACKWARD, 0);
    if (!compile_model(&c, "sched")) return 1;
    const char *why = NULL;
    Tuning t = {.cx = cx, .c = &c, .room = codegen_open(cx->keep, &why)};
    if (!t.room) {
        diag_error(cx, E_NO_CODE, (Span){0}, "there is no code generator: %s", why);
        return 1;
    }
    sched_target(c.cpu, &t.target);
    t.target.winograd = o->direct ? -1 : 0;
    for (size_t i = 0; i < c.entries.len; i++) measure_all(&t, c.entries.at[i].graph);
    const char *path = tiles_path(cx->keep, o->words[0]);
    if (!tiles_write(&c, path, t.won.at, t.won.len)) return 1;
    if (o->json)
        printf("{\"file\": \"%s\", \"products\": %d, \"tiles\": %zu, \"before_us\": %.1f, \"after_us\": %.1f}\n", path, t.products, t.won.len, 1e6 * t.before, 1e6 * t.after);
    else
        printf("%s: %d products measured, %zu tiles changed, %.1f to %.1f us in all (the default is within %.0f %% of tuned)\n", path, t.products, t.won.len, 1e6 * t.before,
               1e6 * t.after, t.after > 0 ? 100 * (t.before / t.after - 1) : 0);
    return 0;
}
