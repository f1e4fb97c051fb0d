/* Writes launch programs: expressions keep their sharing, statements become words. */
#include "cuda/program.h"
#include "base/trouble.h"
#include "loop/lxmap.h"
#include <string.h>

typedef Vec(int64_t) Words;
typedef struct Writer {
    Arena *a;
    Words out;
    Words exprs;    /* of the kernel or entry, 4 words each */
    LxMap seen;     /* value: number + 1 */
} Writer;

static void put(Writer *w, int64_t v) { vec_push(w->a, &w->out, v); }

static void put_bytes(Writer *w, const void *at, size_t len) { /* padded with zeros */
    for (size_t i = 0; i < len; i += 8) {
        int64_t word = 0;
        memcpy(&word, (const char *)at + i, len - i < 8 ? len - i : 8);
        put(w, word);
    }
}

static void put_text(Writer *w, const void *at, size_t len) {
    put(w, (int64_t)len);
    put_bytes(w, at, len);
}

/* ---- expressions ---- */
static int64_t kind_of(LxKind k) {
    static const int64_t kinds[LX_KINDS] = {
        [LX_INT] = CSC_X_INT, [LX_VAR] = CSC_X_VAR, [LX_IADD] = CSC_X_ADD, [LX_ISUB] = CSC_X_SUB, [LX_IMUL] = CSC_X_MUL, [LX_IDIV] = CSC_X_DIV,
        [LX_IMOD] = CSC_X_MOD, [LX_IMIN] = CSC_X_MIN, [LX_IMAX] = CSC_X_MAX, [LX_ILT] = CSC_X_LT, [LX_IEQ] = CSC_X_EQ, [LX_IAND] = CSC_X_AND,
        [LX_IOR] = CSC_X_OR, [LX_INOT] = CSC_X_NOT, [LX_ISELECT] = CSC_X_SELECT,
    };
    if (k != LX_INT && !kinds[k]) BUG("expression %d is not of an entry", (int)k);
    return kinds[k];
}

static int64_t number(Writer *w, const Lx *x) { /* -1: NULL */
    if (!x) return -1;
    LxCell *c = lx_map_cell(w->a, &w->seen, x);
    if (c->turn == w->seen.turn) return (int64_t)(uintptr_t)c->value - 1;
    int64_t kind = kind_of(x->kind), e[3] = {x->i, 0, 0};
    if (kind >= CSC_X_ADD) {
        e[0] = number(w, x->a);
        e[1] = x->b ? number(w, x->b) : 0;
        e[2] = x->c ? number(w, x->c) : 0;
    }
    int64_t n = (int64_t)(w->exprs.len / 4);
    vec_push(w->a, &w->exprs, kind);
    for (int i = 0; i < 3; i++) vec_push(w->a, &w->exprs, e[i]);
    c = lx_map_cell(w->a, &w->seen, x);
    c->turn = w->seen.turn;
    c->value = (void *)(uintptr_t)(n + 1);
    return n;
}

static void new_exprs(Writer *w) {
    w->exprs.len = 0;
    w->seen.turn++;
}

static void put_exprs(Writer *w) {
    put(w, (int64_t)(w->exprs.len / 4));
    for (size_t i = 0; i < w->exprs.len; i++) put(w, w->exprs.at[i]);
}

/* ---- kernels ---- */
static void put_kernel(Writer *w, const LpKernel *k, const CudaKernel *c) {
    int32_t nptrs = lp_launch_ptrs(k);
    MUST(k->threads > 0);
    put_text(w, c->name, strlen(c->name));
    put_text(w, k->where ? k->where : "", k->where ? strlen(k->where) : 0);
    put_text(w, c->source, strlen(c->source));
    put(w, k->threads);
    put(w, lp_shared_bytes(k));
    put(w, k->nint);
    new_exprs(w);
    int64_t *extent = ARENA_ARRAY(w->a, int64_t, (size_t)nptrs + 1);
    for (int32_t i = 0; i < nptrs; i++) extent[i] = number(w, k->ptr[i].extent);
    put_exprs(w);
    put(w, nptrs);
    for (int32_t i = 0; i < nptrs; i++) {
        put(w, k->ptr[i].elem);
        put(w, extent[i]);
    }
    put(w, (int64_t)c->nimages);
    for (size_t i = 0; i < c->nimages; i++) {
        put_text(w, c->image[i].arch, strlen(c->image[i].arch));
        put_text(w, c->image[i].bytes, c->image[i].len);
    }
}

CudaKernel *cuda_kernels(Arena *a, const LpModule *m, size_t *n, int32_t **which) {
    size_t most = m->kernels.len;
    CudaKernel *list = ARENA_ARRAY(a, CudaKernel, most + 1);
    uint64_t *hash = ARENA_ARRAY(a, uint64_t, most + 1);
    *which = ARENA_ARRAY(a, int32_t, most + 1);
    *n = 0;
    for (size_t i = 0; i < most; i++) {
        const LpKernel *k = &m->kernels.at[i];
        uint64_t h = loop_kernel_hash(k);
        size_t at = 0;
        while (at < *n && (hash[at] != h || !loop_kernel_equal(&m->kernels.at[list[at].first], k))) at++;
        if (at == *n) {
            hash[at] = h;
            list[(*n)++] = (CudaKernel){.name = arena_printf(a, "csc_k_%016llx", (unsigned long long)h), .source = "", .first = (int32_t)i};
        }
        (*which)[i] = (int32_t)at;
    }
    return list;
}

