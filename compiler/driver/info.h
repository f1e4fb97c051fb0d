/* What a compiled model says about itself: the JSON of csc_model.info, and the same for the runtime. */
#ifndef CSC_DRIVER_INFO_H
#define CSC_DRIVER_INFO_H
#include "driver/passes.h"

const char *info_json(Cx *cx, const Compile *c);
const char *info_source_hash(Cx *cx, const Compile *c); /* of all files read, 16 hex digits */
#endif
