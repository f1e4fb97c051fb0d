/* Kernels put together into one: what gpu_merge.c, gpu_chain.c, gpu_beside.c and gpu_last.c have in common. */
#ifndef CSC_SCHED_GPU_JOIN_H
#define CSC_SCHED_GPU_JOIN_H
#include "sched/internal.h"

enum { JOIN_PTRS_MOST = 60, JOIN_STATEMENTS_MOST = 9000, JOIN_SHARED_MOST = 96 << 10 };

typedef struct JoinPart {
    const Launch *l;
    const Lx *grid, *batch; /* what it takes for its grid point and batch; NULL: those of the whole */
    const Lx *first;        /* the sample that it takes for number 0; NULL: that of the whole */
    const int *near;        /* [pointer] which memory of the block it is; -1: what is passed. NULL: all are passed */
    const Lx **plus;        /* [pointer] what is added to its indices; NULL: nothing, to none */
    bool again;             /* it runs several times */
    int32_t *to, reg;       /* found: pointers; its first register */
    const Lx **var;         /* found: its variables, but for grid and batch */
} JoinPart;

typedef struct Join {
    Ent *e;
    Arena *a;
    JoinPart *part;
    int n;
    int32_t threads, nint, nvar;
    Vec(LpParam) ptr, shared;
    Vec(View) arg;
    int nnear; /* the first of `shared` */
    const Lx **ints;
} Join;

const LpKernel *join_kernel(Ent *e, const Launch *l);
bool join_overlap(Ent *e, int32_t x, int32_t y);             /* may two buffers be the same memory? */
bool join_conflict(Ent *e, const Launch *x, const Launch *y); /* does one write what the other touches? */
int64_t join_shared(Ent *e, const Launch *const *l, int n); /* bytes that they need, one after the other */
bool join_threads_fit(Ent *e, const Launch *const *l, int n); /* collectives are of all threads */

/* Estimates, in cycles: of a block that has its multiprocessor to itself, and its share where many run side by side. */
enum { GPU_BATCH = 128, GPU_PROCESSORS = 128, GPU_LAUNCH = 3000 };
typedef struct GpuCost {
    double busy, start, alone; /* start: in which a block alone waits */
    int32_t statements; /* once unrolled */
} GpuCost;
GpuCost gpu_cost(Ent *e, const Launch *l);
double gpu_launch_cost(const Launch *l, const GpuCost *c, int64_t batch); /* of the launch: that and its blocks */

/* near: of each launch, as above; bytes: of the blocks' memory. Then grid, batch, first and again of each part may be set. */
Join *join_open(Ent *e, const Launch *const *l, int n, const int *const *near, const int64_t *bytes, int nnear);
const Lx *join_var(Join *j, LsList *to, const Lx *value); /* a new variable of this value */
void join_body(Join *j, int part, LsList *to);
/* A loop around a launch of a few samples a block, and nothing else but variables that are known where it starts (`known`, or NULL): all turns as
   one launch. NULL: it is none. gpu_turns.c. */
Launch *gpu_turns(Ent *e, const Ls *loop, const Lx *const *known);
Launch *join_launch(Join *j, const Ls *body, const Lx *grid);
#endif
