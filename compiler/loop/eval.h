/* State of the evaluator. */
#ifndef CSC_LOOP_EVAL_H
#define CSC_LOOP_EVAL_H
#include "csc_model.h"
#include "loop/lxmap.h"
#include <setjmp.h>

typedef struct Mark { /* who touched a float (or half of one) last, in the launch it names; thread and epoch: since which barrier */
    uint32_t wrote_in, read_in;
    int32_t writer, reader; /* points; MANY */
    uint32_t write_epoch, read_epoch;
    int16_t write_thread, read_thread; /* ALL, MANY */
    uint32_t copy; /* 1 + the group of the LS_COPY that wrote it, until somebody found that it arrived */
    uint32_t mma;  /* the last product of a group that reads it, 1 the first; 0: none, or somebody found that it is done */
} Mark;

typedef struct Region {
    const char *name;
    char *base;
    int64_t len;    /* floats (entries); UNKNOWN: not checked */
    bool writable;
    Mark *marks;    /* [len * Ev.marks_per_float], of memory that can be written by several */
} Region;

typedef struct Mem { /* a pointer: element i is element `at + i` of the region, which must lie in [lo, hi) */
    const Region *r;
    Name name;
    LpElem elem;
    int64_t at, lo, hi;
} Mem;

typedef union Known { /* value of an expression in one statement */
    int64_t i;
    float v[LOOP_MAX_WIDTH];
} Known;

typedef float EvReg[LOOP_MAX_WIDTH];

typedef union EvTile { /* a row: floats or bf16 numbers */
    float f[16];
    uint16_t h[32];
} EvTile[LOOP_TILE_ROWS];

typedef struct Ev {
    Arena *a;
    const LpModule *m;
    const csc_call *call;
    const LpEntry *entry;
    const LpKernel *k; /* NULL: in the entry itself */
    bool prepares; /* only what LS_PREPARE does */
    Region work, lane, prepared, params, grads, state, state_out, tunables, *in, *out, *tables;
    int marks_per_float; /* 2 where halves of floats are written */
    int64_t *var;
    EvReg *reg; /* of the point, or of the thread */
    Mem *ptr;
    uint32_t launch;
    uint32_t lanes_from, lane_from; /* the last launches before the lanes that run, before this lane; equal: in the first, or in none */
    EvTile tiles[LOOP_TILES]; /* of the point */
    int64_t point, points, batch; /* of the launch */
    /* block kernels */
    int32_t thread;     /* ALL: at block level */
    uint32_t epoch;     /* barriers so far */
    Arena *blocks;      /* what follows; emptied by each launch */
    EvReg *regs;        /* [threads][nreg] */
    Mem *scratch;       /* [threads][nptr - those before] */
    float *tile;        /* of LS_MMA */
    int64_t tile_len;
    uint32_t groups, arrived;     /* LS_GROUPs of this block so far; the first ones, that have arrived */
    Vec(uint32_t) arrival; /* the epoch in which each did */
    uint32_t mmas, mmas_done;     /* products of groups so far; the first ones, that are done */
    Vec(uint32_t) mma_done;       /* the epoch in which each was */
    int32_t busy_from, busy_to;   /* registers of those that are not */
    LxMap memo;
    jmp_buf leave;
    const char *why;
} Ev;

enum { ALL = -1, MANY = -2 };
#define UNKNOWN (INT64_MAX / 4)

_Noreturn __attribute__((format(printf, 2, 3))) void eval_fail(Ev *e, const char *fmt, ...);
int64_t eval_whole(Ev *e, const Lx *x);
void eval_float(Ev *e, const Lx *x, float *r);
bool eval_list(Ev *e, const Ls *s); /* true: a break is on its way to its loop */
float eval_read(Ev *e, const Mem *p, int64_t index);
int64_t eval_locate(Ev *e, const Mem *p, int64_t index); /* the element's number in the region; fails outside of it */
void eval_write(Ev *e, const Mem *p, int64_t index, float f);
Mark *eval_marks(const Ev *e, const Mem *p, int64_t at, int *n); /* the n of the element with that number in the region */
int64_t eval_lanes(Ev *e, const Lx *count, int width); /* how many of them exist */
void eval_aligned(Ev *e, const Mem *p, int64_t index, int bytes); /* fails where the address is no multiple */
void eval_not_busy(Ev *e, int64_t reg);    /* fails where a product of a group is adding to it */

void eval_spoil(void *at, int64_t floats); /* what holds anything holds NaN, in bf16 too */

/* eval_tile.c */
void eval_tile_statement(Ev *e, const Ls *s);

/* eval_block.c */
void eval_open_block(Ev *e);  /* memory of a launch's blocks */
void eval_block(Ev *e);       /* one grid point */
void eval_block_statement(Ev *e, const Ls *s);
#endif
