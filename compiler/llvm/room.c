/* The face of this room as a module that cscc opens when code is generated. */
#include "base/trouble.h"
#include "llvm/llvm.h"
#include <llvm-c/Core.h>

static CodeObject *emit(Arena *a, const LpModule *m, const LlvmModelInfo *info, const LlvmOptions *o, FILE *ir, FILE *assembly) {
    trouble_set_pass("llvm"); /* the module has a copy of base/ of its own */
    return llvm_emit(a, m, info, o, ir, assembly);
}

static const char *llvm_version(Arena *a) {
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    return arena_printf(a, "%u.%u.%u", major, minor, patch);
}

static CodeObject *dispatch(Arena *a, const char *const *levels, const char *const *prefixes, int n) {
    trouble_set_pass("llvm");
    return llvm_dispatch(a, levels, prefixes, n);
}

extern const LlvmRoom csc_llvm_room;
const LlvmRoom csc_llvm_room = {CSC_VERSION, emit, llvm_version, dispatch};
