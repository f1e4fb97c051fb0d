/* A map from expression nodes to what was found about them, valid for one turn (one statement): `map.turn++` forgets all. */
#ifndef CSC_LOOP_LXMAP_H
#define CSC_LOOP_LXMAP_H
#include "loop/loop.h"

typedef struct LxCell {
    const Lx *key;
    uint64_t turn; /* != map.turn: nothing is known yet (`value` may be left from an older turn) */
    void *value;
} LxCell;

typedef struct LxMap {
    LxCell *at;
    size_t cap, len;
    uint64_t turn; /* starts at 1 */
} LxMap;

/* The cell of x; valid until the next call. */
static inline LxCell *lx_map_cell(Arena *a, LxMap *m, const Lx *x) {
    if (m->len * 2 >= m->cap) {
        LxMap old = *m;
        m->cap = old.cap ? old.cap * 2 : 256;
        m->at = ARENA_ARRAY(a, LxCell, m->cap);
        m->len = 0;
        for (size_t i = 0; i < old.cap; i++)
            if (old.at[i].key) *lx_map_cell(a, m, old.at[i].key) = old.at[i];
    }
    size_t i = (((uintptr_t)x >> 4) * 0x9E3779B97F4A7C15u >> 24) & (m->cap - 1);
    while (m->at[i].key && m->at[i].key != x) i = (i + 1) & (m->cap - 1);
    if (!m->at[i].key) {
        m->at[i].key = x;
        m->len++;
    }
    return &m->at[i];
}
#endif
