/* Pictures of learned atoms. */
#ifndef CSC_DRIVER_ATOMS_H
#define CSC_DRIVER_ATOMS_H
#include "csc.h"
#include "op/program.h"

/* The atoms of the first parameter that looks like a dictionary: [k, c, h, w] with windows, or a matrix whose columns are squares. */
bool atoms_of_net(Cx *cx, const Program *p, csc_net *n, csc_context *rt, const char *path);
bool atoms_of_file(Cx *cx, csc_tensors *t, csc_context *rt, const char *path);
#endif
