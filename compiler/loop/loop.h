/* Loop nests: what `sched` decides and the back ends write out. A module has kernels (run for each point of a grid, in parallel), entries
   (straight-line host programs with loops that launch kernels), and tables. Nothing here knows an operator of mathematics.

   Numbers. Integers are 64-bit. Floats are float32, scalar (width 1) or vectors of `width` lanes (a power of two, at most 16). Every
   operation is rounded by itself, as it is written: nothing is reassociated, and a product and a sum are contracted only by LX_FMA. So
   code for any target with FMA, for any number of threads, and the evaluator give the same bits (LX_SIN, LX_COS, LX_POW go through libm).
   Without FMA (x86-64-v2) LX_FMA is a product and a sum, each rounded.

   Expressions are trees or DAGs of constant nodes; a node that a statement reaches twice is evaluated once for that statement. Values that
   live longer, or must be loaded once, go into registers (LS_SET). Nothing is moved out of loops behind the scheduler's back, and
   nothing is assumed about which pointers overlap: statements happen in order.

   Variables (integers) and registers (floats) are numbered per kernel or entry, mutable, and live for the whole run of one grid point (or
   entry). Before they are set they are 0. The variable of an LS_FOR may be read in its body only, and only the loop sets it.

   Block kernels (LpKernel.threads > 0) are for a GPU: a grid point is a block of that many threads (a multiple of 32, a warp). The body is
   at block level: its variables, conditions and bounds are the same for all threads. What differs between threads stands in regions,
   LS_THREADS: each thread runs the region's body by itself, in no order. Registers and thread scratch are each thread's own and live across
   regions; they are touched in regions and by the collectives (LS_MMA, LS_WARP) only. A variable is set at block level or in regions, never
   both; the latter belongs to the thread and is 0 where the region starts. What a thread wrote to shared or other memory is seen by the
   other threads of its block after the next LS_SYNC; until then they touch it neither way. At block level no statement writes memory.

   Tiles (kernels without threads, where the target has them: SchedTarget.tiles): a matrix unit's LOOP_TILES registers, numbers in the kernel's
   text, each 16 rows of 64 bytes: 16 floats or 32 bf16 numbers, as the statement takes them. At the start of a grid point they hold anything. */
#ifndef CSC_LOOP_LOOP_H
#define CSC_LOOP_LOOP_H
#include "base/diag.h"

enum { LOOP_MAX_WIDTH = 16, LOOP_MAX_UNROLLED = 20000 /* statements of a kernel once unrolled */, LOOP_TILES = 8, LOOP_TILE_ROWS = 16 };

/* ---- expressions ---- */
typedef enum LxKind {
    /* integers: width 0 */
    LX_INT,    /* i */
    LX_VAR,    /* variable number i */
    LX_IADD, LX_ISUB, LX_IMUL, LX_IDIV, LX_IMOD, LX_IMIN, LX_IMAX, /* a, b; IDIV and IMOD: of numbers >= 0, b > 0
                 (b is never 0, not even where the branch around it is not taken: integer operations may be moved out of loops) */
    LX_ILT, LX_IEQ,      /* a, b: 0 or 1 */
    LX_IAND, LX_IOR, LX_INOT, /* truth: a nonzero, b nonzero; 0 or 1. Both sides are evaluated */
    LX_ISELECT,          /* a nonzero ? b : c; both are evaluated */
    LX_ITAB,             /* int32 entry a of the table that pointer parameter i (LP_I32) points to. Kernels only */
    LX_F2I,              /* scalar float a, toward zero; NaN gives 0, outside of int64 the nearest. Kernels only */
    LX_THREAD,           /* number of this thread in its block: in regions. In the places of LS_MMA: of the first thread of the warp, or of the group */
    /* floats: kernels only. Operands have the width of the result unless said */
    LX_FLOAT,  /* f (rounded to float32) in all lanes */
    LX_LANES,  /* 0, 1, 2, ... */
    LX_REG,    /* register i + a (a: NULL, or an integer that is constant once loops are unrolled) */
    LX_LOAD,   /* pointer parameter i at index a: `width` neighbours; b: NULL, or how many of them exist (an integer, any; the others read as 0).
                  f nonzero: the address is a multiple of their size (and b is NULL) */
    LX_GATHER, /* pointer parameter i at index a, a + b, a + 2b, ...; c: NULL, or how many exist, as in LOAD */
    LX_SPLAT,  /* scalar a in all lanes */
    LX_LANE,   /* lane i of the vector a */
    LX_PACK,   /* list: the lanes, scalars */
    LX_I2F,    /* integer a in all lanes */
    LX_NEG, LX_ABS, LX_SQRT, LX_FLOOR,          /* a */
    LX_BF16,   /* a rounded to bf16, to nearest, ties to even; a denormal number is 0 (of its sign). Not in block kernels */
    LX_EXP, LX_LOG, LX_TANH, LX_SIN, LX_COS,    /* a */
    LX_ADD, LX_SUB, LX_MUL, LX_DIV, LX_POW,     /* a, b */
    LX_FMA,    /* a * b + c, rounded once */
    LX_MAX, LX_MIN, /* a, b: the larger, smaller; NaN from either side stays. One instruction where one side is LX_FLOAT, else three */
    LX_LT, LX_LE, LX_EQ, /* a, b: 1.0 or 0.0 (NaN: 0.0) */
    LX_SELECT, /* a nonzero ? b : c, lane by lane; both are evaluated */
    LX_HSUM,   /* vector a (any width) -> scalar: the upper half is added to the lower, until one is left */
    LX_HMAX,   /* the same with LX_MAX */
    LX_NOISE,  /* list: seed, step, sample, index, entry (integers): noise_uniform, f nonzero: noise_normal, of op/eval.h.
                  Lane k: entry + k */
    LX_KINDS
} LxKind;

