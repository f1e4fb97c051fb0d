/* What printer and reader share. */
#ifndef CSC_OP_TEXT_H
#define CSC_OP_TEXT_H
#include "op/graph.h"

enum { OUT_ROLES = OUT_PARAM + 1 };
extern const char *const out_role_text[OUT_ROLES];
#endif
