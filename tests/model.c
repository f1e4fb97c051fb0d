/* Models of programs with numbers for everything they read. */
#include "model.h"
#include "base/trouble.h"
#include "driver/load.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- numbers ---- */
double model_random(uint64_t *s) {
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = (*s ^ (*s >> 29)) * 0xBF58476D1CE4E5B9u;
    return (double)((x ^ (x >> 32)) >> 11) * 0x1p-52 - 1;
}
static double normal(uint64_t *s) { /* of four uniform numbers: near enough, bounded */
    double x = 0;
    for (int i = 0; i < 4; i++) x += model_random(s);
    return x * sqrt(0.75);
}
uint64_t model_seed(const char *name) { /* FNV-1a */
    uint64_t h = 1469598103934665603u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h;
}

static Shape with_turns(const ParamDecl *d) {
    if (!d->turns) return d->shape;
    Shape s = {.rank = d->shape.rank + 1, .dim = {d->turns}};
    for (int i = 0; i < d->shape.rank; i++) s.dim[i + 1] = d->shape.dim[i];
    return s;
}

static void fill(Value *v, Init init, const char *name, double spread) {
    uint64_t r = model_seed(name);
    int64_t n = shape_size(v->shape);
    for (int64_t i = 0; i < n; i++) {
        double x = init.kind == INIT_NORMAL ? init.a + init.b * normal(&r)
                   : init.kind == INIT_UNIFORM ? (init.a + init.b) / 2 + (init.b - init.a) / 2 * model_random(&r)
                   : init.a + spread * model_random(&r);
        v->at[i] = (float)x;
    }
}

/* Norm 1 over what follows the first axis, or along it. */
void model_normalise(Value *v, bool atoms) {
    int64_t n = v->shape.dim[0], m = shape_size(v->shape) / n;
    for (int64_t i = 0; i < (atoms ? n : m); i++) {
        double s = 0;
        for (int64_t k = 0; k < (atoms ? m : n); k++) s += pow(v->at[atoms ? i * m + k : k * m + i], 2);
        for (int64_t k = 0; k < (atoms ? m : n); k++) v->at[atoms ? i * m + k : k * m + i] /= sqrt(s);
    }
    for (int64_t i = 0; i < n * m; i++) v->at[i] = (float)v->at[i];
}

static Value value_new(Arena *a, Shape s, bool batched, int64_t batch) {
    return (Value){s, batched, ARENA_ARRAY(a, double, shape_size(s) * (batched ? batch : 1))};
}

static void make_numbers(TestModel *m) {
    const Program *p = m->c.program;
    Arena *a = m->cx->keep;
    m->inputs = ARENA_ARRAY(a, Value, p->inputs.len + p->outputs.len + 1);
    m->params = ARENA_ARRAY(a, Value, p->params.len + 1);
    m->states = ARENA_ARRAY(a, Value, p->states.len + 1);
    m->tunables = ARENA_ARRAY(a, Value, p->tunables.len + 1);
    for (size_t i = 0; i < p->inputs.len + p->outputs.len; i++) {
        bool in = i < p->inputs.len;
        const char *name = in ? p->inputs.at[i].name : p->outputs.at[i - p->inputs.len].name;
        Value *v = &m->inputs[i];
        *v = value_new(a, in ? p->inputs.at[i].shape : p->outputs.at[i - p->inputs.len].shape, true, m->batch);
        uint64_t r = model_seed(name) + (in ? 0 : 77);
        for (int64_t k = 0; k < shape_size(v->shape) * m->batch; k++) {
            double x = model_random(&r);
            if (in && p->inputs.at[i].kind == IN_LABEL) x = floor((x + 1) / 2 * (double)p->inputs.at[i].classes);
            v->at[k] = (float)x;
        }
    }
    for (size_t i = 0; i < p->params.len; i++) {
        m->params[i] = value_new(a, with_turns(&p->params.at[i]), false, 1);
        const ParamDecl *d = &p->params.at[i];
        fill(&m->params[i], d->init, d->name, 0.1);
        for (size_t k = 0; k < d->constraints.len; k++)
            if (d->constraints.at[k].kind == CON_UNIT_ATOMS || d->constraints.at[k].kind == CON_UNIT_COLUMNS)
                model_normalise(&m->params[i], d->constraints.at[k].kind == CON_UNIT_ATOMS);
    }
    for (size_t i = 0; i < p->states.len; i++) {
        m->states[i] = value_new(a, p->states.at[i].shape, false, 1);
        fill(&m->states[i], p->states.at[i].init, p->states.at[i].name, 0.1);
    }
    for (size_t i = 0; i < p->tunables.len; i++) {
        m->tunables[i] = value_new(a, (Shape){0}, false, 1);
        *m->tunables[i].at = (float)p->tunables.at[i].value;
    }
}