typedef struct Lx {
    LxKind kind;
    int32_t width; /* 0: integer; 1: scalar; else lanes */
    int64_t i;
    double f;
    const struct Lx *a, *b, *c;
    const struct Lx *const *list; /* lx_list_len of them */
} Lx;
static inline int lx_list_len(const Lx *x) { return x->kind == LX_NOISE ? 5 : x->kind == LX_PACK ? x->width : 0; }

/* ---- statements ---- */
typedef enum LsKind {
    LS_FOR,    /* var = lo, lo+step, ... < hi (step: constant > 0): body. unroll (kernels only): lo, hi fold to constants and the body is
                  written out for each value. lo and hi are evaluated once */
    LS_IF,     /* cond (integer) nonzero: body, else orelse. In unrolled code a constant cond leaves nothing behind */
    LS_SETVAR, /* variable var = cond */
    LS_BREAK_IF, /* leaves the innermost LS_FOR (not unrolled) when: kernels: the integer cond is nonzero; entries: cond, or where that is NULL
                    the float at ptrs[0], is nonzero */
    /* kernels only */
    LS_SET,    /* register reg + reg_at = value (of the register's width) */
    LS_STORE,  /* pointer parameter ptr at index: value, to neighbours; count: NULL, or how many lanes exist (the others are not touched) */
    LS_STORE_STRIDED, /* the same to index, index + stride, ... */
    LS_PREFETCH, /* a hint: pointer parameter ptr at index (any) will be read, not soon; near: soon. Not in block kernels */
    /* not in block kernels */
    LS_TILE_CLEAR, /* tile reg = 0 */
    LS_TILE_LOAD,  /* tile reg: row i is the 32 numbers at index + i stride of pointer ptr (LP_BF16) */
    LS_TILE_DOT,   /* tile reg (16 x 16 floats) += A B; three different tiles. Row r of tile_a: A(r, 0 .. 31); row k of tile_b: B(2k, n) at 2n, B(2k + 1, n) at
                      2n + 1. For each entry two sums, over the even numbers and over the odd ones, each from 0 and in order, each step an FMA; both
                      are added, then that is added to the entry. Denormal inputs of a step are 0, and so are results that are denormal once rounded */
    LS_TILE_STORE, /* row i of tile reg, 16 floats, to index + i stride of pointer ptr (floats) */
    LS_STORE_PAIRS, /* value and other, vectors of one width: value[0], other[0], value[1], ... to neighbours at index of pointer ptr (LP_BF16) */
    /* block kernels only */
    LS_THREADS, /* body for each thread */
    LS_SYNC,    /* barrier of the block */
    LS_MMA,     /* acc += A * B for each warp, or each group of four: see LsMma */
    LS_MMA_WAIT, /* until at most `cond` (constant) products of groups, the youngest, may be under way. Where shared memory that one read is
                   written again after that, an LS_SYNC lies between */
    LS_WARP,    /* register reg of all 32 threads of a warp = their sum (op LX_ADD) or maximum (LX_MAX): five times x = op(x, that of thread
                   t ^ h), h = 16, 8, 4, 2, 1 */
    LS_COPY,    /* in regions: LS_STORE to shared memory of a `value` that is an LX_LOAD of 4, 8 or 16 bytes (both addresses are multiples
                   of that) from a parameter of the same elements; happens at some time before the LS_WAIT for its group ends */
    LS_GROUP,   /* each thread's LS_COPYs since the last LS_GROUP are a group */
    LS_WAIT,    /* until at most `cond` (constant) of each thread's groups, the youngest, may be under way. Other threads see after an LS_SYNC
                   what was copied */
    LS_LAST,    /* the last statement of a kernel: body, at block level, by one block: the one that comes here when all others of the launch have. It
                   sees what all of them wrote */
    /* entries only */
    LS_LAUNCH, /* kernel for grid points 0 .. grid-1, with pointers and integers; all are done when the next statement runs */
    LS_F2VAR,  /* variable var = the float at ptrs[0], converted as by LX_F2I */
    LS_LANES,  /* body for var = 0 .. hi-1, in any order, or at the same time on several threads. A lane starts with the variables as they are
                  before the statement; those it sets are its own and gone with it. SP_LANE is its own too and holds anything at the start.
                  Memory that one lane writes no other touches. Variable `alone`: nonzero where all launches of the lane run on one thread
                  (it may choose how work is cut, never what comes out). Not in another LS_LANES */
    LS_PREPARE, /* body, first in an entry: what is made of parameters, states and tunables alone. It writes SP_PREPARED and SP_FIXED, reads none of
                   LP_VARS, and its variables are its own. Left out where the call passes a block that this body filled before. What comes after reads
                   SP_PREPARED only, and nothing that the body left in SP_FIXED */
    LS_KINDS
} LsKind;

