/* Products on the processor's matrix unit: a tile of 16 positions x 16 channels takes 32 numbers of the sum at a time, as bf16. A float is the sum of
   three such numbers, its parts: h, what is left of it rounded, m, and of that, l. Of the nine products of two numbers' parts six are taken, hh, hm, mh,
   hl, lh, mm; the others are below 2^-24 of the result, as float32's own rounding is. An infinite number has a NaN among its parts. */
#ifndef CSC_SCHED_AMX_H
#define CSC_SCHED_AMX_H
#include "sched/internal.h"

enum {
    AMX_SIDE = 16,    /* positions, channels */
    AMX_DEPTH = 32,   /* numbers of the sum */
    AMX_PARTS = 3,
    AMX_FLOATS = AMX_SIDE * AMX_SIDE,
    AMX_WEIGHTS = AMX_SIDE * AMX_DEPTH, /* bf16 of a tile of weights */
};

/* The sum as runs of numbers that lie side by side in the copy of x: one for each entry of a table. */
typedef struct AmxRuns {
    bool merged;         /* the taps of a row are one run */
    int64_t channels;    /* of x */
    int64_t together[2]; /* rows, columns of neighbours that are made together, as so many times the channels; 1, 1 unless taps are next to one another */
    int64_t interleaved; /* x has one channel, and so many rows, each beginning with another, stand in a row of the copy in its place; else 1 */
    int64_t length, blocks; /* of a run: numbers; AMX_DEPTH of them each */
    int32_t entries, per_row;
} AmxRuns;

bool amx_near(const Taps *t); /* each next to the one before, stride 1 */
AmxRuns amx_runs(const TileConv *t, int64_t rows, int64_t columns, int64_t interleaved);
/* Weights, parts of each tile together: [AMX_SIDE channels][entry][block][part h, m, l][pairs of the sum][channel][2], zeros beyond runs and channels. */
View amx_weights(Ent *e, const View *w, const Taps taps[2], const AmxRuns *r);
int64_t amx_weight_step(const AmxRuns *r); /* bf16 from one AMX_SIDE channels to the next */
int amx_parts(Kb *k, const Lx *v); /* the first of AMX_PARTS registers; the last part is rounded as it is stored */

/* tile_copy_padded of one channel: number (row, column, v) of the copy is x's at row + v, column. */
void amx_copy_interleaved(Kb *k, const PadCopy *p);

/* Cycles for a sample; 0: not on this processor, or not this product. */
double amx_cost(const Ent *e, const TileConv *t);
void amx_conv(Ent *e, const TileConv *t);
#endif
