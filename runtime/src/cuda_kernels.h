/* Kernels of a program as images for a device: from the cache or by NVRTC, on all processors. */
#ifndef CSC_RT_CUDA_KERNELS_H
#define CSC_RT_CUDA_KERNELS_H
#include "cuda_driver.h"
#include "cuda_program.h"

extern const char csc_cuda_optim[]; /* runtime/cuda/optim.cu.h */
csc_status cuda_compile(csc_context *cx, const RtcApi *r, const char *arch, csc_kernel_text *s, int n, const csc_cuda_progress *progress);
#endif
