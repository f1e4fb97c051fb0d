/* Models against what an independent implementation made of them (tests/golden/NAME.txt, docs/testing.md): codes, outputs, loss, metrics, new states
   and every gradient, in float64 by the evaluator and in float32 by the compiled code. Files named full_* only with CSC_FULL. */
#include "check.h"
#include "model.h"
#include "driver/load.h"
#include <dirent.h>

enum { MAX_FIELDS = 40, MAX_LINES = 4000, SAMPLES = 12 };

typedef struct Line {
    char *field[MAX_FIELDS]; /* ends with empty ones */
    int n;
} Line;
typedef struct Golden {
    Arena *a;
    Line *line;
    size_t n;
} Golden;

static Golden golden_read(const char *file) {
    Golden g = {.a = arena_new()};
    size_t len;
    const char *why;
    char *text = load_file(g.a, arena_printf(g.a, "%s/tests/golden/%s", CSC_SOURCE_DIR, file), 1 << 19, &len, &why);
    if (!text) FAIL("%s: %s", file, why);
    if (len > 300 << 10) FAIL("%s is larger than 300 KB", file);
    g.line = ARENA_ARRAY(g.a, Line, MAX_LINES);
    for (char *at = text, *end; *at; at = end) {
        end = at + strcspn(at, "\n");
        if (*end) *end++ = 0;
        if (*at == '#' || !*at) continue;
        CHECK(g.n < MAX_LINES);
        Line *l = &g.line[g.n++];
        for (char *f = at; f && l->n < MAX_FIELDS; l->n++) {
            char *tab = strchr(f, '\t');
            if (tab) *tab++ = 0;
            l->field[l->n] = f;
            f = tab;
        }
        for (int i = l->n; i < MAX_FIELDS; i++) l->field[i] = "";
    }
    return g;
}

static const char *golden_get(const Golden *g, const char *key, const char *otherwise) {
    for (size_t i = 0; i < g->n; i++)
        if (!strcmp(g->line[i].field[0], key)) return g->line[i].field[1];
    return otherwise;
}

/* "\n" of a replacement */
static char *unescape(char *s) {
    for (char *at = strstr(s, "\\n"); at; at = strstr(at, "\\n")) *at = '\n', memmove(at + 1, at + 2, strlen(at + 2) + 1);
    return s;
}

static TestModel *golden_open(const Golden *g) {
    const char *pairs[64] = {NULL}, *sets = "";
    int n = 0;
    for (size_t i = 0; i < g->n; i++) {
        const Line *l = &g->line[i];
        if (!strcmp(l->field[0], "replace")) {
            CHECK(n < 62);
            pairs[n++] = unescape(l->field[1]), pairs[n++] = unescape(l->field[2]);
        }
        if (!strcmp(l->field[0], "set")) sets = arena_printf(g->a, "%s%s%s", sets, *sets ? " " : "", l->field[1]);
    }
    char *text = model_program(golden_get(g, "program", ""), pairs);
    TestModel *m = model_open_unstarted(text, sets, atoi(golden_get(g, "batch", "1")));
    free(text);
    if (!m) FAIL("it does not build");
    return m;
}

/* ---- numbers ---- */
static uint64_t seed_of(const Golden *g, const char *name) { return model_seed(arena_printf(g->a, "%s#%s", name, golden_get(g, "seed", "1"))); }

static const char *shape_words(Arena *a, Shape s, int64_t batch) { /* "2,10"; "-" of a number */
    const char *t = batch ? arena_printf(a, "%lld", (long long)batch) : "";
    for (int i = 0; i < s.rank; i++) t = arena_printf(a, "%s%s%lld", t, *t ? "," : "", (long long)s.dim[i]);
    return *t ? t : "-";
}

static void take_shape(const Golden *g, const Line *l, const Value *v) {
    const char *is = shape_words(g->a, v->shape, 0);
    if (strcmp(l->field[2], is)) FAIL("%s has the shape %s, the golden file says %s", l->field[1], is, l->field[2]);
}

