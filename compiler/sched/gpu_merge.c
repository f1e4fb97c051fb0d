/* Launches of one block each that follow one another become one launch: their bodies one after the other, barriers between. What is made of
   parameters or of channels alone (numbers, statistics, the ends of loops) costs a launch for all of it. */
#include "loop/lxmap.h"
#include "sched/internal.h"
#include <string.h>

enum { PARTS_MOST = 24, PTRS_MOST = 60, SHARED_MOST = 16 << 10 };

typedef struct Copy { /* of a kernel's body into another kernel */
    Arena *a;
    LxMap seen;
    const int32_t *var, *ptr; /* their new numbers */
    int32_t reg;              /* the first register's */
    int32_t own, threads;     /* of the kernel, of the block that it runs in */
} Copy;

static const Lx *copy_x(Copy *c, const Lx *x) {
    if (!x) return NULL;
    LxCell *cell = lx_map_cell(c->a, &c->seen, x);
    if (cell->turn == c->seen.turn) return cell->value;
    Lx *r = arena_copy(c->a, x, sizeof *x);
    r->a = copy_x(c, x->a), r->b = copy_x(c, x->b), r->c = copy_x(c, x->c);
    if (x->kind == LX_VAR) r->i = c->var[x->i];
    if (x->kind == LX_REG) r->i += c->reg;
    if (x->kind == LX_ITAB || x->kind == LX_LOAD || x->kind == LX_GATHER) r->i = c->ptr[x->i];
    int n = lx_list_len(x);
    if (n) {
        const Lx **list = ARENA_ARRAY(c->a, const Lx *, n);
        for (int i = 0; i < n; i++) list[i] = copy_x(c, x->list[i]);
        r->list = list;
    }
    cell = lx_map_cell(c->a, &c->seen, x);
    cell->turn = c->seen.turn, cell->value = r;
    return r;
}

static const Ls *copy_list(Copy *c, const Ls *s, LsList *to) {
    LsList own = {0};
    for (to = to ? to : &own; s; s = s->next) {
        Ls *r = arena_copy(c->a, s, sizeof *s);
        const Lx **x[] = {&r->lo, &r->hi, &r->step, &r->cond, &r->index, &r->value, &r->count, &r->stride, &r->reg_at};
        for (size_t i = 0; i < sizeof x / sizeof *x; i++) *x[i] = copy_x(c, *x[i]);
        if (s->kind == LS_FOR || s->kind == LS_SETVAR) r->var = c->var[s->var];
        if (s->kind == LS_SET) r->reg += c->reg;
        if (s->kind == LS_STORE || s->kind == LS_STORE_STRIDED) r->ptr = c->ptr[s->ptr];
        r->body = copy_list(c, s->body, NULL), r->orelse = copy_list(c, s->orelse, NULL);
        if (s->kind == LS_THREADS && c->own < c->threads)
            r->body = ls_if(c->a, lx_i2(c->a, LX_ILT, lx_thread(c->a), lx_int(c->a, c->own)), r->body, NULL);
        r->next = NULL;
        ls_add(to, r);
    }
    return to->first;
}

/* Only what runs in some threads as well as in all. */
static bool plain(const Ls *s) {
    for (; s; s = s->next)
        if (s->kind == LS_MMA || s->kind == LS_WARP || s->kind == LS_COPY || s->kind == LS_GROUP || s->kind == LS_WAIT || !plain(s->body) || !plain(s->orelse)) return false;
    return true;
}

static bool one_block(const Ent *e, const Ls *s) {
    int64_t grid;
    if (s->kind != LS_LAUNCH || !lx_is_const(s->grid, &grid) || grid != 1) return false;
    const LpKernel *k = &e->s->m->kernels.at[s->kernel];
    return k->threads > 0 && !lp_thread_bytes(k) && lp_shared_bytes(k) <= SHARED_MOST && plain(k->body);
}

static bool same_place(const Lptr *p, const Lptr *q) { return p->space == q->space && p->which == q->which && p->offset == q->offset && p->plus == q->plus; }

