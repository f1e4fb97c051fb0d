/* Reads launch programs. Nothing in the bytes is trusted: numbers are compared with what is left before memory is taken for them. */
#include "cuda_program.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD = 3, DEEPEST_EXPR = 4000, DEEPEST_BODY = 100, MOST_THREADS = 1024, MOST_SHARED = 1 << 20, MOST_NAME = 255 };
#define MOST_FLOATS (INT64_C(1) << 46)

typedef struct Reader {
    csc_context *cx;
    csc_program *p;
    const int64_t *w;
    size_t at, n;
    const char *why; /* NULL: good so far */
} Reader;

uint64_t csc_program_checksum(const int64_t *words, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (uint64_t)words[i]) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return h;
}

static bool bad(Reader *r, const char *why) {
    if (!r->why) r->why = why;
    return false;
}

static int64_t word(Reader *r) {
    if (r->at >= r->n) return bad(r, "it is cut short"), 0;
    return r->w[r->at++];
}

static int64_t within(Reader *r, int64_t least, int64_t most, const char *why) {
    int64_t v = word(r);
    if (!r->why && (v < least || v > most)) bad(r, why);
    return r->why ? 0 : v;
}

/* How many of something that takes at least `words` each: what is left bounds it. */
static int64_t count(Reader *r, size_t words) {
    int64_t v = word(r);
    if (!r->why && (v < 0 || (uint64_t)v > (r->n - r->at) / words)) bad(r, "a number of parts is larger than the file");
    return r->why ? 0 : v;
}

static PgText text(Reader *r) {
    int64_t len = word(r);
    if (r->why || len < 0 || (uint64_t)len > (r->n - r->at) * 8) return bad(r, "a text is longer than the file"), (PgText){"", 0};
    PgText t = {(const char *)(r->w + r->at), (size_t)len};
    r->at += ((size_t)len + 7) / 8;
    return t;
}

static void *take(Reader *r, int64_t n, size_t size) {
    void *at = r->why ? NULL : calloc((size_t)n + 1, size);
    if (!at) bad(r, "there is no memory for it");
    return at;
}

static char *string(Reader *r, size_t most) {
    PgText t = text(r);
    if (!r->why && (t.len > most || memchr(t.at, 0, t.len))) bad(r, "a name is no name");
    char *s = take(r, (int64_t)t.len, 1);
    if (s) memcpy(s, t.at, t.len);
    return s;
}

static const int64_t *run_of(Reader *r, int64_t n) { /* of words */
    const int64_t *at = r->w + r->at;
    if (!r->why) r->at += (size_t)n;
    return at;
}

static PgExprs exprs(Reader *r, int64_t nvar) {
    int64_t n = count(r, 4);
    PgExprs x = {run_of(r, 4 * n), n};
    int32_t *depth = take(r, n, sizeof *depth);
    static const int children[CSC_X_KINDS] = {[CSC_X_ADD] = 2, [CSC_X_SUB] = 2, [CSC_X_MUL] = 2, [CSC_X_DIV] = 2, [CSC_X_MOD] = 2, [CSC_X_MIN] = 2, [CSC_X_MAX] = 2,
                                              [CSC_X_LT] = 2, [CSC_X_EQ] = 2, [CSC_X_AND] = 2, [CSC_X_OR] = 2, [CSC_X_NOT] = 1, [CSC_X_SELECT] = 3};
    for (int64_t i = 0; i < n && !r->why; i++) {
        const int64_t *e = x.at + 4 * i;
        if (e[0] < 0 || e[0] >= CSC_X_KINDS) bad(r, "an expression is of no kind");
        else if (e[0] == CSC_X_VAR && (e[1] < 0 || e[1] >= nvar)) bad(r, "an expression names a variable that is not there");
        else
            for (int k = 1; k <= children[e[0]]; k++) {
                if (e[k] < 0 || e[k] >= i) return free(depth), bad(r, "an expression uses one that does not come before it"), x;
                if (depth[e[k]] + 1 > depth[i]) depth[i] = depth[e[k]] + 1;
            }
        if (!r->why && depth[i] > DEEPEST_EXPR) bad(r, "an expression is too deep");
    }
    free(depth);
    if ((size_t)n > r->p->most_exprs) r->p->most_exprs = (size_t)n;
    return x;
}

