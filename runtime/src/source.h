/* Bytes from a file, plain or .gz, or from a member of a ZIP archive, read in order; and arrays made of them. */
#ifndef CSC_RT_SOURCE_H
#define CSC_RT_SOURCE_H
#include "rt.h"

typedef struct RtSource {
    csc_context *cx;
    const char *name;    /* for messages; borrowed, or `owned` */
    char *owned;
    uint64_t bound;      /* no more bytes than this can come out, by the size of the file */
    void *gz;            /* gzFile, or */
    struct RtZip *zip;
} RtSource;
csc_status rt_source_open(RtSource *s, csc_context *cx, const char *path);                          /* plain or gz, by content */
csc_status rt_source_open_zip(RtSource *s, csc_context *cx, const char *path, const char *member); /* "x" also finds "x.npy" */
void rt_source_close(RtSource *s);
csc_status rt_source_read(RtSource *s, void *to, size_t n); /* all of them, or a message: cut short, bad checksum */
csc_status rt_source_end(RtSource *s);                      /* nothing may follow */
csc_status rt_source_bad(RtSource *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

typedef struct RtArray { /* u8 data stay bytes, all others become floats; exactly one of the two is set */
    int rank;
    int64_t dim[CSC_MAX_RANK];
    char dtype[4];
    int64_t count; /* entries */
    uint8_t *bytes;
    float *floats;
} RtArray;
csc_status rt_array_load(RtSource *s, RtArray *a); /* NPY or IDX */
void rt_array_free(RtArray *a);

/* Zip */
struct RtZip *rt_zip_open(csc_context *cx, const char *path, const char *member, uint64_t *bytes, csc_status *status);
int64_t rt_zip_read(struct RtZip *z, void *to, size_t n); /* bytes; less at the end; -1: damaged */
bool rt_zip_intact(const struct RtZip *z);                /* at the end: size and checksum are right */
void rt_zip_close(struct RtZip *z);
#endif
