/* Loop nests to machine code through the LLVM C API: an object in memory. */
#ifndef CSC_LLVM_LLVM_H
#define CSC_LLVM_LLVM_H
#include "code/code.h"
#include "loop/loop.h"

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

/* ir, assembly: NULL or where to print them. NULL result only on a machine trouble that was reported. */
CodeObject *llvm_emit(Arena *a, const LpModule *m, const LlvmModelInfo *info, const LlvmOptions *o, FILE *ir, FILE *assembly);

/* What the module lib/libcscc-llvm.so exports, as `csc_llvm_room`: the one way in from cscc. */
typedef struct LlvmRoom {
    const char *version; /* of the cscc that it belongs to */
    CodeObject *(*emit)(Arena *a, const LpModule *m, const LlvmModelInfo *info, const LlvmOptions *o, FILE *ir, FILE *assembly);
    const char *(*llvm_version)(Arena *a);
} LlvmRoom;
#endif