/* Memory that entries hand to kernels. Everything but IN and OUT is 64-byte aligned at offset 0. */
typedef enum LpSpace {
    SP_FIXED,   /* workspace, same size for every batch: float `offset` of it */
    SP_BATCH,   /* workspace, grows with the batch: float fixed_floats - prepared_floats - lane_floats + offset * batch */
    SP_LANE,    /* workspace of a lane (LS_LANES) */
    SP_PREPARED, /* what LS_PREPARE makes: the call's block, or of the workspace */
    SP_IN, SP_OUT, /* input, output `which` of the entry */
    SP_PARAM, SP_GRAD, SP_STATE, SP_STATE_OUT, SP_TUNABLE, /* blocks of the call; SP_STATE_OUT may be the same memory as SP_STATE */
    SP_TABLE,   /* LpModule.tables[which], int32; offset and plus count its entries. For parameters of LP_I32 */
    SP_FTABLE,  /* LpModule.tables[which], floats */
    SP_KINDS
} LpSpace;

typedef struct Lptr {
    LpSpace space;
    int32_t which;
    int64_t offset;   /* floats (SP_BATCH: floats per sample, times batch) */
    const Lx *plus;   /* NULL or a further offset in floats, over the entry's variables (turn of a loop, batch) */
} Lptr;

/* A collective of all warps, at block level. A warp's tile has 16 m rows and 8 n columns; register reg + 4 (i n + j) + e of lane l (thread
   modulo 32) is its entry in row 16 i + l / 4 + 8 (e / 2), column 8 j + 2 (l % 4) + e % 2. The tile's A(row, d) is at a_at + row a_row + d a_col
   of pointer a, its B(d, column) at b_at + d b_row + column b_col of pointer b, both shared, floats or bf16. Both are rounded to the
   precision; the entry is acc + A(row, 0) B(0, column) + ..., in the order of d, each sum rounded to float32 (on a GPU: in an order of its
   own).

   `group`: a collective of four warps each (threads is a multiple of 128). A group's tile has 64 m rows and 8 n columns, n is 8 or 16; register
   reg + 4 (i n + j) + e of lane l of its warp w is the entry in row 64 i + 16 w + l / 4 + 8 (e / 2), column as above. Operands lie as core
   matrices of 128 bytes, 8 rows (columns of B) x 16 bytes of the sum: T entries, 8 of bf16, 4 of tf32. Entry (row, d) of A lies at
   a_at + row / 8 a_row + d / T a_col + row % 8 T + d % T, with `a_across` (bf16 only) at .. + row % 8 + d % 8 T; B's (d, column) likewise, with
   b_col and b_row. Places and distances are multiples of 16 bytes; elements are those of the precision, rounded when they were stored. It
   happens at some time before the LS_MMA_WAIT for it ends: until then its registers are for other such products only. */
