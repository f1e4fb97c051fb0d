/* Kernels of blocks of threads, and the loops that become threads there. */
#include "sched/internal.h"

enum { EACH_THREADS = 128 };

void kb_threads(Kb *k) { code_threads(k->a, &k->code); }

void kb_sync(Kb *k) { code_add(k->a, &k->code, LS_SYNC); }

int kb_shared(Kb *k, LpElem elem, int64_t n) {
    Arena *a = k->a;
    LpParam p = {.name = name_fmt(k->e->s->cx, "p%zu", k->ptr.len),
                 .elem = elem,
                 .writes = true,
                 .shared = true,
                 .bytes = n * lp_elem_bytes(elem),
                 .extent = INT(n)};
    vec_push(a, &k->ptr, p);
    return (int)k->ptr.len - 1;
}

void kb_setvar(Kb *k, int32_t var, const Lx *v) {
    Ls *s = code_add(k->a, &k->code, LS_SETVAR);
    s->var = var, s->cond = v;
}

void kb_store_aligned(Kb *k, int ptr, const Lx *index, const Lx *value) {
    Ls *s = code_add(k->a, &k->code, LS_STORE);
    s->ptr = ptr, s->index = index, s->value = value, s->aligned = value->width > 1;
}

const Lx *kb_let(Kb *k, const Lx *v) {
    if (v->kind == LX_INT || v->kind == LX_VAR) return v;
    int32_t var = kb_var(k);
    kb_setvar(k, var, v);
    return lx_var(k->a, var);
}

const Lx *kb_samples(Kb *k, bool batched) {
    k->each_sample = batched;
    if (!k->e->s->t.gpu) return batched ? kb_grid(k) : NULL;
    Arena *a = k->a;
    k->threads = EACH_THREADS;
    for (int i = 0; i < 2; i++) { /* the block's first turn: of which sample, which of its turns */
        k->each_base[i] = code_add(a, &k->code, LS_SETVAR);
        k->each_base[i]->var = kb_var(k);
    }
    kb_threads(k);
    k->each[k->neach].set = code_add(a, &k->code, LS_SETVAR);
    k->each_if = code_if(a, &k->code, NULL); /* kb_launch_each knows how many there are */
    k->each[k->neach++].set->var = kb_var(k);
    return batched ? kb_each(k, 0) : NULL;
}

const Lx *kb_each(Kb *k, int64_t n) {
    Arena *a = k->a;
    int i = k->neach++;
    MUST(i < EACH_MAX);
    if (!k->e->s->t.gpu) return kb_for(k, INT(0), INT(n), 1);
    k->each[i].n = n;
    k->each[i].set = code_add(a, &k->code, LS_SETVAR);
    k->each[i].set->var = kb_var(k);
    return IVAR(k->each[i].set->var);
}

void kb_launch_each(Kb *k) {
    Arena *a = k->a;
    if (!k->e->s->t.gpu) {
        while (k->neach--) kb_end(k);
        kb_launch(k, k->each_sample ? IVAR(LP_VAR_BATCH) : INT(1));
        return;
    }
    const Lx *all = IVAR(k->each[0].set->var), *sample = IVAR(k->each_base[0]->var);
    int64_t inner = 1, each = 1;
    for (int i = k->each_sample ? 2 : 1; i < k->neach; i++) each *= k->each[i].n;
    for (int i = k->neach; i-- > 1;) {
        const Lx *at = DIV(all, INT(inner));
        bool outermost = i == 1;
        k->each[i].set->cond = !outermost ? MOD(at, INT(k->each[i].n)) : k->each_sample ? ADD(sample, at) : at;
        if (!outermost || !k->each_sample) inner *= k->each[i].n;
    }
    /* only the base can be large */
    const Lx *point = k->each_sample ? kb_grid(k) : MOD(kb_grid(k), INT((each + k->threads - 1) / k->threads)), *start = MUL(point, INT(k->threads));
    k->each_base[0]->cond = k->each_sample ? DIV(start, INT(each)) : INT(0);
    k->each_base[1]->cond = k->each_sample ? MOD(start, INT(each)) : start;
    k->each[0].set->cond = ADD(IVAR(k->each_base[1]->var), lx_thread(a));
    k->each_if->cond = k->each_sample ? ILT(ADD(sample, DIV(all, INT(each))), kb_batch(k)) : ILT(all, INT(each));
    kb_end(k);
    kb_end(k);
    if (k->each_sample) kb_launch_samples(k, each, k->threads, 1);
    else kb_launch(k, INT((each + k->threads - 1) / k->threads));
}
