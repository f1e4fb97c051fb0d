/* Weights packed once for all their uses in an entry. */
#include "sched/wino.h"
#include <string.h>

enum { LARGE = 128 * 1024 /* bytes */, LONG = 100 /* launches */ };

/* Large weights that nobody has read for long are packed again rather than kept in between, where that would not be before a loop that has read them. */
static bool outdated(const Ent *e, const Pack *p) {
    if (e->packs_near && p->level == 0) return false; /* it would live as long */
    int32_t now = (int)e->loops.len > p->level ? e->loops.at[p->level].begin : e->pos;
    return !e->s->t.gpu && !e->prepares && now - p->used > LONG && shape_size(p->packed.shape) * 4 > LARGE;
}

const View *pack_find(Ent *e, const View *w, const Taps taps[2], int kv, int m) {
    for (size_t i = 0; i < e->packs.len; i++) {
        Pack *p = &e->packs.at[i];
        bool same = p->kv == kv && p->m == m && view_same(&p->w, w);
        for (int d = 0; d < 2 && same; d++)
            same =
                p->ntap[d] == taps[d].n && !memcmp(p->at[d], taps[d].at, (size_t)taps[d].n * sizeof(int32_t));
        if (!same || outdated(e, p)) continue;
        p->used = e->pos;
        return &p->packed;
    }
    return NULL;
}

void pack_forget(Ent *e) {
    size_t n = 0;
    for (size_t i = 0; i < e->packs.len; i++)
        if (e->packs.at[i].level <= (int)e->loops.len) e->packs.at[n++] = e->packs.at[i];
    e->packs.len = n;
}

/* The outermost loop in which w does not change, as its number; as many as there are loops: it changes in the
 * innermost. */
static int steady_in(const Ent *e, const View *w) {
    const Buf *b = &e->bufs.at[w->buf];
    int n = (int)e->loops.len, i = 0;
    bool outside = b->space != SP_FIXED && b->space != SP_BATCH && b->space != SP_OUT && b->space != SP_GRAD;
    if (w->plus || b->changes) return n;
    while (i < n && !outside && (b->first < 0 || b->first >= e->loops.at[i].begin)) i++;
    return i;
}

View pack_keep(Ent *e, const View *w, const Taps taps[2], int kv, int m, int level, View packed) {
    Arena *a = e->a;
    e->hoist = 0;
    Pack made = {.w = *w, .packed = packed, .kv = kv, .m = m, .level = level, .used = e->pos};
    for (int d = 0; d < 2; d++) {
        made.ntap[d] = taps[d].n;
        made.at[d] = arena_copy(a, taps[d].at, (size_t)taps[d].n * sizeof(int32_t));
    }
    vec_push(a, &e->packs, made);
    return packed;
}

/* Launches from here on go before the outermost loop in which w does not change, until pack_keep. */
int pack_hoist(Ent *e, const View *w) {
    int level = steady_in(e, w);
    e->hoist = level < (int)e->loops.len ? level + 1 : 0;
    return level;
}

bool pack_near(const Ent *e, double bytes, int64_t positions, int64_t enough) {
    return e->packs_near && e->alone && bytes > SECOND_LEVEL && e->group * positions >= enough;
}

View pack_wino(Ent *e, const View *w, const Taps taps[2], int kv, int m, bool near) {
    const View *had = pack_find(e, w, taps, kv, m);
    if (had) return *had;
    int level = pack_hoist(e, w);
    if (near && level == 0) level = 1, e->hoist = e->loops.len > 1 ? 2 : 0; /* by each group */
    return pack_keep(e, w, taps, kv, m, level, wino_weights(e, w, taps, kv, m));
}

/* Where the taps of one weight lie. */
int pack_table(Kb *k, const View *w, const Taps taps[2]) {
    int32_t *tab = ARENA_ARRAY(k->a, int32_t, taps[0].n * taps[1].n);
    for (int i = 0; i < taps[0].n; i++)
        for (int j = 0; j < taps[1].n; j++) tab[i * taps[1].n + j] = (int32_t)(taps[0].at[i] * w->stride[2] + taps[1].at[j] * w->stride[3]);
    return kb_table(k, tab, (int64_t)taps[0].n * taps[1].n);
}

