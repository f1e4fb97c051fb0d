/* The processor that code is made for. */
#ifndef CSC_LLVM_TARGET_H
#define CSC_LLVM_TARGET_H
#include "base/arena.h"
#include <llvm-c/TargetMachine.h>

typedef struct Target {
    LLVMTargetMachineRef machine;
    const char *cpu, *features;
} Target;

void target_start(void); /* once, before any thread opens one */

/* machine NULL: no such processor. */
Target target_open(Arena *a, const char *cpu, int level);
void target_close(Target *t);
#endif
