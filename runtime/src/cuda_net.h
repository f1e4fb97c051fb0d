/* A net whose numbers live on a device. The blocks of csc_net stay as the host's copy; each knows which side is newer. */
#ifndef CSC_RT_CUDA_NET_H
#define CSC_RT_CUDA_NET_H
#include "cuda_exec.h"
#include "net.h"

typedef enum CudaWhich { CUDA_PARAM, CUDA_GRAD, CUDA_STATE, CUDA_SPARE, CUDA_TUNABLE, CUDA_M, CUDA_V, CUDA_BLOCKS } CudaWhich;
typedef struct CudaBlock {
    RtBlock *host; /* NULL: none now */
    CuPtr at;
    bool host_new, device_new;
} CudaBlock;

enum { CUDA_SLOTS = 2 };
typedef struct CudaNeed { /* what the arena must hold beside the blocks: bytes */
    size_t work, in, out, scratch;
} CudaNeed;

typedef struct CudaNet {
    csc_net *n;
    csc_device *d;
    CudaExec exec;
    CudaBlock block[CUDA_BLOCKS];
    CuPtr arena;
    size_t bytes, most;      /* of the arena; most: since the start */
    CudaNeed has;
    CuPtr work, in[CUDA_SLOTS], out[CUDA_SLOTS], scratch;
    float *tunables;         /* as the device has them */
    CuPtr *in_at, *out_at;   /* of one call */
    struct CudaTrain *train;
} CudaNet;

csc_status cuda_call(csc_net *n, const csc_entry *e, csc_call *c); /* as net_call, with the host's memory in the call */
csc_status cuda_to_host(CudaNet *c, CudaWhich w);   /* nothing where the host's is the newer */
csc_status cuda_to_device(CudaNet *c, CudaWhich w);
void cuda_net_free(CudaNet *c);
/* The arena: for a batch of any of the entries (the second may be NULL), and something more. An error says what batch would fit. */
csc_status cuda_reserve(CudaNet *c, const csc_entry *const e[2], int64_t batch, const CudaNeed *more);
/* Addresses of an entry's inputs and outputs in a slot. */
void cuda_place(CudaNet *c, const PgEntry *e, int64_t batch, int slot, CudaMemory *m);
bool cuda_owns(const CudaNet *c, const csc_entry *e); /* is it an entry of the program? */
const PgEntry *cuda_entry(const CudaNet *c, const csc_entry *e);
static inline int64_t pg_arg_floats(const PgArg *a, int64_t batch) { return a->floats < 0 ? 0 : a->floats * (a->batched ? batch : 1); }
#endif
