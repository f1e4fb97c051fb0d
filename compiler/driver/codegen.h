/* The code generator: a module beside cscc that is opened only when code is made, because libLLVM takes longer to load than most commands. */
#ifndef CSC_DRIVER_CODEGEN_H
#define CSC_DRIVER_CODEGEN_H
#include "llvm/llvm.h"

/* Where the module is: beside the program, or in lib/ beside or above it. NULL: *why. Opens nothing. */
const char *codegen_path(Arena *a, const char **why);
/* NULL: *why. Opened again it is the same; it stays until the process ends. */
const LlvmRoom *codegen_open(Arena *a, const char **why);
#endif
