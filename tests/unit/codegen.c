/* Scheduled programs as machine code against the evaluator of loop nests: every operator and random programs. The same bits where the
   target has FMA. */
#include "csc_model.h"
#include "llvm/llvm.h"
#include "optest.h"
#include "sched/sched.h"
#include "check.h"

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static float *floats(Arena *a, int64_t n) { /* 64-byte aligned */
    char *f = arena_alloc(a, (size_t)n * 4 + 128);
    return (float *)(f + (64 - (uintptr_t)f % 64) % 64);
}

static void copy(float *to, const Value *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = (float)v->at[i];
}

static Program *program_of(Arena *a, const OpTest *t, csc_call *c) {
    Program *p = ARENA_NEW(a, Program);
    p->arena = a;
    for (uint32_t i = 0; i < t->nparam; i++) vec_push(a, &p->params, ((ParamDecl){.shape = t->env.params[i].shape}));
    for (uint32_t i = 0; i < t->nstate; i++) vec_push(a, &p->states, ((StateDecl){.shape = t->env.states[i].shape}));
    program_layout(p);
    float *params = floats(a, p->param_floats), *state = floats(a, p->state_floats), *tunables = floats(a, 16);
    for (uint32_t i = 0; i < t->nparam; i++) copy(params + p->params.at[i].offset, &t->env.params[i], shape_size(t->env.params[i].shape));
    for (uint32_t i = 0; i < t->nstate; i++) copy(state + p->states.at[i].offset, &t->env.states[i], shape_size(t->env.states[i].shape));
    for (size_t i = 0; i < t->graph->nodes.len; i++) {
        const Node *n = &t->graph->nodes.at[i];
        if (n->op != OP_tunable) continue;
        while (p->tunables.len <= (size_t)n->a.index) vec_push(a, &p->tunables, ((TunableDecl){0}));
        tunables[n->a.index] = (float)*t->env.tunables[n->a.index].at;
    }
    float **in = ARENA_ARRAY(a, float *, t->ninput + 1);
    for (uint32_t i = 0; i < t->ninput; i++) {
        int64_t n = shape_size(t->env.inputs[i].shape) * t->env.batch;
        in[i] = floats(a, n);
        copy(in[i], &t->env.inputs[i], n);
    }
    *c = (csc_call){.size = sizeof *c, .batch = (uint32_t)t->env.batch, .in = (const float *const *)in, .params = params, .state = state,
                    .tunables = tunables, .seed = t->env.seed, .step = t->env.step, .first_sample = (uint64_t)t->env.first_sample};
    return p;
}

static float **outputs(Arena *a, const LpEntry *e, int64_t batch, int64_t *size) {
    float **out = ARENA_ARRAY(a, float *, e->nout + 1);
    for (int32_t i = 0; i < e->nout; i++) {
        size[i] = e->out[i].floats * (e->out[i].batched ? batch : 1);
        out[i] = floats(a, size[i]);
        for (int64_t k = 0; k < size[i]; k++) out[i][k] = -77;
    }
    return out;
}

static void compare(OpTest t, const char *cpu, const char *what, uint64_t seed) {
    Cx *cx = cx_new();
    Arena *a = cx->keep;
    const char *why = "";
    csc_call c;
    Program *p = program_of(a, &t, &c);
    InputDecl *in = ARENA_ARRAY(a, InputDecl, t.ninput + 1);
    for (uint32_t i = 0; i < t.ninput; i++) in[i].shape = t.env.inputs[i].shape;
    Entry entry = {.kind = ENTRY_FORWARD, .graph = t.graph, .nin = (int32_t)t.ninput, .in = in, .name = name_of(cx, "forward")};
    SchedTarget target;
    CHECK(sched_target(cpu, &target));
    LpModule *m = sched_program(cx, a, p, &entry, 1, &target)->module;
    const LpEntry *e = &m->entries.at[0];
    int64_t *size = ARENA_ARRAY(a, int64_t, e->nout + 1);
    c.workspace = floats(a, e->fixed_floats + e->batch_floats * c.batch + e->thread_bytes / 4);
    float **want = outputs(a, e, c.batch, size), **got = outputs(a, e, c.batch, size);
    c.out = want;
    if (!loop_eval(a, m, 0, &c, &why)) FAIL("%s seed %llu: %s", what, (unsigned long long)seed, why);
    LlvmModelInfo info = {.json = "{}", .param_floats = (uint64_t)p->param_floats};
    LlvmOptions o = {.cpu = cpu, .level = 2, .asan = SANITIZED};
    const csc_model *model;
    CodeImage *j = code_load(a, llvm_emit(a, m, &info, &o, NULL, NULL), &model, &why);
    if (!j) FAIL("%s", why);
    c.out = got;
    CHECK(model->entries[0].run(&c) == 0);
    bool bits = strcmp(cpu, "x86-64-v2") && __builtin_cpu_supports("fma");
    for (int32_t i = 0; i < e->nout; i++)
        for (int64_t k = 0; k < size[i]; k++) {
            float x = got[i][k], y = want[i][k];
            bool same = !memcmp(&x, &y, 4) || (isnan(x) && isnan(y)), near = fabs((double)x - y) <= 1e-4 * (1 + fabs((double)y));
            if (!same && (bits || !near))
                FAIL("%s seed %llu, %s: output %d entry %lld is %.9g, the evaluator says %.9g", what, (unsigned long long)seed, cpu, i, (long long)k, x, y);
        }
    code_free(j);
    cx_free(cx);
}

static const char *const cpus[] = {"x86-64-v2", "x86-64-v3", "native"};
static const char *cpu_of(uint64_t seed) {
    const char *cpu = cpus[seed % 3];
    return !strcmp(cpu, "x86-64-v3") && !__builtin_cpu_supports("avx2") ? cpus[0] : cpu;
}

TEST(every_operator) {
    for (int k = 0; k < OP_COUNT; k++) {
        Arena *a = arena_new();
        compare(optest_instance(a, (OpKind)k, (uint64_t)k), cpu_of((uint64_t)k), op_info[k].id, (uint64_t)k);
        arena_free(a);
    }
}

#ifdef __SANITIZE_ADDRESS__ /* making sanitized code is slow */
enum { PROGRAMS = 9 };
#else
enum { PROGRAMS = 300 };
#endif

TEST(random_programs) {
    for (uint64_t seed = 0; seed < PROGRAMS; seed++) {
        Arena *a = arena_new();
        compare(optest_program(a, seed), cpu_of(seed), "program", seed);
        arena_free(a);
    }
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(every_operator), T(random_programs)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
