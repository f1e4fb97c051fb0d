/* A launch of few blocks, behind one of many, becomes the end of that one: whichever block is done last runs it (LS_LAST). What is left to add up,
   statistics, numbers, the ends of loops cost no launch of their own then. */
#include "sched/gpu_join.h"

enum {
    BLOCKS_MOST = 8, PTRS_MOST = 2 * JOIN_PTRS_MOST,
    WAIT_MOST = GPU_LAUNCH * 2 / 3, /* cycles by which blocks one after the other may be slower than side by side */
    SMALL = 4096,               /* bytes of shared memory that a block always has */
};

static int64_t shared_of(Ent *e, const Launch *l) { return join_shared(e, &l, 1); }

/* All that the first one's blocks hold, they hold for as long as before: threads, and shared memory. */
static bool fits(Ent *e, const Launch *l, const Launch *after) {
    const LpKernel *k = join_kernel(e, l), *q = join_kernel(e, after);
    const Launch *both[] = {l, after};
    int64_t grid, one = shared_of(e, l);
    if (lp_thread_bytes(k) || lp_thread_bytes(q) || !lx_is_const(after->s.grid, &grid) || grid > BLOCKS_MOST) return false;
    if (lp_launch_ptrs(k) + k->nint + lp_launch_ptrs(q) + q->nint > PTRS_MOST || !join_threads_fit(e, both, 2)) return false;
    GpuCost c = gpu_cost(e, l), d = gpu_cost(e, after);
    if (c.statements + d.statements > JOIN_STATEMENTS_MOST || (double)(grid - 1) * d.alone > WAIT_MOST) return false;
    bool few = lx_is_const(l->s.grid, &grid) && grid <= GPU_PROCESSORS; /* blocks that have a multiprocessor each */
    return few || (q->threads <= k->threads && join_shared(e, both, 2) <= (one > SMALL ? one : SMALL));
}

static Launch *write(Ent *e, const Launch *l, const Launch *after) {
    Arena *a = e->a;
    Join *j = join_open(e, (const Launch *const[]){l, after}, 2, NULL, NULL, 0);
    JoinPart *p = &j->part[1];
    LsList body = {0}, last = {0};
    int64_t blocks;
    MUST(lx_is_const(after->s.grid, &blocks));
    join_body(j, 0, &body);
    p->grid = INT(0);
    if (blocks > 1) {
        int32_t block = j->nvar++;
        LsList turn = {0};
        p->grid = IVAR(block), p->again = true;
        ls_add(&turn, ls_sync(a)); /* of the shared memory */
        join_body(j, 1, &turn);
        ls_add(&last, ls_for(a, block, INT(0), INT(blocks), 1, false, turn.first));
    } else
        join_body(j, 1, &last);
    ls_add(&body, ls_last(a, last.first));
    return join_launch(j, body.first, l->s.grid);
}

const Ls *gpu_last(Ent *e, const Ls *s) {
    LsList to = {0};
    for (; s; s = s->next) {
        bool launch = s->kind == LS_LAUNCH;
        if (launch && s->next && s->next->kind == LS_LAUNCH && fits(e, (const Launch *)s, (const Launch *)s->next)) {
            ls_add(&to, &write(e, (const Launch *)s, (const Launch *)s->next)->s);
            s = s->next;
            continue;
        }
        Ls *c = launch ? &((Launch *)arena_copy(e->a, s, sizeof(Launch)))->s : arena_copy(e->a, s, sizeof *s);
        c->body = gpu_last(e, s->body), c->orelse = gpu_last(e, s->orelse);
        c->next = NULL;
        ls_add(&to, c);
    }
    return to.first;
}
