/* Launches of which each block reads of the earlier ones only what was made for its own samples become one: a block has a few samples to itself and
   takes them from the first launch to the last. What was a launch's grid is a loop over tiles there, with a barrier between launches; what no other
   launch touches stays in shared memory, where it fits. So samples alone make blocks side by side: done where estimates say that this costs less
   than the launches that it saves. */
#include "sched/gpu_join.h"
#include <string.h>

enum { PARTS_MOST = 16, LATER_MOST = 16, CHOICES = 7 /* 1, 2, 4 .. 64 samples of a block */, BATCHES = 2, RESIDENT = 2, SHARED_MOST = 80 << 10 /* of blocks that are side by side on a multiprocessor */ };

static const int64_t batches[BATCHES] = {GPU_BATCH, 4 * GPU_BATCH}; /* for which it shall be worth it, taken together */

typedef struct Item {
    const Launch *l;
    const LpKernel *k;
    GpuCost cost;
    bool able, waits; /* waits: it comes after the chain that is being made */
} Item;

typedef struct Chain {
    Ent *e;
    Item **part;
    const Launch **l;
    int n, samples;
    double before[BATCHES], alone[CHOICES], busy[CHOICES];
    int64_t ptrs;
    int32_t statements;
    int32_t begin, end; /* the time of all that is moved */
} Chain;

static int64_t tiles(const Launch *l, int64_t samples) { return (samples * l->each + l->per - 1) / l->per * l->times; }

static bool able(Ent *e, const Item *it) {
    const LpKernel *k = it->k;
    if (!it->l->per || k->nint || lp_thread_bytes(k) || it->cost.statements > JOIN_STATEMENTS_MOST / 2) return false;
    for (int32_t i = 0; i < lp_launch_ptrs(k); i++)
        if (k->ptr[i].writes && (!it->l->arg[i].batched || !it->l->arg[i].sample)) return false;
    return join_shared(e, &it->l, 1) <= SHARED_MOST;
}

/* What one of them writes and the other touches lies sample after sample for both. */
static bool by_samples(Ent *e, const Item *x, const Item *y) {
    for (int32_t i = 0; i < lp_launch_ptrs(x->k); i++)
        for (int32_t j = 0; j < lp_launch_ptrs(y->k); j++) {
            const View *v = &x->l->arg[i], *o = &y->l->arg[j];
            if ((!x->k->ptr[i].writes && !y->k->ptr[j].writes) || !join_overlap(e, v->buf, o->buf)) continue;
            if (v->buf != o->buf || !v->batched || !o->batched || !v->sample || v->sample != o->sample) return false;
        }
    return true;
}

/* How much less they cost as one, and with how many samples of a block: of equals the most, as large batches have it. */
static double gain(const double *alone, const double *busy, const double *before, int *samples) {
    double best = 0;
    *samples = 0;
    for (int i = 0; i < CHOICES; i++) {
        double less = 0;
        for (int b = 0; b < BATCHES; b++) {
            int64_t blocks = (batches[b] + (1 << i) - 1) >> i, each = (blocks + GPU_PROCESSORS - 1) / GPU_PROCESSORS;
            double one = (double)((each + RESIDENT - 1) / RESIDENT) * alone[i], all = (double)each * busy[i];
            less += before[b] - GPU_LAUNCH - (one > all ? one : all);
        }
        if (!*samples || less >= best) best = less, *samples = 1 << i;
    }
    return best;
}

/* Tiles that share no memory need no barrier between them, so that some are under way at a time. */
static double part_cost(const Item *it, int64_t samples) {
    double n = (double)tiles(it->l, samples);
    return it->cost.start * (lp_shared_bytes(it->k) ? n : 1 + 0.25 * (n - 1)) + n * it->cost.alone;
}

