/* Winograd's minimal filtering: m outputs of 3 taps from m + 2 inputs by m + 2 products, along each of two axes. m is 2 (points 0, 1, -1,
   infinity) or 4 (0, 2/3, -2/3, 3/2, -3/2, infinity: half of the error of 0, 1, -1, 2, -2). */
#ifndef CSC_SCHED_WINO_H
#define CSC_SCHED_WINO_H
#include "sched/internal.h"

enum { WINO_MOST = 6 /* m + 2 */, WINO_REGISTERS = WINO_MOST * WINO_MOST + 12 };
typedef enum WinoKind {
    WINO_INPUT,   /* m + 2 inputs to as many */
    WINO_WEIGHTS, /* 3 taps to m + 2 */
    WINO_OUTPUT,  /* m + 2 products to m outputs */
} WinoKind;
int wino_in(WinoKind what, int m);  /* numbers along an axis that go in */
int wino_out(WinoKind what, int m); /* ... that come out */

typedef struct WinoPlane { /* writes one transform along both axes into a kernel */
    Kb *k;
    WinoKind what;
    int m, width;
    int reg; /* the first of WINO_REGISTERS */
} WinoPlane;
/* in[i * wino_in + j]; put takes entry (i, j) of what comes out, an expression over the registers that is good for as long as put runs. */
void wino_plane(const WinoPlane *p, const Lx *const *in, void (*put)(void *how, int i, int j, const Lx *v), void *how);

View wino_weights(Ent *e, const View *w, const Taps taps[2], int kv, int m); /* pack_weights, tile_pack.c */
#endif
