/* Block kernels as text that is both CUDA C++ and C11, over the names of runtime/cuda/prelude.h. */
#ifndef CSC_CUDA_TEXT_H
#define CSC_CUDA_TEXT_H
#include "loop/fold.h"
#include "loop/lxmap.h"

/* The kernel under that name, without the prelude. Lives in a. */
const char *cuda_text(Arena *a, const LpKernel *k, const char *name);

/* ---- inside the room ---- */
typedef struct Range { /* what an integer can be: lo .. hi, a multiple of `mul` (0: it is 0) */
    int64_t lo, hi, mul;
    bool wild; /* made of a parameter or a float; else of the grid and the batch only: an index, or near one */
} Range;

typedef struct Int { /* an integer as text: of range_type */
    const char *s;
    Range r;
} Int;

typedef struct Text {
    Arena *a;
    FILE *out;
    const LpKernel *k;
    const char *name; /* of the kernel */
    int depth;       /* of indentation */
    bool groups;     /* the kernel has products of groups: what its threads write, they read */
    int together;    /* in the places of LS_MMA: threads of a warp or group, of which LX_THREAD is the first; else 0 */
    int32_t acc, accs; /* registers that products of groups add to; 0: there were none yet */
    LoopKnown known; /* variables of unrolled loops */
    Range *var;      /* [nvar] */
    LxMap uses;      /* value: how often this statement reaches it, at most 2 */
    LxMap memo;      /* value: Int * or lanes */
    Vec(const char *) lets; /* definitions that this statement needs */
    int names;
} Text;

bool range_narrow(Range r); /* fits an int */
const char *range_type(Range r); /* int where that is enough, csc_int for indices, i64 */
Range range_of(Text *t, const Lx *x); /* without text */
void range_vars(Text *t);   /* fills var */
Int text_int(Text *t, const Lx *x);
const char *text_float(Text *t, const Lx *x, int lane);
const char *text_index(Text *t, const Lx *index); /* named, for several uses */
void text_count(Text *t, const Lx *x);        /* a root of the statement, before any text of it */
const char *text_pointer(const Text *t, int64_t ptr);
const char *text_let(Text *t, const char *type, const char *value); /* defines a name for it */
#endif
