/* A file that cscc run is given, fitted to one input of the model. */
#ifndef CSC_DRIVER_SAMPLE_H
#define CSC_DRIVER_SAMPLE_H
#include "csc.h"
#include "driver/passes.h"

typedef struct Sample {
    const char *path;
    size_t input;
    float *at;     /* [count, shape], arena */
    int64_t count; /* samples */
    Shape shape;
    bool picture;
    int height, width; /* of a picture that was brought to another size, else 0 */
} Sample;

typedef struct SampleReader {
    Cx *cx;
    const Options *o;
    const Compile *base; /* read and declared */
    csc_context *rt;
} SampleReader;

/* Fills all but s->path and s->input. False: errors in cx. */
bool sample_read(const SampleReader *r, Sample *s);
bool sample_ends_with(const char *path, const char *end); /* any case */
#endif
