/* Interprets the statements of an entry: for a batch, which kernels are launched on what. */
#include "cuda_program.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 1 << 26 }; /* statements in a call: none that a compiler makes comes near */

typedef struct Exprs { /* evaluation: each node once for a statement */
    const PgExprs *x;
    const int64_t *var;
    int64_t *value;
    uint64_t *seen, turn;
    bool divided; /* by zero */
} Exprs;

typedef struct List {
    csc_context *cx;
    const PgCall *c;
    const PgSink *sink;
    Exprs entry, kernel;
    int64_t *var;
    int64_t work_floats;
    PgAt *at;
    int64_t *room;    /* behind each pointer */
    int64_t *integer; /* the launch's, then what its extents are computed from */
    int64_t steps, asked; /* asked: by the innermost loop, whether it has ended */
    int depth;            /* of loops */
    csc_status status;
} List;

static int64_t wrap(uint64_t v) { return (int64_t)v; }

static int64_t value_of(Exprs *s, int64_t i) {
    if (s->seen[i] == s->turn) return s->value[i];
    const int64_t *e = s->x->at + 4 * i;
    int64_t v = 0, a = 0, b = 0;
    if (e[0] >= CSC_X_ADD) a = value_of(s, e[1]);
    if (e[0] >= CSC_X_ADD && e[0] != CSC_X_NOT) b = value_of(s, e[2]);
    switch ((enum csc_expr)e[0]) {
    case CSC_X_INT: v = e[1]; break;
    case CSC_X_VAR: v = s->var[e[1]]; break;
    case CSC_X_ADD: v = wrap((uint64_t)a + (uint64_t)b); break;
    case CSC_X_SUB: v = wrap((uint64_t)a - (uint64_t)b); break;
    case CSC_X_MUL: v = wrap((uint64_t)a * (uint64_t)b); break;
    case CSC_X_DIV:
    case CSC_X_MOD:
        if (b <= 0) s->divided = true; /* promised: b > 0 */
        else v = e[0] == CSC_X_DIV ? a / b : a % b;
        break;
    case CSC_X_MIN: v = a < b ? a : b; break;
    case CSC_X_MAX: v = a > b ? a : b; break;
    case CSC_X_LT: v = a < b; break;
    case CSC_X_EQ: v = a == b; break;
    case CSC_X_AND: v = a && b; break;
    case CSC_X_OR: v = a || b; break;
    case CSC_X_NOT: v = !a; break;
    case CSC_X_SELECT: v = a ? b : value_of(s, e[3]); break;
    case CSC_X_KINDS: break;
    }
    s->seen[i] = s->turn;
    return s->value[i] = v;
}

static int64_t value(Exprs *s, int64_t i) {
    s->turn++;
    return value_of(s, i);
}

static csc_status stop(List *l, const char *why) {
    if (l->status == CSC_OK) l->status = rt_fail(l->cx, CSC_BAD_FILE, "entry `%s` of the launch program, batch %lld: %s", l->c->entry->name, (long long)l->c->batch, why);
    return l->status;
}

int64_t program_work_floats(const PgEntry *e, int64_t batch) {
    int64_t n;
    return batch < 0 || __builtin_mul_overflow(e->batch_floats, batch, &n) || __builtin_add_overflow(n, e->fixed_floats, &n) ? -1 : n;
}

