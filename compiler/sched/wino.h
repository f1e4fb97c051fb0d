/* Winograd's minimal filtering: m outputs of 3 taps from m + 2 inputs by m + 2 products, along each of two axes. m is 2 (points 0, 1, -1,
   infinity) or 4 (0, 2/3, -2/3, 3/2, -3/2, infinity: half of the error of 0, 1, -1, 2, -2). */
#ifndef CSC_SCHED_WINO_H
#define CSC_SCHED_WINO_H
#include "sched/internal.h"

enum { WINO_MOST = 6 /* m + 2 */, WINO_REGISTERS = 12, WINO_CONSTANTS = 32 };
typedef enum WinoKind {
    WINO_INPUT,   /* m + 2 inputs to as many */
    WINO_WEIGHTS, /* 3 taps to m + 2 */
    WINO_OUTPUT,  /* m + 2 products to m outputs */
    /* the transposed of the last and of WINO_WEIGHTS, for gradients of weights */
    WINO_SPREAD, /* m gradients of outputs to m + 2 */
    WINO_GATHER, /* m + 2 sums of products to 3 taps */
} WinoKind;
int wino_in(WinoKind what, int m);  /* numbers along an axis that go in */
int wino_out(WinoKind what, int m); /* ... that come out */

/* One transform along both axes: first down the columns into `between`, then along its rows; loops, so that each axis is written once. */
typedef struct WinoPlane {
    Kb *k;
    WinoKind what;
    int m, width;
    int reg;     /* the first of WINO_REGISTERS */
    int between; /* memory of the thread: wino_between's */
} WinoPlane;
/* Asks for that memory, and puts the transforms' constants into it: LLVM would keep constants that are written into a loop in registers over all
   loops of the kernel, and spill sums of the products for them. */
int wino_between(Kb *k);
/* get: entry (i, j) of what goes in. put: (i, j) of what comes out, an expression over the registers that is good for as long as put runs; the
   first n rows, or all. */
void wino_columns(const WinoPlane *p, const Lx *(*get)(void *how, int i, const Lx *j), void *how);
void wino_rows(const WinoPlane *p, const Lx *n, void (*put)(void *how, const Lx *i, int j, const Lx *v), void *how);

typedef struct WinoTiles { /* the tiles of a map, transformed into the thread's scratch: [matrix][tile][channel] */
    Kb *k;
    const View *v;
    WinoKind what; /* WINO_INPUT, WINO_SPREAD */
    int m, reg, between; /* as WinoPlane's */
    bool batched;  /* tiles of one sample after those of the other */
    int64_t step[2], count[2], off[2]; /* between the entries of a tile; tiles along the axes; a tile's first entry is the first of its m x m results + off */
    int64_t channels, next;        /* floats from one matrix to the next: wino_tiles_open's */
    const Lx *lo, *hi;             /* channels to transform, in whole vectors; NULL: all */
    int from, to, patch;           /* parameters; the last two: wino_tiles_open's */
} WinoTiles;
typedef struct WinoPlace { /* of a tile */
    const Lx *sample, *at[2]; /* its first result */
} WinoPlace;
bool wino_taps(const Taps *t);                                        /* three, stride 1, equally far apart in the map and in the weights */
void wino_counts(WinoTiles *w, const Taps taps[2], const int64_t out[2]); /* step, count from the size of the results */
void wino_tiles_open(WinoTiles *w, int64_t most); /* room for so many tiles */
int64_t wino_pitch(const WinoTiles *w);           /* floats from one tile to the next */
WinoPlace wino_place(const WinoTiles *w, const Lx *number);
void wino_tiles(const WinoTiles *w, const Lx *first, const Lx *n); /* tiles first .. first + n - 1 */
double wino_cost(const Ent *e, const TileConv *t, int m); /* cycles for a sample */
bool wino_grad(Ent *e, const TileGrad *t); /* false: not this one, or the register tile is the better choice */

View wino_weights(Ent *e, const View *w, const Taps taps[2], int kv, int m); /* pack_weights, tile_pack.c */
#endif