/* The tensor's numbers: center + spread * u(name, i), as floats; of a label floor((u + 1) / 2 * classes). */
static void fill(const Golden *g, const Line *l, Value *v, int64_t batch, bool label) {
    take_shape(g, l, v);
    uint64_t r = seed_of(g, l->field[1]);
    double center = atof(l->field[3]), spread = atof(l->field[4]);
    for (int64_t i = 0; i < shape_size(v->shape) * batch; i++) {
        double u = model_random(&r);
        v->at[i] = (float)(label ? floor((u + 1) / 2 * center) : center + spread * u);
    }
    if (!strncmp(l->field[5], "unit", 4)) model_normalise(v, !strcmp(l->field[5], "unit_atoms"));
}

static void fill_all(const Golden *g, TestModel *m) {
    const Program *p = m->c.program;
    size_t params = 0, states = 0, inputs = 0, tunables = 0;
    for (size_t k = 0; k < g->n; k++) {
        const Line *l = &g->line[k];
        const char *kind = l->field[0], *name = l->field[1];
        size_t i = 0;
        if (!strcmp(kind, "param")) {
            while (i < p->params.len && strcmp(p->params.at[i].name, name)) i++;
            if (i == p->params.len) FAIL("there is no parameter %s", name);
            fill(g, l, &m->params[i], 1, false), params++;
        } else if (!strcmp(kind, "state")) {
            while (i < p->states.len && strcmp(p->states.at[i].name, name)) i++;
            if (i == p->states.len) FAIL("there is no state %s", name);
            fill(g, l, &m->states[i], 1, false), states++;
        } else if (!strcmp(kind, "input") || !strcmp(kind, "label")) {
            while (i < p->inputs.len && strcmp(p->inputs.at[i].name, name)) i++;
            if (i == p->inputs.len) FAIL("there is no input %s", name);
            fill(g, l, &m->inputs[i], m->batch, *kind == 'l'), inputs++;
        } else if (!strcmp(kind, "tunable")) {
            while (i < p->tunables.len && strcmp(p->tunables.at[i].name, name)) i++;
            if (i == p->tunables.len) FAIL("there is no tunable %s", name);
            *m->tunables[i].at = (float)atof(l->field[2]), tunables++;
        }
    }
    if (params != p->params.len || states != p->states.len || inputs != p->inputs.len || tunables != p->tunables.len)
        FAIL("the golden file has %zu parameters, %zu states, %zu inputs, %zu tunables, the program %zu, %zu, %zu, %zu", params, states, inputs, tunables, p->params.len,
             p->states.len, p->inputs.len, p->tunables.len);
    for (size_t i = 0; i < p->outputs.len; i++) { /* cotangents, for the entry backward */
        uint64_t r = seed_of(g, arena_printf(g->a, "%s'", p->outputs.at[i].name));
        Value *v = &m->inputs[p->inputs.len + i];
        for (int64_t k = 0; k < shape_size(v->shape) * m->batch; k++) v->at[k] = (float)model_random(&r);
    }
}

/* ---- comparing ---- */
static bool near_enough(double x, double y, double size, double tol) { return fabs(x - y) <= tol * size + 1e-14; }

