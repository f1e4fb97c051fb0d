/* Bytes made smaller, for what libraries carry. */
#ifndef CSC_RT_PACK_H
#define CSC_RT_PACK_H
#include <stdbool.h>
#include <stddef.h>

/* False: the bytes are damaged, or are not `len` when unpacked. */
bool csc_unpack(const void *packed, size_t n, void *to, size_t len);
#endif
