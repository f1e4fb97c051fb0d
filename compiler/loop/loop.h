/* Loop nests: what `sched` decides and the back ends write out. A module has kernels (run for each point of a grid, in parallel), entries
   (straight-line host programs with loops that launch kernels), and tables. Nothing here knows an operator of mathematics. */
#ifndef CSC_LOOP_LOOP_H
#define CSC_LOOP_LOOP_H
#include "base/diag.h"

/* ---- expressions ---- integers are 64-bit; floats are float32, scalar or vectors of `width` lanes */
typedef enum LxKind {
    /* integers */
    LX_INT,    /* i */
    LX_VAR,    /* loop variable, integer parameter, grid index, batch: number `i` */
    LX_IADD, LX_ISUB, LX_IMUL, LX_IDIV, LX_IMOD, LX_IMIN, LX_IMAX, /* a, b; div and mod of non-negative numbers */
    LX_ILT, LX_IEQ, LX_IAND, LX_IOR, LX_INOT,   /* 0 or 1 */
    LX_ITAB,   /* int32 entry a of the table that pointer parameter `i` points to */
    LX_F2I,    /* float to integer, toward zero */
    /* floats */
    LX_FLOAT,  /* f, in all lanes */
    LX_REG,    /* register i + a (a: NULL or an integer that folds to a constant once unrolled) */
    LX_LOAD,   /* pointer parameter i at index a: `width` neighbours; b: NULL or how many of them exist (others read as 0) */
    LX_SPLAT,  /* scalar a in all lanes */
    LX_GATHER, /* pointer parameter i at index a, a + b, a + 2b, ... (stride b) */
    LX_I2F,
    LX_NEG, LX_ABS, LX_SQRT, LX_FLOOR, LX_EXP, LX_LOG, LX_TANH, LX_SIN, LX_COS, /* a */
    LX_ADD, LX_SUB, LX_MUL, LX_DIV,   /* a, b; never reassociated, may contract */
    LX_FMA,    /* a * b + c, fused where the target has it */
    LX_MAX, LX_MIN, /* as in sig/ops.def: NaN stays */
    LX_LT, LX_LE, LX_EQ, LX_POW, /* 1.0 or 0.0 */
    LX_SELECT, /* a nonzero ? b : c, lane by lane */
    LX_HSUM,   /* vector a -> scalar: halves are added to halves (fixed order) */
    LX_HMAX,
    LX_NOISE,  /* args in list: seed, step, sample, index, entry (integers); f nonzero: normal */
} LxKind;

typedef struct Lx {
    LxKind kind;
    int32_t width; /* 0: integer; 1: scalar; else lanes */
    int64_t i;
    double f;
    const struct Lx *a, *b, *c;
    const struct Lx *list[5];
} Lx;

/* ---- statements ---- */
typedef enum LsKind {
    LS_FOR,    /* var = lo, lo+step, ... < hi: body. unroll: bounds are constants, the body is written out for each */
    LS_IF,     /* cond: body, else orelse */
    LS_SET,    /* register `reg` + reg_at = value */
    LS_STORE,  /* pointer parameter ptr at index: value; count: NULL or how many lanes exist; */
    LS_STORE_STRIDED, /* lanes to index, index + stride, ... */
    /* entries only */
    LS_LAUNCH, /* kernel over grid points 0 .. grid-1, with pointers and integers */
    LS_BREAK_IF, /* leaves the innermost LS_FOR of the entry when the float at `ptrs[0]` is nonzero */
    LS_SETREG_COUNT, /* entry: integer register `var` = cond, readable as LX_VAR afterwards */
    LS_F2VAR,  /* entry: integer variable `var` = the float at ptrs[0], to integer */
} LsKind;

/* Memory that entries hand to kernels. */
typedef enum LpSpace {
    SP_FIXED,   /* workspace, same size for every batch */
    SP_BATCH,   /* workspace, grows with the batch: offset is multiplied by the batch */
    SP_IN, SP_OUT, /* input, output `which` of the entry: row-major [batch, shape] */
    SP_PARAM, SP_GRAD, SP_STATE, SP_STATE_OUT, SP_TUNABLE, /* blocks; SP_STATE_OUT may be the same memory as SP_STATE */
    SP_TABLE,   /* constant int32 table `which` */
    SP_FTABLE,  /* constant float table `which` */
} LpSpace;