/* Norm, largest entry, three random projections, sampled entries: within tol of the norm, or of `least` where that is larger. */
static void compare(const Golden *g, const TestModel *m, const Line *l, const Value *v, bool code, double tol, double least) {
    const char *what = arena_printf(g->a, "%s%s %s", code ? "compiled " : "", l->field[1], l->field[2]);
    const char *is = shape_words(g->a, v->shape, v->batched ? m->batch : 0);
    if (strcmp(is, l->field[3])) FAIL("%s has the shape %s, expected %s", what, is, l->field[3]);
    int64_t n = shape_size(v->shape) * (v->batched ? m->batch : 1);
    double norm = 0, most = 0, want_norm = atof(l->field[4]), want_most = atof(l->field[5]);
    for (int64_t i = 0; i < n; i++) norm += v->at[i] * v->at[i], most = fmax(most, fabs(v->at[i]));
    norm = sqrt(norm);
    double size = fmax(want_norm, least), entry = fmax(want_most, least);
    if (!near_enough(norm, want_norm, size, tol)) FAIL("%s: the norm is %.12g, expected %.12g", what, norm, want_norm);
    if (!near_enough(most, want_most, entry, tol)) FAIL("%s: the largest entry is %.12g, expected %.12g", what, most, want_most);
    for (int k = 0; k < 3; k++) {
        uint64_t r = model_seed((const char *const[]){"dot1", "dot2", "dot3"}[k]);
        double dot = 0, want = atof(l->field[6 + k]);
        for (int64_t i = 0; i < n; i++) dot += model_random(&r) * v->at[i];
        if (!near_enough(dot, want, size, tol)) FAIL("%s: projection %d is %.12g, expected %.12g", what, k + 1, dot, want);
    }
    uint64_t r = model_seed("at");
    for (int k = 0; k < SAMPLES && k < n; k++) {
        int64_t i = n <= SAMPLES ? k : (int64_t)((model_random(&r) + 1) / 2 * (double)n);
        double want = atof(l->field[9 + k]);
        if (!near_enough(v->at[i], want, entry, tol)) FAIL("%s[%lld] is %.12g, expected %.12g", what, (long long)i, v->at[i], want);
    }
}

/* Which result of the entry a line speaks of: "loss", "NAME" (output), "metric:NAME", "state:NAME", "grad:NAME", "input:NAME". */
static const GraphOut *find_out(const TestModel *m, const Entry *e, const char *what) {
    const Program *p = m->c.program;
    const Graph *g = e->graph;
    const char *name = strchr(what, ':') ? strchr(what, ':') + 1 : what;
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        if (o->role == OUT_LOSS && !strcmp(what, "loss")) return o;
        if (o->role == OUT_VALUE && name == what && !strcmp(p->outputs.at[o->index].name, name)) return o;
        if (o->role == OUT_GRAD && !strncmp(what, "grad:", 5) && !strcmp(p->params.at[o->index].name, name)) return o;
        if (o->role == OUT_STATE && !strncmp(what, "state:", 6) && !strcmp(p->states.at[o->index].name, name)) return o;
        if (o->role == OUT_INGRAD && !strncmp(what, "input:", 6) && !strcmp(p->inputs.at[o->index].name, name)) return o;
        if (o->role == OUT_METRIC && !strncmp(what, "metric:", 7) && o->name && !strcmp(o->name, name)) return o;
    }
    return NULL;
}

/* By the evaluator; or by compiled code, whose results are in the order of the graph's outs. */
static void compare_entry(const Golden *g, TestModel *m, EntryKind kind, bool code, double tol) {
    double largest = 0; /* gradients that cancel to nothing, before a batch norm, are rounding: floats are held to 1e-2 of the largest gradient */
    for (size_t k = 0; k < g->n && code; k++)
        if (!strcmp(g->line[k].field[1], entry_kind_text(kind)) && !strncmp(g->line[k].field[2], "grad:", 5)) largest = fmax(largest, atof(g->line[k].field[4]));
    const Entry *e = model_entry(m, kind);
    Value *v = NULL;
    const char *why = NULL;
    size_t grads = 0, want_grads = 0;
    for (size_t k = 0; k < g->n; k++) {
        const Line *l = &g->line[k];
        if (strcmp(l->field[0], "want") || strcmp(l->field[1], entry_kind_text(kind))) continue;
        if (!e) FAIL("the program has no entry %s", l->field[1]);
        if (!v) v = code ? model_run(g->a, m, e, &why) : model_eval(g->a, m, e);
        if (!v) FAIL("%s: %s", l->field[1], why);
        const GraphOut *o = find_out(m, e, l->field[2]);
        if (!o) FAIL("the entry %s has no %s", l->field[1], l->field[2]);
        grads += o->role == OUT_GRAD;
        compare(g, m, l, code ? &v[o - e->graph->outs.at] : &v[o->node], code, tol, o->role == OUT_GRAD ? 1e-2 * largest : 0);
    }
    if (v && (kind == ENTRY_STEP || kind == ENTRY_BACKWARD)) /* every gradient there is */
        for (size_t i = 0; i < e->graph->outs.len; i++) want_grads += e->graph->outs.at[i].role == OUT_GRAD;
    if (grads != want_grads) FAIL("%s: %zu gradients are compared, there are %zu", entry_kind_text(kind), grads, want_grads);
}

