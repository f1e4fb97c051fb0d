/* Checkpoints: weights, and beside them everything that a run needs to go on as if it had never stopped. */
#ifndef CSC_RT_CHECKPOINT_H
#define CSC_RT_CHECKPOINT_H
#include "feed.h"
#include "optim.h"
#include "tensors.h"

#define MAX_METRICS 32
#define MAX_SCORES 256 /* outputs that metrics are made of, and the loss */
typedef struct RtCursor { /* where a run is */
    int64_t stage, epoch, step; /* step: of this epoch, the next to do */
    int64_t all_steps, all_epochs; /* since the beginning */
    uint64_t seed;
    double loss_sum, metric_sum[MAX_SCORES];
    int64_t samples;            /* in these sums */
    double best;                /* of this stage; NaN: none yet */
    uint64_t log_bytes;         /* length of metrics.jsonl */
    char standard[2048];        /* numbers of standardize, for those who run the model later */
} RtCursor;

csc_status checkpoint_save(csc_net *n, const RtOptim *o, const RtCursor *c, const char *path);
csc_status checkpoint_load(csc_net *n, const char *path, RtCursor *c); /* weights and cursor */
csc_status checkpoint_load_optimizer(csc_net *n, const char *path, RtOptim *o);
#endif
