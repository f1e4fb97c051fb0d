/* The kernel builder: parameters, registers, statements; a kernel equal to an earlier one is used again. */
#include "sched/internal.h"
#include <string.h>

Kb *kb_new(Ent *e, const char *what, int nint) {
    Kb *k = ARENA_NEW(e->a, Kb);
    k->e = e, k->a = e->a, k->what = what, k->nint = nint, k->nvar = nint + 2;
    if (e->guard && !e->hoist) kb_ptr(k, e->guard, false); /* pointer 0: see kb_launch */
    return k;
}

const Lx *kb_grid(Kb *k) { return lx_var(k->a, k->nint); }
const Lx *kb_batch(Kb *k) { return lx_var(k->a, k->nint + 1); }

static const Lx *extent(Kb *k, const View *v) {
    Arena *a = k->a;
    int64_t span = view_span(v);
    if (!v->batched || !v->sample) return INT(span);
    return ADD(MUL(SUB(kb_batch(k), INT(1)), INT(v->sample)), INT(span));
}

int kb_ptr(Kb *k, const View *v, bool writes) {
    for (size_t i = 0; i < k->ptr.len; i++) {
        const View *o = &k->arg.at[i];
        if (o->buf == v->buf && o->offset == v->offset && o->plus == v->plus && o->sample == v->sample &&
            o->batched == v->batched && view_span(o) == view_span(v)) {
            k->ptr.at[i].writes |= writes;
            if (!view_same(o, v)) k->arg.at[i].shape = shape_of(1, view_span(v)), k->arg.at[i].stride[0] = 1; /* what one leaves out the other may touch */
            return (int)i;
        }
    }
    LpParam p = {.name = name_fmt(k->e->s->cx, "p%zu", k->ptr.len), .writes = writes, .extent = extent(k, v)};
    vec_push(k->a, &k->ptr, p);
    vec_push(k->a, &k->arg, *v);
    return (int)k->ptr.len - 1;
}

int kb_table(Kb *k, const int32_t *list, int64_t n) {
    Arena *a = k->a;
    LpModule *m = k->e->s->m;
    size_t t = 0;
    for (; t < m->tables.len; t++)
        if (m->tables.at[t].is_int && m->tables.at[t].len == n &&
            !memcmp(m->tables.at[t].i, list, (size_t)n * sizeof *list))
            break;
    if (t == m->tables.len)
        vec_push(a, &m->tables,
                 ((LpTable){.is_int = true, .i = arena_copy(a, list, (size_t)n * sizeof *list), .len = n}));
    int32_t b = buf_external(k->e, SP_TABLE, (int32_t)t, 0, n);
    LpParam p = {.name = name_fmt(k->e->s->cx, "p%zu", k->ptr.len), .elem = LP_I32, .extent = INT(n)};
    View v = {.buf = b, .shape = shape_of(1, n), .stride = {1}};
    vec_push(a, &k->ptr, p);
    vec_push(a, &k->arg, v);
    return (int)k->ptr.len - 1;
}

int kb_scratch(Kb *k, int64_t floats) {
    Arena *a = k->a;
    floats = (floats + 15) / 16 * 16;
    LpParam p = {.name = name_fmt(k->e->s->cx, "p%zu", k->ptr.len),
                 .writes = true,
                 .thread = true,
                 .bytes = floats * 4,
                 .extent = INT(floats)};
    vec_push(a, &k->ptr, p);
    return (int)k->ptr.len - 1;
}

void kb_as_bf16(Kb *k, int ptr) {
    Arena *a = k->a;
    LpParam *p = &k->ptr.at[ptr];
    p->elem = LP_BF16, p->extent = MUL(p->extent, INT(2));
}

int kb_reg(Kb *k, int width, int count) {
    int first = (int)k->regs.len;
    for (int i = 0; i < count; i++) vec_push(k->a, &k->regs, width);
    return first;
}

int32_t kb_var(Kb *k) { return k->nvar++; }

const Lx *kb_for(Kb *k, const Lx *lo, const Lx *hi, int64_t step) {
    int32_t v = kb_var(k);
    code_for(k->a, &k->code, v, lo, hi, lx_int(k->a, step));
    return lx_var(k->a, v);
}

const Lx *kb_unroll(Kb *k, int64_t n) {
    int32_t v = kb_var(k);
    code_for(k->a, &k->code, v, lx_int(k->a, 0), lx_int(k->a, n), lx_int(k->a, 1))->unroll = true;
    return lx_var(k->a, v);
}

void kb_if(Kb *k, const Lx *cond) { code_if(k->a, &k->code, cond); }
void kb_else(Kb *k) { code_else(&k->code); }
void kb_end(Kb *k) { code_end(&k->code); }

void kb_set(Kb *k, int reg, const Lx *at, const Lx *value) {
    Ls *s = code_add(k->a, &k->code, LS_SET);
    s->reg = reg, s->reg_at = at, s->value = value;
}

void kb_store(Kb *k, int ptr, const Lx *index, const Lx *value, const Lx *count) {
    Ls *s = code_add(k->a, &k->code, LS_STORE);
    s->ptr = ptr, s->index = index, s->value = value, s->count = count;
}

