/* Memory: buffers of an entry, when they live, and where they lie in the workspace. */
#include "sched/internal.h"
#include <stdlib.h>

static int32_t add(Ent *e, Buf b) {
    b.first = b.last = -1;
    vec_push(e->a, &e->bufs, b);
    return (int32_t)e->bufs.len - 1;
}

int32_t buf_new(Ent *e, bool batched, int64_t floats, Name name, Span span) {
    if (batched && e->group) floats *= e->group;
    return add(e, (Buf){.space = batched && !e->group ? SP_BATCH : SP_FIXED,
                        .floats = floats,
                        .name = name,
                        .span = span});
}

int32_t buf_external(Ent *e, LpSpace space, int32_t which, int64_t base, int64_t floats) {
    for (size_t i = 0; i < e->bufs.len; i++) {
        const Buf *b = &e->bufs.at[i];
        if (b->space == space && b->which == which && b->base == base && b->floats == floats)
            return (int32_t)i;
    }
    return add(e, (Buf){.space = space, .which = which, .base = base, .floats = floats});
}

void buf_touch_at(Ent *e, int32_t buf, int32_t pos) {
    Buf *b = &e->bufs.at[buf];
    if (b->first < 0) b->first = pos;
    if (b->last < pos) b->last = pos;
}

void buf_touch(Ent *e, int32_t buf) { buf_touch_at(e, buf, e->pos); }

void plan_loop_end(Ent *e, int32_t start) {
    for (size_t i = 0; i < e->bufs.len; i++) {
        Buf *b = &e->bufs.at[i];
        if (b->first >= 0 && b->first < start && b->last >= start) b->last = e->pos;
    }
    e->pos++;
}

/* What one launch touches is there at the same time. */
void plan_order(Ent *e, Launch *const *l, int n, int32_t begin, int32_t end) {
    int32_t *first = ARENA_ARRAY(e->a, int32_t, e->bufs.len + 1), *last = ARENA_ARRAY(e->a, int32_t, e->bufs.len + 1);
    for (size_t i = 0; i < e->bufs.len; i++) first[i] = end + 1, last[i] = begin - 1;
    for (int i = 0; i < n; i++) {
        l[i]->pos = l[i]->end = begin + i < end ? begin + i : end;
        const LpKernel *k = &e->s->m->kernels.at[l[i]->s.kernel];
        for (int32_t p = 0; p < lp_launch_ptrs(k); p++) {
            int32_t b = l[i]->arg[p].buf;
            if (first[b] > l[i]->pos) first[b] = l[i]->pos;
            if (last[b] < l[i]->pos) last[b] = l[i]->pos;
        }
    }
    for (size_t i = 0; i < e->bufs.len; i++) {
        Buf *b = &e->bufs.at[i];
        bool touched = first[i] <= end;
        if (b->first < 0 || b->last < begin || b->first > end) continue;
        if (b->first >= begin) b->first = touched ? first[i] : begin;
        if (b->last <= end) b->last = touched ? last[i] : end;
    }
}

void plan_lanes(Ent *e, int32_t start) {
    vec_push(e->a, &e->lanes, ((Stretch){start, e->pos}));
}

/* What is made and used inside of lanes only is each lane's own. What else they touch is there as long as any of them runs. */
static void share_lanes(Ent *e) {
    for (size_t i = 0; i < e->bufs.len; i++) {
        Buf *b = &e->bufs.at[i];
        if (b->space != SP_FIXED && b->space != SP_BATCH) continue;
        for (size_t k = 0; k < e->lanes.len && b->first >= 0; k++) {
            Stretch s = e->lanes.at[k];
            bool inside = b->first >= s.begin && b->last <= s.end, apart = b->last < s.begin || b->first > s.end;
            if (inside && b->space == SP_FIXED) {
                b->space = SP_LANE;
                break;
            }
            if (apart) continue;
            if (b->first > s.begin) b->first = s.begin;
            if (b->last < s.end) b->last = s.end;
        }
    }
}

