/* The table of passes: run, check, print if asked, next. */
#include "driver/passes.h"
#include "base/trouble.h"
#include "driver/cache.h"
#include "driver/codegen.h"
#include "driver/gpu_target.h"
#include "driver/entries.h"
#include "driver/info.h"
#include "driver/link.h"
#include "driver/load.h"
#include "driver/tiles.h"
#include "op/passes.h"
#include "sema/sema.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef enum Noun { NOUN_AST, NOUN_NONE, NOUN_OP, NOUN_LOOP, NOUN_CODE } Noun;
typedef struct Pass {
    const char *name;
    Noun noun; /* what there is after it */
    void (*run)(Compile *);
} Pass;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the passes ---- */
static void run_read(Compile *c) { c->ast = load_program(c->cx, c->o->words[0]); }
static void run_sema(Compile *c) { sema_check(c->cx, c->ast); }

static BuildOptions build_options(const Compile *c) {
    return (BuildOptions){.model = c->o->model ? name_of(c->cx, c->o->model) : NULL,
                          .set = c->set, .nset = c->nset, .tune = c->o->tune, .ntune = c->o->ntune,
                          .free_default = c->free_default, .free_why = c->free_why};
}

static void run_declare(Compile *c) {
    BuildOptions b = build_options(c);
    size_t said = c->cx->diags.len;
    BuildResult *r = build_program(c->cx, c->cx->keep, c->ast, &b, NULL, NULL, 0);
    c->program = r ? r->program : NULL;
    if (!c->cx->errors) c->cx->diags.len = said; /* its warnings come again when the entries are built */
}

static void run_build(Compile *c) {
    BuildOptions b = build_options(c);
    EntryKind *kind = ARENA_ARRAY(c->cx->keep, EntryKind, c->want.len + 1);
    int32_t *stage = ARENA_ARRAY(c->cx->keep, int32_t, c->want.len + 1);
    for (size_t i = 0; i < c->want.len; i++) kind[i] = c->want.at[i].kind, stage[i] = c->want.at[i].stage;
    BuildResult *r = build_program(c->cx, c->cx->keep, c->ast, &b, kind, stage, c->want.len);
    if (!r) return;
    c->program = r->program;
    c->entries.at = r->entries.at;
    c->entries.len = c->entries.cap = r->entries.len;
}

static void run_simplify(Compile *c) {
    for (size_t i = 0; i < c->entries.len; i++) c->entries.at[i].graph = op_simplify(c->cx->keep, c->entries.at[i].graph);
}
static void run_unfold(Compile *c) {
    for (size_t i = 0; i < c->entries.len; i++) c->entries.at[i].graph = op_unfold(c->cx->keep, c->entries.at[i].graph, 0);
    run_simplify(c);
}
static void run_factor(Compile *c) { /* after a simplification: equal products are one before they are joined */
    for (size_t i = 0; i < c->entries.len; i++) c->entries.at[i].graph = op_factor(c->cx->keep, c->entries.at[i].graph);
    run_simplify(c);
}
static void run_ad(Compile *c) {
    for (size_t i = 0; i < c->entries.len; i++) entry_finish(c->cx, c->program, &c->entries.at[i]);
}

static void run_moments(Compile *c) {
    for (size_t i = 0; i < c->entries.len; i++) c->entries.at[i].graph = op_moments(c->cx->keep, c->entries.at[i].graph);
    run_simplify(c);
}

/* Code that an earlier run made of the same graphs for the same processor. */
static void run_cache(Compile *c) {
    const Options *o = c->o;
    bool runs = o->command == CMD_TRAIN || o->command == CMD_EVAL || o->command == CMD_RUN;
    c->tuned = NULL, c->ntuned = 0, c->tiles_said = NULL;
    if (runs || o->command == CMD_BUILD) tiles_open(c);
    if (c->cx->errors) return;
    c->cache_key = runs && !o->any_emit && !o->remarks && !o->stop_after ? cache_key(c) : NULL;
    if (c->cache_key) c->object = cache_read(c->cx, c->cache_key);
}

static void run_sched(Compile *c) {
    if (c->object) return;
    SchedTarget t;
    if (!sched_target(c->narch ? "cuda" : c->cpu, &t)) {
        Diag *d = diag_error(c->cx, E_CPU, (Span){0}, "there is no processor '%s'", c->cpu);
        if (strchr(c->cpu, ',')) diag_help(c->cx, d, "several levels stand in a library only: cscc build --cpu x86-64-v2,x86-64-v3,x86-64-v4");
        return;
    }
    bool runs = c->o->command == CMD_TRAIN || c->o->command == CMD_EVAL || c->o->command == CMD_RUN;
    if (runs && !t.gpu && !c->o->any_emit && !sched_target_runs(c->cpu)) {
        Diag *d = diag_error(c->cx, E_CPU, (Span){0}, "code for %s does not run on this machine", c->cpu);
        diag_help(c->cx, d, "cscc build makes libraries for other machines");
        return;
    }
    t.tuned = c->tuned, t.ntuned = c->ntuned, t.winograd = c->o->direct ? -1 : 0;
    t.precision = t.gpu ? (SchedPrecision)c->o->precision : SCHED_FLOAT32;
    c->sched = sched_program(c->cx, c->cx->keep, c->program, c->entries.at, c->entries.len, &t);
    const char *why = NULL;
    if (c->sched && !loop_check(c->cx->pass, c->sched->module, &why)) BUG("the nests do not hold what they promise: %s", why);
}

