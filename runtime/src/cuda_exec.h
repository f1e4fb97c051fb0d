/* A program on a device: its kernels loaded, its tables copied; runs entries on memory that is the device's. */
#ifndef CSC_RT_CUDA_EXEC_H
#define CSC_RT_CUDA_EXEC_H
#include "cuda_driver.h"
#include "cuda_program.h"

typedef struct CudaExec {
    csc_context *cx;
    csc_device *d;
    const csc_program *p;
    CuModule *module;     /* [nkernels] */
    CuFunction *function;
    CuStream stream;
    CuPtr tables;
    int64_t *args;        /* of one launch */
    float *read;          /* pinned: what the host waits for */
    int64_t launches;     /* of the last run */
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
/* Launches everything on x->stream; waits only where the program reads numbers of the device. */
csc_status cuda_exec_run(CudaExec *x, const PgCall *c, const CudaMemory *m);
csc_status cuda_launch(csc_context *cx, const csc_device *d, CuFunction f, const char *name, int64_t grid, int64_t threads, int64_t shared, CuStream s, int64_t *args,
                       size_t nargs);
#endif
