/* Machine code in memory: ELF objects and archives of them, and their loading into this process. Needs no code generator. */
#ifndef CSC_CODE_CODE_H
#define CSC_CODE_CODE_H
#include "base/arena.h"
#include "csc_model.h"
#include <stdbool.h>

typedef struct CodeObject {
    char *bytes; /* ELF, relocatable, position-independent, or an archive of such (link it with --whole-archive); arena */
    size_t len;
} CodeObject;

CodeObject *code_archive(Arena *a, const CodeObject *part, int32_t n);
bool code_member(const CodeObject *o, size_t *at, CodeObject *member); /* the next object of an archive; of an object: itself, once */

/* An object that holds bytes, on a multiple of 64, under a symbol that its library keeps to itself. For this machine. */
CodeObject *code_data(Arena *a, const char *symbol, const void *bytes, size_t len);

/* The object's code, ready to run, and its model (csc_model_query). NULL: *why, in `a`. */
typedef struct CodeImage CodeImage;
CodeImage *code_load(Arena *a, const CodeObject *o, const csc_model **model, const char **why);
void code_free(CodeImage *image); /* may be NULL */
#endif
