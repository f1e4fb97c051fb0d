/* Static checks of a whole program before anything is instantiated: every name is defined, definitions and parameters are used with the
   right labels and counts, statements stand where they may, options and constraints exist, nothing is defined twice. What depends on
   values or shapes is build's. */
#ifndef CSC_SEMA_SEMA_H
#define CSC_SEMA_SEMA_H
#include "syntax/ast.h"

/* Builtins: sig/builtins.def is their list, read by sema (names, labels) and by build (which implements each). */
void sema_check(Cx *cx, const Ast *ast);

/* The definition of a name visible from a file, or NULL. */
const Def *sema_find(const Ast *ast, Name name);
const Def *sema_find_model(const Ast *ast, Name name); /* NULL name: the only or last model of file[0] */
#endif
