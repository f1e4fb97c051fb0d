/* State shared by the files that write LLVM IR. One context a module, one module a compilation. */
#ifndef CSC_LLVM_EMIT_H
#define CSC_LLVM_EMIT_H
#include "llvm/llvm.h"
#include "loop/fold.h"
#include "loop/lxmap.h"
#include <llvm-c/Core.h>

typedef LLVMValueRef Val;
typedef struct Pure Pure;

typedef struct Break { /* an edge that leaves a loop, with the values that the loop changes */
    LLVMBasicBlockRef from;
    Val *slot;
} Break;

typedef struct LoopFrame { /* the innermost loop that is not unrolled */
    struct LoopFrame *outer;
    LLVMBasicBlockRef exit;
    Vec(Break) breaks;
} LoopFrame;

enum { PLAN_MOST_PARTS = 8 };

/* Who writes which kernel. */
typedef struct Plan {
    int32_t parts;
    const int32_t *same;  /* [kernels] the first kernel equal to it */
    const int32_t *owner; /* [kernels] part that writes it */
    const char *prefix;   /* of symbols */
} Plan;

typedef struct Emit {
    Arena *a;
    const LpModule *m;
    const LlvmOptions *o;
    const Plan *plan;
    int32_t part;      /* of the plan: 0 has the entries, the tables and the model */
    LLVMContextRef cx;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    LLVMTypeRef i1, i8, i16, i32, i64, f32, bf16, ptr, voidt, task;
    Val *kernels;      /* function of each kernel of the module; equal kernels share one */
    Val *tables;       /* data of each table */
    Val launch;        /* helper that runs a grid */
    Val noise[2];      /* uniform, normal; NULL until used */
    const char *cpu, *features; /* attributes of functions */
    bool rounds_short; /* the processor rounds to bf16 in one instruction */

    /* the function that is being written */
    Val fn;
    const LpKernel *k; /* NULL: an entry */
    const LpEntry *e;
    Val call, args, scratch;   /* entry: csc_call, block of arguments, scratch when the calling thread works alone */
    Val alone, env;            /* entry: its csc_call without a pool; what a lane is told. NULL: it has no lanes */
    Val lane;                  /* lane: its memory. NULL: an entry outside of lanes */
    Val prepared, unprepared;  /* entry: where SP_PREPARED is; whether the call gave no such block */
    Val prepare;               /* entry: the function that fills it; NULL: there is none */
    Val spaces[SP_KINDS], *lists[2]; /* entry: where memory starts; inputs and outputs; NULL until asked for */
    LLVMBasicBlockRef start;   /* entry: the block where they are read */
    int32_t launches;
    Val whole;                 /* entry: the call's batch; slot LP_VAR_BATCH has that of the launches */
    Val *pointer;              /* kernel: value of each pointer parameter */
    Val *slot;                 /* current value of each variable, then of each register */
    int32_t nvar, nslot;
    LoopKnown known;           /* variables of unrolled loops */
    LxMap memo;                /* values of this statement */
    LoopFrame *loop;
    Pure *pure;         /* pure.c */
    int width;                 /* of the constants of poly.h */
} Emit;

/* plan.c */
Plan plan_kernels(Arena *a, const LpModule *m, const LlvmModelInfo *info, bool split);

/* types.c */
LLVMTypeRef emit_vec(Emit *e, int width);  /* float or <width x float> */
LLVMTypeRef emit_ivec(Emit *e, int width); /* i32 or <width x i32> */
Val emit_i64(Emit *e, int64_t v);
Val emit_i32s(Emit *e, int64_t v, int width);
Val emit_f32s(Emit *e, double v, int width);
Val emit_splat(Emit *e, Val scalar, int width);
Val emit_intrinsic(Emit *e, const char *name, LLVMTypeRef *over, size_t nover, Val *args, unsigned nargs);
Val emit_libm(Emit *e, const char *name, Val *args, unsigned nargs, int width); /* floats, lane by lane */
typedef enum Reach { REACH_FILE, REACH_PARTS, REACH_ALL } Reach;
Val emit_function(Emit *e, const char *name, LLVMTypeRef type, Reach reach);
void emit_attribute(Emit *e, Val f, const char *name);
Val emit_data(Emit *e, const char *name, const void *bytes, size_t len, unsigned align); /* constant */
LLVMBasicBlockRef emit_block(Emit *e, const char *name);
Val emit_field(Emit *e, LLVMTypeRef type, Val base, uint64_t byte_offset, const char *name); /* loads it */
Val emit_address(Emit *e, Val base, Val index); /* of float number index, here */

/* expr.c */
Val emit_int(Emit *e, const Lx *x);
Val emit_truth(Emit *e, const Lx *x); /* i1 */
Val emit_float(Emit *e, const Lx *x);
void emit_store(Emit *e, const Ls *s);
void emit_prefetch(Emit *e, const Ls *s);
Val emit_to_int(Emit *e, Val scalar); /* as LX_F2I */
Val emit_place(Emit *e, int64_t ptr, const Lx *index); /* address of the element */

/* short.c: bf16 numbers are i16 */
LLVMTypeRef emit_svec(Emit *e, int width); /* i16 or <width x i16> */
Val emit_narrow(Emit *e, Val x, int width); /* as LX_BF16 */
Val emit_widen(Emit *e, Val x, int width);
void emit_store_pairs(Emit *e, const Ls *s);

/* tile.c */
void emit_tile(Emit *e, const Ls *s);
void emit_tiles_open(Emit *e);
void emit_tiles_close(Emit *e);
Val emit_tiles_granted(Emit *e); /* i1: this process may use them */

/* poly.c */
Val emit_exp(Emit *e, Val x, int width);
Val emit_log(Emit *e, Val x, int width);
Val emit_tanh(Emit *e, Val x, int width);
Val emit_noise(Emit *e, bool normal, Val *args, int width); /* seed, step, sample, index, entry: i64 */
Val emit_fma(Emit *e, Val x, Val y, Val z);

/* stmt.c */
void emit_list(Emit *e, const Ls *s);
void emit_open_slots(Emit *e, int32_t nvar); /* variables and registers are 0 */
Val emit_zero(Emit *e, int32_t slot);

/* kernel.c, entry.c, table.c */
void emit_kernels(Emit *e);
typedef struct EntryCode {
    Val run, prepare; /* of csc_entry */
} EntryCode;
EntryCode emit_entry(Emit *e, const LpEntry *entry);
void emit_launch(Emit *e, const Ls *s);
void emit_lanes(Emit *e, const Ls *s);
void emit_prepare(Emit *e, const Ls *s);
Val emit_pointer_to(Emit *e, const Lptr *p);
void emit_model(Emit *e, const LlvmModelInfo *info);
#endif
