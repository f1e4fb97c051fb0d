/* Weights packed once for all their uses in an entry. */
#include "sched/wino.h"
#include <string.h>

const View *pack_find(const Ent *e, const View *w, const Taps taps[2], int kv, int m) {
    for (size_t i = 0; i < e->packs.len; i++) {
        const Pack *p = &e->packs.at[i];
        bool same = p->kv == kv && p->m == m && view_same(&p->w, w);
        for (int d = 0; d < 2 && same; d++)
            same =
                p->ntap[d] == taps[d].n && !memcmp(p->at[d], taps[d].at, (size_t)taps[d].n * sizeof(int32_t));
        if (same) return &p->packed;
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
    Pack made = {.w = *w, .packed = packed, .kv = kv, .m = m, .level = level};
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

View pack_wino(Ent *e, const View *w, const Taps taps[2], int kv, int m) {
    const View *had = pack_find(e, w, taps, kv, m);
    if (had) return *had;
    int level = pack_hoist(e, w);
    return pack_keep(e, w, taps, kv, m, level, wino_weights(e, w, taps, kv, m));
}

View pack_weights(Ent *e, const View *w, const Taps taps[2], int kv) {
    const View *had = pack_find(e, w, taps, kv, 0);
    if (had) return *had;
    Arena *a = e->a;
    int64_t K = w->shape.dim[0], C = w->shape.dim[1], T = (int64_t)taps[0].n * taps[1].n, L = e->s->t.lanes;
    bool dots = kv == 0;
    int64_t vectors = (K + L - 1) / L, tiles = dots ? K : (vectors + kv - 1) / kv,
            step = dots ? 1 : kv * L; /* from one channel of the sum to the next */
    View packed = view_new_row_major(e, shape_of(2, tiles, T * C * step), false, NULL, (Span){0});
    int32_t *tab = ARENA_ARRAY(a, int32_t, T);
    for (int i = 0; i < taps[0].n; i++)
        for (int j = 0; j < taps[1].n; j++)
            tab[i * taps[1].n + j] = (int32_t)(taps[0].at[i] * w->stride[2] + taps[1].at[j] * w->stride[3]);
    int level = pack_hoist(e, w);
    if (e->s->t.gpu) return pack_keep(e, w, taps, kv, 0, level, gpu_pack(e, w, taps));
    Kb *k = kb_new(e, "pack", 0);
    int p = kb_ptr(k, w, false), q = kb_ptr(k, &packed, true), t = kb_table(k, tab, T);
    /* the loop over what lies closest in memory is inside */
    bool taps_inside = T > 1 && !dots && w->stride[1] >= w->stride[2] && w->stride[1] >= w->stride[3];
    const Lx *c = taps_inside ? kb_for(k, INT(0), INT(C), 1) : NULL;
    const Lx *g = kb_grid(k), *tap = kb_for(k, INT(0), INT(T), 1), *tile = g, *first = g, *to = INT(0);
    if (!dots) { /* a grid point is one vector; the last tile overlaps the one before it */
        tile = DIV(g, INT(kv)), to = MUL(MOD(g, INT(kv)), INT(L));
        first = ADD(IMIN(MUL(tile, INT(kv)), INT(vectors - kv)), MOD(g, INT(kv)));
        first = MUL(first, INT(L));
    }
    const Lx *from = ADD(lx_itab(a, t, tap), MUL(first, INT(w->stride[0])));
    to = ADD(to, MUL(ADD(MUL(tile, INT(T)), tap), INT(C * step)));
    if (!c) c = kb_for(k, INT(0), INT(C), dots ? L : 1);
    if (dots) {
        const Lx *count = C % L ? SUB(INT(C), c) : NULL;
        kb_store(k, q, ADD(to, c),
                 lx_gather(a, p, ADD(from, MUL(c, INT(w->stride[1]))), INT(w->stride[1]), (int)L, count),
                 count);
    } else {
        const Lx *count = K % L ? SUB(INT(K), first) : NULL;
        kb_store(k, q, ADD(to, MUL(c, INT(step))),
                 lx_gather(a, p, ADD(from, MUL(c, INT(w->stride[1]))), INT(w->stride[0]), (int)L, count),
                 NULL);
    }
    kb_end(k);
    kb_end(k);
    kb_launch(k, INT(dots ? tiles : tiles * kv));
    return pack_keep(e, w, taps, kv, 0, level, packed);
}
