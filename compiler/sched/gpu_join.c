/* Kernels put together into one: their bodies copied, with numbers of their own for variables, registers and pointers. The same memory is one
   pointer; shared memory of one part is that of the next, which may hold anything when it starts. */
#include "sched/gpu_join.h"
#include "loop/lxmap.h"
#include <string.h>

typedef struct Copy { /* of a kernel's body into another kernel */
    Arena *a;
    LxMap seen;
    const JoinPart *part;
    const Lx *grid, *batch;
    const LpKernel *k;
    int32_t threads; /* of the block that it runs in */
} Copy;

const LpKernel *join_kernel(Ent *e, const Launch *l) { return &e->s->m->kernels.at[l->s.kernel]; }

/* ---- what they touch ---- */
static LpSpace whose(LpSpace s) { return s == SP_STATE_OUT ? SP_STATE : s; } /* which may be the same memory */

bool join_overlap(Ent *e, int32_t x, int32_t y) {
    const Buf *p = &e->bufs.at[x], *q = &e->bufs.at[y];
    if (x == y) return true;
    if (p->space == SP_FIXED || p->space == SP_BATCH || q->space == SP_FIXED || q->space == SP_BATCH) return false;
    return whose(p->space) == whose(q->space) && p->which == q->which && p->base < q->base + q->floats && q->base < p->base + p->floats;
}

bool join_conflict(Ent *e, const Launch *x, const Launch *y) {
    const LpKernel *k = join_kernel(e, x), *q = join_kernel(e, y);
    for (int32_t i = 0; i < lp_launch_ptrs(k); i++)
        for (int32_t j = 0; j < lp_launch_ptrs(q); j++)
            if ((k->ptr[i].writes || q->ptr[j].writes) && join_overlap(e, x->arg[i].buf, y->arg[j].buf) &&
                !(i < 64 && j < 64 && x->exact >> i & y->exact >> j & 1 && view_apart(&x->arg[i], &y->arg[j]))) return true;
    return false;
}

static bool collective(const Ls *s) {
    for (; s; s = s->next)
        if (s->kind == LS_MMA || s->kind == LS_WARP || collective(s->body) || collective(s->orelse)) return true;
    return false;
}

bool join_threads_fit(Ent *e, const Launch *const *l, int n) {
    int32_t most = 0, held = 0;
    for (int i = 0; i < n; i++) {
        const LpKernel *k = join_kernel(e, l[i]);
        if (k->threads > most) most = k->threads;
        if (!collective(k->body)) continue;
        if (held && held != k->threads) return false;
        held = k->threads;
    }
    return !held || held == most;
}

/* ---- parameters ---- */
static bool same_view(const View *v, const View *o) {
    return o->buf == v->buf && o->offset == v->offset && o->plus == v->plus && o->sample == v->sample && o->batched == v->batched && view_span(o) == view_span(v);
}

/* Shared memory number `nth` of its elements, of whichever part. */
static int32_t shared_slot(Join *j, const LpParam *p, int nth) {
    Arena *a = j->a;
    int32_t s = j->nnear;
    for (; (size_t)s < j->shared.len; s++)
        if (j->shared.at[s].elem == p->elem && !nth--) break;
    if ((size_t)s == j->shared.len) vec_push(a, &j->shared, *p);
    LpParam *q = &j->shared.at[s];
    if (p->bytes > q->bytes) q->bytes = p->bytes, q->extent = p->extent;
    return s;
}

static void map_shared(Join *j, JoinPart *p, const LpKernel *k) {
    int nth[LP_ELEMS] = {0};
    for (int32_t i = lp_launch_ptrs(k); i < k->nptr; i++) p->to[i] = shared_slot(j, &k->ptr[i], nth[k->ptr[i].elem]++);
}

int64_t join_shared(Ent *e, const Launch *const *l, int n) {
    Join j = {.a = e->a};
    for (int i = 0; i < n; i++) {
        const LpKernel *k = join_kernel(e, l[i]);
        JoinPart p = {.to = ARENA_ARRAY(e->a, int32_t, k->nptr + 1)};
        map_shared(&j, &p, k);
    }
    int64_t bytes = 0;
    for (size_t i = 0; i < j.shared.len; i++) bytes += (j.shared.at[i].bytes + 127) / 128 * 128;
    return bytes;
}