void kb_prefetch(Kb *k, int ptr, const Lx *index, bool near) {
    Ls *s = code_add(k->a, &k->code, LS_PREFETCH);
    s->ptr = ptr, s->index = index, s->near = near;
}

const Lx *kb_at(Kb *k, const View *v, const Lx *sample, const Lx *const *index) {
    Arena *a = k->a;
    const Lx *at = sample && v->batched ? MUL(sample, INT(v->sample)) : INT(0);
    for (int i = 0; i < v->shape.rank; i++) at = ADD(at, MUL(index[i], INT(v->stride[i])));
    return at;
}

void kb_store_strided(Kb *k, int ptr, const Lx *index, int64_t stride, const Lx *value, const Lx *count) {
    if (stride == 1) {
        kb_store(k, ptr, index, value, count);
        return;
    }
    Ls *s = code_add(k->a, &k->code, LS_STORE_STRIDED);
    s->ptr = ptr, s->index = index, s->value = value, s->count = count, s->stride = lx_int(k->a, stride);
}

int32_t kernel_add(Sched *s, LpKernel *q, const char *name) {
    uint64_t h = loop_kernel_hash(q);
    for (size_t i = 0; i < s->nhashes; i++)
        if (s->hashes[i] == h && loop_kernel_equal(&s->m->kernels.at[i], q)) return (int32_t)i;
    if (s->nhashes == s->cap_hashes) {
        size_t cap = s->cap_hashes ? s->cap_hashes * 2 : 64;
        s->hashes = arena_grow(s->a, s->hashes, s->nhashes * sizeof *s->hashes, cap * sizeof *s->hashes);
        s->cap_hashes = cap;
    }
    s->hashes[s->nhashes++] = h;
    q->name = name_of(s->cx, name);
    vec_push(s->a, &s->m->kernels, *q);
    return (int32_t)s->m->kernels.len - 1;
}

static const char *where(const Ent *e) {
    if (!e->at.file) return NULL;
    const char *path = e->s->cx->sources.at[e->at.file].path, *slash = strrchr(path, '/');
    return arena_printf(e->a, "%s:%u", slash ? slash + 1 : path, e->at.line);
}

const Lx *launch_grid(Arena *a, const Lx *batch, int64_t each, int64_t per, int64_t times) {
    return MUL(DIV(ADD(MUL(batch, INT(each)), INT(per - 1)), INT(per)), INT(times));
}

static Launch *launch(Kb *k, const Lx *grid) {
    MUST(k->code.depth == 0);
    Ent *e = k->e;
    Arena *a = k->a;
    if (e->guard && !e->hoist) {
        const Ls *body = k->code.head;
        k->code = (Code){0};
        code_if(a, &k->code, IEQ(lx_f2i(a, lx_load(a, 0, INT(0), 1, NULL)), INT(0)))->body = body;
        code_end(&k->code);
    }
    LpKernel q = {.threads = k->threads,
                  .ptr = k->ptr.at,
                  .nptr = (int32_t)k->ptr.len,
                  .nint = k->nint,
                  .nvar = k->nvar,
                  .nreg = (int32_t)k->regs.len,
                  .reg_width = k->regs.at,
                  .body = k->code.head,
                  .remark = k->detail ? k->detail : k->what,
                  .where = where(e)};
    int64_t thread = lp_thread_bytes(&q);
    if (thread > e->thread_bytes) e->thread_bytes = thread;
    Around *out = e->hoist ? &e->loops.at[e->hoist - 1] : NULL;
    Launch *l = ARENA_NEW(a, Launch);
    Ls *s = &l->s;
    s->kind = LS_LAUNCH;
    l->arg = k->arg.at, l->exact = k->exact;
    l->pos = l->end = out ? out->begin - 1 : e->pos;
    if (!out) code_put(&e->code, s);
    else {
        s->next = out->before->next;
        out->before->next = s;
        out->before = s;
    }
    s->kernel = kernel_add(e->s, &q, k->what);
    s->grid = grid;
    Lptr *args = ARENA_ARRAY(a, Lptr, k->arg.len);
    for (size_t i = 0; i < k->arg.len; i++) {
        plan_pointer(e, &k->arg.at[i], &args[i]);
        buf_touch_at(e, k->arg.at[i].buf, l->pos);
    }
    s->ptrs = args;
    s->ints = arena_copy(a, k->ints, (size_t)k->nint * sizeof *k->ints);
    if (!out) {
        e->pos++;
        for (size_t i = 0; i < k->overs.len; i++) vec_push(a, &e->overs, ((Over){l, k->overs.at[i].from, k->overs.at[i].to}));
    }
    e->launches++;
    return l;
}

void kb_launch(Kb *k, const Lx *grid) { launch(k, grid); }

void kb_may_lie_over(Kb *k, int from, int to) { vec_push(k->a, &k->overs, ((Over){NULL, from, to})); }

void kb_launch_samples(Kb *k, int64_t each, int64_t per, int64_t times) {
    Arena *a = k->a;
    Launch *l = launch(k, launch_grid(a, IVAR(LP_VAR_BATCH), each, per, times));
    l->each = each, l->per = per, l->times = times;
}