static void run_cuda(Compile *c) {
    if (c->object || !c->gpu) return;
    gpu_target_program(c);
    if (c->object && c->cache_key) cache_write(c->cache_key, c->object);
}

/* Where --emit writes: -o, or standard output for text. Objects are binary and need a name. */
static void run_llvm(Compile *c) {
    const Options *o = c->o;
    if (c->object || c->gpu) return;
    const char *why = NULL;
    const LlvmRoom *room = codegen_open(c->cx->keep, &why);
    if (!room) {
        Diag *d = diag_error(c->cx, E_NO_CODE, (Span){0}, "there is no code generator: %s", why);
        diag_help(c->cx, d, "check, inspect and --emit=ast,op,loop work without; for the rest copy the whole of a build or an installation, not cscc alone");
        return;
    }
    float *tune = ARENA_ARRAY(c->cx->keep, float, c->program->tunables.len + 1);
    for (size_t i = 0; i < c->program->tunables.len; i++) tune[i] = (float)c->program->tunables.at[i].value;
    c->info = info_json(c->cx, c);
    LlvmModelInfo info = {.json = c->info,
                          .param_floats = (uint64_t)c->program->param_floats,
                          .state_floats = (uint64_t)c->program->state_floats,
                          .tunable_count = (uint32_t)c->program->tunables.len,
                          .tunable_defaults = tune,
                          .params = c->embed_params,
                          .state = c->embed_states,
                          .symbol_prefix = c->symbol_prefix,
                          .weights = c->weights};
    LlvmOptions lo = {.cpu = c->cpu, .level = 1, .split = !o->emit[EMIT_OBJ]};
#ifdef __SANITIZE_ADDRESS__
    lo.asan = o->command != CMD_BUILD;
#endif
    bool text = o->emit[EMIT_LLVM] || o->emit[EMIT_ASM];
    c->object = room->emit(c->cx->keep, c->sched->module, &info, &lo, text && o->emit[EMIT_LLVM] ? stdout : NULL,
                          text && o->emit[EMIT_ASM] ? stdout : NULL);
    if (c->object && c->cache_key) cache_write(c->cache_key, c->object);
    if (c->object && o->emit[EMIT_OBJ]) {
        const char *name = o->output ? o->output : arena_printf(c->cx->keep, "%s.o", c->program->model);
        link_write(c->cx, name, c->object->bytes, c->object->len);
    }
}

static const Pass table[] = {
    {"read", NOUN_AST, run_read},
    {"sema", NOUN_AST, run_sema},
    {"declare", NOUN_NONE, run_declare},
    {"build", NOUN_OP, run_build},
    {"simplify", NOUN_OP, run_simplify},
    {"unfold", NOUN_OP, run_unfold},
    {"factor", NOUN_OP, run_factor},
    {"ad", NOUN_OP, run_ad},
    {"tidy", NOUN_OP, run_simplify},
    {"moments", NOUN_OP, run_moments},
    {"cache", NOUN_NONE, run_cache},
    {"sched", NOUN_LOOP, run_sched},
    {"cuda", NOUN_CODE, run_cuda},
    {"llvm", NOUN_CODE, run_llvm},
};
enum { NPASS = sizeof table / sizeof *table, FIRST_DECLARE = 2, FIRST_MODEL = 3 };

bool pass_known(const char *name) {
    for (int i = 0; i < NPASS; i++)
        if (!strcmp(table[i].name, name)) return true;
    return false;
}

/* ---- after each pass ---- */
static void check_graphs(Compile *c, const char *pass) {
    for (size_t i = 0; i < c->entries.len; i++) {
        const char *why = NULL;
        if (!graph_check(c->entries.at[i].graph, &why)) BUG("after %s the graph of entry %s does not hold what it promises: %s", pass, c->entries.at[i].name, why);
    }
}

