/* Compiled entries against the evaluator, and gradients against differences, for a TestModel. */
#include "model.h"
#include "base/trouble.h"
#include <math.h>
#include <string.h>

/* ---- compiled code ---- */
static float *floats(Arena *a, int64_t n) { /* 64-byte aligned */
    char *f = arena_alloc(a, (size_t)n * 4 + 128);
    return (float *)(f + (64 - (uintptr_t)f % 64) % 64);
}

static float *block_of(Arena *a, const TestModel *m, bool params) {
    const Program *p = m->c.program;
    float *b = floats(a, params ? p->param_floats : p->state_floats);
    for (size_t i = 0; i < (params ? p->params.len : p->states.len); i++) {
        const Value *v = params ? &m->params[i] : &m->states[i];
        float *to = b + (params ? p->params.at[i].offset : p->states.at[i].offset);
        for (int64_t k = 0; k < shape_size(v->shape); k++) to[k] = (float)v->at[k];
    }
    return b;
}

static int64_t entries_of(const Value *v, int64_t batch) { return shape_size(v->shape) * (v->batched ? batch : 1); }

/* Entries apart by more than tol of the largest. */
static const char *differ(Arena *a, const char *entry, const char *what, const Value *want, const Value *got, int64_t batch, double tol) {
    double size = 1e-12;
    for (int64_t k = 0; k < entries_of(want, batch); k++) size = fmax(size, fabs(want->at[k]));
    int64_t n = shape_size(want->shape);
    for (int64_t k = 0; k < entries_of(got, batch); k++) {
        double x = want->at[want->batched ? k : k % n];
        if (!(fabs(got->at[k] - x) <= tol * size))
            return arena_printf(a, "%s: %s[%lld] is %.9g, the evaluator says %.9g (largest %g)", entry, what, (long long)k, got->at[k], x, size);
    }
    return NULL;
}

static const float **inputs_of(Arena *a, const TestModel *m, const Entry *e) {
    const Program *p = m->c.program;
    const float **in = ARENA_ARRAY(a, const float *, e->nin + 1);
    size_t cotangent = p->inputs.len;
    for (int32_t k = 0; k < e->nin; k++) {
        size_t i = 0;
        while (i < p->inputs.len && p->inputs.at[i].name != e->in[k].name) i++;
        const Value *x = &m->inputs[i < p->inputs.len ? i : cotangent++];
        float *f = floats(a, entries_of(x, m->batch));
        for (int64_t q = 0; q < entries_of(x, m->batch); q++) f[q] = (float)x->at[q];
        in[k] = f;
    }
    return in;
}

bool model_load_code(TestModel *m, const char **why) {
    if (m->code) return true;
    if (!compile_model(&m->c, "llvm")) return *why = "it does not compile", false;
    m->jit = code_load(m->c.cx->keep, m->c.object, &m->code, why);
    return m->jit != NULL;
}

Value *model_run(Arena *a, TestModel *m, const Entry *e, const char **why) {
    if (!m->code) BUG("the code is not loaded");
    const Program *p = m->c.program;
    const csc_entry *code = &m->code->entries[e - m->c.entries.at];
    const Graph *g = e->graph;
    float *grads = floats(a, p->param_floats), *state_out = floats(a, p->state_floats), *tunables = floats(a, (int64_t)p->tunables.len + 1);
    for (size_t i = 0; i < p->tunables.len; i++) tunables[i] = (float)*m->tunables[i].at;
    float **out = ARENA_ARRAY(a, float *, g->outs.len + 1);
    uint32_t nout = 0;
    for (size_t i = 0; i < g->outs.len; i++)
        if (g->outs.at[i].role != OUT_GRAD && g->outs.at[i].role != OUT_STATE) out[nout++] = floats(a, shape_size(graph_shape(g, g->outs.at[i].node)) * m->batch);
    if (nout != code->nout || (uint32_t)e->nin != code->nin) return *why = arena_printf(a, "%s: %u outputs, expected %u", code->name, code->nout, nout), NULL;
    csc_call call = {.size = sizeof call, .batch = (uint32_t)m->batch, .in = inputs_of(a, m, e), .out = out, .params = block_of(a, m, true), .grads = grads,
                     .state = block_of(a, m, false), .state_out = state_out, .tunables = tunables, .seed = 5, .step = 2};
    call.workspace = floats(a, (int64_t)(code->fixed_bytes + code->batch_bytes * call.batch + code->thread_bytes) / 4 + 16);
    if (code->run(&call)) return *why = arena_printf(a, "%s refused the call", code->name), NULL;
    if (code->prepare) { /* into a block of the caller's: the same bits */
        float **again = ARENA_ARRAY(a, float *, nout + 1);
        size_t *bytes = ARENA_ARRAY(a, size_t, nout + 1);
        nout = 0;
        for (size_t i = 0; i < g->outs.len; i++) {
            if (g->outs.at[i].role == OUT_GRAD || g->outs.at[i].role == OUT_STATE) continue;
            const Node *n = graph_at(g, g->outs.at[i].node);
            bytes[nout] = (size_t)(shape_size(n->shape) * (n->batched ? m->batch : 1)) * sizeof(float), again[nout++] = floats(a, shape_size(n->shape) * m->batch);
        }
        call.prepared = floats(a, (int64_t)code->prepared_bytes / 4), call.out = again;
        if (code->prepare(&call) || code->run(&call)) return *why = arena_printf(a, "%s refused the call with a block", code->name), NULL;
        for (uint32_t i = 0; i < nout; i++)
            if (memcmp(out[i], again[i], bytes[i])) return *why = arena_printf(a, "%s: output %u has other bits when it was prepared", code->name, i), NULL;
    }
    Value *v = ARENA_ARRAY(a, Value, g->outs.len);
    uint32_t k = 0;
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        const float *got = o->role == OUT_GRAD ? grads + p->params.at[o->index].offset : o->role == OUT_STATE ? state_out + p->states.at[o->index].offset : out[k++];
        v[i] = (Value){.shape = graph_shape(g, o->node), .batched = o->role == OUT_VALUE || o->role == OUT_INGRAD};
        v[i].at = ARENA_ARRAY(a, double, entries_of(&v[i], m->batch));
        for (int64_t q = 0; q < entries_of(&v[i], m->batch); q++) v[i].at[q] = got[q];
    }
    return v;
}

