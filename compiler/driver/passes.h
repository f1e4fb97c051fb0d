/* The compiler as one table of passes. A `Compile` is one model of one program on its way from text to code. */
#ifndef CSC_DRIVER_PASSES_H
#define CSC_DRIVER_PASSES_H
#include "driver/args.h"
#include "sched/sched.h"
#include "llvm/llvm.h"

enum { PASS_MOST = 16 };

typedef struct Want { /* an entry to compile */
    EntryKind kind;
    int32_t stage;
} Want;

typedef struct Compile {
    Cx *cx;
    const Options *o;
    Ast *ast;
    BuildSet *set;           /* the command line's, and free dimensions bound since */
    size_t nset;
    bool free_default;       /* free dimensions that nothing binds get a size that fits */
    const char *free_why;
    Vec(Want) want;
    Program *program;        /* after "declare" */
    Vec(Entry) entries;      /* after "build", and after each pass over graphs */
    SchedResult *sched;
    const char *cpu;         /* or the device's name for itself, "sm_90a"; or "cuda:sm_80,sm_90a" */
    bool gpu;                /* a launch program is made, no machine code: */
    struct csc_device *device; /*   for this one, */
    const char *const *arch; /*   or, with NULL there, with images for these (--target): "sm_80", "sm_90a" */
    int narch;
    const char *info;        /* JSON, in the code */
    const float *embed_params, *embed_states; /* or NULL */
    const SchedTile *tuned;    /* from the file beside the program (tiles.h) */
    size_t ntuned;
    const char *tiles_said;    /* why it was used or not; NULL: there is none */
    const char *symbol_prefix; /* of one level of a library; NULL: the only one */
    LlvmWeights weights;
    CodeObject *object;
    const struct csc_cache_key *cache_key; /* what the object is kept under for the next run, or NULL */
    struct {
        const char *name;
        double seconds;
    } times[PASS_MOST];
    size_t ntimes;
} Compile;

/* Reads and checks the program's files. False: errors. */
bool compile_read(Compile *c, Cx *cx, const Options *o);
/* Declares: parameters, inputs, recipe (c->program). May be called again with other sets. */
bool compile_declare(Compile *c);
/* From the declared model to code for c->want. stop_at: the last pass wanted by the command ("tidy", "sched", "llvm"). */
bool compile_model(Compile *c, const char *stop_at);
/* The graph of the operators' dot tests, of the declared program. */
bool compile_operators(const Compile *c, Entry *out);
/* What --time-passes and --remarks ask for; to stderr. */
void compile_report(const Compile *c);
void compile_want(Compile *c, EntryKind kind, int32_t stage);
bool pass_known(const char *name);
const char *entry_name(Cx *cx, EntryKind kind, int32_t stage);
#endif