typedef enum LpPrecision {
    LP_TF32, /* 10 bits of fraction, to nearest, ties away from zero; depth is a multiple of 8 */
    LP_BFLOAT16, /* 7 bits, to nearest, ties to even; a multiple of 16 */
} LpPrecision;

typedef struct LsMma {
    LpPrecision precision;
    bool group, a_across, b_across;
    int32_t m, n, depth;
    int32_t a, b; /* pointer parameters */
    const Lx *a_at, *b_at;
    int64_t a_row, a_col, b_row, b_col;
} LsMma;

typedef struct Ls {
    LsKind kind;
    bool unroll;
    bool aligned;           /* STORE: as LX_LOAD's; no count */
    bool near;              /* PREFETCH */
    LxKind op;              /* WARP */
    int32_t var, reg, ptr;
    int32_t tile_a, tile_b; /* TILE_DOT */
    int32_t alone;          /* LANES */
    int32_t kernel;         /* LAUNCH: index into LpModule.kernels */
    const Lx *lo, *hi, *step, *cond, *index, *value, *other, *count, *stride, *reg_at, *grid;
    const LsMma *mma;
    const Lptr *ptrs;       /* LAUNCH: one per pointer parameter that is neither shared nor thread scratch; BREAK_IF, F2VAR: one */
    const Lx *const *ints;  /* LAUNCH: one per integer parameter, over the entry's variables */
    const struct Ls *body, *orelse; /* first statement of a list */
    struct Ls *next;
} Ls;

typedef enum LpElem {
    LP_F32,
    LP_BF16, /* two in a float's place; loads widen, stores round to nearest even, outside of block kernels as LX_BF16 */
    LP_I32,  /* a table, read by LX_ITAB */
    LP_F19,  /* a float with the 19 bits that tf32 has; stores round as LP_TF32 says. Shared memory only */
    LP_ELEMS
} LpElem;
static inline int lp_elem_bytes(LpElem e) { return e == LP_BF16 ? 2 : 4; }

typedef struct LpParam { /* pointer parameter of a kernel. Indices count elements */
    Name name;
    LpElem elem;
    bool writes;         /* stored to? */
    bool thread;         /* scratch of this thread, `bytes` large, 64-byte aligned; not passed by the launch. Holds anything at the start */
    bool shared;         /* the same of a block */
    int64_t bytes;
    const Lx *extent;    /* elements that may be touched, from the pointer on, over the integer parameters and the batch; NULL: unknown */
} LpParam;

/* Variables of a kernel: 0 .. nint-1 its integer parameters, nint the grid index, nint+1 the batch (both free: no launch passes them), the
   others its own. It reads seed, step, first sample only where an entry passes them as integers. */
typedef struct LpKernel {
    Name name;          /* need not be unique */
    LpParam *ptr;
    int32_t nptr;       /* what launches pass first, then shared memory, then thread scratch */
    int32_t threads;    /* of a block; 0: not a block kernel */
    int32_t nint;
    int32_t nvar;       /* variables in all, >= nint + 2 */
    int32_t nreg;       /* float registers */
    int32_t *reg_width; /* [nreg] lanes; 1 scalar */
    const Ls *body;
    const char *remark; /* what was fused here, for people; NULL: nothing to say */
    const char *where;  /* "digits.csc:12", or NULL; of the first of equal kernels */
} LpKernel;
static inline int32_t lp_grid_var(const LpKernel *k) { return k->nint; }
static inline int32_t lp_batch_var(const LpKernel *k) { return k->nint + 1; }

