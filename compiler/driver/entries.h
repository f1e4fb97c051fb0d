/* From the graphs that build makes to those that are scheduled: gradients, and the face of each entry's call. */
#ifndef CSC_DRIVER_ENTRIES_H
#define CSC_DRIVER_ENTRIES_H
#include "op/program.h"

/* Differentiates STEP and BACKWARD; numbers inputs and orders outputs as op/program.h says; names the entry. */
void entry_finish(Cx *cx, const Program *p, Entry *e);
#endif
