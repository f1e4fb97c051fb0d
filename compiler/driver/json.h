/* JSON as it is written: texts and numbers. */
#ifndef CSC_DRIVER_JSON_H
#define CSC_DRIVER_JSON_H
#include <stdint.h>
#include <stdio.h>

void json_text(FILE *out, const char *s);      /* in quotes; NULL is null */
void json_number(FILE *out, double v);         /* infinities and NaN are null */
void json_dims(FILE *out, int rank, const int64_t *dim); /* [3, 32, 32] */
#endif
