/* Processors: x86-64-v2, -v3, -v4, this one ("native"), or a name that LLVM knows. */
#include "llvm/target.h"
#include "llvm/llvm.h"
#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <string.h>

static const char *kept(Arena *a, char *message) {
    const char *s = arena_strndup(a, message, strlen(message));
    LLVMDisposeMessage(message);
    return s;
}

void target_start(void) {
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
}

Target target_open(Arena *a, const char *cpu, int level) {
    Target t = {.cpu = cpu, .features = ""};
    char *triple = LLVMGetDefaultTargetTriple(), *error = NULL;
    LLVMTargetRef kind;
    if (!strcmp(cpu, "native")) {
        t.cpu = kept(a, LLVMGetHostCPUName());
        t.features = kept(a, LLVMGetHostCPUFeatures());
    }
    if (LLVMGetTargetFromTriple(triple, &kind, &error)) {
        LLVMDisposeMessage(error);
        return t;
    }
    LLVMCodeGenOptLevel l = level <= 1 ? LLVMCodeGenLevelLess : level == 2 ? LLVMCodeGenLevelDefault : LLVMCodeGenLevelAggressive;
    t.machine = LLVMCreateTargetMachine(kind, triple, t.cpu, t.features, l, LLVMRelocPIC, LLVMCodeModelDefault);
    LLVMDisposeMessage(triple);
    return t;
}

void target_close(Target *t) {
    if (t->machine) LLVMDisposeTargetMachine(t->machine);
}
