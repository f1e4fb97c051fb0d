/* What an entry makes of parameters, states and tunables alone goes to its front (LS_PREPARE): packed weights, factors of normalisations,
   products of operators, power iterations. A caller whose parameters stay can have it done once. */
#include "loop/lxmap.h"
#include "sched/internal.h"

typedef struct Part { /* a statement of the entry, with all in it */
    const Ls *s;
    bool fixed;            /* made of parameters alone, as far as is known */
    bool *reads, *sets;    /* [variable] */
    bool *in, *out;        /* [buffer] read, written */
} Part;

typedef struct Split {
    Ent *e;
    Arena *a;
    Vec(Part) parts;
    LxMap seen;
    int32_t launches;
} Split;

static void reads_of(Split *p, Part *q, const Lx *x) {
    if (!x || x->kind == LX_INT) return;
    if (x->kind == LX_VAR) {
        q->reads[x->i] = true;
        return;
    }
    LxCell *cell = lx_map_cell(p->a, &p->seen, x);
    if (cell->turn == p->seen.turn) return;
    cell->turn = p->seen.turn;
    reads_of(p, q, x->a), reads_of(p, q, x->b), reads_of(p, q, x->c);
}

static void touch(Split *p, Part *q, const Lptr *t, bool writes) {
    reads_of(p, q, t->plus);
    switch ((int)t->space) {
    case SP_FIXED:
        (writes ? q->out : q->in)[t->which] = true;
        return;
    case SP_PARAM: case SP_STATE: case SP_TUNABLE: case SP_TABLE: case SP_FTABLE: return;
    case SP_BATCH:
        (writes ? q->out : q->in)[t->which] = true;
        break;
    }
    q->fixed = false;
}

static void look_at(Split *p, Part *q, const Ls *s) {
    for (; s; s = s->next) {
        const Lx *x[] = {s->lo, s->hi, s->cond, s->grid};
        for (size_t i = 0; i < sizeof x / sizeof *x; i++) reads_of(p, q, x[i]);
        if (s->kind == LS_FOR || s->kind == LS_SETVAR || s->kind == LS_F2VAR) q->sets[s->var] = true;
        if (s->kind == LS_LANES) q->fixed = false, q->sets[s->var] = q->sets[s->alone] = true;
        if (s->kind == LS_LAUNCH) {
            const LpKernel *k = &p->e->s->m->kernels.at[s->kernel];
            for (int32_t i = 0; i < lp_launch_ptrs(k); i++) touch(p, q, &s->ptrs[i], k->ptr[i].writes);
            for (int32_t i = 0; i < k->nint; i++) reads_of(p, q, s->ints[i]);
            if (q->fixed && lp_reads_batch(k)) q->fixed = false;
        } else if (s->ptrs)
            touch(p, q, s->ptrs, false);
        look_at(p, q, s->body);
        look_at(p, q, s->orelse);
    }
}

static void find_parts(Split *p) {
    Ent *e = p->e;
    for (const Ls *s = e->code.head; s; s = s->next) {
        Ls *one = arena_copy(p->a, s, sizeof *s);
        one->next = NULL;
        Part q = {.s = one, .fixed = true};
        q.reads = ARENA_ARRAY(p->a, bool, e->nvar), q.sets = ARENA_ARRAY(p->a, bool, e->nvar);
        q.in = ARENA_ARRAY(p->a, bool, e->bufs.len + 1), q.out = ARENA_ARRAY(p->a, bool, e->bufs.len + 1);
        p->seen.turn++;
        look_at(p, &q, one);
        for (int32_t v = 0; v < LP_VARS; v++) q.fixed &= !q.reads[v] && !q.sets[v];
        vec_push(p->a, &p->parts, q);
    }
}

/* Each variable and buffer of a part that stays must be set by such parts only, before any other part reads it. */
static bool spoil(Split *p, Part *q, size_t n, bool *const *reads, bool *const *sets) {
    bool spoilt = false;
    for (size_t k = 0; k < n; k++) {
        bool own_sets = sets[q - p->parts.at][k], own = own_sets || reads[q - p->parts.at][k];
        for (size_t i = 0; own && i < p->parts.len; i++) {
            if (p->parts.at[i].fixed) continue;
            spoilt |= sets[i][k] || (own_sets && reads[i][k] && &p->parts.at[i] < q);
        }
    }
    return spoilt;
}

static void decide(Split *p) {
    size_t n = p->parts.len;
    bool **reads = ARENA_ARRAY(p->a, bool *, n + 1), **sets = ARENA_ARRAY(p->a, bool *, n + 1), **in = ARENA_ARRAY(p->a, bool *, n + 1),
         **out = ARENA_ARRAY(p->a, bool *, n + 1);
    for (size_t i = 0; i < n; i++) {
        const Part *q = &p->parts.at[i];
        reads[i] = q->reads, sets[i] = q->sets, in[i] = q->in, out[i] = q->out;
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            Part *q = &p->parts.at[i];
            if (!q->fixed) continue;
            if (spoil(p, q, (size_t)p->e->nvar, reads, sets) || spoil(p, q, p->e->bufs.len, in, out)) q->fixed = false, more = true;
        }
    }
}

/* Is it set by what is prepared and read by the rest? */
static bool leaves(const Split *p, size_t k, bool buffer) {
    bool set = false, read = false;
    for (size_t i = 0; i < p->parts.len; i++) {
        const Part *q = &p->parts.at[i];
        if (q->fixed)
            set |= (buffer ? q->out : q->sets)[k];
        else
            read |= (buffer ? q->in : q->reads)[k];
    }
    return set && read;
}

static void keep(Ent *e, Buf *b) {
    b->space = SP_PREPARED;
    b->first = 0, b->last = e->pos;
}

void prepare_split(Ent *e) {
    Arena *a = e->a;
    Split *p = ARENA_NEW(a, Split);
    *p = (Split){.e = e, .a = a};
    find_parts(p);
    decide(p);
    LsList first = {0}, rest = {0};
    int64_t launches = 0;
    for (size_t i = 0; i < p->parts.len; i++) {
        const Part *q = &p->parts.at[i];
        launches += q->fixed && q->s->kind != LS_SETVAR;
    }
    if (!launches) return;
    for (size_t i = 0; i < e->bufs.len; i++)
        if (leaves(p, i, true)) keep(e, &e->bufs.at[i]);
    for (size_t i = 0; i < p->parts.len; i++)
        if (p->parts.at[i].fixed) ls_add(&first, (Ls *)(uintptr_t)p->parts.at[i].s);
    int32_t nvar = e->nvar;
    for (int32_t v = 0; v < nvar; v++) { /* variables do not leave LS_PREPARE, numbers in memory do */
        if (!leaves(p, (size_t)v, false)) continue;
        View at = view_new(e, (Shape){0}, false, NULL, (Span){0});
        e->code = (Code){0};
        store_number(e, IVAR(v), &at);
        keep(e, &e->bufs.at[at.buf]);
        ls_add(&first, (Ls *)(uintptr_t)e->code.head);
        ls_add(&rest, ls_f2var(a, v, (Lptr){0}));
        rest.last->ptrs = plan_pointer(e, &at, ARENA_NEW(a, Lptr));
    }
    for (size_t i = 0; i < p->parts.len; i++)
        if (!p->parts.at[i].fixed) ls_add(&rest, (Ls *)(uintptr_t)p->parts.at[i].s);
    Ls *all = ls_prepare(a, first.first);
    all->next = rest.first;
    e->code = (Code){.head = all};
}