static const char *compare_entry(TestModel *m, const Entry *e, double tol) {
    Arena *a = arena_new();
    const char *why = NULL;
    Value *want = model_eval(a, m, e), *got = model_run(a, m, e, &why);
    for (size_t i = 0; got && !why && i < e->graph->outs.len; i++) {
        const GraphOut *o = &e->graph->outs.at[i];
        why = differ(m->cx->keep, entry_kind_text(e->kind), o->name ? o->name : "loss", &want[o->node], &got[i], m->batch, tol);
    }
    if (why) why = arena_printf(m->cx->keep, "%s", why);
    arena_free(a);
    return why;
}

const char *model_compiled(TestModel *m, double tol) {
    const char *why = NULL;
    int64_t batch = m->batch;
    if (!model_load_code(m, &why)) return why;
    for (int one = 0; one < 2; one++, m->batch = 1) /* the first sample alone, too */
        for (size_t i = 0; i < m->c.entries.len && !why; i++) {
            why = compare_entry(m, &m->c.entries.at[i], tol);
            if (why && one) why = arena_printf(m->cx->keep, "batch 1: %s", why);
        }
    m->batch = batch;
    return why;
}

void model_unload(TestModel *m) { code_free(m->jit); }

bool model_workspace(TestModel *m, EntryKind kind, int64_t batch, size_t *bytes) {
    const char *why = NULL;
    if (!model_load_code(m, &why)) return false;
    bool found = false;
    for (size_t i = 0; i < m->c.entries.len; i++)
        if (m->c.entries.at[i].kind == kind) *bytes = m->code->entries[i].fixed_bytes + (size_t)batch * m->code->entries[i].batch_bytes, found = true;
    return found;
}

/* ---- passes ---- */
const char *model_passes(TestModel *m, double tol) {
    const char *why = NULL;
    for (size_t i = 0; i < m->c.entries.len && !why; i++) {
        const Entry *e = &m->c.entries.at[i];
        const Graph *raw = m->raw.at[i].graph;
        if (e->kind == ENTRY_BACKWARD) continue; /* its outputs are gradients */
        Arena *a = arena_new();
        Value *x = model_eval_raw(a, m, raw), *y = model_eval(a, m, e);
        for (size_t k = 0; k < raw->outs.len && !why; k++) {
            const GraphOut *o = &raw->outs.at[k], *q = model_out(e->graph, o->role, o->index);
            double apart = q ? value_apart(&x[o->node], &y[q->node], m->batch) : HUGE_VAL;
            if (!(apart < tol)) why = arena_printf(m->cx->keep, "%s: the passes changed %s by %g", e->name, o->name ? o->name : "the loss", apart);
        }
        arena_free(a);
    }
    return why;
}

/* ---- differences ---- */
/* The loss of the raw STEP graph with what `stop` held at its value: what its gradient means. */
typedef struct Held {
    Graph *g;
    Value *inputs, *params;
} Held;

static Held hold(Arena *a, const TestModel *m, const Graph *raw) {
    const Program *p = m->c.program;
    Value *v = model_eval_raw(a, m, raw);
    size_t ni = p->inputs.len + p->outputs.len, np = p->params.len;
    Held h = {graph_new(a), ARENA_ARRAY(a, Value, ni + raw->nodes.len), ARENA_ARRAY(a, Value, np + raw->nodes.len)};
    memcpy(h.inputs, m->inputs, sizeof(Value) * ni);
    memcpy(h.params, m->params, sizeof(Value) * np);
    NodeId *to = ARENA_ARRAY(a, NodeId, raw->nodes.len);
    for (NodeId i = 0; i < raw->nodes.len; i++) {
        const Node *n = graph_at(raw, i);
        if (n->op == OP_stop) {
            int32_t index = (int32_t)(n->batched ? ni++ : np++);
            (n->batched ? h.inputs : h.params)[index] = v[i];
            to[i] = op_leaf(h.g, n->batched ? OP_input : OP_param, index, n->shape, n->batched, n->span, NULL);
            continue;
        }
        NodeId *in = ARENA_ARRAY(a, NodeId, n->nin + 1);
        for (uint32_t k = 0; k < n->nin; k++) in[k] = to[n->in[k]];
        to[i] = graph_add(h.g, n->op, in, n->nin, &n->a, n->span);
    }
    for (size_t i = 0; i < raw->outs.len; i++) {
        GraphOut o = raw->outs.at[i];
        graph_out(h.g, o.role, o.index, to[o.node], o.name);
    }
    return h;
}

