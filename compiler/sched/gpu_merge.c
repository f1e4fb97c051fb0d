/* Launches of one block each that follow one another become one launch: their bodies one after the other, barriers between. What is made of
   parameters or of channels alone (numbers, statistics, the ends of loops) costs a launch for all of it. */
#include "sched/gpu_join.h"

enum { PARTS_MOST = 24, SHARED_MOST = 16 << 10 };

/* Only what runs in some threads as well as in all. */
static bool plain(const Ls *s) {
    for (; s; s = s->next)
        if (s->kind == LS_MMA || s->kind == LS_WARP || s->kind == LS_COPY || s->kind == LS_GROUP || s->kind == LS_WAIT || !plain(s->body) || !plain(s->orelse)) return false;
    return true;
}

static bool one_block(Ent *e, const Ls *s) {
    int64_t grid;
    if (s->kind != LS_LAUNCH || !lx_is_const(s->grid, &grid) || grid != 1) return false;
    const LpKernel *k = &e->s->m->kernels.at[s->kernel];
    return k->threads > 0 && !lp_thread_bytes(k) && lp_shared_bytes(k) <= SHARED_MOST && plain(k->body);
}

typedef struct Row { /* of launches that may become one */
    const Launch *at[PARTS_MOST];
    int n;
    int64_t ptrs;
} Row;

static void end_row(Ent *e, Row *r, LsList *to) {
    if (r->n > 1) {
        Join *j = join_open(e, r->at, r->n, NULL, NULL, 0);
        LsList body = {0};
        for (int i = 0; i < r->n; i++) {
            if (i) ls_add(&body, ls_sync(e->a));
            join_body(j, i, &body);
        }
        ls_add(to, &join_launch(j, body.first, lx_int(e->a, 1))->s);
    } else if (r->n) {
        Launch *l = arena_copy(e->a, r->at[0], sizeof *l);
        l->s.next = NULL;
        ls_add(to, &l->s);
    }
    *r = (Row){0};
}

const Ls *gpu_merge(Ent *e, const Ls *s) {
    LsList to = {0};
    Row r = {0};
    for (; s; s = s->next) {
        bool launch = s->kind == LS_LAUNCH;
        if (one_block(e, s)) {
            const LpKernel *k = &e->s->m->kernels.at[s->kernel];
            int64_t ptrs = lp_launch_ptrs(k) + k->nint;
            if (r.n == PARTS_MOST || r.ptrs + ptrs > JOIN_PTRS_MOST) end_row(e, &r, &to);
            r.at[r.n++] = (const Launch *)s, r.ptrs += ptrs;
            continue;
        }
        end_row(e, &r, &to);
        Ls *c = launch ? &((Launch *)arena_copy(e->a, s, sizeof(Launch)))->s : arena_copy(e->a, s, sizeof *s);
        c->body = gpu_merge(e, s->body), c->orelse = gpu_merge(e, s->orelse);
        c->next = NULL;
        ls_add(&to, c);
    }
    end_row(e, &r, &to);
    return to.first;
}
