/* Entries of whole programs, for tests that compare what was made of them with the float64 evaluator. */
#ifndef CSC_TESTS_ENTRY_RIG_H
#define CSC_TESTS_ENTRY_RIG_H
#include "check.h"
#include "op/eval.h"
#include "op/program.h"

static uint64_t dice;
static double farthest; /* largest relative distance that compare() has seen */
static inline double uniform(void) { return (double)((dice = dice * 6364136223846793005u + 1442695040888963407u) >> 11) / 9007199254740992.0; }

static inline float *block(Arena *a, int64_t n) {
    uintptr_t p = (uintptr_t)arena_alloc(a, (size_t)(n + 32) * sizeof(float));
    return (float *)((p + 63) / 64 * 64);
}

static inline Value widen(Arena *a, const float *at, Shape s, bool batched, int64_t batch) {
    int64_t n = shape_size(s) * (batched ? batch : 1);
    Value v = {s, batched, ARENA_ARRAY(a, double, n + 1)};
    for (int64_t i = 0; i < n; i++) v.at[i] = at[i];
    return v;
}

static inline Shape with_turns(const ParamDecl *d) {
    if (!d->turns) return d->shape;
    Shape s = {d->shape.rank + 1, {d->turns}};
    for (int i = 0; i < d->shape.rank; i++) s.dim[i + 1] = d->shape.dim[i];
    return s;
}

/* Euclidean: one entry at a kink of a threshold may differ, the whole may not. */
static inline void compare(const char *what, const char *entry, const char *name, const float *got, const Value *want, int64_t batch, double tolerance) {
    int64_t n = shape_size(want->shape) * (want->batched ? batch : 1);
    double off = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(got[i])) FAIL("%s, %s: %s is not finite at %lld, expected %g", what, entry, name, (long long)i, want->at[i]);
        off += (got[i] - want->at[i]) * (got[i] - want->at[i]);
        size += want->at[i] * want->at[i];
    }
    off = sqrt(off), size = sqrt(size);
    if (getenv("CSC_SHOW")) printf("    %-28s %-28s %.2e of %.2e\n", entry, name, off, size);
    if (off > 1e-6 * sqrt((double)n) && off / size > farthest) farthest = off / size;
    if (off > tolerance * size + 1e-6 * sqrt((double)n)) FAIL("%s, %s: %s is off by %.3g of %.3g", what, entry, name, off, size);
}
#endif