static const Lx *copy_x(Copy *c, const Lx *x);
static void map_pointers(Join *j, JoinPart *p, const LpKernel *k) {
    Copy c = {.a = j->a, .seen = {.turn = 1}, .part = p, .batch = lx_var(j->a, j->nint + 1)};
    for (int32_t i = 0; i < lp_launch_ptrs(k); i++) {
        if (p->near && p->near[i] >= 0) {
            p->to[i] = -1;
            continue;
        }
        size_t same = 0;
        while (same < j->arg.len && !(same_view(&j->arg.at[same], &p->l->arg[i]) && j->ptr.at[same].elem == k->ptr[i].elem)) same++;
        if (same == j->arg.len) {
            LpParam param = k->ptr[i];
            param.extent = copy_x(&c, param.extent);
            vec_push(j->a, &j->ptr, param);
            vec_push(j->a, &j->arg, p->l->arg[i]);
        } else
            j->ptr.at[same].writes |= k->ptr[i].writes;
        p->to[i] = (int32_t)same;
    }
}

Join *join_open(Ent *e, const Launch *const *l, int n, const int *const *near, const int64_t *bytes, int nnear) {
    Arena *a = e->a;
    Join *j = ARENA_NEW(a, Join);
    *j = (Join){.e = e, .a = a, .n = n, .nnear = nnear, .part = ARENA_ARRAY(a, JoinPart, n)};
    for (int i = 0; i < n; i++) {
        const LpKernel *k = join_kernel(e, l[i]);
        j->nint += k->nint;
        if (k->threads > j->threads) j->threads = k->threads;
    }
    j->nvar = j->nint + 2, j->ints = ARENA_ARRAY(a, const Lx *, j->nint + 1);
    for (int i = 0; i < nnear; i++) vec_push(a, &j->shared, ((LpParam){.writes = true, .shared = true, .bytes = bytes[i], .extent = INT(bytes[i] / 4)}));
    int32_t nints = 0, reg = 0;
    for (int i = 0; i < n; i++) {
        const LpKernel *k = join_kernel(e, l[i]);
        JoinPart *p = &j->part[i];
        *p = (JoinPart){.l = l[i], .near = near ? near[i] : NULL, .to = ARENA_ARRAY(a, int32_t, k->nptr + 1), .reg = reg, .var = ARENA_ARRAY(a, const Lx *, k->nvar)};
        for (int32_t v = 0; v < k->nvar; v++) {
            if (v == lp_grid_var(k) || v == lp_batch_var(k)) continue;
            p->var[v] = IVAR(v < k->nint ? nints : j->nvar);
            if (v < k->nint) j->ints[nints++] = l[i]->s.ints[v];
            else j->nvar++;
        }
        map_pointers(j, p, k);
        map_shared(j, p, k);
        reg += k->nreg;
    }
    for (int i = 0; i < n; i++) { /* all that is passed is known: shared memory follows it */
        JoinPart *p = &j->part[i];
        const LpKernel *k = join_kernel(e, l[i]);
        for (int32_t v = 0; v < k->nptr; v++) {
            if (v >= lp_launch_ptrs(k)) p->to[v] += (int32_t)j->arg.len;
            else if (p->to[v] < 0) p->to[v] = (int32_t)j->arg.len + p->near[v];
        }
    }
    return j;
}

const Lx *join_var(Join *j, LsList *to, const Lx *value) {
    if (value->kind == LX_INT || value->kind == LX_VAR) return value;
    ls_add(to, ls_setvar(j->a, j->nvar, value));
    return lx_var(j->a, j->nvar++);
}

/* ---- bodies ---- */
static const Lx *shifted(Copy *c, int32_t ptr, const Lx *at) { /* from the part's first sample on */
    Arena *a = c->a;
    if (ptr >= lp_launch_ptrs(c->k)) return at;
    const View *v = &c->part->l->arg[ptr];
    if (c->part->plus && c->part->plus[ptr]) at = ADD(at, c->part->plus[ptr]);
    if (c->part->near && c->part->near[ptr] >= 0) return ADD(at, INT(v->offset)); /* which begins with the value, not with the view */
    if (!c->part->first) return at;
    return v->batched && v->sample ? ADD(at, MUL(c->part->first, INT(v->sample))) : at;
}

