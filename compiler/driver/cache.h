/* Code kept between runs: the object of a model, under a name made of everything it was made from. */
#ifndef CSC_DRIVER_CACHE_H
#define CSC_DRIVER_CACHE_H
#include "csc_cache.h"
#include "driver/passes.h"

const csc_cache_key *cache_key(const Compile *c); /* of this model for this processor */
uint64_t cache_cpu(void); /* what this processor is and can do */
CodeObject *cache_read(Cx *cx, const csc_cache_key *key);                   /* NULL: not there, or damaged */
void cache_write(const csc_cache_key *key, const CodeObject *object);      /* quietly does nothing when it cannot */
#endif
