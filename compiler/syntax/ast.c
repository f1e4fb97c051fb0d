/* (being built) */
#include "syntax/ast.h"
