/* The header beside a built library. */
#ifndef CSC_DRIVER_HEADER_H
#define CSC_DRIVER_HEADER_H
#include "driver/passes.h"

const char *header_text(Cx *cx, const Compile *c);
int64_t header_count(const Program *p); /* numbers in all parameters, without the gaps between them */
#endif
