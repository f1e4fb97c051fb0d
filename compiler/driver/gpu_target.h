/* Code for GPUs: --target cuda:..., and --emit=cuda,ptx,cubin. */
#ifndef CSC_DRIVER_GPU_TARGET_H
#define CSC_DRIVER_GPU_TARGET_H
#include "driver/passes.h"

/* From --target and --emit: c->gpu, c->arch, c->cpu. False: errors in cx. */
bool gpu_target_read(Compile *c);
/* The launch program of c->sched as c->object, for c->device or with images for c->arch; or what --emit asks for, and no object. */
void gpu_target_program(Compile *c);
/* From the launch program in c->object to what a library is linked from: it, packed, with the weights to embed, and the runtime that calls the driver. */
void gpu_target_library(Compile *c);
#endif
