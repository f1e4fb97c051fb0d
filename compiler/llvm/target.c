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

static bool has(const char *features, const char *word) { return strstr(features, word) != NULL; }

bool llvm_target_lanes(const char *cpu, int *lanes, int *registers) {
    static const struct {
        const char *cpu;
        int lanes, registers;
    } known[] = {{"x86-64", 4, 16}, {"x86-64-v2", 4, 16}, {"x86-64-v3", 8, 16}, {"x86-64-v4", 16, 32}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(cpu, known[i].cpu)) continue;
        *lanes = known[i].lanes;
        *registers = known[i].registers;
        return true;
    }
    if (strcmp(cpu, "native")) return false;
    char *features = LLVMGetHostCPUFeatures();
    bool wide = has(features, "+avx512f") && has(features, "+avx512vl"), middle = has(features, "+avx2") && has(features, "+fma");
    *lanes = wide ? 16 : middle ? 8 : 4;
    *registers = wide ? 32 : 16;
    LLVMDisposeMessage(features);
    return true;
}

const char *llvm_target_text(Arena *a, const char *cpu) {
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    if (strcmp(cpu, "native")) return arena_printf(a, "LLVM %u.%u.%u %s", major, minor, patch, cpu);
    const char *name = kept(a, LLVMGetHostCPUName()), *features = kept(a, LLVMGetHostCPUFeatures());
    return arena_printf(a, "LLVM %u.%u.%u %s %s", major, minor, patch, name, features);
}
