/* Code kept between runs: the object of a model, under a name made of everything it was made from. */
#ifndef CSC_DRIVER_CACHE_H
#define CSC_DRIVER_CACHE_H
#include "driver/passes.h"

/* The file for this model, or NULL where nothing can be kept (CSC_CACHE=off, no home). CSC_CACHE names another folder. */
const char *cache_path(const Compile *c);
uint64_t cache_cpu(void); /* what this processor is and can do */
CodeObject *cache_read(Cx *cx, const char *path);                       /* NULL: not there, or damaged */
void cache_write(Cx *cx, const char *path, const CodeObject *object); /* quietly does nothing when it cannot */
#endif
