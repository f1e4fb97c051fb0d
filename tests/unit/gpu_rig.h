/* Example programs, made very small and scheduled for a GPU, run entry by entry against the float64 evaluator. */
#ifndef CSC_TESTS_GPU_RIG_H
#define CSC_TESTS_GPU_RIG_H
#include "entry_rig.h"
#include "csc_model.h"
#include "driver/args.h"
#include "driver/model.h"
#include "driver/passes.h"
#include "unit/rounding.h"

/* How entries are run: false with a reason. `open` and `close` may be NULL. */
typedef struct GpuRunner {
    void *(*open)(Arena *a, const LpModule *m);
    bool (*run)(void *how, Arena *a, const LpModule *m, int entry, const csc_call *call, const char **why);
    void (*close)(void *how);
    SchedPrecision precision;
} GpuRunner;

typedef struct GpuNet { /* what a runtime would hold */
    float *params, *states, *tunables;
} GpuNet;

static inline float *gpu_zeros(Arena *a, int64_t n) {
    float *f = block(a, n);
    memset(f, 0, (size_t)n * sizeof *f);
    return f;
}

static inline void gpu_init(const Init *i, int64_t n, float *at) { /* uniform of the same deviation */
    double lo = i->kind == INIT_NORMAL ? i->a - 1.73 * i->b : i->a, hi = i->kind == INIT_NORMAL ? i->a + 1.73 * i->b : i->kind == INIT_UNIFORM ? i->b : i->a;
    for (int64_t k = 0; k < n; k++) at[k] = (float)(lo + (hi - lo) * uniform());
}

static inline int64_t gpu_launches_of(const Ls *s) {
    int64_t n = 0;
    for (; s; s = s->next) n += (s->kind == LS_LAUNCH) + gpu_launches_of(s->body) + gpu_launches_of(s->orelse);
    return n;
}

/* How far two evaluations are from one another, by size. */
static inline double gpu_apart(const Value *v, const Value *w, int64_t batch) {
    double off = 0, size = 0;
    int64_t n = shape_size(v->shape) * (v->batched ? batch : 1);
    for (int64_t i = 0; i < n; i++) off += (v->at[i] - w->at[i]) * (v->at[i] - w->at[i]), size += v->at[i] * v->at[i];
    return off > 0 ? sqrt(off / size) : 0;
}

/* In tf32 and bf16 an operand that lies between two short floats may be cut to either, by its last bit of float32, and a long program makes much of
   that: where two evaluations differ that differ by float32's rounding alone, results may be four times as far from them. */
static inline void gpu_run_entry(const GpuRunner *r, void *how, const char *what, const Program *p, const Entry *e, const SchedResult *s, int index, GpuNet *net, int64_t batch, double tolerance) {
    Arena *a = arena_new();
    const LpEntry *code = &s->module->entries.at[index];
    Value *inputs = ARENA_ARRAY(a, Value, e->nin + 1), *params = ARENA_ARRAY(a, Value, p->params.len + 1);
    Value *states = ARENA_ARRAY(a, Value, p->states.len + 1), *tunables = ARENA_ARRAY(a, Value, p->tunables.len + 1);
    const float **in = ARENA_ARRAY(a, const float *, e->nin + 1);
    for (int32_t i = 0; i < e->nin; i++) {
        const InputDecl *d = &e->in[i];
        int64_t n = shape_size(d->shape) * batch;
        float *at = block(a, n);
        for (int64_t k = 0; k < n; k++) at[k] = d->kind == IN_LABEL ? (float)floor(uniform() * (double)d->classes) : (float)(uniform() * 2 - 0.7);
        in[i] = at;
        inputs[i] = widen(a, at, d->shape, true, batch);
    }
    for (size_t i = 0; i < p->params.len; i++) params[i] = widen(a, net->params + p->params.at[i].offset, with_turns(&p->params.at[i]), false, 1);
    for (size_t i = 0; i < p->states.len; i++) states[i] = widen(a, net->states + p->states.at[i].offset, p->states.at[i].shape, false, 1);
    for (size_t i = 0; i < p->tunables.len; i++) tunables[i] = widen(a, &net->tunables[i], (Shape){0}, false, 1);
    EvalEnv env = {.batch = batch, .inputs = inputs, .params = params, .states = states, .tunables = tunables, .seed = 5, .step = 3};
    sched_rounding(&env, r->precision);
    Value *want = eval_graph(a, e->graph, &env), *other = want;
    if (env.round && isfinite(tolerance)) {
        env.round = 0;
        other = eval_graph(a, e->graph, &env);
    }

    float **out = ARENA_ARRAY(a, float *, e->graph->outs.len + 1), *grads = block(a, p->param_floats), *state_out = block(a, p->state_floats);
    size_t nout = 0;
    for (size_t i = 0; i < e->graph->outs.len; i++) {
        const GraphOut *o = &e->graph->outs.at[i];
        if (o->role != OUT_GRAD && o->role != OUT_STATE) out[nout++] = block(a, shape_size(graph_shape(e->graph, o->node)) * batch);
    }
    csc_call call = {.size = sizeof call, .batch = (uint32_t)batch, .in = in, .out = out, .params = net->params, .grads = grads, .state = net->states,
                     .state_out = state_out, .tunables = net->tunables, .seed = 5, .step = 3, .workspace = block(a, code->fixed_floats + batch * code->batch_floats)};
    const char *why = "";
    if (!r->run(how, a, s->module, index, &call, &why)) FAIL("%s, %s: %s", what, e->name, why);
    nout = 0;
    for (size_t i = 0; i < e->graph->outs.len; i++) {
        const GraphOut *o = &e->graph->outs.at[i];
        const float *got;
        const char *name = o->name ? o->name : "loss";
        if (o->role == OUT_GRAD) got = grads + p->params.at[o->index].offset, name = p->params.at[o->index].name;
        else if (o->role == OUT_STATE) got = state_out + p->states.at[o->index].offset, name = p->states.at[o->index].name;
        else got = out[nout++];
        double by_chance = other == want ? 0 : 4 * gpu_apart(&want[o->node], &other[o->node], batch);
        compare(what, e->name, name, got, &want[o->node], batch, tolerance + by_chance);
        if (e->kind == ENTRY_INIT && o->role == OUT_PARAM) memcpy(net->params + p->params.at[o->index].offset, got, (size_t)shape_size(graph_shape(e->graph, o->node)) * sizeof(float));
    }
    bool keeps = e->kind == ENTRY_STEP || e->kind == ENTRY_INIT;
    for (size_t i = 0; keeps && i < e->graph->outs.len; i++) {
        const GraphOut *o = &e->graph->outs.at[i];
        int64_t at = o->role == OUT_STATE ? p->states.at[o->index].offset : 0;
        if (o->role == OUT_STATE) memcpy(net->states + at, state_out + at, (size_t)shape_size(graph_shape(e->graph, o->node)) * sizeof(float));
    }
    arena_free(a);
}

