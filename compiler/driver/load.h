/* Finds and reads the files of a program: the user's, what it imports, and the library inside cscc. */
#ifndef CSC_DRIVER_LOAD_H
#define CSC_DRIVER_LOAD_H
#include "syntax/ast.h"

typedef struct Embedded {
    const char *name, *text; /* "solvers" */
    size_t len;
} Embedded;
extern const Embedded embedded_library[]; /* ends with a NULL name */

/* Reads a file whole. NULL: *why says so ("is a folder", "no such file", ...). */
char *load_file(Arena *a, const char *path, size_t most, size_t *len, const char **why);

/* Never NULL; errors are in cx. */
Ast *load_program(Cx *cx, const char *path);
#endif
