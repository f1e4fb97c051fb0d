/* Safetensors files: what checkpoint.c needs beyond the public reader, and the writer. */
#ifndef CSC_RT_TENSORS_H
#define CSC_RT_TENSORS_H
#include "json.h"

const char *rt_tensors_path(const csc_tensors *t);

typedef struct RtOutTensor { /* F32; name and data are borrowed until the file is written */
    const char *name;
    int rank;
    int64_t dim[CSC_MAX_RANK];
    const float *at;
} RtOutTensor;
/* meta: `nmeta` pairs of key and value. Atomically: temporary name, fsync, rename, fsync of the folder. */
csc_status rt_tensors_write(csc_context *cx, const char *path, const RtOutTensor *t, size_t n, const char *const *meta, int nmeta);

/* An atomic write in steps: open, write what is needed, close (which renames). Any failure is remembered and told at the end. */
typedef struct RtOutFile {
    csc_context *cx;
    char *path, *temp;
    int fd;
    csc_status status;
} RtOutFile;
void rt_out_open(RtOutFile *f, csc_context *cx, const char *path);
void rt_out_write(RtOutFile *f, const void *bytes, size_t n);
csc_status rt_out_close(RtOutFile *f);
/* The same content under a second name (a hard link where possible), atomically. */
csc_status rt_file_copy(csc_context *cx, const char *from, const char *to);
#endif
