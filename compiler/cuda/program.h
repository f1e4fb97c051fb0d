/* Entries as a launch program (csc_cuda.h): what the runtime needs to launch kernels without the compiler. */
#ifndef CSC_CUDA_PROGRAM_H
#define CSC_CUDA_PROGRAM_H
#include "csc_cuda.h"
#include "loop/loop.h"

typedef struct CudaImage {
    const char *arch; /* "sm_90a": bytes are a cubin; "compute_80": PTX */
    const void *bytes;
    size_t len;
} CudaImage;
typedef struct CudaKernel { /* one of those that differ */
    const char *name, *source; /* source: "" where the images are enough */
    int32_t first;             /* a kernel of the module that is this one */
    const CudaImage *image;
    size_t nimages;
} CudaKernel;
typedef struct CudaModel { /* what stands around the entries */
    const char *info; /* JSON */
    int64_t param_floats, state_floats;
    const float *tunables;
    size_t ntunables;
} CudaModel;

/* Kernels that differ; which[i]: the one that kernel i of the module is. Names are made of their hashes; sources are left empty. */
CudaKernel *cuda_kernels(Arena *a, const LpModule *m, size_t *n, int32_t **which);
/* The bytes of the program, a multiple of 8. */
char *cuda_program(Arena *a, const LpModule *m, const CudaKernel *kernel, size_t nkernels, const int32_t *which, const CudaModel *model, size_t *len);
#endif