/* A vector of channels from `first` on (dots: one channel), all that it is multiplied with, to float `to` of q; p, t: the weights, pack_table. */
static void emit_pack(Kb *k, const View *w, int64_t T, int kv, int p, int t, int q, const Lx *first, const Lx *to) {
    Arena *a = k->a;
    int64_t K = w->shape.dim[0], C = w->shape.dim[1], L = k->e->s->t.lanes;
    bool dots = kv == 0;
    int64_t step = dots ? 1 : kv * L; /* from one channel of the sum to the next */
    /* the loop over what lies closest in memory is inside */
    bool taps_inside = T > 1 && !dots && w->stride[1] >= w->stride[2] && w->stride[1] >= w->stride[3];
    const Lx *c = taps_inside ? kb_for(k, INT(0), INT(C), 1) : NULL;
    const Lx *tap = kb_for(k, INT(0), INT(T), 1);
    const Lx *from = ADD(lx_itab(a, t, tap), MUL(first, INT(w->stride[0])));
    to = ADD(to, MUL(tap, INT(C * step)));
    if (!c) c = kb_for(k, INT(0), INT(C), dots ? L : 1);
    from = ADD(from, MUL(c, INT(w->stride[1])));
    const Lx *count = dots && C % L ? SUB(INT(C), c) : !dots && K % L ? SUB(INT(K), first) : NULL;
    kb_store(k, q, ADD(to, MUL(c, INT(step))), lx_gather(a, p, from, INT(w->stride[dots ? 1 : 0]), (int)L, count), dots ? count : NULL);
    kb_end(k);
    kb_end(k);
}

View pack_weights(Ent *e, const View *w, const Taps taps[2], int kv) {
    const View *had = pack_find(e, w, taps, kv, 0);
    if (had) return *had;
    Arena *a = e->a;
    int64_t K = w->shape.dim[0], C = w->shape.dim[1], T = (int64_t)taps[0].n * taps[1].n, L = e->s->t.lanes;
    bool dots = kv == 0;
    int64_t vectors = (K + L - 1) / L, tiles = dots ? K : (vectors + kv - 1) / kv, floats = T * C * (dots ? 1 : kv * L);
    View packed = view_new_row_major(e, shape_of(2, tiles, floats), false, NULL, (Span){0});
    int level = pack_hoist(e, w);
    if (e->s->t.gpu) return pack_keep(e, w, taps, kv, 0, level, gpu_pack(e, w, taps));
    Kb *k = kb_new(e, "pack", 0);
    int p = kb_ptr(k, w, false), q = kb_ptr(k, &packed, true), t = pack_table(k, w, taps);
    const Lx *g = kb_grid(k), *tile = g, *first = g, *to = INT(0);
    if (!dots) { /* a grid point is one vector; the last tile overlaps the one before it */
        tile = DIV(g, INT(kv)), to = MUL(MOD(g, INT(kv)), INT(L));
        first = MUL(ADD(IMIN(MUL(tile, INT(kv)), INT(vectors - kv)), MOD(g, INT(kv))), INT(L));
    }
    emit_pack(k, w, T, kv, p, t, q, first, ADD(to, MUL(tile, INT(floats))));
    kb_launch(k, INT(dots ? tiles : tiles * kv));
    return pack_keep(e, w, taps, kv, 0, level, packed);
}

void pack_tile(Kb *k, const View *w, const Taps taps[2], int kv, int p, int t, int q, const Lx *vector) {
    Arena *a = k->a;
    int64_t L = k->e->s->t.lanes;
    const Lx *v = kb_for(k, INT(0), INT(kv), 1);
    emit_pack(k, w, (int64_t)taps[0].n * taps[1].n, kv, p, t, q, MUL(ADD(vector, v), INT(L)), MUL(v, INT(L)));
    kb_end(k);
}