static const Lx *copy_x(Copy *c, const Lx *x) {
    if (!x) return NULL;
    LxCell *cell = lx_map_cell(c->a, &c->seen, x);
    if (cell->turn == c->seen.turn) return cell->value;
    Lx *r = arena_copy(c->a, x, sizeof *x);
    r->a = copy_x(c, x->a), r->b = copy_x(c, x->b), r->c = copy_x(c, x->c);
    const Lx *made = r;
    if (x->kind == LX_VAR) made = c->part->var[x->i] ? c->part->var[x->i] : c->k && x->i == lp_grid_var(c->k) ? c->grid : c->batch;
    if (x->kind == LX_REG) r->i += c->part->reg;
    if (x->kind == LX_LOAD || x->kind == LX_GATHER) r->a = shifted(c, (int32_t)x->i, r->a);
    if (x->kind == LX_ITAB || x->kind == LX_LOAD || x->kind == LX_GATHER) r->i = c->part->to[x->i];
    int n = lx_list_len(x);
    if (n) {
        const Lx **list = ARENA_ARRAY(c->a, const Lx *, n);
        for (int i = 0; i < n; i++) list[i] = copy_x(c, x->list[i]);
        r->list = list;
    }
    cell = lx_map_cell(c->a, &c->seen, x);
    cell->turn = c->seen.turn, cell->value = (void *)(uintptr_t)made;
    return made;
}

static const LsMma *copy_mma(Copy *c, const LsMma *x) {
    if (!x) return NULL;
    LsMma *m = arena_copy(c->a, x, sizeof *x);
    m->a = c->part->to[x->a], m->b = c->part->to[x->b];
    m->a_at = copy_x(c, x->a_at), m->b_at = copy_x(c, x->b_at);
    return m;
}

static void copy_list(Copy *c, const Ls *s, LsList *to) {
    for (; s; s = s->next) {
        Ls *r = arena_copy(c->a, s, sizeof *s);
        const Lx **x[] = {&r->lo, &r->hi, &r->step, &r->cond, &r->index, &r->value, &r->count, &r->stride, &r->reg_at};
        for (size_t i = 0; i < sizeof x / sizeof *x; i++) *x[i] = copy_x(c, *x[i]);
        if (s->kind == LS_FOR || s->kind == LS_SETVAR) r->var = (int32_t)c->part->var[s->var]->i;
        if (s->kind == LS_SET || s->kind == LS_MMA || s->kind == LS_WARP) r->reg += c->part->reg;
        if (s->kind == LS_STORE || s->kind == LS_STORE_STRIDED) r->index = shifted(c, s->ptr, r->index);
        if (s->kind == LS_STORE || s->kind == LS_STORE_STRIDED || s->kind == LS_COPY) r->ptr = c->part->to[s->ptr];
        if (s->kind == LS_COPY && c->part->near && s->value->i < lp_launch_ptrs(c->k) && c->part->near[s->value->i] >= 0) /* it is there already */
            r->kind = LS_STORE, r->aligned = s->value->width > 1;
        r->mma = copy_mma(c, s->mma);
        LsList body = {0}, orelse = {0};
        copy_list(c, s->body, &body), copy_list(c, s->orelse, &orelse);
        r->body = body.first, r->orelse = orelse.first;
        if (s->kind == LS_THREADS && c->k->threads < c->threads)
            r->body = ls_if(c->a, lx_i2(c->a, LX_ILT, lx_thread(c->a), lx_int(c->a, c->k->threads)), r->body, NULL);
        r->next = NULL;
        ls_add(to, r);
    }
}

/* Registers are 0 where a kernel starts. Those that it may read before it sets them: */
typedef struct Regs {
    const LpKernel *k;
    Arena *a;
    LxMap seen;
    uint8_t *state; /* 1: set, and what is being looked at comes after that; 2: set somewhere */
    bool *old;
} Regs;

static void reads(Regs *r, int32_t from, int32_t n) {
    for (int32_t i = from; i < from + n && i < r->k->nreg; i++) r->old[i] |= r->state[i] != 1;
}

static void reads_in(Regs *r, const Lx *x) {
    if (!x) return;
    LxCell *cell = lx_map_cell(r->a, &r->seen, x);
    if (cell->turn == r->seen.turn) return;
    cell->turn = r->seen.turn;
    if (x->kind == LX_REG) reads(r, (int32_t)x->i, x->a ? r->k->nreg : 1);
    reads_in(r, x->a), reads_in(r, x->b), reads_in(r, x->c);
    for (int i = 0; i < lx_list_len(x); i++) reads_in(r, x->list[i]);
}

