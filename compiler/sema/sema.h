/* Static checks of a whole program before anything is instantiated: every name is defined, definitions and parameters are used with the
   right labels and counts, statements stand where they may, options and constraints exist, nothing is defined twice. What depends on
   values or shapes is build's. */
#ifndef CSC_SEMA_SEMA_H
#define CSC_SEMA_SEMA_H
#include "syntax/ast.h"

/* Builtins: sig/builtins.def is their list, read by sema (names, labels) and by build (which implements each). Recipe calls of train
   blocks: sig/recipes.def. Run it only on files that were read without errors. */
void sema_check(Cx *cx, const Ast *ast);

/* The definition of a name as seen from a source (the span.file of the place that names it), or NULL. Its own file first, then the
   files it can see in the order of the Ast; library code ("<std>/...") sees library code only, so that a user's `soft` is not taken by a
   library solver. Models are no values: see sema_find_model. */
const Def *sema_find(const Cx *cx, const Ast *ast, uint32_t source, Name name);
const Def *sema_find_model(const Ast *ast, Name name); /* NULL name: the only or last model of file[0] */
#endif