/* The loss; or, without one, the outputs against their cotangents. */
static double scalar_of(const TestModel *m, const Graph *g, const Value *inputs, const Value *params) {
    Arena *a = arena_new();
    EvalEnv env = {.batch = m->batch, .inputs = inputs, .params = params, .states = m->states, .tunables = m->tunables, .seed = 5, .step = 2};
    Value *v = eval_graph(a, g, &env);
    double s = 0;
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        const Value *x = &v[o->node];
        if (o->role == OUT_LOSS) s += *x->at;
        if (o->role != OUT_VALUE) continue;
        const Value *c = &m->inputs[m->c.program->inputs.len + (size_t)o->index];
        int64_t n = shape_size(x->shape);
        for (int64_t k = 0; k < n * m->batch; k++) s += c->at[k] * x->at[x->batched ? k : k % n];
    }
    arena_free(a);
    return s;
}

/* One random direction in one leaf. */
static const char *along(TestModel *m, const char *what, const Graph *g, const Value *inputs, const Value *params, Value *leaf, const Value *grad, double tol) {
    int64_t n = shape_size(leaf->shape) * (leaf->batched ? m->batch : 1);
    Arena *a = arena_new();
    double *d = ARENA_ARRAY(a, double, n), *keep = arena_copy(a, leaf->at, sizeof *d * (size_t)n), is = 0, len = 0, gl = 0;
    const double h = 1e-5;
    uint64_t r = 99;
    for (int64_t i = 0; i < n; i++) d[i] = model_random(&r), len += d[i] * d[i];
    for (int64_t i = 0; i < n; i++) d[i] /= sqrt(len), is += d[i] * grad->at[i], gl += grad->at[i] * grad->at[i];
    for (int64_t i = 0; i < n; i++) leaf->at[i] = keep[i] + h * d[i];
    double up = scalar_of(m, g, inputs, params);
    for (int64_t i = 0; i < n; i++) leaf->at[i] = keep[i] - h * d[i];
    double down = scalar_of(m, g, inputs, params);
    memcpy(leaf->at, keep, sizeof *d * (size_t)n);
    arena_free(a);
    double want = (up - down) / (2 * h);
    if (fabs(is - want) <= tol * (1e-3 + fabs(want) + sqrt(gl / (double)n))) return NULL;
    return arena_printf(m->cx->keep, "%s: gradient %.9g, difference %.9g", what, is, want);
}

static const char *entry_gradients(TestModel *m, EntryKind kind, EntryKind value, double tol) {
    const Entry *e = model_entry(m, kind);
    if (!e) return NULL;
    const Program *p = m->c.program;
    Arena *a = arena_new();
    Value *v = model_eval(a, m, e);
    const Graph *g = model_raw(m, value);
    bool implicit = false; /* there `stop` hides the iteration, whose difference is what the gradient means */
    for (size_t i = 0; i < g->nodes.len; i++) implicit |= g->nodes.at[i].op == OP_fixed_point;
    Held held = {.inputs = m->inputs, .params = m->params};
    if (!implicit) {
        held = hold(a, m, g);
        g = held.g;
    }
    const char *why = NULL;
    for (size_t i = 0; i < e->graph->outs.len && !why; i++) {
        const GraphOut *o = &e->graph->outs.at[i];
        if (o->role != OUT_GRAD && o->role != OUT_INGRAD) continue;
        bool grad = o->role == OUT_GRAD;
        Value *leaf = grad ? &held.params[o->index] : &held.inputs[o->index];
        const char *name = grad ? p->params.at[o->index].name : p->inputs.at[o->index].name;
        if (!shape_eq(v[o->node].shape, leaf->shape) || v[o->node].batched != leaf->batched) why = arena_printf(m->cx->keep, "%s: a gradient of another shape", name);
        else why = along(m, arena_printf(m->cx->keep, "%s, %s", entry_kind_text(kind), name), g, held.inputs, held.params, leaf, &v[o->node], tol);
    }
    arena_free(a);
    return why;
}

const char *model_gradients(TestModel *m, double tol) {
    const char *why = entry_gradients(m, ENTRY_BACKWARD, ENTRY_FORWARD, tol);
    return why ? why : entry_gradients(m, ENTRY_STEP, ENTRY_STEP, tol);
}
