/* The walk over an iteration domain that lower_map.c writes for processors and gpu_map.c for blocks of threads. */
#ifndef CSC_SCHED_MAP_H
#define CSC_SCHED_MAP_H
#include "sched/internal.h"

enum { LEAVES_MAX = 24 };

typedef struct Axis {
    int64_t dim;
    bool fold;
    int64_t out, leaf[LEAVES_MAX];
} Axis;

typedef struct Walk {
    Ent *e;
    Kb *k;
    Arena *a;
    const Dom *d;
    Fold fold;
    Ex *leaf[LEAVES_MAX];
    int nleaf;
    Axis axis[DOM_MAX];
    int naxis, nmap; /* the first nmap are the result's */
    const Lx *var[DOM_MAX];
    const Lx *sample; /* of batched operands; NULL: none */
    int vec;          /* the axis that vectors run along; -1: scalars */
    int out_ptr, lanes;
    int64_t out_sample;
    bool stores; /* there are values stored aside */
    bool aligned; /* vectors lie at multiples of their size */
} Walk;

int64_t map_work(const Walk *w); /* entries of the domain, of one sample */
void map_pointers(Walk *w, Ex *x);
const Lx *map_leaf_at(Walk *w, int l);
const Lx *map_value(Walk *w, Ex *x, int width, const Lx *count); /* of the expression, in the emission that is going on */
const Lx *map_result_at(const Walk *w);

/* ---- gpu_map.c ---- */
void gpu_map(Walk *w, Ex *root, const View *out, const char *what);
#endif