typedef struct Lptr {
    LpSpace space;
    int32_t which;
    int64_t offset;   /* floats (SP_BATCH: floats per sample, times batch) */
    const Lx *plus;   /* NULL or a further offset in floats, over the entry's variables (turn of a loop, batch) */
} Lptr;

typedef struct Ls {
    LsKind kind;
    bool unroll;
    int32_t var, reg, ptr;
    int32_t kernel;         /* LAUNCH */
    const Lx *lo, *hi, *step, *cond, *index, *value, *count, *stride, *reg_at, *grid;
    const Lptr *ptrs;       /* LAUNCH: one per pointer parameter */
    const Lx *const *ints;  /* LAUNCH: one per integer parameter */
    const struct Ls *body, *orelse; /* first statement of a list */
    const struct Ls *next;
} Ls;

typedef struct LpParam { /* pointer parameter of a kernel */
    Name name;
    bool is_int, writes; /* int32 table? stored to? */
    bool thread;         /* scratch of this thread, `bytes` large, 64-byte aligned; not passed by the launch */
    int64_t bytes;
    const Lx *extent;    /* floats that may be touched, over the integer parameters and batch; NULL: unknown. For the checker/evaluator */
} LpParam;

typedef struct LpKernel {
    Name name;
    LpParam *ptr;
    int32_t nptr;       /* thread scratch last */
    int32_t nint;       /* integer parameters are variables 0 .. nint-1 */
    int32_t grid_var;   /* = nint; the grid index. batch_var = nint + 1. thread scratch needs no index */
    int32_t nvar;       /* variables in all */
    int32_t nreg;       /* float registers */
    int32_t *reg_width; /* [nreg] lanes; 1 scalar */
    const Ls *body;
    const char *remark; /* what was fused here, for people */
} LpKernel;

typedef struct LpTable {
    bool is_int;
    const int32_t *i;
    const float *f;
    int64_t len;
} LpTable;

typedef struct LpEntry {
    Name name;
    int32_t kind, stage;  /* EntryKind of op/program.h, as a number */
    int32_t nin, nout;
    int32_t nvar;         /* variables; 0 is the batch */
    const Ls *body;
    int64_t fixed_floats, batch_floats; /* workspace: fixed + batch * batch_floats */
    int64_t thread_bytes;               /* scratch a thread needs */
} LpEntry;

typedef struct LpModule {
    Arena *arena;
    Vec(LpKernel) kernels;
    Vec(LpEntry) entries;
    Vec(LpTable) tables;
} LpModule;

/* Constructors (arena first). Integers fold as they are built. */
const Lx *lx_int(Arena *a, int64_t v);
const Lx *lx_var(Arena *a, int32_t var);
const Lx *lx_i2(Arena *a, LxKind k, const Lx *x, const Lx *y);
const Lx *lx_float(Arena *a, double v, int width);
const Lx *lx_reg(Arena *a, int32_t reg, const Lx *at, int width);
const Lx *lx_load(Arena *a, int32_t ptr, const Lx *index, int width, const Lx *count);
const Lx *lx_splat(Arena *a, const Lx *x, int width); /* x itself when width is 1 */
const Lx *lx_f1(Arena *a, LxKind k, const Lx *x);
const Lx *lx_f2(Arena *a, LxKind k, const Lx *x, const Lx *y);
const Lx *lx_f3(Arena *a, LxKind k, const Lx *x, const Lx *y, const Lx *z);

bool loop_check(Arena *a, const LpModule *m, const char **why);
void loop_print(const LpModule *m, FILE *out);
LpModule *loop_read(Cx *cx, Arena *a, uint32_t file); /* NULL after diagnostics */
uint64_t loop_kernel_hash(const LpKernel *k);          /* name and remark left out: equal kernels are emitted once */

/* Runs an entry in float32 on plain memory, one grid point after another, every access checked against its extent. */
struct csc_call;
bool loop_eval(Arena *a, const LpModule *m, int entry, const struct csc_call *call, const char **why);
#endif
