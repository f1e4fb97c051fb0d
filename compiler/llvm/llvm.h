/* Loop nests to machine code through the LLVM C API: an object in memory, and from it a JIT or a shared library. */
#ifndef CSC_LLVM_LLVM_H
#define CSC_LLVM_LLVM_H
#include "loop/loop.h"
#include "csc_model.h"

typedef struct LlvmOptions {
    const char *cpu;  /* "native", "x86-64-v2", "x86-64-v3", "x86-64-v4", ... */
    bool asan;        /* generated code under AddressSanitizer (JIT in a sanitized process) */
    int level;        /* code generation, 1..3; 0 is turned into 1 */
    bool split;       /* a large module may become an archive of several objects, made on several threads */
} LlvmOptions;

/* What the table of csc_model needs besides the module. */
typedef struct LlvmModelInfo {
    const char *json;
    uint64_t param_floats, state_floats;
    uint32_t tunable_count;
    const float *tunable_defaults;
    const float *params, *state; /* to embed, or NULL */
    const char *symbol_prefix;   /* "" : exports csc_model_query */
} LlvmModelInfo;

/* Lanes and registers that the scheduler should plan for. False: unknown cpu. */
bool llvm_target_lanes(const char *cpu, int *lanes, int *registers);

/* The processor and its features in words that differ when the code may: "native" is spelled out. In `a`. */
const char *llvm_target_text(Arena *a, const char *cpu);

typedef struct LlvmObject {
    char *bytes; /* ELF, relocatable, position-independent; where split was allowed also an archive (link it with --whole-archive); arena */
    size_t len;
} LlvmObject;

/* ir, assembly: NULL or where to print them. NULL result only on a machine trouble that was reported. */
LlvmObject *llvm_emit(Arena *a, const LpModule *m, const LlvmModelInfo *info, const LlvmOptions *o, FILE *ir, FILE *assembly);

typedef struct LlvmJit LlvmJit;
LlvmJit *llvm_jit_load(const LlvmObject *o, const csc_model **model, const char **why); /* NULL: *why */
void llvm_jit_free(LlvmJit *j);
#endif
