/* Products on a GPU: one tile in shared memory for all of them. out(m, n) = sum over r of A(m, r) * B(n, r). */
#ifndef CSC_SCHED_GPU_H
#define CSC_SCHED_GPU_H
#include "sched/internal.h"

/* One side of a product: entry (i, r), i a row (A) or column (B) of the result. A matrix; or a tensor [C, H, W] of all samples of which one index
   is a position (sample, row, column of the map that `Gemm` has) and the other a channel, or a tap and a channel. */
typedef struct Side {
    View v;
    bool matrix;       /* i * v.stride[0] + r * v.stride[1], all in range */
    bool r_is_position;
    const Taps *taps;  /* NULL: the tensor has the positions of the map */
    int64_t n;         /* matrix: rows of it */
    /* found by gemm_run */
    int ptr, shared, tab, stage;
    bool r_near;       /* neighbours in memory differ in r; they do in shared memory too */
    bool inside;       /* no tap leaves the map */
    int vec;           /* entries that are copied together */
    int64_t tile, pitch, stage_size;
    int64_t across, along; /* groups: from one core matrix to the next; along: along r */
    bool flips;            /* groups: neighbours in memory differ in i, in shared memory in r */
} Side;

typedef struct Place { /* a position, cut into its parts */
    const Lx *sample, *y, *x;
} Place;
typedef struct Base { /* the first position of a tile or chunk, the same for all threads: what is added to it is small */
    const Lx *start, *sample, *rest;
} Base;

typedef struct Gemm {
    Ent *e;
    Kb *k;
    Arena *a;
    const char *what;
    Side side[2];              /* A, B */
    int64_t M, entries;        /* rows; channels, or taps x channels: columns of the result, or what is summed over */
    int64_t OH, OW;            /* the map of the positions */
    bool batched;              /* of all samples */
    int64_t parts;             /* that the sum is cut into; the results lie one after another */
    int64_t planes, plane;     /* as many products side by side, A of each `plane` further on */
    int64_t tm, tn, chunk, threads; /* of the tile; of r at a time */
    int64_t m_each, n_each;         /* of the tile, what a thread has; of matrix units, a warp or a group of them */
    SchedPrecision precision;
    bool group;                /* four warps multiply together: LsMma's group */
    int stages;
    int acc, areg, breg;
    const Lx *z;               /* the part or plane of this block */
    Base base;
    Place here;                /* position n, where columns are positions */
    /* writes the value of (m, n), all in range, in a region; as many rows from m on as it has lanes */
    void (*out)(struct Gemm *g, const Lx *m, const Lx *n, const Lx *value);
    bool wide;                 /* ... which may be several */
    void *how;
} Gemm;

const Lx *gemm_positions(Gemm *g, const Lx *batch); /* how many there are */
void gemm_run(Gemm *g);
int64_t gemm_parts(int64_t rows, int64_t columns, int64_t summed); /* by estimates that do not depend on the device */
#endif