/* A pointer's place, and how much is there from it on. */
static PgAt place(List *l, const int64_t *w, int64_t *room) {
    const csc_program *p = l->c->program;
    const PgEntry *e = l->c->entry;
    PgAt at = {.space = (int32_t)w[0], .which = (int32_t)w[1], .offset = w[2]};
    int64_t size = 0, plus = w[3] < 0 ? 0 : value(&l->entry, w[3]), start = 0;
    switch ((enum csc_space)w[0]) {
    case CSC_AT_BATCH:
        if (__builtin_mul_overflow(w[2], l->c->batch, &at.offset) || __builtin_add_overflow(at.offset, e->fixed_floats, &at.offset)) at.offset = -1;
        at.space = CSC_AT_FIXED;
        size = l->work_floats;
        break;
    case CSC_AT_FIXED: size = l->work_floats; break;
    case CSC_AT_IN:
    case CSC_AT_OUT: {
        const PgArg *a = &e->arg[w[1] + (w[0] == CSC_AT_OUT ? e->nin : 0)];
        if (a->floats < 0 || __builtin_mul_overflow(a->floats, a->batched ? l->c->batch : 1, &size)) size = 0;
        break;
    }
    case CSC_AT_PARAM:
    case CSC_AT_GRAD: size = (int64_t)p->model.param_floats; break;
    case CSC_AT_STATE:
    case CSC_AT_STATE_OUT: size = (int64_t)p->model.state_floats; break;
    case CSC_AT_TUNABLE: size = p->model.tunable_count; break;
    case CSC_AT_TABLE:
    case CSC_AT_FTABLE:
        start = p->table[w[1]].offset;
        size = p->table[w[1]].len;
        at.space = CSC_AT_TABLE;
        at.which = 0;
        break;
    case CSC_AT_KINDS: break;
    }
    if (at.offset < 0 || __builtin_add_overflow(at.offset, plus, &at.offset) || at.offset < 0 || at.offset > size) {
        stop(l, "a pointer is outside of its memory");
        at.offset = size;
    }
    *room = size - at.offset;
    at.offset += start;
    return at;
}

static csc_status launch(List *l, const int64_t *w, const PgKernel *k) {
    int64_t grid = value(&l->entry, *w++), batch = l->var[CSC_VAR_BATCH];
    if (grid <= 0) return l->status;
    for (int64_t i = 0; i < k->nptrs; i++, w += 4) l->at[i] = place(l, w, &l->room[i]);
    for (int64_t i = 0; i < k->nints; i++) l->integer[i] = value(&l->entry, *w++);
    l->integer[k->nints] = 0;
    l->integer[k->nints + 1] = batch;
    l->kernel.x = &k->exprs;
    for (int64_t i = 0; i < k->nptrs && l->status == CSC_OK; i++) {
        if (k->ptr[i].extent < 0) continue;
        int64_t need = value(&l->kernel, k->ptr[i].extent);
        if (need > PROGRAM_INDEX_MOST)
            return l->status = rt_fail(l->cx, CSC_NO_MEMORY, "a batch of %lld makes a tensor of %.1f billion numbers in entry `%s`; kernels count to %.1f billion: a smaller batch does",
                                       (long long)batch, (double)need / 1e9, l->c->entry->name, (double)PROGRAM_INDEX_MOST / 1e9);
        if (k->ptr[i].elem == CSC_BF16) need = need / 2 + need % 2;
        if (need > l->room[i]) stop(l, "a kernel would leave the memory that it was given");
    }
    if (l->entry.divided || l->kernel.divided) stop(l, "a division by zero");
    if (grid > INT32_MAX) stop(l, "a grid is larger than a device can be given; a smaller batch may fit");
    if (l->status != CSC_OK) return l->status;
    PgLaunch one = {k, grid, batch, l->at, l->integer};
    return l->status = l->sink->launch(l->sink->user, &one);
}

static bool ended(List *l, const int64_t *w) {
    int64_t room;
    bool leave = false;
    PgAt at = place(l, w, &room);
    if (room < 1) stop(l, "a pointer is outside of its memory");
    if (l->status == CSC_OK) l->status = l->sink->ended(l->sink->user, at, l->depth, l->asked++, &leave);
    return leave;
}

static bool statements(List *l, const int64_t *w, const int64_t *end);

static void loop(List *l, const int64_t *w) {
    int64_t lo = value(&l->entry, w[1]), hi = value(&l->entry, w[2]), step = w[3], around = l->asked;
    const int64_t *body = w + 5;
    l->asked = 0;
    l->depth++;
    for (int64_t i = lo; i < hi && l->status == CSC_OK; i += step) {
        l->var[w[0]] = i;
        if (++l->steps > MOST_STEPS) stop(l, "it does not end");
        else if (statements(l, body, body + w[4]) || i > INT64_MAX - step) break;
    }
    if (l->asked && l->sink->left && l->status == CSC_OK) l->status = l->sink->left(l->sink->user, l->depth);
    l->depth--;
    l->asked = around;
}

