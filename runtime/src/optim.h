/* Optimisers: one pass over gradients (are they finite, their norm), one over parameters. Slices are fixed, so sums are too. */
#ifndef CSC_RT_OPTIM_H
#define CSC_RT_OPTIM_H
#include "net.h"

typedef struct RtSlice {
    int param;
    int64_t at, n; /* floats of the block */
} RtSlice;
typedef struct RtOptim {
    csc_net *net;
    csc_optimizer o;       /* with the defaults filled in */
    const int *param;      /* the parameters that learn, */
    int nparams;           /*   owned */
    RtSlice *slice;
    int64_t nslices;
    double *square;        /* [nslices] sums of squared gradients */
    uint8_t *bad;          /* [nslices] */
    RtBlock m, v;          /* as the parameter block; momentum or Adam's first and second moments */
    int64_t step;          /* updates done in this stage */
} RtOptim;

int optim_slots(csc_optimizer_kind k); /* 0: none, 1: m, 2: m and v */
csc_status optim_new(RtOptim *p, csc_net *n, const csc_stage *s);
void optim_free(RtOptim *p);
/* -1, or the index of a parameter whose gradient is not finite; *norm: of the gradient of all that learn. */
int optim_check(RtOptim *p, double *norm);
/* One update with gradients as they are, then constraints. -1, or the index of a parameter that is no longer finite. */
int optim_update(RtOptim *p, double rate, double norm);
bool finite_floats(const float *x, int64_t n);
#endif
