/* Static checks of a whole program before anything is instantiated: every name is defined, definitions and parameters are used with the
   right labels and counts, statements stand where they may, options and constraints exist, nothing is defined twice. What depends on
   values or shapes is build's. */
#ifndef CSC_SEMA_SEMA_H
#define CSC_SEMA_SEMA_H
#include "syntax/ast.h"

/* Builtins: sig/builtins.def is their list, read by sema (names, labels) and by build (which implements each). Recipe calls of train
   blocks: sig/recipes.def. Run it only on files that were read without errors. */
void sema_check(Cx *cx, const Ast *ast);
#endif