typedef struct LpTable {
    bool is_int;
    const int32_t *i;
    const float *f;
    int64_t len;
} LpTable;

typedef struct LpArg { /* what an entry reads or writes: floats (per sample when batched) */
    int64_t floats;
    bool batched;
} LpArg;

/* Variables of an entry that are set when it starts. An entry that computes samples in groups sets the first and the last to what a group
   has: kernels see that batch. What SP_BATCH and LpArg call the batch stays that of the call. */
enum { LP_VAR_BATCH, LP_VAR_SEED, LP_VAR_STEP, LP_VAR_FIRST_SAMPLE, LP_VARS /* the first of its own */ };

typedef struct LpEntry {
    Name name;            /* "step", "step:2" */
    int32_t kind, stage;  /* EntryKind of op/program.h, as a number */
    int32_t nin, nout;
    const LpArg *in, *out; /* [nin], [nout]; NULL: not known and not checked */
    int32_t nvar;         /* variables, >= LP_VARS */
    const Ls *body;
    int64_t fixed_floats, batch_floats; /* workspace: fixed + batch * batch_floats; multiples of 16 */
    int64_t lane_floats;  /* of the fixed ones, memory of a lane, at the end of all; lanes that run at the same time have some in their threads' scratch */
    int64_t prepared_floats; /* of the fixed ones, before the lane's: SP_PREPARED where the call passes no block */
    int64_t thread_bytes;               /* scratch of a thread: at least lp_thread_bytes of each kernel launched */
} LpEntry;

typedef struct LpModule {
    Arena *arena;
    Vec(LpKernel) kernels;
    Vec(LpEntry) entries;
    Vec(LpTable) tables;
    int64_t param_floats, state_floats, tunables; /* sizes of the blocks; for the checks only */
} LpModule;

/* ---- constructors (arena first) ---- integers fold as they are built: x+0, x*1, x*0, (x+1)+2, constants */
const Lx *lx_int(Arena *a, int64_t v);
const Lx *lx_var(Arena *a, int32_t var);
const Lx *lx_i2(Arena *a, LxKind k, const Lx *x, const Lx *y); /* INOT: y is NULL */
const Lx *lx_addk(Arena *a, const Lx *x, int64_t k);           /* x + k */
const Lx *lx_mulk(Arena *a, const Lx *x, int64_t k);
const Lx *lx_iselect(Arena *a, const Lx *cond, const Lx *x, const Lx *y);
const Lx *lx_itab(Arena *a, int32_t ptr, const Lx *index);
const Lx *lx_f2i(Arena *a, const Lx *x);
const Lx *lx_thread(Arena *a);
bool lx_is_const(const Lx *x, int64_t *v); /* v may be NULL */

const Lx *lx_float(Arena *a, double v, int width);
const Lx *lx_lanes(Arena *a, int width);
const Lx *lx_reg(Arena *a, int32_t reg, const Lx *at, int width); /* at may be NULL */
const Lx *lx_load(Arena *a, int32_t ptr, const Lx *index, int width, const Lx *count);
const Lx *lx_gather(Arena *a, int32_t ptr, const Lx *index, const Lx *stride, int width, const Lx *count); /* LX_LOAD when stride is 1 */
const Lx *lx_load_aligned(Arena *a, int32_t ptr, const Lx *index, int width);
const Lx *lx_splat(Arena *a, const Lx *x, int width); /* x itself when width is 1 */
const Lx *lx_lane(Arena *a, const Lx *x, int lane);
const Lx *lx_pack(Arena *a, const Lx *const *lanes, int width); /* copies */
const Lx *lx_i2f(Arena *a, const Lx *x, int width);
const Lx *lx_f1(Arena *a, LxKind k, const Lx *x); /* HSUM, HMAX of a scalar: itself */
const Lx *lx_f2(Arena *a, LxKind k, const Lx *x, const Lx *y);
const Lx *lx_f3(Arena *a, LxKind k, const Lx *x, const Lx *y, const Lx *z);
const Lx *lx_noise(Arena *a, bool normal, int width, const Lx *seed, const Lx *step, const Lx *sample, const Lx *index, const Lx *entry);

/* A list that grows at its end: `LsList l = {0}; ls_add(&l, ls_set(...)); ... ls_for(a, v, lo, hi, 1, false, l.first)`. Each statement is in
   one list only. */