static bool join(Chain *c, Item *it) {
    if (c->n == PARTS_MOST || c->statements + it->cost.statements > JOIN_STATEMENTS_MOST) return false;
    int64_t ptrs = lp_launch_ptrs(it->k);
    if (c->ptrs + ptrs > JOIN_PTRS_MOST) return false;
    for (int i = 0; i < c->n; i++)
        if (!by_samples(c->e, c->part[i], it)) return false;
    c->l[c->n] = it->l;
    if (!join_threads_fit(c->e, c->l, c->n + 1) || join_shared(c->e, c->l, c->n + 1) > SHARED_MOST) return false;
    double alone[CHOICES], busy[CHOICES], before[BATCHES];
    for (int b = 0; b < BATCHES; b++) before[b] = c->before[b] + gpu_launch_cost(it->l, &it->cost, batches[b]);
    for (int i = 0; i < CHOICES; i++) {
        alone[i] = c->alone[i] + part_cost(it, 1 << i);
        busy[i] = c->busy[i] + (double)tiles(it->l, 1 << i) * it->cost.busy;
    }
    int samples, was;
    if (c->n && gain(alone, busy, before, &samples) <= gain(c->alone, c->busy, c->before, &was)) return false;
    memcpy(c->alone, alone, sizeof alone);
    memcpy(c->busy, busy, sizeof busy);
    memcpy(c->before, before, sizeof before);
    c->ptrs += ptrs, c->statements += it->cost.statements;
    c->part[c->n++] = it;
    return true;
}

/* ---- shared memory ---- */
typedef struct Near { /* a value in shared memory */
    int32_t buf;
    int first, last, slot; /* parts that touch it */
    int64_t sample;
} Near;

/* Is it made and used up in the chain, as a whole number of floats a sample? */
static bool stays(Chain *c, const Item *item, int n, int32_t buf, Near *near) {
    const Buf *b = &c->e->bufs.at[buf];
    if (b->space != SP_BATCH || b->first < c->begin || b->last > c->end) return false;
    *near = (Near){.buf = buf, .first = -1};
    for (int i = 0; i < n; i++) {
        int part = 0;
        while (part < c->n && c->part[part] != &item[i]) part++;
        for (int32_t p = 0; p < lp_launch_ptrs(item[i].k); p++) {
            const View *v = &item[i].l->arg[p];
            if (v->buf != buf) continue;
            if (part == c->n || v->plus || !v->batched || !v->sample || (near->first >= 0 && v->sample != near->sample)) return false;
            if (near->first < 0) near->first = part;
            near->last = part, near->sample = v->sample;
        }
    }
    return near->sample == b->floats;
}

static int find_near(const Near *near, int n, int32_t buf) {
    for (int i = 0; i < n; i++)
        if (near[i].buf == buf) return i;
    return -1;
}

/* Values in the order of their first use, as far as they fit; one takes the place of another that is no longer needed. */
static int place_near(Chain *c, const Item *item, int n, Near *near, int64_t *bytes, int *nslots) {
    int many = 0;
    int64_t room = SHARED_MOST - join_shared(c->e, c->l, c->n);
    for (int i = 0; i < c->n; i++)
        for (int32_t p = 0; p < lp_launch_ptrs(c->part[i]->k); p++) {
            int32_t buf = c->part[i]->l->arg[p].buf;
            Near x;
            if (find_near(near, many, buf) >= 0 || !stays(c, item, n, buf, &x)) continue;
            int64_t need = (x.sample * c->samples * 4 + 127) / 128 * 128;
            for (x.slot = 0; x.slot < *nslots; x.slot++) {
                bool free = true;
                for (int q = 0; q < many; q++) free &= near[q].slot != x.slot || near[q].last < x.first;
                if (free && need - bytes[x.slot] <= room) break;
            }
            if (x.slot == *nslots && need > room) continue;
            if (x.slot == *nslots) bytes[(*nslots)++] = 0;
            if (need > bytes[x.slot]) room -= need - bytes[x.slot], bytes[x.slot] = need;
            near[many++] = x;
        }
    return many;
}

