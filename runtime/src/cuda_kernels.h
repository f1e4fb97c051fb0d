/* Kernels of a program as images for a device: from the cache or by NVRTC, on all processors. */
#ifndef CSC_RT_CUDA_KERNELS_H
#define CSC_RT_CUDA_KERNELS_H
#include "cuda_driver.h"
#include "cuda_program.h"

typedef struct CudaSource { /* what is compiled: the prelude in front, then the text */
    const char *name, *text;
    size_t len;
    char *image; /* made: malloc'ed, a zero behind it */
    size_t image_len;
} CudaSource;
extern const char csc_cuda_prelude[], csc_cuda_optim[]; /* runtime/cuda/prelude.h, optim.cu.h */
csc_status cuda_compile(csc_context *cx, const RtcApi *r, const char *arch, CudaSource *s, int n, const csc_cuda_progress *progress);
#endif
