/* Loop nests to machine code through the LLVM C API: an object in memory. */
#ifndef CSC_LLVM_LLVM_H
#define CSC_LLVM_LLVM_H
#include "code/code.h"
#include "loop/loop.h"

typedef struct LlvmOptions {
    const char *cpu;  /* "native", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4+amx", "aarch64", ... */
    bool asan;        /* generated code under AddressSanitizer (JIT in a sanitized process) */
    int level;        /* code generation, 1..3; 0 is turned into 1 */
    bool split;       /* a large module may become an archive of several objects, made on several threads */
} LlvmOptions;

/* Weights that are embedded in one of several objects. */
typedef enum LlvmWeights { LLVM_WEIGHTS_OWN, LLVM_WEIGHTS_LENT, LLVM_WEIGHTS_BORROWED } LlvmWeights;

/* What the table of csc_model needs besides the module. */
typedef struct LlvmModelInfo {
    const char *json;
    uint64_t param_floats, state_floats;
    uint32_t tunable_count;
    const float *tunable_defaults;
    const float *params, *state; /* to embed, or NULL */
    const char *symbol_prefix;   /* NULL or "": exports csc_model_query; else NAMEcsc_model_query, for the other objects of a library */
    LlvmWeights weights;
} LlvmModelInfo;

/* Code for several levels of a processor in one library: the exported csc_model_query, which calls that of the highest level that the processor
   offers. Levels from the lowest; "x86-64-v2" where none is offered. An object for x86-64. */
CodeObject *llvm_dispatch(Arena *a, const char *const *levels, const char *const *prefixes, int n);

/* ir, assembly: NULL or where to print them. NULL result only on a machine trouble that was reported. */
CodeObject *llvm_emit(Arena *a, const LpModule *m, const LlvmModelInfo *info, const LlvmOptions *o, FILE *ir, FILE *assembly);

/* What the module lib/libcscc-llvm.so exports, as `csc_llvm_room`: the one way in from cscc. */
typedef struct LlvmRoom {
    const char *version; /* of the cscc that it belongs to */
    CodeObject *(*emit)(Arena *a, const LpModule *m, const LlvmModelInfo *info, const LlvmOptions *o, FILE *ir, FILE *assembly);
    const char *(*llvm_version)(Arena *a);
    CodeObject *(*dispatch)(Arena *a, const char *const *levels, const char *const *prefixes, int n);
} LlvmRoom;
#endif