/* ---- the kernel ---- */
static Launch *write(Chain *c, const Item *item, int n) {
    Ent *e = c->e;
    Arena *a = e->a;
    Near *near = ARENA_ARRAY(a, Near, JOIN_PTRS_MOST);
    int64_t *bytes = ARENA_ARRAY(a, int64_t, JOIN_PTRS_MOST);
    int nslots = 0, many = place_near(c, item, n, near, bytes, &nslots);
    const int **slot = ARENA_ARRAY(a, const int *, c->n);
    for (int i = 0; i < c->n; i++) {
        int32_t ptrs = lp_launch_ptrs(c->part[i]->k);
        int *s = ARENA_ARRAY(a, int, ptrs + 1);
        for (int32_t p = 0; p < ptrs; p++) {
            int at = find_near(near, many, c->l[i]->arg[p].buf);
            s[p] = at < 0 ? -1 : near[at].slot;
        }
        slot[i] = s;
    }
    Join *j = join_open(e, c->l, c->n, slot, bytes, nslots);
    LsList body = {0};
    const Lx *first = join_var(j, &body, MUL(IVAR(j->nint), INT(c->samples)));
    const Lx *batch = join_var(j, &body, IMIN(INT(c->samples), SUB(IVAR(j->nint + 1), first)));
    for (int i = 0; i < c->n; i++) {
        const Launch *l = c->l[i];
        JoinPart *p = &j->part[i];
        p->first = first, p->batch = batch, p->grid = INT(0);
        bool shares = lp_shared_bytes(c->part[i]->k);
        if (i && !(shares && tiles(l, c->samples) > 1)) ls_add(&body, ls_sync(a));
        if (tiles(l, c->samples) == 1) {
            join_body(j, i, &body);
            continue;
        }
        int32_t tile = j->nvar++;
        LsList turn = {0};
        p->grid = IVAR(tile), p->again = true;
        if (shares) ls_add(&turn, ls_sync(a));
        join_body(j, i, &turn);
        ls_add(&body, ls_for(a, tile, INT(0), launch_grid(a, batch, l->each, l->per, l->times), 1, false, turn.first));
    }
    for (int i = 0; i < many; i++) e->bufs.at[near[i].buf].first = e->bufs.at[near[i].buf].last = -1;
    Launch *l = join_launch(j, body.first, launch_grid(a, IVAR(LP_VAR_BATCH), 1, c->samples, 1));
    l->each = 1, l->per = c->samples, l->times = 1;
    return l;
}

/* The chain that begins with the first of these. What is between its launches and no part of it comes before them, where it may, or after. Gives
   back how many were looked at; 0: there is none. */
static int find(Chain *c, Item *item, int n, int64_t turns) {
    int last = 0, later = 0, samples;
    for (int i = 0; i < n && later <= LATER_MOST; i++) {
        bool held = false, reads = false;
        for (int q = 0; q < i; q++)
            if (item[q].waits) held |= join_conflict(c->e, item[q].l, item[i].l);
        for (int q = 0; q < c->n; q++) reads |= join_conflict(c->e, c->part[q]->l, item[i].l);
        if (item[i].able && !held && join(c, &item[i])) {
            last = i;
            continue;
        }
        if (item[i].able && held) break;
        item[i].waits = held || reads;
        later += item[i].waits;
    }
    double less = gain(c->alone, c->busy, c->before, &samples);
    if (c->n == n && turns > 1) less += BATCHES * (GPU_LAUNCH - GPU_LAUNCH / (double)turns); /* gpu_turns.c makes one of them all */
    if (less <= 0 || (c->n < 2 && (n > 1 || turns == 1))) return 0;
    c->samples = samples;
    c->begin = item[0].l->pos, c->end = item[0].l->end;
    for (int i = 0; i <= last; i++) {
        if (item[i].l->pos < c->begin) c->begin = item[i].l->pos;
        if (item[i].l->end > c->end) c->end = item[i].l->end;
    }
    return last + 1;
}

static Launch *kept(Ent *e, const Launch *l, LsList *to) {
    Launch *r = arena_copy(e->a, l, sizeof *l);
    r->s.next = NULL;
    ls_add(to, &r->s);
    return r;
}