/* program: an example, or a path without its ending; which: as in examples.c; launches: of the step, or of forward alone, at most */
static inline void gpu_agrees(const GpuRunner *r, const char *program, const char *args, const char *which, int64_t batch, double tolerance, int64_t launches) {
    Cx *cx = cx_new();
    const char *words[32] = {"cscc", "train", strchr(program, '/') ? arena_printf(cx->keep, "%s/%s.csc", CSC_SOURCE_DIR, program)
                                                                          : arena_printf(cx->keep, "%s/examples/%s/%s.csc", CSC_SOURCE_DIR, program, program)};
    int n = 3;
    char *copy = arena_strndup(cx->keep, args, strlen(args));
    for (char *w = strtok(copy, " "); w && n < 32; w = strtok(NULL, " ")) words[n++] = w;
    Options o;
    int code;
    Compile c;
    CHECK(args_read(cx, n, (char **)words, &o, &code));
    bool ok = compile_read(&c, cx, &o);
    c.free_default = true;
    ok = ok && compile_declare(&c);
    if (ok) {
        int32_t last = (int32_t)c.program->stages.len - 1;
        compile_want(&c, ENTRY_INIT, 0);
        if (strchr(which, 's')) compile_want(&c, ENTRY_STEP, last);
        if (strchr(which, 'e')) compile_want(&c, ENTRY_EVAL, last);
        if (strchr(which, 'f')) compile_want(&c, ENTRY_FORWARD, 0);
        if (strchr(which, 'b')) compile_want(&c, ENTRY_BACKWARD, 0);
        ok = compile_model(&c, "tidy");
    }
    if (!ok) {
        diag_print_all(cx, stdout, false);
        FAIL("%s %s is not accepted", program, args);
    }
    SchedTarget target;
    CHECK(sched_target("cuda", &target));
    target.precision = r->precision;
    const Program *p = c.program;
    SchedResult *s = sched_program(cx, cx->keep, p, c.entries.at, c.entries.len, &target);
    const char *why = "", *what = arena_printf(cx->keep, "%s %s", program, args);
    if (!loop_check(cx->keep, s->module, &why)) FAIL("%s: %s", what, why);
    GpuNet net = {gpu_zeros(cx->keep, p->param_floats), gpu_zeros(cx->keep, p->state_floats), gpu_zeros(cx->keep, (int64_t)p->tunables.len)};
    for (size_t i = 0; i < p->tunables.len; i++) net.tunables[i] = (float)p->tunables.at[i].value;
    dice = 1;
    for (size_t i = 0; i < p->params.len; i++) gpu_init(&p->params.at[i].init, shape_size(with_turns(&p->params.at[i])), net.params + p->params.at[i].offset);
    for (size_t i = 0; i < p->states.len; i++) gpu_init(&p->states.at[i].init, shape_size(p->states.at[i].shape), net.states + p->states.at[i].offset);
    void *how = r->open ? r->open(cx->keep, s->module) : NULL;
    for (size_t i = 0; i < c.entries.len; i++) {
        int64_t many = gpu_launches_of(s->module->entries.at[i].body);
        if (getenv("CSC_SHOW")) printf("%s, %s: %lld launches\n", what, c.entries.at[i].name, (long long)many);
        if ((c.entries.at[i].kind == ENTRY_STEP || (c.entries.at[i].kind == ENTRY_FORWARD && !strcmp(which, "f"))) && many > launches)
            FAIL("%s: %lld launches in entry %s, not %lld", what, (long long)many, c.entries.at[i].name, (long long)launches);
        gpu_run_entry(r, how, what, p, &c.entries.at[i], s, (int)i, &net, batch, tolerance);
    }
    if (r->close) r->close(how);
    cx_free(cx);
}
#endif
