/* Loads an object into this process. */
#include "base/trouble.h"
#include "llvm/emit.h"
#include "llvm/target.h"
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <stdlib.h>

struct LlvmJit {
    LLVMOrcLLJITRef jit;
};

static LLVMErrorRef load(LlvmJit *j, const LlvmObject *o, LLVMOrcExecutorAddress *query) {
    LLVMErrorRef error = LLVMOrcCreateLLJIT(&j->jit, NULL);
    if (error) return error;
    LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(j->jit);
    LLVMOrcDefinitionGeneratorRef process;
    char prefix = LLVMOrcLLJITGetGlobalPrefix(j->jit);
    if ((error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&process, prefix, NULL, NULL))) return error;
    LLVMOrcJITDylibAddGenerator(lib, process);
    LlvmObject part;
    char name[] = "part0.o"; /* ORC wants a name of its own for each */
    for (size_t at = 0; plan_member(o, &at, &part); name[4]++) {
        LLVMMemoryBufferRef b = LLVMCreateMemoryBufferWithMemoryRangeCopy(part.bytes, part.len, name);
        if ((error = LLVMOrcLLJITAddObjectFile(j->jit, lib, b))) return error;
    }
    return LLVMOrcLLJITLookup(j->jit, query, "csc_model_query");
}

/* The text of a failure is LLVM's and stays until the process ends: there is one at most. */
LlvmJit *llvm_jit_load(const LlvmObject *o, const csc_model **model, const char **why) {
    LlvmJit *j = calloc(1, sizeof *j);
    if (!j) machine_trouble("no memory");
    LLVMOrcExecutorAddress at = 0;
    target_start();
    LLVMErrorRef error = load(j, o, &at);
    if (error) {
        *why = LLVMGetErrorMessage(error);
        llvm_jit_free(j);
        return NULL;
    }
    const csc_model *(*query)(uint32_t) = (const csc_model *(*)(uint32_t))(uintptr_t)at;
    *model = query(CSC_MODEL_VERSION);
    return j;
}

void llvm_jit_free(LlvmJit *j) {
    if (!j) return;
    if (j->jit) {
        LLVMErrorRef error = LLVMOrcDisposeLLJIT(j->jit);
        if (error) LLVMConsumeError(error);
    }
    free(j);
}
