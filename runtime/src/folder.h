/* A run's folder: its lock, its log, the files in it. */
#ifndef CSC_RT_FOLDER_H
#define CSC_RT_FOLDER_H
#include "rt.h"

typedef struct RtFolder {
    csc_context *cx;
    const char *path;
    int lock, log;
    char *last, *best, *metrics;
} RtFolder;
csc_status folder_open(RtFolder *f, csc_context *cx, const char *path); /* makes it; one process at a time */
void folder_close(RtFolder *f);
csc_status folder_log_start(RtFolder *f, uint64_t keep_bytes);          /* cuts off what a killed run wrote after its checkpoint */
csc_status folder_log(RtFolder *f, const RtText *line, uint64_t *bytes);
char *folder_epoch_name(const RtFolder *f, int64_t epoch);
void folder_prune(const RtFolder *f, int64_t newest, int keep);         /* other epoch-N.safetensors than the last `keep` */
#endif