void model_restart(TestModel *m) {
    const Entry *e = model_entry(m, ENTRY_INIT);
    Arena *a = arena_new();
    Value *v = model_eval(a, m, e);
    for (size_t i = 0; i < e->graph->outs.len; i++) {
        const GraphOut *o = &e->graph->outs.at[i];
        Value *to = o->role == OUT_PARAM ? &m->params[o->index] : &m->states[o->index];
        for (int64_t k = 0; k < shape_size(to->shape); k++) to->at[k] = (float)v[o->node].at[k];
    }
    arena_free(a);
}

/* ---- building ---- */
static bool is_path(const char *text) { return !strchr(text, '\n') && strstr(text, ".csc"); }

static const char *file_of(Cx *cx, const char *text, bool *temporary) {
    *temporary = !is_path(text);
    if (!*temporary) return arena_printf(cx->keep, "%s/%s", CSC_SOURCE_DIR, text);
    const char *dir = getenv("TMPDIR");
    char *path = arena_printf(cx->keep, "%s/model_XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(path);
    size_t n = strlen(text);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n) machine_trouble("a temporary file cannot be written");
    close(fd);
    return path;
}

static void read_sets(TestModel *m, const char *sets) {
    Arena *a = m->cx->keep;
    m->options.set = ARENA_ARRAY(a, BuildSet, strlen(sets) + 1);
    for (const char *s = sets; *s;) {
        size_t n = strcspn(s, " "), k = strcspn(s, "=");
        m->options.set[m->options.nset++] = (BuildSet){arena_strndup(a, s, k), arena_strndup(a, s + k + 1, n - k - 1)};
        s += n + (s[n] == ' ');
    }
}

static bool declare(TestModel *m) {
    if (!compile_read(&m->c, m->cx, &m->options)) return false;
    m->c.free_default = true;
    return compile_declare(&m->c);
}

static bool build(TestModel *m) {
    Compile *c = &m->c;
    if (!declare(m)) return false;
    compile_want(c, ENTRY_INIT, 0);
    compile_want(c, ENTRY_FORWARD, 0);
    compile_want(c, ENTRY_BACKWARD, 0);
    if (c->program->stages.len) {
        compile_want(c, ENTRY_EVAL, 0);
        compile_want(c, ENTRY_STEP, 0);
    }
    if (!compile_model(c, "build")) return false;
    for (size_t i = 0; i < c->entries.len; i++) vec_push(m->cx->keep, &m->raw, c->entries.at[i]);
    return compile_model(c, "tidy");
}

static TestModel *open(const char *text, const char *sets, int64_t batch, bool (*how)(TestModel *)) {
    TestModel *m = calloc(1, sizeof *m);
    if (!m) machine_trouble("there is no memory left");
    m->cx = cx_new();
    m->batch = batch;
    bool temporary;
    const char *path = file_of(m->cx, text, &temporary);
    m->options = (Options){.command = CMD_EVAL, .words = &path, .nwords = 1};
    read_sets(m, sets);
    bool ok = how(m);
    m->options.words = NULL;
    if (temporary) unlink(path);
    if (!ok) {
        diag_print_all(m->cx, stdout, false);
        model_close(m);
        return NULL;
    }
    return m;
}

TestModel *model_open_unstarted(const char *text, const char *sets, int64_t batch) {
    TestModel *m = open(text, sets, batch, build);
    if (m) make_numbers(m);
    return m;
}

TestModel *model_open(const char *text, const char *sets, int64_t batch) {
    TestModel *m = model_open_unstarted(text, sets, batch);
    if (m) model_restart(m);
    return m;
}

TestModel *model_declare(const char *text, const char *sets) { return open(text, sets, 1, declare); }

void model_close(TestModel *m) {
    if (!m) return;
    if (m->jit) model_unload(m);
    cx_free(m->cx);
    free(m);
}

char *model_program(const char *path, const char *const *pairs) {
    Arena *a = arena_new();
    size_t len;
    const char *why;
    char *text = load_file(a, arena_printf(a, "%s/%s", CSC_SOURCE_DIR, path), 1 << 20, &len, &why);
    if (!text) BUG("%s: %s", path, why);
    for (; pairs && *pairs; pairs += 2) {
        char *at = strstr(text, pairs[0]);
        if (!at) BUG("%s has no '%s'", path, pairs[0]);
        for (; at; at = strstr(at + strlen(pairs[1]), pairs[0])) {
            size_t head = (size_t)(at - text);
            text = arena_printf(a, "%.*s%s%s", (int)head, text, pairs[1], at + strlen(pairs[0]));
            at = text + head;
        }
    }
    char *copy = strdup(text);
    arena_free(a);
    return copy;
}

