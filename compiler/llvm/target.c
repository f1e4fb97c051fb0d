/* Processors: x86-64-v2, -v3, -v4, -v4+amx, aarch64, this one ("native"), or a name that LLVM knows. */
#include "llvm/target.h"
#include "llvm/llvm.h"
#include <llvm-c/Core.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <pthread.h>
#include <string.h>

static const char *kept(Arena *a, char *message) {
    const char *s = arena_strndup(a, message, strlen(message));
    LLVMDisposeMessage(message);
    return s;
}

/* Half of the time goes into moving instructions about in blocks that are in order already, and into addresses that lie in
   displacements already (docs/codegen.md): both passes are left out, for the whole process. */
static void set_passes(void) {
    static const char *const words[] = {"cscc", "-enable-misched=false", "-disable-lsr"};
    LLVMParseCommandLineOptions(3, words, NULL);
}

void target_start(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_passes);
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
    LLVMInitializeNativeAsmParser(); /* cpuid, xgetbv and a system call are written as text */
}

static void start_all(void) { /* what this LLVM has for other machines */
    LLVMInitializeAllTargetInfos();
    LLVMInitializeAllTargets();
    LLVMInitializeAllTargetMCs();
    LLVMInitializeAllAsmPrinters();
}

Target target_open(Arena *a, const char *cpu, int level) {
    Target t = {.cpu = cpu, .features = ""};
    static pthread_once_t all = PTHREAD_ONCE_INIT;
    char *triple, *error = NULL;
    if (!strcmp(cpu, "aarch64")) {
        pthread_once(&all, start_all);
        triple = LLVMCreateMessage("aarch64-unknown-linux-gnu");
        t.cpu = "generic";
    } else triple = LLVMGetDefaultTargetTriple();
    LLVMTargetRef kind;
    if (!strcmp(cpu, "native")) {
        t.cpu = kept(a, LLVMGetHostCPUName());
        t.features = kept(a, LLVMGetHostCPUFeatures());
    } else if (!strcmp(cpu, "x86-64-v4+amx")) {
        t.cpu = "x86-64-v4";
        t.features = "+amx-tile,+amx-bf16,+avx512bf16";
    }
    if (LLVMGetTargetFromTriple(triple, &kind, &error)) {
        LLVMDisposeMessage(error);
        LLVMDisposeMessage(triple);
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
