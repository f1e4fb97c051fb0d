/* The negotiated ABI of a compiled model. A shared library made by `cscc build` exports one function, csc_model_query.
   All tensors are float32, row-major, one sample after another: [batch, shape]. A class label is its index from 0, as a float.
   A model owns nothing: the caller passes parameters, gradients, states and one workspace. Thread-safe: any number of calls may run at
   once, each with its own workspace (and its own states and gradients where the entry writes them). */
#ifndef CSC_MODEL_H
#define CSC_MODEL_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define CSC_MODEL_VERSION 1u

typedef void (*csc_task)(void *arg, int64_t index, void *scratch); /* scratch: this thread's, scratch_bytes large, 64-byte aligned */
/* Runs task(arg, i, scratch) for i in 0 .. count-1, in any order, on any threads; returns when all are done. */
typedef void (*csc_parallel_for)(void *pool, int64_t count, csc_task task, void *arg, size_t scratch_bytes);

typedef struct csc_call {
    uint32_t size;              /* sizeof(csc_call) */
    uint32_t batch;             /* samples, >= 1 */
    const float *const *in;     /* one per input of the entry */
    float *const *out;          /* one per output of the entry */
    const float *params;        /* block of csc_model.param_floats, 64-byte aligned, laid out as the info says */
    float *grads;               /* same layout; NULL where the entry makes no gradients */
    const float *state;         /* block of csc_model.state_floats */
    float *state_out;           /* new states; may equal `state`; NULL where the entry makes none */
    const float *tunables;      /* csc_model.tunable_count values */
    void *workspace;            /* 64-byte aligned, csc_entry.fixed_bytes + batch * csc_entry.batch_bytes; csc_entry.prepared_bytes less where
                                   `prepared` is given */
    uint64_t seed, step, first_sample; /* for random layers */
    void *pool;
    csc_parallel_for parallel_for; /* NULL: the calling thread alone; workspace then has thread_bytes more at its end */
    uint32_t threads;           /* that parallel_for runs on; 0: not known */
    void *prepared;             /* NULL, or a block of csc_entry.prepared_bytes, 64-byte aligned, that csc_entry.prepare filled from the same
                                   parameters, states and tunables; any number of calls may read it at once */
} csc_call;

typedef struct csc_entry {
    const char *name;           /* "forward", "eval", "step", "backward", "init", ... ; "step:2" of the second train block */
    uint32_t nin, nout;
    uint64_t fixed_bytes, batch_bytes, thread_bytes; /* thread_bytes: of most parallel_for; */
    uint64_t lane_bytes;        /* some ask for this much more, where csc_call.threads is set */
    int (*run)(const csc_call *call); /* 0; 1: the call's size or batch is wrong; 2: the device, see csc_model.error */
    uint64_t prepared_bytes;    /* of what the entry makes of parameters, states and tunables alone (packed weights, ...); 0: nothing */
    int (*prepare)(const csc_call *call); /* fills call->prepared for calls of `run`, until one of these changes; returns as `run` does. It reads
                                   neither inputs nor outputs. NULL where prepared_bytes is 0 */
} csc_entry;

typedef struct csc_model {
    uint32_t version, size;     /* of this table */
    const char *info;           /* JSON: compiler, source hash, flags, cpu, params, states, tunables, inputs, outputs, entries; see docs */
    uint64_t param_floats, state_floats;
    uint32_t tunable_count, entry_count;
    const csc_entry *entries;
    const float *tunable_defaults;
    const float *params, *state; /* embedded weights, or NULL */
    const char *(*error)(void);  /* of a model for a device: why a call returned 2, in words (the last that did). Else NULL */
} csc_model;

/* The table for the highest version not above max_version, or NULL. Static memory. */
const csc_model *csc_model_query(uint32_t max_version);

#ifdef __cplusplus
}
#endif
#endif
