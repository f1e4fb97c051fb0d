/* A launch program in memory, and what an entry of it launches. */
#ifndef CSC_RT_CUDA_PROGRAM_H
#define CSC_RT_CUDA_PROGRAM_H
#include "csc_cuda.h"
#include "rt.h"

typedef struct PgText { /* bytes of the program; no zero at the end */
    const char *at;
    size_t len;
} PgText;
typedef struct PgExprs {
    const int64_t *at; /* 4 words each */
    int64_t n;
} PgExprs;
typedef struct PgPtr {
    int64_t elem, extent;
} PgPtr;
typedef struct PgImage {
    PgText arch, bytes;
} PgImage;
typedef struct PgKernel {
    char *name, *label; /* zero-terminated: the symbol, and with the place in the model what messages say */
    PgText source;
    int64_t threads, shared, nints, nptrs, nimages;
    PgExprs exprs;
    const PgPtr *ptr; /* in the program's words */
    PgImage *image;
} PgKernel;
typedef struct PgTable {
    const void *at;
    int64_t len; /* entries of 4 bytes */
    int64_t offset; /* in the block of all tables, entries */
} PgTable;
typedef struct PgArg {
    int64_t floats, batched;
} PgArg;
typedef struct PgEntry {
    char *name;
    int64_t kind, stage, nin, nout, nvar, fixed_floats, batch_floats, ncode;
    const PgArg *arg; /* inputs, then outputs */
    PgExprs exprs;
    const int64_t *code;
    uint32_t spaces; /* bit 1 << CSC_AT_...: where its pointers point */
    bool numbers; /* an integer depends on seed, step or first sample */
} PgEntry;
struct csc_program {
    int64_t *words;
    size_t nwords;
    PgTable *table;
    PgKernel *kernel;
    PgEntry *entry;
    int64_t ntables, nkernels, nentries;
    int64_t table_entries; /* of all tables, each on a multiple of 16 */
    float *tunable;
    char *info;
    csc_entry *face;
    csc_model model;
    size_t most_exprs, most_args;
};

/* One launch. The device's addresses are made by whoever takes it. */
typedef struct PgAt {
    int32_t space;  /* CSC_AT_FIXED stands for the whole workspace, CSC_AT_TABLE for the block of all tables */
    int32_t which;
    int64_t offset; /* of 4 bytes */
} PgAt;
typedef struct PgLaunch {
    const PgKernel *kernel;
    int64_t grid, batch;
    const PgAt *ptr;
    const int64_t *integer;
} PgLaunch;
typedef struct PgSink {
    void *user;
    csc_status (*launch)(void *user, const PgLaunch *l);
    /* CSC_S_BREAK_AT in the loop that is the `depth`-th around, which asked `asked` times before. Sets *leave where it is known to have ended. */
    csc_status (*ended)(void *user, PgAt flag, int depth, int64_t asked, bool *leave);
    csc_status (*left)(void *user, int depth); /* such a loop is over. NULL: nobody wants to know */
} PgSink;
typedef struct PgCall {
    const csc_program *program;
    const PgEntry *entry;
    int64_t batch;
    uint64_t seed, step, first_sample;
} PgCall;
/* Runs the statements; every pointer is checked against the block it points into. CSC_NO_MEMORY: a tensor has more numbers than kernels count to. */
csc_status program_run(csc_context *cx, const PgCall *c, const PgSink *s);
csc_status program_check(csc_context *cx, const csc_program *p, const PgEntry *e, int64_t batch); /* the same without launching anything */
#define PROGRAM_INDEX_MOST INT64_C(2000000000) /* numbers of a tensor: indices have 31 bits, and may reach a tile beyond the end */
int64_t program_work_floats(const PgEntry *e, int64_t batch); /* -1: too many */
#endif
