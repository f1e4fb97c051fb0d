/* A program on a device: its kernels loaded, its tables copied; runs entries on memory that is the device's. */
#ifndef CSC_RT_CUDA_EXEC_H
#define CSC_RT_CUDA_EXEC_H
#include "cuda_driver.h"
#include "cuda_program.h"

enum { CUDA_DEPTHS = 8 }; /* loops further inside run to their bound */
typedef struct CudaPiece { /* of a graph: what is launched up to a place where a loop may be left */
    CuGraphExec exec;
    CuGraph graph; /* kept where nodes of it may change */
    CuPtr flag;    /* 0: none, the next piece follows */
    int depth;
    int64_t asked;
    int leave;     /* the piece that follows then; -1: not known yet */
} CudaPiece;
typedef struct CudaNode { /* a launch of a graph that may be made again with other numbers */
    CuGraphNode node;
    const PgKernel *kernel;
    int piece;
    size_t args; /* where they begin in CudaGraph.args */
} CudaNode;
typedef struct CudaGraph {
    CudaPiece *piece;
    CudaNode *node; /* all launches of the entry, in their order; none where its integers never change */
    int64_t *args;
    size_t npieces, nnodes, nargs, room[3];
    bool changes;
} CudaGraph;

typedef struct CudaExec {
    csc_context *cx;
    csc_device *d;
    const csc_program *p;
    CuModule *module;     /* [nkernels] */
    CuFunction *function;
    CuStream stream;
    CuPtr tables;
    int64_t *args;        /* of one launch */
    int64_t launches;     /* of the entry that ran, or was made a graph, last: loops to their bound */
    float *flag;          /* pinned: two of each depth, as the device had them */
    CuEvent known[2 * CUDA_DEPTHS];
    CudaGraph *into;      /* a graph is being made */
} CudaExec;

typedef struct CudaImageOf { /* of a kernel: a cubin, or PTX that a zero ends */
    const void *bytes;
} CudaImageOf;
typedef struct CudaMemory { /* where an entry's spaces are */
    CuPtr work, param, grad, state, state_out, tunable;
    const CuPtr *in, *out;
} CudaMemory;

csc_status cuda_exec_new(CudaExec *x, csc_context *cx, csc_device *d, const csc_program *p, const CudaImageOf *image);
void cuda_exec_free(CudaExec *x);
csc_status cuda_module(csc_context *cx, csc_device *d, const void *image, const char *name, const char *label, int64_t shared, CuModule *m, CuFunction *f);
/* Launches everything on x->stream. Where a loop asks whether it has ended, its flag is copied to the host behind what was launched, and the host
   looks at what came of the question before: the device always has something to do, and a loop that has ended is left a question later. */
csc_status cuda_exec_run(CudaExec *x, const PgCall *c, const CudaMemory *m);
/* Of the free memory: what stays so, for graphs and what else the driver makes for itself. */
static inline size_t cuda_spare(size_t available) { return available / 32 < 128 << 20 ? available / 32 : 128 << 20; }
bool cuda_graphs_wanted(void); /* not with CSC_GRAPHS=off in the environment */
/* What is put on x->stream between these two becomes a graph, cut where loops ask; s: how that went. On an error nothing is left of it. The entry's
   launches are all from one cuda_exec_run. */
csc_status cuda_graph_begin(CudaExec *x, CudaGraph *g, const PgEntry *e);
csc_status cuda_graph_end(CudaExec *x, csc_status s);
/* Makes it the graph of this call: launches whose integers are others now get them. `same` false: it has other launches, and no use any more. The
   graph may not be under way. */
csc_status cuda_graph_update(CudaExec *x, CudaGraph *g, const PgCall *c, const CudaMemory *m, bool *same);
csc_status cuda_graph_run(CudaExec *x, const CudaGraph *g);
void cuda_graph_free(CudaExec *x, CudaGraph *g);
csc_status cuda_launch(csc_context *cx, const csc_device *d, CuFunction f, const char *name, int64_t grid, int64_t threads, int64_t shared, CuStream s, int64_t *args,
                       size_t nargs);
#endif
