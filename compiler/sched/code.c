/* Lists of statements, written from the first to the last. */
#include "sched/internal.h"

void code_put(Code *c, Ls *s) {
    CodeLevel *l = &c->level[c->depth];
    if (l->last)
        l->last->next = s;
    else if (!l->owner)
        c->head = s;
    else if (l->in_else)
        l->owner->orelse = s;
    else
        l->owner->body = s;
    l->last = s;
}

Ls *code_add(Arena *a, Code *c, LsKind k) {
    Ls *s = ARENA_NEW(a, Ls);
    s->kind = k;
    code_put(c, s);
    return s;
}

static Ls *open(Code *c, Ls *s) {
    c->depth++;
    MUST(c->depth < NEST_MAX);
    c->level[c->depth] = (CodeLevel){.owner = s};
    return s;
}

Ls *code_for(Arena *a, Code *c, int32_t var, const Lx *lo, const Lx *hi, const Lx *step) {
    Ls *s = code_add(a, c, LS_FOR);
    s->var = var, s->lo = lo, s->hi = hi, s->step = step;
    return open(c, s);
}

Ls *code_setvar(Arena *a, Code *c, int32_t var, const Lx *value) {
    Ls *s = code_add(a, c, LS_SETVAR);
    s->var = var, s->cond = value;
    return s;
}

Ls *code_if(Arena *a, Code *c, const Lx *cond) {
    Ls *s = code_add(a, c, LS_IF);
    s->cond = cond;
    return open(c, s);
}

Ls *code_lanes(Arena *a, Code *c, int32_t var, int32_t alone, const Lx *n) {
    Ls *s = code_add(a, c, LS_LANES);
    s->var = var, s->alone = alone, s->hi = n;
    return open(c, s);
}

Ls *code_threads(Arena *a, Code *c) { return open(c, code_add(a, c, LS_THREADS)); }

void code_else(Code *c) {
    c->level[c->depth].in_else = true;
    c->level[c->depth].last = NULL;
}

void code_end(Code *c) {
    MUST(c->depth > 0);
    c->depth--;
}