static void golden_case(void) {
    Golden g = golden_read(arena_printf(arena_new(), "%s.txt", check_name));
    TestModel *m = golden_open(&g);
    fill_all(&g, m);
    double tol = atof(golden_get(&g, "evaluated", "1e-9")), compiled = atof(golden_get(&g, "compiled", "0"));
    static const EntryKind kinds[] = {ENTRY_FORWARD, ENTRY_EVAL, ENTRY_STEP, ENTRY_BACKWARD};
    for (int i = 0; i < 4 && tol > 0; i++) compare_entry(&g, m, kinds[i], false, tol);
    const char *why = NULL;
    if (compiled > 0 && !model_load_code(m, &why)) FAIL("%s", why);
    for (int i = 0; i < 4 && compiled > 0; i++) compare_entry(&g, m, kinds[i], true, compiled);
    model_close(m);
    arena_free(g.a);
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* Parameters at full size, as published: lines "NUMBER SUFFIX PROGRAM SETS..." of tests/golden/counts. */
TEST(parameter_counts) {
    Arena *a = arena_new();
    size_t len;
    const char *why;
    char *text = load_file(a, CSC_SOURCE_DIR "/tests/golden/counts", 1 << 16, &len, &why);
    if (!text) FAIL("counts: %s", why);
    int n = 0;
    for (char *l = strtok(text, "\n"); l; l = strtok(NULL, "\n")) {
        char path[200], suffix[100];
        long long want;
        int at = 0;
        if (*l == '#') continue;
        CHECK(sscanf(l, "%lld %99s %199s %n", &want, suffix, path, &at) == 3);
        TestModel *m = model_declare(path, l + at);
        if (!m) FAIL("%s is not accepted", l);
        long long is = 0;
        for (size_t i = 0; i < m->c.program->params.len; i++)
            if (!strcmp(suffix, "all") || ends_with(m->c.program->params.at[i].name, suffix)) is += param_size(&m->c.program->params.at[i]);
        if (is != want) FAIL("%s has %lld parameters", l, is);
        model_close(m);
        n++;
    }
    CHECK(n > 0);
    arena_free(a);
}

static int by_text(const void *a, const void *b) { return strcmp(((const Case *)a)->name, ((const Case *)b)->name); }

/* The sanitized tree is slow, and these are proofs of values: there the files that say "sanitized yes". */
static bool wanted(const char *name, bool full) {
    if (!strncmp(name, "full_", 5) && !full) return false;
#ifdef __SANITIZE_ADDRESS__
    Arena *a = arena_new();
    size_t len;
    const char *why, *text = load_file(a, arena_printf(a, "%s/tests/golden/%s", CSC_SOURCE_DIR, name), 1 << 19, &len, &why);
    full |= text && strstr(text, "\nsanitized\tyes");
    arena_free(a);
    return full;
#else
    return true;
#endif
}

int main(int argc, char **argv) {
    const char *full = getenv("CSC_FULL");
    Case cases[300] = {T(parameter_counts)};
    size_t n = 1;
    DIR *d = opendir(CSC_SOURCE_DIR "/tests/golden");
    for (struct dirent *e; d && n < 300 && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".txt") || !wanted(e->d_name, full && *full)) continue;
        cases[n++] = (Case){strndup(e->d_name, len - 4), golden_case};
    }
    if (d) closedir(d);
    qsort(cases + 1, n - 1, sizeof *cases, by_text);
    return run_tests(argc, argv, cases, n);
}