static void find_old(Regs *r, const Ls *s) {
    for (; s; s = s->next) {
        const Lx *x[] = {s->lo, s->hi, s->cond, s->index, s->value, s->count, s->stride, s->reg_at};
        r->seen.turn++;
        for (size_t i = 0; i < sizeof x / sizeof *x; i++) reads_in(r, x[i]);
        if (s->kind == LS_MMA) reads(r, s->reg, 4 * s->mma->m * s->mma->n);
        if (s->kind == LS_WARP) reads(r, s->reg, 1);
        if (s->kind == LS_SET && s->reg_at) reads(r, s->reg, r->k->nreg);
        else if (s->kind == LS_SET && !r->state[s->reg]) r->state[s->reg] = 1;
        bool surely = s->kind == LS_THREADS || (s->kind == LS_FOR && s->unroll);
        const Ls *in[] = {s->body, s->orelse};
        for (int i = 0; i < 2; i++) {
            uint8_t *before = arena_copy(r->a, r->state, (size_t)r->k->nreg);
            find_old(r, in[i]);
            for (int32_t q = 0; q < r->k->nreg && !surely; q++)
                if (!before[q] && r->state[q]) r->state[q] = 2;
        }
    }
}

static void clear_registers(Join *j, const JoinPart *p, const LpKernel *k, LsList *to) {
    if (!k->nreg) return;
    Regs r = {.k = k, .a = j->a, .state = ARENA_ARRAY(j->a, uint8_t, k->nreg), .old = ARENA_ARRAY(j->a, bool, k->nreg)};
    find_old(&r, k->body);
    LsList body = {0};
    for (int32_t i = 0; i < k->nreg; i++)
        if (r.old[i]) ls_add(&body, ls_set(j->a, p->reg + i, NULL, lx_float(j->a, 0, k->reg_width[i])));
    if (body.first) ls_add(to, ls_threads(j->a, body.first));
}

void join_body(Join *j, int part, LsList *to) {
    JoinPart *p = &j->part[part];
    Copy c = {.a = j->a, .seen = {.turn = 1}, .part = p, .k = join_kernel(j->e, p->l), .threads = j->threads};
    c.grid = p->grid ? p->grid : lx_var(j->a, j->nint), c.batch = p->batch ? p->batch : lx_var(j->a, j->nint + 1);
    if (p->again) clear_registers(j, p, c.k, to);
    copy_list(&c, c.k->body, to);
}

Launch *join_launch(Join *j, const Ls *body, const Lx *grid) {
    Arena *a = j->a;
    Ent *e = j->e;
    int32_t nargs = (int32_t)j->arg.len, nreg = 0;
    LpKernel q = {.threads = j->threads, .nint = j->nint, .nvar = j->nvar, .body = body, .where = join_kernel(e, j->part[0].l)->where};
    Lptr *args = ARENA_ARRAY(a, Lptr, nargs + 1);
    for (int32_t i = 0; i < nargs; i++) plan_pointer(e, &j->arg.at[i], &args[i]);
    for (size_t i = 0; i < j->shared.len; i++) vec_push(a, &j->ptr, j->shared.at[i]);
    for (size_t i = 0; i < j->ptr.len; i++) j->ptr.at[i].name = name_fmt(e->s->cx, "p%zu", i);
    for (int i = 0; i < j->n; i++) nreg += join_kernel(e, j->part[i].l)->nreg;
    q.reg_width = ARENA_ARRAY(a, int32_t, nreg + 1);
    Launch *l = ARENA_NEW(a, Launch);
    l->pos = l->end = j->part[0].l->pos;
    const char *name = "";
    for (int i = 0; i < j->n; i++) {
        const JoinPart *p = &j->part[i];
        const LpKernel *k = join_kernel(e, p->l);
        if (k->nreg) memcpy(q.reg_width + p->reg, k->reg_width, (size_t)k->nreg * sizeof *k->reg_width);
        if (strlen(name) < 50) name = arena_printf(a, "%s%s%s", name, i ? ", " : "", k->name);
        if (p->l->pos < l->pos) l->pos = p->l->pos;
        if (p->l->end > l->end) l->end = p->l->end;
    }
    q.nreg = nreg, q.ptr = j->ptr.at, q.nptr = (int32_t)j->ptr.len, q.remark = name;
    l->arg = j->arg.at;
    l->s = *ls_launch(a, kernel_add(e->s, &q, name), grid, args, 0, j->ints, (size_t)j->nint);
    l->s.ptrs = args; /* those that the memory plan will fill in */
    e->launches -= j->n - 1;
    return l;
}
