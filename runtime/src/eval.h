/* Sums of losses and metrics over batches, and what they mean. */
#ifndef CSC_RT_EVAL_H
#define CSC_RT_EVAL_H
#include "checkpoint.h"

typedef struct RtScores {  /* what an entry gives back: out[0] the loss, then metrics; each one number */
    float value[MAX_SCORES];
    float *out[MAX_SCORES];
} RtScores;
csc_status scores_check(csc_context *cx, const csc_stage *s, const csc_entry *e);
double score_of(const csc_metric *m, const double *sums, int64_t samples); /* sums[i]: of out[i] times samples */
/* One pass over a feed: sums of all outputs, means already. CSC_INTERRUPTED when the flag was raised. */
csc_status eval_pass(csc_net *n, const csc_stage *s, const csc_entry *e, RtFeed *f, const volatile sig_atomic_t *interrupt, csc_eval_result *r);
#endif