static void chains(Ent *e, Item *item, int n, int64_t turns, LsList *to) {
    Arena *a = e->a;
    for (int i = 0; i < n;) {
        Chain c = {.e = e, .part = ARENA_ARRAY(a, Item *, PARTS_MOST), .l = ARENA_ARRAY(a, const Launch *, PARTS_MOST + 1)};
        for (int q = i; q < n; q++) item[q].waits = false;
        int seen = item[i].able ? find(&c, item + i, n - i, i ? 1 : turns) : 0, many = 0;
        if (!seen) {
            kept(e, item[i++].l, to);
            continue;
        }
        Launch **order = ARENA_ARRAY(a, Launch *, seen);
        for (int later = 0; later < 2; later++) {
            for (int q = i; q < i + seen; q++) {
                bool part = false;
                for (int k = 0; k < c.n; k++) part |= c.part[k] == &item[q];
                if (!part && item[q].waits == later) order[many++] = kept(e, item[q].l, to);
            }
            if (!later) ls_add(to, &(order[many++] = write(&c, item + i, seen))->s);
        }
        plan_order(e, order, many, c.begin, c.end);
        i += seen;
    }
}

static void forget(const Ls *s, const Lx **known) {
    for (; s; s = s->next) {
        if (s->kind == LS_FOR || s->kind == LS_SETVAR || s->kind == LS_F2VAR) known[s->var] = NULL;
        forget(s->body, known), forget(s->orelse, known);
    }
}

static int64_t turns_of(const Ls *s) {
    int64_t lo, hi;
    if (s->kind != LS_FOR || !lx_is_const(s->lo, &lo) || !lx_is_const(s->hi, &hi)) return 1;
    for (const Ls *q = s->body; q; q = q->next)
        if (q->kind != LS_LAUNCH && q->kind != LS_SETVAR) return 1;
    return hi > lo ? (hi - lo + s->step->i - 1) / s->step->i : 1;
}

static const Ls *chain_list(Ent *e, const Ls *s, int64_t turns, const Lx **known) {
    Arena *a = e->a;
    LsList to = {0};
    while (s) {
        int n = 0;
        for (const Ls *q = s; q && q->kind == LS_LAUNCH; q = q->next) n++;
        Item *item = ARENA_ARRAY(a, Item, n + 1);
        for (int i = 0; i < n; i++, s = s->next) {
            Item *it = &item[i];
            it->l = (const Launch *)s, it->k = join_kernel(e, it->l);
            it->cost = gpu_cost(e, it->l);
            it->able = able(e, it);
        }
        chains(e, item, n, turns, &to);
        if (!s) break;
        Ls *c = arena_copy(a, s, sizeof *s);
        c->next = NULL;
        if (s->body || s->orelse) {
            int64_t inner = turns_of(s);
            const Lx **inside = ARENA_ARRAY(a, const Lx *, e->nvar); /* nothing is known of what an earlier turn has set */
            c->body = chain_list(e, s->body, inner, inside), c->orelse = chain_list(e, s->orelse, 1, inside);
            Launch *all = inner > 1 ? gpu_turns(e, c, known) : NULL;
            if (all) {
                ls_add(&to, &all->s);
                LsList rest = {0};
                for (const Ls *q = c->body; q; q = q->next)
                    if (q->kind != LS_LAUNCH) ls_add(&rest, ls_setvar(a, q->var, q->cond));
                c->body = rest.first;
            }
        }
        forget(&(Ls){.kind = s->kind, .var = s->var, .body = s->body, .orelse = s->orelse}, known);
        if (s->kind == LS_SETVAR && lx_is_const(s->cond, NULL)) known[s->var] = s->cond;
        ls_add(&to, c);
        s = s->next;
    }
    return to.first;
}

const Ls *gpu_chain(Ent *e, const Ls *s) { return chain_list(e, s, 1, ARENA_ARRAY(e->a, const Lx *, e->nvar)); }
