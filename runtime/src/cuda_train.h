/* Steps on the device, one ahead of the host: inputs copied while the step before runs, update and constraints where the parameters are. */
#ifndef CSC_RT_CUDA_TRAIN_H
#define CSC_RT_CUDA_TRAIN_H
#include "optim.h"

typedef struct CudaNumbers {
    uint64_t seed, step, first_sample;
    double rate;
} CudaNumbers;
typedef struct CudaResult {
    int kind, param; /* 0; else what is not finite: 1 the loss, 2 the gradient of param, 3 param after its update */
    const float *score; /* number i at score[i * CUDA_SCORE_STRIDE]; until the step after the next begins */
} CudaResult;
enum { CUDA_SCORE_STRIDE = 64 };
struct CudaNet;

/* Memory and kernels for the entries (eval may be NULL) with an optimiser, or without (NULL). */
csc_status cuda_train_open(csc_net *n, RtOptim *p, const csc_entry *step, const csc_entry *eval, int64_t batch);
void cuda_train_close(csc_net *n); /* moments are on the host before: cuda_to_host */
/* Puts a step into the queue; at most CUDA_SLOTS may be there. update: with the optimiser's. */
csc_status cuda_begin(csc_net *n, const csc_entry *e, int64_t batch, float *const *in, const CudaNumbers *numbers, bool update);
csc_status cuda_end(csc_net *n, CudaResult *r); /* waits for the oldest */
/* After numbers ran away: the inputs of the step that cuda_end looked at last; the states before it, to the host's spare block. */
void cuda_inputs(csc_net *n, const csc_entry *e, int64_t batch, float **in);
csc_status cuda_undo(csc_net *n);
int cuda_ahead(const csc_net *n);               /* steps in the queue */
void cuda_train_forget(struct CudaNet *c);
void cuda_train_free(struct CudaNet *c);
#endif
