/* A loop of the entry whose turns are a launch each, of a few samples a block, becomes one launch: the loop goes inside, a barrier between turns.
   Where a turn's memory lies (carried values have two places, what is kept or given for each turn one after the other) becomes part of the indices. */
#include "sched/gpu_join.h"

typedef struct Turns {
    Ent *e;
    Arena *a;
    Join *j;
    const Ls *loop;
    const Lx **var; /* what a variable of the entry is in the kernel; NULL: not known */
    bool unknown;
} Turns;

static const Lx *inside(Turns *t, const Lx *x) {
    Arena *a = t->a;
    if (!x || x->kind == LX_INT) return x;
    if (x->kind == LX_VAR) {
        const Lx *v = x->i == LP_VAR_BATCH ? IVAR(t->j->nint + 1) : t->var[x->i];
        t->unknown |= !v;
        return v ? v : INT(0);
    }
    const Lx *p = inside(t, x->a), *q = inside(t, x->b);
    return x->kind == LX_ISELECT ? lx_iselect(a, p, q, inside(t, x->c)) : lx_i2(a, x->kind, p, q);
}

/* Does each block keep to its samples, whichever turn wrote what another one reads? */
static bool by_samples(Ent *e, const Launch *l) {
    const LpKernel *k = join_kernel(e, l);
    for (int32_t i = 0; i < lp_launch_ptrs(k); i++)
        for (int32_t j = 0; j < lp_launch_ptrs(k); j++) {
            const View *v = &l->arg[i], *o = &l->arg[j];
            if (!k->ptr[i].writes || !join_overlap(e, v->buf, o->buf)) continue;
            if (v->buf != o->buf || !v->batched || !o->batched || !v->sample || v->sample != o->sample) return false;
        }
    return true;
}

static const Launch *only_launch(const Ls *s) {
    const Launch *l = NULL;
    for (; s; s = s->next) {
        if (s->kind == LS_LAUNCH && l) return NULL;
        if (s->kind == LS_LAUNCH) l = (const Launch *)s;
        else if (s->kind != LS_SETVAR) return NULL;
    }
    return l && l->per && l->each == 1 && l->times == 1 ? l : NULL;
}

/* All of the buffer behind the pointer: some turn may touch it. */
static const Lx *extent(Turns *t, const View *v) {
    Arena *a = t->a;
    const Buf *b = &t->e->bufs.at[v->buf];
    const Lx *all = b->space == SP_BATCH ? MUL(IVAR(t->j->nint + 1), INT(b->floats)) : INT(b->floats);
    return SUB(all, INT(v->offset));
}

Launch *gpu_turns(Ent *e, const Ls *loop, const Lx *const *known) {
    Arena *a = e->a;
    const Launch *l = only_launch(loop->body);
    if (!l || !by_samples(e, l)) return NULL;
    const LpKernel *k = join_kernel(e, l);
    int32_t ptrs = lp_launch_ptrs(k);
    Launch *own = arena_copy(a, l, sizeof *l);
    View *arg = arena_copy(a, l->arg, (size_t)ptrs * sizeof *arg);
    own->arg = arg;
    for (int32_t i = 0; i < ptrs; i++) {
        LpSpace space = e->bufs.at[arg[i].buf].space;
        if (arg[i].plus && space != SP_BATCH && space != SP_FIXED && space != SP_PARAM) return NULL;
        arg[i].plus = NULL;
    }
    Turns t = {.e = e, .a = a, .loop = loop, .var = ARENA_ARRAY(a, const Lx *, e->nvar)};
    Join *j = t.j = join_open(e, (const Launch *const[]){own}, 1, NULL, NULL, 0);
    JoinPart *p = &j->part[0];
    LsList body = {0}, turn = {0};
    for (int32_t v = LP_VARS; v < e->nvar; v++) t.var[v] = known[v];
    for (const Ls *s = loop->body; s; s = s->next) { /* variables of the kernel for those that turns set */
        if (s->kind != LS_SETVAR || (t.var[s->var] && t.var[s->var]->kind == LX_VAR)) continue;
        if (!t.var[s->var]) return NULL;
        ls_add(&body, ls_setvar(a, j->nvar, t.var[s->var]));
        t.var[s->var] = IVAR(j->nvar++);
    }
    t.var[loop->var] = IVAR(j->nvar++);
    ls_add(&turn, ls_sync(a));
    for (const Ls *s = loop->body; s; s = s->next) {
        if (s->kind == LS_SETVAR) {
            ls_add(&turn, ls_setvar(a, (int32_t)t.var[s->var]->i, inside(&t, s->cond)));
            continue;
        }
        p->plus = ARENA_ARRAY(a, const Lx *, ptrs + 1), p->again = true;
        for (int32_t i = 0; i < ptrs; i++) {
            if (!l->arg[i].plus) continue;
            p->plus[i] = join_var(j, &turn, inside(&t, l->arg[i].plus));
            j->ptr.at[p->to[i]].extent = extent(&t, &arg[i]);
        }
        join_body(j, 0, &turn);
    }
    if (t.unknown) return NULL;
    int64_t step = loop->step->i;
    ls_add(&body, ls_for(a, (int32_t)t.var[loop->var]->i, loop->lo, loop->hi, step, false, turn.first));
    Launch *r = join_launch(j, body.first, l->s.grid);
    r->each = l->each, r->per = l->per, r->times = l->times;
    return r;
}
