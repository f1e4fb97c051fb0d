/* The command line: which command, its options, its words. */
#ifndef CSC_DRIVER_ARGS_H
#define CSC_DRIVER_ARGS_H
#include "base/diag.h"
#include "build/build.h"

typedef enum Command {
    CMD_CHECK, CMD_TRAIN, CMD_EVAL, CMD_RUN, CMD_BUILD, CMD_AUTOTUNE, CMD_INSPECT, CMD_EXPLAIN, CMD_DOCTOR, CMD_CACHE,
    CMD_COUNT
} Command;

typedef enum Emit { EMIT_AST, EMIT_OP, EMIT_LOOP, EMIT_LLVM, EMIT_ASM, EMIT_OBJ, EMIT_CUDA, EMIT_PTX, EMIT_CUBIN, EMIT_COUNT } Emit;

typedef struct Options {
    Command command;
    const char **words; /* what is no option: the program first */
    size_t nwords;
    BuildSet *set, *tune;
    size_t nset, ntune;
    const char *model, *cpu, *weights, *data, *runs, *output, *stop_after, *atoms, *device, *target;
    bool emit[EMIT_COUNT], any_emit, time_passes, remarks, json, embed_weights, resume, direct;
    int precision;       /* SchedPrecision */
    int threads;         /* 0: as many as the machine has */
    int64_t epochs, batch, seed, most_steps;
    bool has_epochs, has_batch, has_seed;
    const char **inputs; /* --input, in order */
    size_t ninputs;
} Options;

/* False: the command line was answered (--help, --version: *exit_code 0) or refused (diagnostics in cx, 1). */
bool args_read(Cx *cx, int argc, char **argv, Options *o, int *exit_code);
const char *args_command_name(Command c);
#endif
