/* What the files of builtin functions share: one function a row of sig/builtins.def, and how arguments are read. */
#ifndef CSC_BUILD_BUILTINS_H
#define CSC_BUILD_BUILTINS_H
#include "build/value.h"

#define BUILTIN(id, name, min, max, labels, what) Val builtin_##id(Build *b, const BArgs *a);
#include "sig/builtins.def"
#undef BUILTIN

bool arg_tensor(Build *b, const BArgs *a, uint32_t i, NodeId *out); /* positional argument i as a node */
bool arg_int(Build *b, Val v, Span at, const char *what, int64_t lo, int64_t hi, int64_t *out);
Span arg_span(const BArgs *a, const Val *labelled);                  /* where an argument that barg found stands */
Val largest_entry(Build *b, const BArgs *a, Val x, bool all, int axis);    /* maximum over all entries, or along an axis */
#endif