void plan_kept(Ent *e, int32_t start) {
    for (size_t i = 0; i < e->bufs.len; i++) {
        Buf *b = &e->bufs.at[i];
        if (b->space != SP_BATCH || b->last < start) continue;
        if (b->first >= start) b->first = start;
        b->last = e->pos;
    }
}

Lptr *plan_pointer(Ent *e, const View *v, Lptr *into) {
    Arena *a = e->a;
    const Buf *b = &e->bufs.at[v->buf];
    *into = (Lptr){.space = b->space, .which = b->which, .offset = b->base, .plus = v->plus};
    if (b->space == SP_FIXED || b->space == SP_BATCH || b->space == SP_PREPARED) {
        into->which = v->buf; /* until plan_memory */
        vec_push(a, &e->patches, ((Patch){into, v->buf}));
        if (v->offset) into->plus = into->plus ? ADD(into->plus, INT(v->offset)) : INT(v->offset);
    } else
        into->offset += v->offset;
    return into;
}

static int by_size(const void *p, const void *q) {
    const Buf *x = *(const Buf *const *)p, *y = *(const Buf *const *)q;
    if (x->floats != y->floats) return x->floats < y->floats ? 1 : -1;
    return x < y ? -1 : 1;
}

static int by_size_and_time(const void *p, const void *q) {
    const Buf *x = *(const Buf *const *)p, *y = *(const Buf *const *)q;
    double a = (double)x->floats * (x->last - x->first + 1), b = (double)y->floats * (y->last - y->first + 1);
    return a != b ? a < b ? 1 : -1 : by_size(p, q);
}

static int by_place(const void *p, const void *q) {
    const Buf *x = *(const Buf *const *)p, *y = *(const Buf *const *)q;
    if (x->base != y->base) return x->base < y->base ? -1 : 1;
    return x < y ? -1 : 1;
}

/* Greedy: in that order, each at the lowest place that no buffer alive at the same time covers. */
static int64_t place_by(Ent *e, LpSpace space, int (*order)(const void *, const void *)) {
    Arena *a = e->a;
    Buf **all = ARENA_ARRAY(a, Buf *, e->bufs.len + 1), **near = ARENA_ARRAY(a, Buf *, e->bufs.len + 1);
    size_t n = 0;
    int64_t peak = 0;
    for (size_t i = 0; i < e->bufs.len; i++) {
        Buf *b = &e->bufs.at[i];
        if (b->space != space || b->first < 0) continue;
        b->floats = (b->floats + 15) / 16 * 16;
        all[n++] = b;
    }
    qsort(all, n, sizeof *all, order);
    for (size_t i = 0; i < n; i++) {
        Buf *b = all[i];
        size_t k = 0;
        for (size_t j = 0; j < i; j++)
            if (all[j]->first <= b->last && b->first <= all[j]->last) near[k++] = all[j];
        qsort(near, k, sizeof *near, by_place);
        int64_t at = 0;
        for (size_t j = 0; j < k && near[j]->base < at + b->floats; j++)
            if (near[j]->base + near[j]->floats > at) at = near[j]->base + near[j]->floats;
        b->base = at;
        if (at + b->floats > peak) peak = at + b->floats;
    }
    return peak;
}

/* The largest first, or those of most floats times launches: whichever takes less. */
static int64_t place(Ent *e, LpSpace space) {
    int64_t largest = place_by(e, space, by_size), longest = place_by(e, space, by_size_and_time);
    return longest < largest ? longest : place_by(e, space, by_size);
}

static Buf *owner(Ent *e, int32_t buf) {
    Buf *b = &e->bufs.at[buf];
    while (b->over) b = &e->bufs.at[b->over - 1];
    return b;
}

