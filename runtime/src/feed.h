/* Batches: samples in shuffled order, augmented, made ahead of their use by a thread of their own. */
#ifndef CSC_RT_FEED_H
#define CSC_RT_FEED_H
#include "data.h"
#include "net.h"

/* How each input of a stage is made from the fields of a data set. */
typedef struct RtPlanInput {
    const char *name;
    csc_input_kind kind;
    int field;
    bool copy;                 /* a target that is the first input before noise */
    bool picture;              /* geometry applies: [channels, h, w] */
    int64_t channels, h, w;    /* as fetched; no picture: channels 1, h 1, w floats */
    int64_t floats, out_floats, most_floats; /* fetched; at the end; largest between */
} RtPlanInput;
typedef struct RtStandard { /* of one augmentation and one input */
    double *mean, *scale; /* [channels]: (x - mean) * scale */
} RtStandard;
typedef struct RtPlan {
    int ninputs, naugment;
    RtPlanInput *input;
    const csc_augment *augment;
    RtStandard *standard; /* [naugment * ninputs] */
    int64_t most_floats;
} RtPlan;
/* The plan for stage `s` on data set `d` (training or test); numbers that augmentations lack come from s->data. */
csc_status plan_new(RtPlan *p, csc_context *cx, const csc_stage *s, const csc_data *d);
void plan_free(RtPlan *p);
/* Sample i into out[k], one per input. two: scratch of 2 * most_floats. Sparse data sets: the fields are given, by number of field. */
void plan_sample(const RtPlan *p, const csc_data *d, int64_t i, bool train, uint64_t seed, uint32_t epoch, float *const *given,
                 float *const *out, float *two);

typedef struct RtBatch {
    int64_t n, first; /* samples; position of the first in the epoch */
    float **in;       /* [ninputs] */
    int64_t *number;  /* [n] numbers of the samples */
} RtBatch;
typedef struct RtFeed RtFeed;
csc_status feed_new(RtFeed **out, csc_context *cx, const RtPlan *p, csc_data *d, int64_t batch, bool train, uint64_t seed, bool thread);
void feed_free(RtFeed *f);
void feed_epoch(RtFeed *f, uint32_t epoch, int64_t first_batch); /* begins an epoch; what was under way is dropped */
csc_status feed_next(RtFeed *f, const RtBatch **b);              /* *b NULL: the epoch is over. Valid until the next call */
int64_t feed_batches(const RtFeed *f);                           /* of an epoch */
#endif
