/* From an object to a shared library: the system's linker. */
#ifndef CSC_DRIVER_LINK_H
#define CSC_DRIVER_LINK_H
#include "base/diag.h"

/* A linker on the PATH, or NULL; *is_compiler: it is cc, which needs -shared by other words. */
const char *link_find(Arena *a, bool *is_compiler);
/* A program on the PATH, or NULL. */
const char *link_which(Arena *a, const char *name);
/* Writes `path` atomically from an object in memory. False: an error is in cx. */
bool link_shared(Cx *cx, const char *bytes, size_t len, bool stays, const char *path); /* stays: it is not unloaded before the process ends */
/* Writes bytes to `path` under a temporary name first. False: an error is in cx. */
bool link_write(Cx *cx, const char *path, const void *bytes, size_t len);
#endif