/* ---- looking ---- */
const Entry *model_entry(const TestModel *m, EntryKind k) {
    for (size_t i = 0; i < m->c.entries.len; i++)
        if (m->c.entries.at[i].kind == k) return &m->c.entries.at[i];
    return NULL;
}

const Graph *model_raw(const TestModel *m, EntryKind k) {
    for (size_t i = 0; i < m->raw.len; i++)
        if (m->raw.at[i].kind == k) return m->raw.at[i].graph;
    return NULL;
}

const GraphOut *model_out(const Graph *g, OutRole r, int32_t index) {
    for (size_t i = 0; i < g->outs.len; i++)
        if (g->outs.at[i].role == r && g->outs.at[i].index == index) return &g->outs.at[i];
    return NULL;
}

Value *model_param(TestModel *m, const char *name) {
    for (size_t i = 0; i < m->c.program->params.len; i++)
        if (!strcmp(m->c.program->params.at[i].name, name)) return &m->params[i];
    return NULL;
}

bool model_copy(TestModel *to, const char *name, TestModel *from, const char *as) {
    Value *x = model_param(to, name), *y = model_param(from, as);
    if (!x || !y || shape_size(x->shape) != shape_size(y->shape)) return false;
    memcpy(x->at, y->at, sizeof *x->at * (size_t)shape_size(x->shape));
    return true;
}

/* ---- evaluating ---- */
static EvalEnv env_of(const TestModel *m, const Value *inputs) {
    return (EvalEnv){.batch = m->batch, .inputs = inputs, .params = m->params, .states = m->states, .tunables = m->tunables, .seed = 5, .step = 2};
}

Value *model_eval_raw(Arena *a, const TestModel *m, const Graph *g) {
    EvalEnv env = env_of(m, m->inputs);
    return eval_graph(a, g, &env);
}

/* The entry's inputs are some of the model's, then cotangents, in order. */
static Value *inputs_of(Arena *a, const TestModel *m, const Entry *e) {
    const Program *p = m->c.program;
    Value *in = ARENA_ARRAY(a, Value, e->nin + 1);
    size_t cotangent = p->inputs.len;
    for (int32_t k = 0; k < e->nin; k++) {
        size_t i = 0;
        while (i < p->inputs.len && p->inputs.at[i].name != e->in[k].name) i++;
        in[k] = m->inputs[i < p->inputs.len ? i : cotangent++];
    }
    return in;
}

Value *model_eval(Arena *a, const TestModel *m, const Entry *e) {
    EvalEnv env = env_of(m, inputs_of(a, m, e));
    return eval_graph(a, e->graph, &env);
}

double value_apart(const Value *x, const Value *y, int64_t batch) {
    if (!shape_eq(x->shape, y->shape) || x->batched != y->batched) return HUGE_VAL;
    double most = 0, size = 1e-30;
    for (int64_t i = 0; i < shape_size(x->shape) * (x->batched ? batch : 1); i++) {
        if (isnan(x->at[i]) || isnan(y->at[i])) return HUGE_VAL;
        most = fmax(most, fabs(x->at[i] - y->at[i]));
        size = fmax(size, fmax(fabs(x->at[i]), fabs(y->at[i])));
    }
    return most / size;
}

Value model_output(Arena *a, TestModel *m, const char *name, const char **why) {
    const Program *p = m->c.program;
    const Entry *e = model_entry(m, ENTRY_FORWARD);
    const Graph *raw = model_raw(m, ENTRY_FORWARD);
    for (size_t i = 0; i < p->outputs.len; i++) {
        if (strcmp(p->outputs.at[i].name, name)) continue;
        Value x = model_eval_raw(a, m, raw)[model_out(raw, OUT_VALUE, (int32_t)i)->node];
        Value y = model_eval(a, m, e)[model_out(e->graph, OUT_VALUE, (int32_t)i)->node];
        double apart = value_apart(&x, &y, m->batch);
        if (!(apart < 1e-9)) *why = arena_printf(m->cx->keep, "the passes changed %s by %g", name, apart);
        return y;
    }
    *why = arena_printf(m->cx->keep, "there is no output %s", name);
    return (Value){0};
}
