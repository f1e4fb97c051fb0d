/* Data sets in memory. A column is one field of all samples; a sample is drawn from each column at the same number. */
#ifndef CSC_RT_DATA_H
#define CSC_RT_DATA_H
#include "pixels.h"
#include "source.h"

typedef struct RtColumn {
    csc_field info;
    char name[64];
    int64_t floats;   /* of one sample */
    double scale;     /* values are multiplied by it */
    int ignore;       /* masks: this value is no class; -1: none */
    uint8_t *bytes;   /* [total, floats], or */
    float *values;    /* [total, floats], or */
    RtPixels *pixels; /* [total] pictures of any size */
} RtColumn;

/* Where a random patch is taken; random = false: the middle. */
typedef struct RtDraw {
    bool random;
    uint64_t seed;
    uint32_t epoch;
} RtDraw;

struct csc_data {
    csc_context *cx;
    csc_data_kind kind;
    csc_split split;
    int nfields;
    RtColumn col[CSC_MAX_FIELDS];
    int64_t total, count;    /* samples held; samples of this split */
    int64_t every;           /* test_every; 0: all */
    int64_t patch, repeat;   /* repeat: sample i is sample i % repeat */
    /* sparse codes */
    double density, snr;
    uint64_t seed;
    const char *synth_entry;
    const csc_model *model;  /* bound: */
    RtBlock params, states, tunables, workspace;
    csc_net *device_net;     /* on a device: what makes signals, from the thread that makes batches */
    csc_context device_cx;
    int64_t workspace_batch;
};

csc_status data_get(const csc_data *d, int64_t i, int f, const RtDraw *draw, float *out);
/* Samples number[0..n-1] of a sparse data set: signals and codes. Allocates only when n grows. */
csc_status data_sparse_get(csc_data *d, csc_context *cx, const int64_t *number, int64_t n, float *signals, float *codes);
struct csc_net;
csc_status data_sparse_bind(csc_data *d, struct csc_net *n, uint64_t seed); /* no effect on other kinds */

/* The loaders: columns and total. `test`: the files of the test part. */
csc_status data_open_idx(csc_data *d, const csc_data_spec *s, bool test, bool *split);    /* *split: this part has files of its own */
csc_status data_open_cifar(csc_data *d, const csc_data_spec *s, bool test);
csc_status data_open_arrays(csc_data *d, const csc_data_spec *s, bool test, bool *split);
csc_status data_open_images(csc_data *d, const csc_data_spec *s, bool test, bool *split);
csc_status data_open_sparse(csc_data *d, const csc_data_spec *s);
void data_column_name(RtColumn *c, const char *name);
/* Takes over the array's memory: the first axis numbers the samples. */
csc_status data_column_array(csc_data *d, int f, RtArray *a, const char *path, const char *name, bool label, double scale);
char *data_find_file(csc_data *d, const csc_data_spec *s, const char *path);
#endif