static void tables(Reader *r) {
    csc_program *p = r->p;
    int64_t n = count(r, 1);
    p->table = take(r, n, sizeof *p->table);
    for (int64_t i = 0; i < n && !r->why; i++) {
        int64_t len = word(r);
        if (!r->why && (len < 0 || (uint64_t)len > 2 * (r->n - r->at))) bad(r, "a table is longer than the file");
        if (r->why) return;
        p->table[i] = (PgTable){r->w + r->at, len, p->table_entries};
        run_of(r, (len + 1) / 2);
        p->table_entries += (len + 15) / 16 * 16;
        p->ntables++;
    }
}

static void kernel(Reader *r, PgKernel *k) {
    k->name = string(r, MOST_NAME);
    for (const char *s = k->name; s && *s; s++)
        if (!(*s == '_' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z'))) bad(r, "a kernel's name is no name");
    char *where = string(r, MOST_NAME);
    k->label = where && k->name ? rt_format(*where ? "%s (%s)" : "%s", k->name, where) : NULL;
    free(where);
    if (!r->why && !k->label) bad(r, "there is no memory for it");
    k->source = text(r);
    k->threads = within(r, 1, MOST_THREADS, "a kernel has no possible number of threads");
    k->shared = within(r, 0, MOST_SHARED, "a kernel wants more shared memory than there is anywhere");
    k->nints = count(r, 1);
    k->exprs = exprs(r, k->nints + 2);
    k->nptrs = count(r, 2);
    k->ptr = (const PgPtr *)run_of(r, 2 * k->nptrs);
    for (int64_t i = 0; i < k->nptrs && !r->why; i++)
        if (k->ptr[i].elem < 0 || k->ptr[i].elem >= CSC_ELEMS || k->ptr[i].extent < -1 || k->ptr[i].extent >= k->exprs.n) bad(r, "a kernel's pointer is of no kind");
    int64_t n = count(r, 2);
    k->image = take(r, n, sizeof *k->image);
    for (; k->nimages < n && !r->why; k->nimages++) k->image[k->nimages] = (PgImage){text(r), text(r)};
    if ((size_t)(k->nptrs + k->nints) > r->p->most_args) r->p->most_args = (size_t)(k->nptrs + k->nints);
}

/* ---- statements ---- */
static void expr(Reader *r, const PgEntry *e) { within(r, 0, e->exprs.n - 1, "a statement uses an expression that is not there"); }
static void variable(Reader *r, const PgEntry *e) { within(r, 0, e->nvar - 1, "a statement sets a variable that is not there"); }

static void pointer(Reader *r, PgEntry *e) {
    int64_t space = within(r, 0, CSC_AT_KINDS - 1, "a pointer is into no memory"), most = 0;
    if (space == CSC_AT_IN) most = e->nin - 1;
    if (space == CSC_AT_OUT) most = e->nout - 1;
    if (space == CSC_AT_TABLE || space == CSC_AT_FTABLE) most = r->p->ntables - 1;
    e->spaces |= 1u << space;
    within(r, 0, most, "a pointer names something that is not there");
    within(r, 0, MOST_FLOATS, "a pointer is out of all bounds");
    within(r, -1, e->exprs.n - 1, "a pointer uses an expression that is not there");
}

static void statements(Reader *r, PgEntry *e, int depth, bool in_loop);

static void body(Reader *r, PgEntry *e, int depth, bool in_loop) {
    int64_t len = count(r, 1);
    if (r->why) return;
    if (depth > DEEPEST_BODY) { bad(r, "statements are nested too deeply"); return; }
    size_t whole = r->n;
    r->n = r->at + (size_t)len;
    statements(r, e, depth, in_loop);
    r->n = whole;
}

static void statements(Reader *r, PgEntry *e, int depth, bool in_loop) {
    while (r->at < r->n && !r->why) {
        switch ((enum csc_statement)within(r, 0, CSC_S_KINDS - 1, "a statement is of no kind")) {
        case CSC_S_FOR:
            within(r, CSC_VARS, e->nvar - 1, "a loop has no variable of its own");
            expr(r, e);
            expr(r, e);
            within(r, 1, INT64_C(1) << 40, "a loop has no possible step");
            body(r, e, depth + 1, true);
            break;
        case CSC_S_IF:
            expr(r, e);
            body(r, e, depth + 1, in_loop);
            body(r, e, depth + 1, in_loop);
            break;
        case CSC_S_SET:
            variable(r, e);
            expr(r, e);
            break;
        case CSC_S_BREAK_IF:
            expr(r, e);
            if (!in_loop) bad(r, "a statement leaves a loop that it is not in");
            break;
        case CSC_S_BREAK_AT:
            pointer(r, e);
            if (!in_loop) bad(r, "a statement leaves a loop that it is not in");
            break;
        case CSC_S_LAUNCH: {
            int64_t i = within(r, 0, r->p->nkernels - 1, "a launch is of a kernel that is not there");
            if (r->why) return;
            const PgKernel *k = &r->p->kernel[i];
            expr(r, e);
            for (int64_t n = 0; n < k->nptrs && !r->why; n++) pointer(r, e);
            for (int64_t n = 0; n < k->nints && !r->why; n++) expr(r, e);
            break;
        }
        case CSC_S_KINDS: break;
        }
    }
}

/* Conservative: any expression of the entry that reads them. */
static bool reads_numbers(const PgExprs *x) {
    for (int64_t i = 0; i < x->n; i++)
        if (x->at[4 * i] == CSC_X_VAR && x->at[4 * i + 1] >= CSC_VAR_SEED && x->at[4 * i + 1] <= CSC_VAR_FIRST_SAMPLE) return true;
    return false;
}

static void entry(Reader *r, PgEntry *e) {
    e->name = string(r, MOST_NAME);
    e->kind = within(r, 0, 1000, "an entry is of no kind");
    e->stage = within(r, 0, 1 << 20, "an entry is of no stage");
    e->nin = within(r, 0, 1 << 16, "an entry has too many inputs");
    e->nout = within(r, 0, 1 << 24, "an entry has too many outputs");
    if (!r->why && (uint64_t)(e->nin + e->nout) > (r->n - r->at) / 2) bad(r, "it is cut short");
    e->arg = (const PgArg *)run_of(r, 2 * (e->nin + e->nout));
    for (int64_t i = 0; i < e->nin + e->nout && !r->why; i++)
        if (e->arg[i].floats < -1 || e->arg[i].floats > MOST_FLOATS || (e->arg[i].batched & ~INT64_C(1))) bad(r, "an input or output has no possible size");
    e->nvar = within(r, CSC_VARS, 1 << 24, "an entry has no possible number of variables");
    e->fixed_floats = within(r, 0, MOST_FLOATS, "an entry has no possible workspace");
    e->batch_floats = within(r, 0, MOST_FLOATS, "an entry has no possible workspace");
    e->exprs = exprs(r, e->nvar);
    e->ncode = count(r, 1);
    e->code = r->w + r->at;
    size_t whole = r->n;
    if (r->why) return;
    r->n = r->at + (size_t)e->ncode;
    statements(r, e, 0, false);
    if (!r->why && r->at != r->n) bad(r, "the statements of an entry do not end where they should");
    r->n = whole;
    e->numbers = reads_numbers(&e->exprs);
}

static void face(Reader *r) {
    csc_program *p = r->p;
    p->face = take(r, p->nentries, sizeof *p->face);
    for (int64_t i = 0; i < p->nentries && !r->why; i++) {
        const PgEntry *e = &p->entry[i];
        p->face[i] = (csc_entry){.name = e->name, .nin = (uint32_t)e->nin, .nout = (uint32_t)e->nout, .fixed_bytes = (uint64_t)e->fixed_floats * 4,
                                 .batch_bytes = (uint64_t)e->batch_floats * 4};
    }
    p->model.entry_count = (uint32_t)p->nentries;
    p->model.entries = p->face;
}

static void whole(Reader *r) {
    csc_program *p = r->p;
    p->model = (csc_model){.version = CSC_MODEL_VERSION, .size = sizeof p->model};
    p->model.param_floats = (uint64_t)within(r, 0, MOST_FLOATS, "the parameters have no possible size");
    p->model.state_floats = (uint64_t)within(r, 0, MOST_FLOATS, "the states have no possible size");
    int64_t n = count(r, 1);
    p->tunable = take(r, n, sizeof *p->tunable);
    for (int64_t i = 0; i < n && !r->why; i++) {
        uint32_t bits = (uint32_t)word(r);
        memcpy(&p->tunable[i], &bits, 4);
    }
    p->model.tunable_count = (uint32_t)n;
    p->model.tunable_defaults = p->tunable;
    p->model.info = p->info = string(r, r->n * 8);
    tables(r);
    n = count(r, 9);
    p->kernel = take(r, n, sizeof *p->kernel);
    for (; p->nkernels < n && !r->why; p->nkernels++) kernel(r, &p->kernel[p->nkernels]);
    n = count(r, 10);
    p->entry = take(r, n, sizeof *p->entry);
    for (; p->nentries < n && !r->why; p->nentries++) entry(r, &p->entry[p->nentries]);
    if (!r->why && r->at != r->n) bad(r, "there is something after its end");
    if (!r->why) face(r);
}

csc_status csc_program_read(csc_context *cx, const void *bytes, size_t len, csc_program **out) {
    *out = NULL;
    int64_t head[HEAD];
    if (len < sizeof head || len % 8) return rt_fail(cx, CSC_BAD_FILE, "the launch program is cut short");
    memcpy(head, bytes, sizeof head);
    if (head[0] != CSC_PROGRAM_MAGIC) return rt_fail(cx, CSC_BAD_FILE, "this is no launch program of this version");
    if ((uint64_t)head[1] != len / 8) return rt_fail(cx, CSC_BAD_FILE, "the launch program is cut short");
    csc_program *p = calloc(1, sizeof *p);
    if (p) p->words = malloc(len);
    if (!p || !p->words) {
        free(p);
        return rt_no_memory(cx, len);
    }
    memcpy(p->words, bytes, len);
    p->nwords = len / 8;
    Reader r = {.cx = cx, .p = p, .w = p->words, .at = HEAD, .n = p->nwords};
    if (csc_program_checksum(r.w + HEAD, r.n - HEAD) != (uint64_t)head[2]) bad(&r, "its checksum is another one");
    else whole(&r);
    if (!r.why) return *out = p, CSC_OK;
    csc_program_free(p);
    return rt_fail(cx, CSC_BAD_FILE, "the launch program is damaged: %s", r.why);
}

void csc_program_free(csc_program *p) {
    if (!p) return;
    for (int64_t i = 0; p->kernel && i <= p->nkernels; i++) { /* also the one that was being read; the arrays have one more */
        free(p->kernel[i].name);
        free(p->kernel[i].label);
        free(p->kernel[i].image);
    }
    for (int64_t i = 0; p->entry && i <= p->nentries; i++) free(p->entry[i].name);
    free(p->kernel);
    free(p->entry);
    free(p->table);
    free(p->tunable);
    free(p->info);
    free(p->face);
    free(p->words);
    free(p);
}

const csc_model *csc_program_model(const csc_program *p) {
    return &p->model;
}