typedef struct LsList {
    Ls *first, *last;
} LsList;
void ls_add(LsList *l, Ls *s);
Ls *ls_for(Arena *a, int32_t var, const Lx *lo, const Lx *hi, int64_t step, bool unroll, const Ls *body);
Ls *ls_for_n(Arena *a, int32_t var, int64_t n, bool unroll, const Ls *body); /* 0 .. n-1 */
Ls *ls_if(Arena *a, const Lx *cond, const Ls *body, const Ls *orelse);
Ls *ls_setvar(Arena *a, int32_t var, const Lx *value);
Ls *ls_break_if(Arena *a, const Lx *cond);
Ls *ls_break_if_at(Arena *a, Lptr at);
Ls *ls_set(Arena *a, int32_t reg, const Lx *at, const Lx *value);
Ls *ls_store(Arena *a, int32_t ptr, const Lx *index, const Lx *value, const Lx *count);
Ls *ls_store_strided(Arena *a, int32_t ptr, const Lx *index, const Lx *stride, const Lx *value, const Lx *count);
Ls *ls_prefetch(Arena *a, int32_t ptr, const Lx *index, bool near);
Ls *ls_tile_clear(Arena *a, int tile);
Ls *ls_tile_load(Arena *a, int tile, int32_t ptr, const Lx *index, const Lx *stride);
Ls *ls_tile_dot(Arena *a, int tile, int tile_a, int tile_b);
Ls *ls_tile_store(Arena *a, int tile, int32_t ptr, const Lx *index, const Lx *stride);
Ls *ls_store_pairs(Arena *a, int32_t ptr, const Lx *index, const Lx *value, const Lx *other);
Ls *ls_store_aligned(Arena *a, int32_t ptr, const Lx *index, const Lx *value);
Ls *ls_threads(Arena *a, const Ls *body);
Ls *ls_sync(Arena *a);
Ls *ls_last(Arena *a, const Ls *body);
Ls *ls_mma(Arena *a, int32_t reg, LsMma mma);
Ls *ls_mma_wait(Arena *a, int under_way);
Ls *ls_warp(Arena *a, LxKind op, int32_t reg);
Ls *ls_copy(Arena *a, int32_t ptr, const Lx *index, const Lx *load);
Ls *ls_group(Arena *a);
Ls *ls_wait(Arena *a, int under_way);
Ls *ls_launch(Arena *a, int32_t kernel, const Lx *grid, const Lptr *ptrs, size_t nptrs, const Lx *const *ints, size_t nints); /* copies */
Ls *ls_f2var(Arena *a, int32_t var, Lptr at);
Ls *ls_lanes(Arena *a, int32_t var, int32_t alone, const Lx *n, const Ls *body);
Ls *ls_prepare(Arena *a, const Ls *body);

/* ---- the noun's tools ---- */
int32_t lp_launch_ptrs(const LpKernel *k);  /* pointers that a launch passes */
int64_t lp_thread_bytes(const LpKernel *k); /* scratch it needs: each rounded up to 64 */
bool lp_uses_tiles(const LpKernel *k);
bool lp_reads_batch(const LpKernel *k);     /* its launches depend on how many samples there are */
int64_t lp_shared_bytes(const LpKernel *k); /* shared memory of a block: each rounded up to 128 */

bool loop_check(Arena *a, const LpModule *m, const char **why);
void loop_print(const LpModule *m, FILE *out);
LpModule *loop_read(Cx *cx, Arena *a, uint32_t file); /* NULL after diagnostics */
uint64_t loop_kernel_hash(const LpKernel *k);          /* names and remark left out: equal kernels are emitted once */
bool loop_kernel_equal(const LpKernel *x, const LpKernel *y);

/* Runs an entry in float32 on plain memory, one grid point after another, every access checked against the extent of what was passed.
   False: *why says what was touched where, or what is wrong with the call. Thread scratch is its own (all NaN at each grid point).
   loop_eval_prepare: only what fills call->prepared. */
struct csc_call;
bool loop_eval(Arena *a, const LpModule *m, int entry, const struct csc_call *call, const char **why);
bool loop_eval_prepare(Arena *a, const LpModule *m, int entry, const struct csc_call *call, const char **why);
#endif
