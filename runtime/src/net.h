/* A net: one model's blocks of numbers, and what touches them. */
#ifndef CSC_RT_NET_H
#define CSC_RT_NET_H
#include "rt.h"

struct csc_net {
    csc_context *cx;
    const csc_model *model;
    const csc_net_info *info;
    csc_pool *pool;
    RtBlock params, grads, states, spare_states, tunables, workspace;
    RtBlock project;      /* scratch of constraints: serial scratch, then what `orthogonal` needs */
    size_t project_row;   /* bytes of scratch that a task of a constraint needs */
    struct CudaNet *cuda; /* NULL: the numbers live here */
    bool hold;            /* csc_net_hold */
    const csc_entry *prepared; /* whose csc_call.prepared is at the workspace's end; NULL: nobody's */
};

typedef enum NetSide { NET_READ, NET_WRITE } NetSide;
/* Before the host touches parameters and states: they are brought from the device, and go there again after a write. */
csc_status net_host(csc_net *n, NetSide side);

int64_t net_tensor_floats(const csc_tensor_info *t);              /* with the turns */
csc_status net_reserve(csc_net *n, const csc_entry *e, int64_t batch); /* workspace, before steps, so that they allocate nothing */
csc_status net_call(csc_net *n, const csc_entry *e, csc_call *c); /* fills in blocks, workspace, pool; runs */
csc_status net_compute_states(csc_net *n); /* by the entry `init`, from the parameters as they are */
void net_init_random(const csc_net *n, const csc_tensor_info *t, uint64_t seed, float *block);
void project_param(csc_net *n, const csc_tensor_info *t, double learning_rate);
/* Scratch for all constraints: bytes of a task, bytes of the whole block. */
bool project_sizes(const csc_net_info *info, size_t *row, size_t *block);
#endif
