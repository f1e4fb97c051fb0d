/* Splits a large module: which part writes which kernel. What is split depends on the module alone, so
   that every machine makes the same bytes. */
#include "llvm/emit.h"
#include <string.h>

enum { KERNELS_PER_PART = 12 };

/* Statements of a list once unrolled, about what its code costs to make. */
static int64_t weight(const Ls *s, LoopKnown *known) {
    int64_t sum = 0, lo, hi;
    for (; s; s = s->next) {
        sum += 1;
        if (s->kind != LS_FOR || !s->unroll) {
            sum += weight(s->body, known) + weight(s->orelse, known);
            continue;
        }
        if (!loop_fold(s->lo, known, &lo) || !loop_fold(s->hi, known, &hi)) lo = 0, hi = 1; /* of an outer unrolled variable: rare */
        int64_t turns = hi > lo ? (hi - lo + s->step->i - 1) / s->step->i : 0;
        sum += turns * weight(s->body, known);
    }
    return sum;
}

static void find_same(Arena *a, const LpModule *m, int32_t *same) {
    size_t n = m->kernels.len;
    uint64_t *hash = ARENA_ARRAY(a, uint64_t, n);
    for (size_t i = 0; i < n; i++) {
        hash[i] = loop_kernel_hash(&m->kernels.at[i]);
        same[i] = (int32_t)i;
        for (size_t k = 0; k < i && same[i] == (int32_t)i; k++)
            if (hash[k] == hash[i] && loop_kernel_equal(&m->kernels.at[i], &m->kernels.at[k])) same[i] = same[k];
    }
}

Plan plan_kernels(Arena *a, const LpModule *m, const LlvmModelInfo *info, bool split) {
    size_t n = m->kernels.len, distinct = 0;
    int32_t *same = ARENA_ARRAY(a, int32_t, n), *owner = ARENA_ARRAY(a, int32_t, n);
    int64_t *cost = ARENA_ARRAY(a, int64_t, n), load[PLAN_MOST_PARTS] = {0};
    find_same(a, m, same);
    for (size_t i = 0; i < n; i++) {
        const LpKernel *k = &m->kernels.at[i];
        LoopKnown known = {ARENA_ARRAY(a, bool, k->nvar), ARENA_ARRAY(a, int64_t, k->nvar)};
        if (same[i] != (int32_t)i) continue;
        cost[i] = 20 + weight(k->body, &known);
        distinct++;
    }
    int32_t parts = split ? (int32_t)(distinct / KERNELS_PER_PART) : 1;
    parts = parts < 1 ? 1 : parts > PLAN_MOST_PARTS ? PLAN_MOST_PARTS : parts;
    LoopKnown none = {0};
    for (size_t i = 0; i < m->entries.len; i++) load[0] += 2 * weight(m->entries.at[i].body, &none); /* no loop of an entry is unrolled */
    for (size_t turn = 0; turn < distinct; turn++) { /* the dearest that is left, to the part with least */
        size_t most = 0;
        int32_t least = 0;
        for (size_t i = 0; i < n; i++)
            if (cost[i] > cost[most]) most = i;
        for (int32_t p = 1; p < parts; p++)
            if (load[p] < load[least]) least = p;
        owner[most] = least;
        load[least] += cost[most];
        cost[most] = 0;
    }
    const char *prefix = arena_printf(a, "%scsc_", info->symbol_prefix ? info->symbol_prefix : "");
    return (Plan){.parts = parts, .same = same, .owner = owner, .prefix = prefix};
}