/* What a launch makes takes the memory of what it reads for the last time, where each entry is read before the same is written. */
static void lie_over(Ent *e) {
    for (size_t i = 0; i < e->overs.len; i++) {
        const Over *o = &e->overs.at[i];
        const LpKernel *k = &e->s->m->kernels.at[o->l->s.kernel];
        int32_t from = o->l->arg[o->from].buf, to = o->l->arg[o->to].buf;
        Buf *x = owner(e, from), *y = &e->bufs.at[to];
        bool room = x != y && !y->over && (x->space == SP_FIXED || x->space == SP_BATCH) && y->space == x->space && x->floats == y->floats;
        if (!room || x->changes || y->changes || x->last != o->l->pos || y->first != o->l->pos) continue;
        bool alone = true;
        for (int32_t p = 0; p < lp_launch_ptrs(k); p++) alone &= (p == o->from || owner(e, o->l->arg[p].buf) != x) && (p == o->to || o->l->arg[p].buf != to);
        if (!alone) continue;
        x->last = y->last;
        y->over = (int32_t)(x - e->bufs.at) + 1, y->first = -1;
    }
}

void plan_memory(Ent *e) {
    lie_over(e);
    share_lanes(e);
    e->out->lane_floats = place(e, SP_LANE);
    e->out->prepared_floats = place(e, SP_PREPARED);
    e->out->fixed_floats = place(e, SP_FIXED) + e->out->lane_floats + e->out->prepared_floats;
    e->out->batch_floats = place(e, SP_BATCH);
    for (size_t i = 0; i < e->patches.len; i++) {
        const Buf *b = owner(e, e->patches.at[i].buf);
        e->patches.at[i].ptr->offset = b->base;
        e->patches.at[i].ptr->space = b->space;
        e->patches.at[i].ptr->which = 0;
    }
}

static bool alive(const Buf *b, LpSpace space, int32_t pos) {
    return b->space == space && b->first >= 0 && b->first <= pos && pos <= b->last;
}

/* Where the workspace is fullest; of what grows with the batch, or of a group's where nothing does. */
void plan_describe(Ent *e) {
    enum { MOST = 6 };
    const LpEntry *o = e->out;
    LpSpace space = o->batch_floats                         ? SP_BATCH
                    : o->lane_floats * 2 > o->fixed_floats     ? SP_LANE
                    : o->prepared_floats * 2 > o->fixed_floats ? SP_PREPARED
                                                               : SP_FIXED;
    int64_t *at = ARENA_ARRAY(e->a, int64_t, e->pos + 2), all = 0;
    for (size_t i = 0; i < e->bufs.len; i++) { /* differences, then their sums */
        const Buf *b = &e->bufs.at[i];
        if (b->space != space || b->first < 0) continue;
        at[b->first] += b->floats, at[b->last + 1] -= b->floats;
        all += b->floats;
    }
    int32_t top = 0;
    for (int32_t i = 1; i <= e->pos; i++) {
        at[i] += at[i - 1];
        if (at[i] > at[top]) top = i;
    }
    if (!at[top]) return;
    const Buf *big[MOST] = {0};
    size_t live = 0;
    for (size_t i = 0; i < e->bufs.len; i++) {
        const Buf *b = &e->bufs.at[i];
        if (!alive(b, space, top)) continue;
        live++;
        for (int k = 0; k < MOST; k++)
            if (!big[k] || b->floats > big[k]->floats) {
                for (int j = MOST - 1; j > k; j--) big[j] = big[j - 1];
                big[k] = b;
                break;
            }
    }
    const char *list = "";
    for (int k = 0; k < MOST && big[k]; k++)
        list = arena_printf(e->a, "%s%s%s", list, k ? ", " : "", big[k]->what ? big[k]->what : "a temporary");
    remark(e, big[0]->span,
           "entry %s: fullest at launch %d of %d: %zu values, %.1f KB%s (without sharing "
           "memory all would take "
           "%.1f KB); the largest: %s",
           e->out->name, top + 1, e->pos, live, (double)at[top] / 256,
           space == SP_BATCH ? " for each sample" : "", (double)all / 256, list);
}