/* True: the loop around is left. */
static bool statements(List *l, const int64_t *w, const int64_t *end) {
    while (w < end && l->status == CSC_OK) {
        if (++l->steps > MOST_STEPS) return stop(l, "it does not end"), false;
        switch ((enum csc_statement)*w++) {
        case CSC_S_FOR:
            loop(l, w);
            w += 5 + w[4];
            break;
        case CSC_S_IF: {
            const int64_t *yes = w + 2, *no = yes + w[1] + 1;
            bool take = value(&l->entry, w[0]) != 0;
            w = no + no[-1];
            if (take ? statements(l, yes, no - 1) : statements(l, no, w)) return true;
            break;
        }
        case CSC_S_SET:
            l->var[w[0]] = value(&l->entry, w[1]);
            w += 2;
            break;
        case CSC_S_BREAK_IF:
            if (value(&l->entry, *w++)) return true;
            break;
        case CSC_S_BREAK_AT:
            if (ended(l, w)) return true;
            w += 4;
            break;
        case CSC_S_LAUNCH: {
            const PgKernel *k = &l->c->program->kernel[w[0]];
            launch(l, w + 1, k);
            w += 2 + 4 * k->nptrs + k->nints;
            break;
        }
        case CSC_S_KINDS: return stop(l, "a statement is of no kind"), false;
        }
        if (l->entry.divided) stop(l, "a division by zero");
    }
    return false;
}

csc_status program_run(csc_context *cx, const PgCall *c, const PgSink *s) {
    const csc_program *p = c->program;
    const PgEntry *e = c->entry;
    size_t n = p->most_exprs + 1;
    List l = {.cx = cx, .c = c, .sink = s, .work_floats = program_work_floats(e, c->batch)};
    if (l.work_floats < 0) return stop(&l, "its workspace is too large");
    uint64_t *seen = calloc(2 * n, sizeof *seen);
    int64_t *values = calloc(2 * n, sizeof *values);
    l.var = calloc((size_t)e->nvar + 1, sizeof *l.var);
    l.at = calloc(p->most_args + 1, sizeof *l.at);
    l.room = calloc(p->most_args + 1, sizeof *l.room);
    l.integer = calloc(p->most_args + 3, sizeof *l.integer);
    if (seen && values && l.var && l.at && l.room && l.integer) {
        l.entry = (Exprs){.x = &e->exprs, .var = l.var, .value = values, .seen = seen};
        l.kernel = (Exprs){.var = l.integer, .value = values + n, .seen = seen + n};
        l.var[CSC_VAR_BATCH] = c->batch;
        l.var[CSC_VAR_SEED] = (int64_t)c->seed;
        l.var[CSC_VAR_STEP] = (int64_t)c->step;
        l.var[CSC_VAR_FIRST_SAMPLE] = (int64_t)c->first_sample;
        statements(&l, e->code, e->code + e->ncode);
    } else l.status = rt_no_memory(cx, n * sizeof *seen);
    free(seen);
    free(values);
    free(l.var);
    free(l.at);
    free(l.room);
    free(l.integer);
    return l.status;
}

static csc_status launch_nothing(void *user, const PgLaunch *l) { return (void)user, (void)l, CSC_OK; }
static csc_status go_on(void *user, PgAt at, int depth, int64_t asked, bool *leave) { return (void)user, (void)at, (void)depth, (void)asked, *leave = false, CSC_OK; }

csc_status program_check(csc_context *cx, const csc_program *p, const PgEntry *e, int64_t batch) {
    const PgSink none = {.launch = launch_nothing, .ended = go_on};
    const PgCall c = {.program = p, .entry = e, .batch = batch};
    return program_run(cx, &c, &none);
}
