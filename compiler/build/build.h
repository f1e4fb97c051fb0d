/* Instantiates a model: evaluates compile-time values, inlines functions, turns problems and solvers into operator graphs. */
#ifndef CSC_BUILD_BUILD_H
#define CSC_BUILD_BUILD_H
#include "op/program.h"
#include "syntax/ast.h"

typedef struct BuildSet { /* --set name=value: a model argument or a free dimension; --tune name=value */
    const char *name, *value;
} BuildSet;

typedef struct BuildOptions {
    Name model;           /* NULL: the only one (or the last) of the file */
    const BuildSet *set, *tune;
    size_t nset, ntune;
    bool free_default;    /* free dimensions not set get a size that fits (check); else they are an error */
    const char *free_why; /* added to that error: what would bind it */
} BuildOptions;

/* The declarations and the recipe. NULL after errors. `entries` receives the graphs asked for, after autodiff-free construction:
   STEP is the forward part with loss, metrics, states; the driver differentiates it. */
typedef struct BuildResult {
    Program *program;
    Vec(Entry) entries;
} BuildResult;
BuildResult *build_program(Cx *cx, Arena *a, const Ast *ast, const BuildOptions *o, const EntryKind *want, const int32_t *stage, size_t nwant);
#endif