static void print_noun(Compile *c, Noun n) {
    const Options *o = c->o;
    if (n == NOUN_AST && o->emit[EMIT_AST] && c->ast->nfiles) syntax_print(c->ast->files[0], stdout);
    if (n == NOUN_OP && o->emit[EMIT_OP])
        for (size_t i = 0; i < c->entries.len; i++) {
            printf("# entry %s\n", c->entries.at[i].name ? c->entries.at[i].name : entry_name(c->cx, c->entries.at[i].kind, c->entries.at[i].stage));
            graph_print(c->entries.at[i].graph, stdout);
        }
    if (n == NOUN_LOOP && o->emit[EMIT_LOOP] && c->sched) loop_print(c->sched->module, stdout);
}

static bool run_passes(Compile *c, int from, int to, const char *stop_at) {
    for (int i = from; i < to; i++) {
        trouble_set_pass(table[i].name);
        double start = now();
        table[i].run(c);
        double took = now() - start;
        size_t k = 0; /* a pass that runs again (another size) adds to its time */
        while (k < c->ntimes && c->times[k].name != table[i].name) k++;
        if (k == c->ntimes && c->ntimes < PASS_MOST) c->times[c->ntimes++].name = table[i].name;
        if (k < PASS_MOST) c->times[k].seconds += took;
        if (c->cx->errors) return false;
        if (table[i].noun == NOUN_OP) check_graphs(c, table[i].name);
        bool stop = stop_at && !strcmp(stop_at, table[i].name);
        bool user_stop = c->o->stop_after && !strcmp(c->o->stop_after, table[i].name);
        if (stop || user_stop || i + 1 == NPASS || table[i + 1].noun != table[i].noun) print_noun(c, table[i].noun);
        arena_reset(c->cx->pass);
        if (user_stop) return true;
        if (stop) break;
    }
    trouble_set_pass("command");
    return true;
}

static bool stopped_before(const Compile *c, int pass) { /* did --stop-after name an earlier pass? */
    for (int i = 0; i < pass; i++)
        if (c->o->stop_after && !strcmp(c->o->stop_after, table[i].name)) return true;
    return false;
}

bool compile_read(Compile *c, Cx *cx, const Options *o) {
    *c = (Compile){.cx = cx, .o = o, .set = o->set, .nset = o->nset, .cpu = o->cpu ? o->cpu : o->command == CMD_BUILD ? "x86-64-v3" : "native"};
    if (o->stop_after && !pass_known(o->stop_after)) {
        Diag *d = diag_error(cx, E_PASS, (Span){0}, "there is no pass '%s'", o->stop_after);
        const char *names[NPASS];
        for (int i = 0; i < NPASS; i++) names[i] = table[i].name;
        const char *near = diag_nearest(o->stop_after, names, NPASS);
        if (near) diag_help(cx, d, "did you mean '%s'?", near);
        return false;
    }
    if (!gpu_target_read(c)) return false;
    /* sema needs files that were read without errors */
    return run_passes(c, 0, 1, NULL) && (stopped_before(c, 1) || run_passes(c, 1, 2, NULL));
}

bool compile_declare(Compile *c) {
    if (stopped_before(c, FIRST_DECLARE)) return true;
    return run_passes(c, FIRST_DECLARE, FIRST_MODEL, NULL) && c->program;
}

bool compile_model(Compile *c, const char *stop_at) {
    if (stopped_before(c, FIRST_MODEL)) return true;
    return run_passes(c, FIRST_MODEL, NPASS, stop_at);
}

bool compile_operators(const Compile *c, Entry *out) {
    BuildOptions b = build_options(c);
    EntryKind kind = ENTRY_OPERATORS;
    int32_t stage = 0;
    size_t said = c->cx->diags.len;
    BuildResult *r = build_program(c->cx, c->cx->keep, c->ast, &b, &kind, &stage, 1);
    c->cx->diags.len = said;
    if (r) *out = r->entries.at[0];
    return r != NULL;
}

void compile_want(Compile *c, EntryKind kind, int32_t stage) {
    Want w = {kind, stage};
    vec_push(c->cx->keep, &c->want, w);
}

void compile_report(const Compile *c) {
    if (c->o->remarks && c->tiles_said) fprintf(stderr, "remark: %s\n", c->tiles_said);
    if (c->o->remarks && c->sched)
        for (size_t i = 0; i < c->sched->remarks.len; i++) {
            const SchedRemark *r = &c->sched->remarks.at[i];
            if (r->span.file) fprintf(stderr, "%s:%u:%u: remark: %s\n", c->cx->sources.at[r->span.file].path, r->span.line, r->span.col, r->text);
            else fprintf(stderr, "remark: %s\n", r->text);
        }
    if (c->o->time_passes) {
        double all = 0;
        for (size_t i = 0; i < c->ntimes; i++) {
            fprintf(stderr, "%-10s %9.2f ms\n", c->times[i].name, 1e3 * c->times[i].seconds);
            all += c->times[i].seconds;
        }
        fprintf(stderr, "%-10s %9.2f ms\n", "all", 1e3 * all);
    }
}