/* The launches from .. (n of them) as one. */
static Ls *merged(Ent *e, const Ls *const *from, int n) {
    Arena *a = e->a;
    const LpKernel *all = e->s->m->kernels.at;
    LpKernel q = {0};
    int32_t nptr = 0, nshared = 0;
    for (int i = 0; i < n; i++) {
        const LpKernel *k = &all[from[i]->kernel];
        q.nint += k->nint, q.nreg += k->nreg, q.nvar += k->nvar - k->nint - 2;
        q.threads = k->threads > q.threads ? k->threads : q.threads;
        nptr += lp_launch_ptrs(k), nshared += k->nptr - lp_launch_ptrs(k);
    }
    LpParam *ptr = ARENA_ARRAY(a, LpParam, nptr + nshared + 1), *shared = ARENA_ARRAY(a, LpParam, nshared + 1);
    Lptr *args = ARENA_ARRAY(a, Lptr, nptr + 1);
    const Lx **ints = ARENA_ARRAY(a, const Lx *, q.nint + 1);
    int32_t *to[PARTS_MOST], *vars[PARTS_MOST], nargs = 0, nints = 0, own = q.nint + 2, at_shared = 0;
    for (int i = 0; i < n; i++) {
        const LpKernel *k = &all[from[i]->kernel];
        int32_t *var = vars[i] = ARENA_ARRAY(a, int32_t, k->nvar + 1);
        to[i] = ARENA_ARRAY(a, int32_t, k->nptr + 1);
        for (int32_t v = 0; v < k->nvar; v++) var[v] = v < k->nint ? nints + v : v < k->nint + 2 ? q.nint + v - k->nint : own++;
        for (int32_t v = 0; v < k->nint; v++) ints[nints++] = from[i]->ints[v];
        Copy c = {.a = a, .seen = {.turn = 1}, .var = var};
        for (int32_t p = 0; p < k->nptr; p++) {
            LpParam param = k->ptr[p];
            param.extent = copy_x(&c, param.extent);
            if (param.shared) {
                to[i][p] = at_shared;
                shared[at_shared++] = param;
                continue;
            }
            int32_t same = 0;
            int64_t had, has; /* the same memory is one pointer where both know how much of it */
            while (same < nargs && !(same_place(&args[same], &from[i]->ptrs[p]) && ptr[same].elem == param.elem && lx_is_const(ptr[same].extent, &had) &&
                                     lx_is_const(param.extent, &has) && had == has)) same++;
            if (same < nargs) ptr[same].writes |= param.writes;
            else ptr[nargs] = param, args[nargs++] = from[i]->ptrs[p];
            to[i][p] = same;
        }
    }
    for (int32_t p = 0; p < nargs; p++) ptr[p].name = name_fmt(e->s->cx, "p%d", (int)p);
    for (int32_t p = 0; p < nshared; p++) ptr[nargs + p] = shared[p], ptr[nargs + p].name = name_fmt(e->s->cx, "p%d", (int)(nargs + p));
    LsList body = {0};
    q.nvar += q.nint + 2;
    q.reg_width = ARENA_ARRAY(a, int32_t, q.nreg + 1);
    int32_t reg = 0;
    const char *name = "";
    for (int i = 0; i < n; i++) {
        const LpKernel *k = &all[from[i]->kernel];
        for (int32_t p = lp_launch_ptrs(k); p < k->nptr; p++) to[i][p] += nargs;
        if (i) ls_add(&body, ls_sync(a));
        Copy c = {.a = a, .seen = {.turn = 1}, .var = vars[i], .ptr = to[i], .reg = reg, .own = k->threads, .threads = q.threads};
        copy_list(&c, k->body, &body);
        if (k->nreg) memcpy(q.reg_width + reg, k->reg_width, (size_t)k->nreg * sizeof *k->reg_width);
        reg += k->nreg;
        if (strlen(name) < 50) name = arena_printf(a, "%s%s%s", name, i ? ", " : "", k->name);
    }
    q.ptr = ptr, q.nptr = nargs + nshared, q.body = body.first, q.remark = name, q.where = all[from[0]->kernel].where;
    return ls_launch(a, kernel_add(e->s, &q, name), lx_int(a, 1), args, (size_t)nargs, ints, (size_t)q.nint);
}

typedef struct Row { /* of launches that may become one */
    const Ls *at[PARTS_MOST];
    int n;
    int64_t ptrs, shared;
} Row;

static void end_row(Ent *e, Row *r, LsList *to) {
    if (r->n) {
        Ls *s = r->n > 1 ? merged(e, r->at, r->n) : arena_copy(e->a, r->at[0], sizeof *r->at[0]);
        s->next = NULL;
        ls_add(to, s);
        e->launches -= r->n - 1;
    }
    *r = (Row){0};
}

const Ls *gpu_merge(Ent *e, const Ls *s) {
    LsList to = {0};
    Row r = {0};
    for (; s; s = s->next) {
        if (one_block(e, s)) {
            const LpKernel *k = &e->s->m->kernels.at[s->kernel];
            int64_t ptrs = lp_launch_ptrs(k) + k->nint, shared = lp_shared_bytes(k);
            if (r.n == PARTS_MOST || r.ptrs + ptrs > PTRS_MOST || r.shared + shared > SHARED_MOST) end_row(e, &r, &to);
            r.at[r.n++] = s;
            r.ptrs += ptrs, r.shared += shared;
            continue;
        }
        end_row(e, &r, &to);
        Ls *c = arena_copy(e->a, s, sizeof *s);
        c->body = gpu_merge(e, s->body), c->orelse = gpu_merge(e, s->orelse);
        c->next = NULL;
        ls_add(&to, c);
    }
    end_row(e, &r, &to);
    return to.first;
}
