/* From operator graphs to loop nests: fusion, layout, tiles, threads, the memory plan. */
#ifndef CSC_SCHED_SCHED_H
#define CSC_SCHED_SCHED_H
#include "loop/loop.h"
#include "op/program.h"

/* A product as the register tile sees it (the key), and a tile for it. */
typedef struct SchedTile {
    int64_t out_ch, rows, cols, entries, run; /* of the result; table entries, floats of each */
    bool no_dots, dots_free, vectors_free;
    bool dots;                                /* lanes run along the sum */
    int32_t kv, tile_rows, tile_cols;         /* vectors (dots: outputs) x rows x columns */
} SchedTile;

typedef enum SchedPrecision { /* of the inputs of products on a GPU; sums are float32 */
    SCHED_FLOAT32,
    SCHED_TF32,
    SCHED_BF16
} SchedPrecision;

typedef struct SchedTarget {
    int32_t lanes;     /* float32 lanes of a vector: 4, 8, 16 */
    int32_t registers; /* vector registers: 16 or 32 */
    int32_t tiles;     /* a matrix unit, the tiles of loop/loop.h: 0: none; 1: for products that the model finds faster there; 2: for all that can be */
    int32_t group;     /* samples computed at a time where the graph allows; 0: sched chooses */
    bool wait;         /* every gradient of weights is made at the end, for all samples; else those where that is cheaper */
    const SchedTile *tuned; /* tiles to take instead of the model's choice; one that is no tile of its product is left */
    size_t ntuned;
    bool gpu; /* block kernels; lanes is 1, and the whole batch is computed at a time */
    SchedPrecision precision;
    int32_t winograd; /* results along the side of a tile of Winograd's transforms: 0: where the model finds them faster; 2, 4: that wherever
                         there can be one; -1: none */
    bool apart; /* on a GPU: launches are not put together. For tests and measurements; the results are the same, bit by bit */
} SchedTarget;

/* "native" (this machine), "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4+amx" (with tiles), "aarch64"; "cuda" (any GPU), "sm_80", "sm_90a", .. False: there is no such
   processor. */
bool sched_target(const char *cpu, SchedTarget *out);
bool sched_target_runs(const char *cpu); /* on this machine */

typedef struct SchedRemark {
    const char *text;
    Span span;
} SchedRemark;

typedef struct SchedResult {
    LpModule *module;         /* one entry each, in the order given */
    Vec(SchedRemark) remarks; /* what was fused, what was not and why, peak memory of each entry */
    Vec(SchedTile) tiles;     /* different products of the register tile, and what was taken */
} SchedResult;

/* Tiles worth measuring for a product: how many were written to `out`. */
size_t sched_tile_choices(const SchedTarget *t, const SchedTile *work, SchedTile *out, size_t most);
bool sched_tile_same_work(const SchedTile *x, const SchedTile *y);

/* Entries have the face that op/program.h gives them. An OUT_VALUE or OUT_INGRAD is written as [batch,
   shape], also where the value is the same for every sample; other results have no batch. */
SchedResult *sched_program(Cx *cx, Arena *a, const Program *p, const Entry *entries, size_t nentries,
                           const SchedTarget *t);
#endif