/* ---- entries ---- */
static void put_pointer(Writer *w, const Lptr *p) {
    static const int64_t spaces[SP_KINDS] = {
        [SP_FIXED] = CSC_AT_FIXED, [SP_BATCH] = CSC_AT_BATCH, [SP_IN] = CSC_AT_IN, [SP_OUT] = CSC_AT_OUT, [SP_PARAM] = CSC_AT_PARAM, [SP_GRAD] = CSC_AT_GRAD,
        [SP_STATE] = CSC_AT_STATE, [SP_STATE_OUT] = CSC_AT_STATE_OUT, [SP_TUNABLE] = CSC_AT_TUNABLE, [SP_TABLE] = CSC_AT_TABLE, [SP_FTABLE] = CSC_AT_FTABLE,
    };
    bool many = p->space == SP_IN || p->space == SP_OUT || p->space == SP_TABLE || p->space == SP_FTABLE;
    put(w, spaces[p->space]);
    put(w, many ? p->which : 0);
    put(w, p->offset);
    put(w, number(w, p->plus));
}

static void put_list(Writer *w, const LpModule *m, const int32_t *which, const Ls *s);

static void put_body(Writer *w, const LpModule *m, const int32_t *which, const Ls *s) {
    size_t at = w->out.len;
    put(w, 0);
    put_list(w, m, which, s);
    w->out.at[at] = (int64_t)(w->out.len - at - 1);
}

static void put_list(Writer *w, const LpModule *m, const int32_t *which, const Ls *s) {
    for (; s; s = s->next) {
        int64_t step = 0;
        if (s->kind == LS_FOR) {
            MUST(lx_is_const(s->step, &step));
            put(w, CSC_S_FOR);
            put(w, s->var);
            put(w, number(w, s->lo));
            put(w, number(w, s->hi));
            put(w, step);
            put_body(w, m, which, s->body);
        } else if (s->kind == LS_IF) {
            put(w, CSC_S_IF);
            put(w, number(w, s->cond));
            put_body(w, m, which, s->body);
            put_body(w, m, which, s->orelse);
        } else if (s->kind == LS_SETVAR) {
            put(w, CSC_S_SET);
            put(w, s->var);
            put(w, number(w, s->cond));
        } else if (s->kind == LS_BREAK_IF && s->cond) {
            put(w, CSC_S_BREAK_IF);
            put(w, number(w, s->cond));
        } else if (s->kind == LS_BREAK_IF) {
            put(w, CSC_S_BREAK_AT);
            put_pointer(w, s->ptrs);
        } else if (s->kind == LS_LAUNCH) {
            const LpKernel *k = &m->kernels.at[s->kernel];
            put(w, CSC_S_LAUNCH);
            put(w, which[s->kernel]);
            put(w, number(w, s->grid));
            for (int32_t i = 0; i < lp_launch_ptrs(k); i++) put_pointer(w, &s->ptrs[i]);
            for (int32_t i = 0; i < k->nint; i++) put(w, number(w, s->ints[i]));
        } else BUG("statement %d is not of an entry", (int)s->kind);
    }
}

static void put_args(Writer *w, const LpArg *arg, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        put(w, arg ? arg[i].floats : -1);
        put(w, arg ? arg[i].batched : 0);
    }
}

static void put_entry(Writer *w, const LpModule *m, const int32_t *which, const LpEntry *e) {
    put_text(w, e->name, strlen(e->name));
    put(w, e->kind);
    put(w, e->stage);
    put(w, e->nin);
    put(w, e->nout);
    put_args(w, e->in, e->nin);
    put_args(w, e->out, e->nout);
    put(w, e->nvar);
    put(w, e->fixed_floats);
    put(w, e->batch_floats);
    Words around = w->out; /* the statements go first: they number the expressions */
    w->out = (Words){0};
    new_exprs(w);
    put_list(w, m, which, e->body);
    Words code = w->out;
    w->out = around;
    put_exprs(w);
    put(w, (int64_t)code.len);
    for (size_t i = 0; i < code.len; i++) put(w, code.at[i]);
}

char *cuda_program(Arena *a, const LpModule *m, const CudaKernel *kernel, size_t nkernels, const int32_t *which, const CudaModel *model, size_t *len) {
    Writer w = {.a = a, .seen = {.turn = 1}};
    put(&w, CSC_PROGRAM_MAGIC);
    put(&w, 0);
    put(&w, 0);
    put(&w, model->param_floats);
    put(&w, model->state_floats);
    put(&w, (int64_t)model->ntunables);
    for (size_t i = 0; i < model->ntunables; i++) {
        uint32_t bits;
        memcpy(&bits, &model->tunables[i], 4);
        put(&w, bits);
    }
    put_text(&w, model->info, strlen(model->info));
    put(&w, (int64_t)m->tables.len);
    for (size_t i = 0; i < m->tables.len; i++) {
        const LpTable *t = &m->tables.at[i];
        put(&w, t->len);
        put_bytes(&w, t->is_int ? (const void *)t->i : t->f, (size_t)t->len * 4);
    }
    put(&w, (int64_t)nkernels);
    for (size_t i = 0; i < nkernels; i++) put_kernel(&w, &m->kernels.at[kernel[i].first], &kernel[i]);
    put(&w, (int64_t)m->entries.len);
    for (size_t i = 0; i < m->entries.len; i++) put_entry(&w, m, which, &m->entries.at[i]);
    w.out.at[1] = (int64_t)w.out.len;
    w.out.at[2] = (int64_t)csc_program_checksum(w.out.at + 3, w.out.len - 3);
    *len = w.out.len * 8;
    return (char *)w.out.at;
}
