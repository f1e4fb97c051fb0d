/* Finds and reads the files of a program: the user's, what it imports, and the library inside cscc. */
#ifndef CSC_DRIVER_LOAD_H
#define CSC_DRIVER_LOAD_H
#include "syntax/ast.h"

typedef struct Embedded {
    const char *name, *text; /* "solvers" */
    size_t len;
} Embedded;
extern const Embedded embedded_library[]; /* stdlib/; ends with a NULL name */
extern const Embedded embedded_headers[]; /* csc_model.h */
extern const Embedded embedded_objects[]; /* of the runtime, for libraries that need it */

/* Reads a file whole. NULL: *why says so ("is a folder", "no such file", ...). */
char *load_file(Arena *a, const char *path, size_t most, size_t *len, const char **why);

/* The first n bytes (fewer: zeros). False: *why. */
bool load_head(const char *path, char *head, size_t n, const char **why);

/* Never NULL; errors are in cx. */
Ast *load_program(Cx *cx, const char *path);
#endif
