/* Launches that need nothing of one another become one, with the blocks of all of them: packed weights, the phases of an adjoint, gradients of
   weights beside what goes on with the chain rule. Launches are put in the order of what they wait for, within a few of them. */
#include "sched/gpu_join.h"

enum {
    PARTS_MOST = 12, WINDOW = 24,
    SMALL = 6000, /* cycles: it may be done with the registers and shared memory of another */
};

typedef struct Item {
    const Launch *l;
    const LpKernel *k;
    GpuCost cost;
    int64_t shared;
    bool able, small;
    int level;
} Item;

static bool able(const Item *it) {
    const LpKernel *k = it->k;
    return !lp_thread_bytes(k) && (it->l->per || lx_is_const(it->l->s.grid, NULL)) && it->cost.statements <= JOIN_STATEMENTS_MOST / 2;
}

static bool alike(const Item *x, const Item *y) { /* as many of them at a time on a multiprocessor, nearly */
    return 4 * x->shared <= 5 * y->shared && 4 * y->shared <= 5 * x->shared && 4 * x->k->nreg <= 5 * y->k->nreg && 4 * y->k->nreg <= 5 * x->k->nreg;
}

static bool may_join(Item *const *group, int n, const Item *it) {
    for (int i = 0; i < n; i++) {
        const Item *x = group[i];
        if (x->k->threads != it->k->threads && !(x->small && it->small)) return false;
        if ((x->small && it->small) || alike(x, it)) continue;
        if (!x->small && !it->small) return false;
        const Item *large = x->small ? it : x, *small = x->small ? x : it;
        if (small->shared > large->shared || small->k->nreg > large->k->nreg) return false;
    }
    return true;
}

static Launch *write(Ent *e, const Launch *const *l, int n) {
    Arena *a = e->a;
    Join *j = join_open(e, l, n, NULL, NULL, 0);
    LsList body = {0};
    const Lx *end[PARTS_MOST], *point = IVAR(j->nint), *all = INT(0);
    for (int i = 0; i < n; i++) {
        const Lx *blocks = l[i]->per ? launch_grid(a, IVAR(j->nint + 1), l[i]->each, l[i]->per, l[i]->times) : l[i]->s.grid;
        end[i] = join_var(j, &body, i ? ADD(end[i - 1], blocks) : blocks);
        all = ADD(all, l[i]->s.grid);
    }
    Ls *rest = NULL;
    for (int i = n; i-- > 0;) {
        LsList mine = {0};
        j->part[i].grid = join_var(j, &mine, i ? SUB(point, end[i - 1]) : point);
        join_body(j, i, &mine);
        rest = i == n - 1 ? mine.first : ls_if(a, lx_i2(a, LX_ILT, point, end[i]), mine.first, rest);
    }
    ls_add(&body, rest);
    return join_launch(j, body.first, all);
}

/* Of one level: each goes to the first of the groups that take it. */
static bool level(Ent *e, Item *item, int n, int which, LsList *to) {
    Item *group[WINDOW][PARTS_MOST];
    int many[WINDOW] = {0}, ngroups = 0;
    bool joined = false;
    for (int i = 0; i < n; i++) {
        Item *it = &item[i];
        if (it->level != which) continue;
        int g = 0;
        for (; g < ngroups; g++) {
            const Launch *l[PARTS_MOST + 1];
            int64_t ptrs = lp_launch_ptrs(it->k) + it->k->nint, statements = it->cost.statements;
            if (!it->able || !group[g][0]->able || many[g] == PARTS_MOST) continue;
            for (int q = 0; q < many[g]; q++) {
                l[q] = group[g][q]->l;
                ptrs += lp_launch_ptrs(group[g][q]->k) + group[g][q]->k->nint, statements += group[g][q]->cost.statements;
            }
            l[many[g]] = it->l;
            if (ptrs > JOIN_PTRS_MOST || statements > JOIN_STATEMENTS_MOST || !may_join(group[g], many[g], it) || !join_threads_fit(e, l, many[g] + 1)) continue;
            if (join_shared(e, l, many[g] + 1) <= JOIN_SHARED_MOST) break;
        }
        if (g == ngroups) ngroups++;
        group[g][many[g]++] = it;
    }
    for (int g = 0; g < ngroups; g++) {
        const Launch *l[PARTS_MOST];
        for (int i = 0; i < many[g]; i++) l[i] = group[g][i]->l;
        joined |= many[g] > 1;
        Launch *r = many[g] > 1 ? write(e, l, many[g]) : arena_copy(e->a, l[0], sizeof *r);
        r->s.next = NULL;
        ls_add(to, &r->s);
    }
    return joined;
}

static void window(Ent *e, Item *item, int n, LsList *to) {
    int levels = 0;
    int32_t begin = item[0].l->pos, end = item[0].l->end;
    for (int i = 0; i < n; i++) {
        for (int q = 0; q < i; q++)
            if (item[q].level >= item[i].level && join_conflict(e, item[q].l, item[i].l)) item[i].level = item[q].level + 1;
        if (item[i].level >= levels) levels = item[i].level + 1;
        if (item[i].l->pos < begin) begin = item[i].l->pos;
        if (item[i].l->end > end) end = item[i].l->end;
    }
    LsList list = {0};
    bool joined = false;
    for (int i = 0; i < levels; i++) joined |= level(e, item, n, i, &list);
    Launch *order[WINDOW];
    int many = 0;
    for (Ls *s = list.first, *next; s && joined; s = next) {
        next = s->next, s->next = NULL;
        order[many++] = (Launch *)s;
        ls_add(to, s);
    }
    if (joined) plan_order(e, order, many, begin, end);
    for (int i = 0; i < n && !joined; i++) { /* as they were */
        Launch *r = arena_copy(e->a, item[i].l, sizeof *r);
        r->s.next = NULL;
        ls_add(to, &r->s);
    }
}

const Ls *gpu_beside(Ent *e, const Ls *s) {
    LsList to = {0};
    while (s) {
        Item item[WINDOW];
        int n = 0;
        for (; s && s->kind == LS_LAUNCH && n < WINDOW; s = s->next) {
            Item *it = &item[n++];
            *it = (Item){.l = (const Launch *)s};
            it->k = join_kernel(e, it->l);
            it->cost = gpu_cost(e, it->l), it->shared = lp_shared_bytes(it->k);
            it->able = able(it), it->small = gpu_launch_cost(it->l, &it->cost, GPU_BATCH) <= GPU_LAUNCH + SMALL;
        }
        if (n) window(e, item, n, &to);
        if (!s || s->kind == LS_LAUNCH) continue;
        Ls *c = arena_copy(e->a, s, sizeof *s);
        c->body = gpu_beside(e, s->body), c->orelse = gpu_beside(e, s->orelse);
        c->next = NULL;
        ls_add(&to, c);
        s = s->next;
    }
    return to.first;
}
