/* What the files of sched/ share: where tensors lie (views of buffers), the kernel builder, and the lowering
 * of one graph. */
#ifndef CSC_SCHED_INTERNAL_H
#define CSC_SCHED_INTERNAL_H
#include "base/trouble.h"
#include "sched/sched.h"

static inline int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }
enum { SECOND_LEVEL = 1024 * 1024 }; /* bytes of the second cache that one thing may take */
enum { ENDING_LOOP = 4 }; /* loads and operations behind each sum of a product: from so many on they are a loop, not most of the code */
enum { DOM_MAX = 10 }; /* axes of an iteration domain: those of a tensor and those of a reduction */

/* A stretch of memory that an entry's kernels read and write. */
typedef struct Buf {
    LpSpace space;
    int32_t which;
    int64_t base;        /* SP_PARAM ..: where it begins in its block; workspace: given by plan_memory */
    int64_t floats;      /* SP_BATCH: per sample */
    int32_t first, last; /* launches between which it holds something; -1: not yet */
    bool changes; /* written in more than one turn of a loop that runs: nothing made of it may be kept */
    int32_t over;        /* the buffer whose memory it takes, 1 more than its number; 0: it has its own */
    Name name;
    Span span;
    const char *what; /* for people: "conv real[32, 8, 8]" */
} Buf;

/* Where a tensor lies: entry (i, j, ..) of sample s is float offset + plus + s * sample + i * stride[0] + ...
 * of the buffer. */
typedef struct View {
    int32_t buf;
    bool batched;
    Shape shape;
    int64_t sample, offset;
    int64_t stride[RANK_MAX];
    const Lx *plus; /* over the entry's variables (the turn of a loop), or NULL */
} View;

typedef struct Sched {
    Cx *cx;
    Arena *a;
    const Program *p;
    SchedTarget t;
    SchedResult *r;
    LpModule *m;
    uint64_t *hashes; /* of the kernels made so far, same index */
    size_t nhashes, cap_hashes;
} Sched;

typedef struct Patch { /* a pointer argument whose offset the memory plan will know */
    Lptr *ptr;
    int32_t buf;
} Patch;

enum { NEST_MAX = 32 };
typedef struct CodeLevel {
    Ls *owner, *last;
    bool in_else;
} CodeLevel;
typedef struct Code { /* statements being written */
    const Ls *head;
    CodeLevel level[NEST_MAX];
    int depth;
} Code;

typedef struct Pack { /* weights already packed */
    View w, packed;
    int32_t ntap[2], *at[2];
    int kv, m; /* m: pack_wino's, or 0 */
    int level; /* in how many loops it was made */
    int32_t used; /* the last launch, so far, that reads it */
} Pack;

typedef struct Launch { /* a statement, and what the passes over launches want to know of it */
    Ls s;               /* the first of all */
    int32_t pos, end;   /* its time; of several that became one */
    const View *arg;    /* what its pointers point at */
    uint64_t exact;     /* a bit for each of the first 64 pointers that touch nothing but their views' entries, as far as is known */
    int64_t each, per, times; /* of kb_launch_samples; per 0: the other launches */
} Launch;

typedef struct Over { /* a launch reads each entry of pointer `from`'s view before it writes the same entry of `to`'s, once, and has no other use of either */
    const Launch *l;
    int from, to;
} Over;

typedef struct Around { /* a loop that is being written */
    Ls *before;         /* the last statement before it */
    int32_t begin;      /* its first launch */
} Around;

typedef struct Stretch { /* launches of lanes, from the first to the last */
    int32_t begin, end;
} Stretch;

typedef struct Ent { /* one entry being written */
    Sched *s;
    Span at; /* of the node that kernels are written for */
    Arena *a;
    Vec(Buf) bufs;
    Vec(Patch) patches;
    Code code;
    int32_t pos; /* launches written so far: the clock of lifetimes */
    int32_t nvar;
    int64_t group; /* samples that are computed at a time; 0: all of the batch */
    bool prepares; /* parameters may stay from call to call, and with them what is made of them alone */
    bool packs_near; /* one loop over groups goes through forward and backward: what is packed before it is there all the time */
    bool grouped;  /* inputs and outputs are those of the group that begins at first_var */
    int32_t whole_var, first_var, first_sample; /* samples of the batch; the first of the group; the call's */
    const Lx *alone;    /* nonzero: all that is launched now runs on one thread; NULL: not known */
    int32_t blocks_var; /* into how many blocks a sample's work is cut: more than 1 when the batch is small */
    int64_t thread_bytes;
    Vec(struct Pack) packs;
    Vec(Over) overs;
    Vec(Stretch) lanes;
    Vec(Around) loops;       /* from the outermost to the one being written */
    int emission, change;    /* numbers given out, for Ex.memo and Ex.copy */
    const View *guard;       /* on a GPU: launches do nothing where this number is not 0; or NULL */
    int hoist;               /* a launch now goes before loop number hoist-1; 0: to the end */
    int64_t launches, fused, products, transformed; /* for the remarks; products of 3x3 taps, those by Winograd's transforms */
    LpEntry *out;
} Ent;

/* ---- integers of an entry or a kernel ---- */
#define INT(v) lx_int(a, (v))
#define ADD(x, y) lx_i2(a, LX_IADD, (x), (y))
#define SUB(x, y) lx_i2(a, LX_ISUB, (x), (y))
#define MUL(x, y) lx_i2(a, LX_IMUL, (x), (y))
#define DIV(x, y) lx_i2(a, LX_IDIV, (x), (y))
#define MOD(x, y) lx_i2(a, LX_IMOD, (x), (y))
#define IMIN(x, y) lx_i2(a, LX_IMIN, (x), (y))
#define IMAX(x, y) lx_i2(a, LX_IMAX, (x), (y))
#define ILT(x, y) lx_i2(a, LX_ILT, (x), (y))
#define IAND(x, y) lx_i2(a, LX_IAND, (x), (y))
#define IEQ(x, y) lx_i2(a, LX_IEQ, (x), (y))
#define IVAR(v) lx_var(a, (v))

/* ---- code.c: statements ---- */
void code_put(Code *c, Ls *s);
Ls *code_add(Arena *a, Code *c, LsKind k);
Ls *code_for(Arena *a, Code *c, int32_t var, const Lx *lo, const Lx *hi, const Lx *step);
Ls *code_setvar(Arena *a, Code *c, int32_t var, const Lx *value);
Ls *code_if(Arena *a, Code *c, const Lx *cond);
Ls *code_lanes(Arena *a, Code *c, int32_t var, int32_t alone, const Lx *n);
Ls *code_threads(Arena *a, Code *c);
void code_end(Code *c); /* of the innermost for or if */
void code_else(Code *c);

/* ---- kernel.c: the kernel builder ---- */
enum { EACH_MAX = RANK_MAX + 3 };
typedef struct Kb {
    Ent *e;
    Arena *a;
    const char *what, *detail; /* its name; what the loops as text say of it, NULL: the same */
    Vec(LpParam) ptr;
    Vec(View) arg;
    Vec(int32_t) regs;
    const Lx *ints[6];
    int nint;
    int32_t nvar;
    int32_t threads; /* of a block; 0: a processor's kernel */
    struct {
        int64_t n;
        Ls *set;
    } each[EACH_MAX]; /* kb_each, from the outermost */
    int neach;
    bool each_sample;
    uint64_t exact; /* of Launch */
    Vec(Over) overs; /* kb_may_lie_over; l is not known yet */
    Ls *each_if, *each_base[2];
    Code code;
} Kb;
Kb *kb_new(Ent *e, const char *what, int nint);
int kb_ptr(Kb *k, const View *v,
           bool writes); /* parameter that points at the view's first entry (sample 0) */
int kb_table(Kb *k, const int32_t *list, int64_t n); /* constant integers */
int kb_scratch(Kb *k, int64_t floats);   /* memory of the thread; ask for it after all other parameters */
void kb_as_bf16(Kb *k, int ptr);         /* its memory, made for floats, holds twice as many bf16 */
int kb_reg(Kb *k, int width, int count); /* the first of `count` registers */
int32_t kb_var(Kb *k);
const Lx *kb_grid(Kb *k);
const Lx *kb_batch(Kb *k);
const Lx *kb_for(Kb *k, const Lx *lo, const Lx *hi, int64_t step); /* opens a loop, its variable */
const Lx *kb_unroll(Kb *k, int64_t n);
void kb_if(Kb *k, const Lx *cond);
void kb_else(Kb *k);
void kb_end(Kb *k);
void kb_set(Kb *k, int reg, const Lx *at, const Lx *value);
void kb_store(Kb *k, int ptr, const Lx *index, const Lx *value, const Lx *count);
void kb_store_aligned(Kb *k, int ptr, const Lx *index, const Lx *value); /* of width 1: no matter */
void kb_store_strided(Kb *k, int ptr, const Lx *index, int64_t stride, const Lx *value, const Lx *count);
void kb_prefetch(Kb *k, int ptr, const Lx *index, bool near);
void kb_may_lie_over(Kb *k, int from, int to); /* see Over */
void kb_launch(Kb *k, const Lx *grid);
/* ceil(batch * each / per) * times grid points, a sample's one after the other, and none touches what other samples' write. */
void kb_launch_samples(Kb *k, int64_t each, int64_t per, int64_t times);
const Lx *launch_grid(Arena *a, const Lx *batch, int64_t each, int64_t per, int64_t times);
int32_t kernel_add(Sched *s, LpKernel *q, const char *name); /* its number; q may be an earlier one's equal */
/* Work in any order: first the samples, then loops, from the outermost, before anything else is written. Loops of a processor's grid point
   (which is a sample); on a GPU each turn is a thread. kb_launch_each ends them all. */
const Lx *kb_samples(Kb *k, bool batched); /* the sample; NULL where there are none */
const Lx *kb_each(Kb *k, int64_t n);
void kb_launch_each(Kb *k);
/* Blocks of threads: gpu_kernel.c. */
void kb_threads(Kb *k); /* opens a region */
void kb_sync(Kb *k);
int kb_shared(Kb *k, LpElem elem, int64_t n); /* memory of the block; ask for it after all other parameters */
void kb_setvar(Kb *k, int32_t var, const Lx *v);
const Lx *kb_let(Kb *k, const Lx *v); /* a new variable of this value */
const Lx *kb_at(Kb *k, const View *v, const Lx *sample,
                const Lx *const *index); /* float index of an entry; sample may be NULL */

/* ---- entry memory: plan.c ---- */
int32_t buf_new(Ent *e, bool batched, int64_t floats, Name name, Span span);
int32_t buf_external(Ent *e, LpSpace space, int32_t which, int64_t base, int64_t floats);
void buf_touch(Ent *e, int32_t buf);
void buf_touch_at(Ent *e, int32_t buf, int32_t pos);
void plan_loop_end(Ent *e,
                   int32_t start); /* what was made before `start` and used since must outlive the loop */
/* Launches of the time from begin to end are now these, in this order. */
void plan_order(Ent *e, Launch *const *l, int n, int32_t begin, int32_t end);
void plan_lanes(Ent *e, int32_t start); /* the launches since are those of lanes */
void plan_kept(Ent *e, int32_t start); /* ... and what is kept for all samples must live from turn to turn */
void plan_memory(Ent *e);
void plan_describe(Ent *e); /* a remark about the fullest moment */
Lptr *plan_pointer(Ent *e, const View *v, Lptr *into);

/* ---- prepare.c: what is made of parameters alone goes to the front; before plan_memory ---- */
void prepare_split(Ent *e);

/* ---- views.c ---- */
View view_row_major(int32_t buf, Shape s, bool batched);
View view_channels_last(int32_t buf, Shape s, bool batched); /* first axis innermost */
View view_external(Ent *e, LpSpace space, int32_t which, int64_t base, Shape s, bool batched);
View view_new(Ent *e, Shape s, bool batched, Name name,
              Span span); /* workspace, in the layout that sched prefers */
View view_new_row_major(Ent *e, Shape s, bool batched, Name name, Span span);
bool view_reshape(const View *v, Shape s, View *out); /* false: needs a copy */
View view_permute(const View *v, const int32_t *list);
View view_slice(const View *v, int axis, int64_t start, int64_t step, int64_t size);
View view_expand(const View *v, Shape to, uint32_t axes);
View view_per_sample(const View *v);
View view_turn(Ent *e, const View *v, const Lx *turn); /* entry `turn` of the leading axis */
bool view_is_row_major(const View *v);
bool view_same(const View *x, const View *y); /* the same floats in the same order */
bool view_apart(const View *x, const View *y); /* of one buffer: do they surely have no entry in common? */
int64_t view_span(const View *v);             /* floats of one sample that it reaches over */

/* ---- lower_map.c: elementwise expressions and reductions over an iteration domain ---- */
typedef struct Ex {
    OpKind op; /* OP_arg: a leaf; OP_constant; else elementwise */
    struct Ex *in[3];
    double value;
    View view;               /* leaf; its own strides are not used */
    int64_t stride[DOM_MAX]; /* leaf: along the axes of the domain */
    int ptr;                 /* leaf: parameter of the kernel */
    struct Ex *store;        /* NULL, or a leaf that says where this value is written, besides being used */
    bool early;              /* leaf: loaded before anything is stored */
    const Lx *memo;          /* its value in the emission number memo_of */
    struct Ex *copy;         /* by the ex_change number copy_of */
    int memo_of, copy_of;
} Ex;
typedef enum Fold { FOLD_NONE, FOLD_SUM, FOLD_MAX } Fold;
typedef struct Dom {
    int rank;
    int64_t dim[DOM_MAX];
    bool fold[DOM_MAX]; /* a reduction runs along it */
    bool batched;       /* the result is */
    bool fold_batch;    /* the reduction runs over the samples */
    bool more;          /* a sum is added to what is there */
} Dom;
Dom dom_of(Shape s, bool batched);
Ex *ex_leaf(Ent *e, const View *v,
            const int *axis); /* axis[i]: the domain's axis that axis i of v is; NULL: the same */
Ex *ex_op(Ent *e, OpKind op, Ex *x, Ex *y, Ex *z);
Ex *ex_const(Ent *e, double v);
/* Of n (a power of two) tensors, pairwise: 0 + n/2, ..; that many floats apart, the first of them elsewhere where zeroth is not NULL. */
Ex *ex_sum(Ent *e, const View *zeroth, View next, int64_t apart, int n);

/* out[map axes] = fold over the others of root; stride: of the result along the domain's axes. */
void lower_map(Ent *e, const Dom *d, Fold fold, Ex *root, const View *out, const int64_t *stride,
               const char *what);
void lower_copy(Ent *e, const View *from, const View *to); /* equal shapes */
void lower_fill(Ent *e, double v, const View *to);
const Lx *lower_larger(Arena *a, const Lx *x, const Lx *than); /* 1.0: x > than, a NaN being the largest */
const Lx *lower_op(Arena *a, OpKind op, const Lx *x, const Lx *y, const Lx *z); /* one elementwise operator */

/* ---- tile*.c: register tiles ---- */
typedef struct Taps { /* along one axis: x's position is stride * out + off[t] for tap t, whose weight is
                         number at[t]; off rises */
    int32_t n, stride;
    int32_t *at, *off;
} Taps;
typedef struct TileConv {
    View x, out; /* [C, H, W], [K, OH, OW] */
    View w;      /* [K, C, kh, kw] in any order of memory; not batched */
    Taps taps[2];
    int64_t columns;   /* 0, or: the columns of all samples are one row, this many for each sample; out is [K,
                          1, columns] */
    int64_t spread[2]; /* columns 1: x is one position, and tap (i, j) makes the result at (i * spread[0], j *
                          spread[1]) alone; else 0 */
    bool in_place;     /* x may be read where it lies whatever its strides */
    bool one_copy;     /* another product reads these weights from the other side, where they lie */
    Ex *epilogue;      /* over (K, OH, OW), reads acc; NULL: the sum itself is stored */
    Ex *acc;
    const char *what;
} TileConv;
bool tile_conv_fits(const TileConv *t);
double tile_cost(const Ent *e, const TileConv *t); /* cycles for a sample by the register tile, by a model */
double tile_far_cost(const Ent *e, double bytes);  /* ... for reading so many bytes of weights, beyond what packed tiles wait for */
void tile_conv(Ent *e, const TileConv *t);
enum { TILE_OPS_MOST = 20 };
typedef struct Finish {
    Kb *k;
    const Lx *sample;
    Ex *acc;             /* where the sum stands in the tree, */
    const Lx *value;     /* and what it is */
    int axes, lanes;     /* of the result; along which the lanes run */
    const Lx *const *at; /* index of the first lane */
    int width;
    bool aligned; /* what has lanes side by side has them at multiples of their size */
    const Lx *count;
} Finish;
int finish_parts(Ex *x); /* operations and loads */
int finish_ops(Ex *x);
bool finish_aligned(Ent *e, const Ex *x, int axes);

void finish_pointers(Kb *k, Ex *x);
/* Each result is made once: what the ending reads at its place may have its memory. out, po: what is stored last; others: pointers that the kernel
   reads elsewhere too. */
void finish_over(Kb *k, Ex *tree, const View *out, int po, const int *others, int n);
const Lx *finish(Finish *f, Ex *tree);
/* What the second cache does not hold of so many samples. */
bool finish_reads_far(const Kb *k, Ex *tree, int64_t samples);
void finish_ask(Finish *f, Ex *tree, int64_t samples); /* it will be read at f's place soon */

/* out[k, c, i, j] = sum over positions and samples of y[k] * x[c]; taps as in the convolution. */
typedef struct TileGrad {
    View x, y, out;
    const Taps *taps;
    int64_t columns;    /* as in TileConv */
    Ex *epilogue, *acc; /* over (k, c, i, j) */
} TileGrad;
bool tile_grad(Ent *e, const TileGrad *t); /* false: cannot */
/* The same with channels and taps of x as one axis, along which the result lies; false: it does not. */
bool grad_flat(Ent *e, const TileGrad *t, TileGrad *flat);
typedef struct PadCopy {
    View x;
    int from, to; /* parameters: x, scratch */
    const Lx *at; /* where the copy begins; NULL: at 0 */
    const Lx *sample, *first_row, *rows;
    int64_t left, wide; /* x's column of the copy's first one, columns of the copy */
    int64_t part; /* the copy is of bf16, in three parts (amx.h), each so many after the other; 0: of floats */
    int interleaved; /* amx_copy_interleaved: rows */
} PadCopy;
void tile_copy_padded(Kb *k, const PadCopy *p);
typedef struct Shape2 { /* one choice of tile: vectors (or outputs) x rows x columns */
    int kv, rows, cols;
    bool dots; /* lanes run along the sum, and are added at the end */
    double cost;
} Shape2;
int tile_last_off(const Taps *t);
/* Entries of a table of rows of taps, per_row each, whose row touches a map of `in` rows, for rows y0 .. y1 of its `out` rows. */
void tile_tap_range(Arena *a, const Taps *t, int64_t in, int64_t out, int32_t per_row, const Lx *y0, const Lx *y1, const Lx **lo, const Lx **hi);
bool tile_columns_fit(const View *v, int64_t columns);
bool tile_unit_steps(const Taps *t);
typedef struct TileWork { /* what is to be computed, and which packing of the weights can be saved */
    int64_t out_ch, rows, cols, entries, run;
    bool no_dots, dots_free, vectors_free;
    bool one_copy; /* see TileConv: a packed copy beside it would not stay in the second cache */
    int row_taps; /* rows of taps, where the next row of the result meets each row of the input under the tap before; 0: it does not */
} TileWork;
Shape2 tile_choose(const SchedTarget *t, const TileWork *w);
Shape2 tune_tile(Sched *s, const TileWork *w); /* the measured one, else tile_choose; tune.c */

/* Weights in the order in which a tile of kv vectors reads them; made once for all uses. [tile of
 * K][tap][C][vector][lanes]; kv 0, dots: [K][tap][C]. */
View pack_weights(Ent *e, const View *w, const Taps taps[2], int kv);
/* The same in a kernel, of one tile whose first vector is number `vector`, from w at parameter p to the beginning of q; t: pack_table's. */
int pack_table(Kb *k, const View *w, const Taps taps[2]);
void pack_tile(Kb *k, const View *w, const Taps taps[2], int kv, int p, int t, int q, const Lx *vector);
/* Are there so many positions of a group that it may pack those weights for itself? */
bool pack_near(const Ent *e, double bytes, int64_t positions, int64_t enough);
View pack_wino(Ent *e, const View *w, const Taps taps[2], int kv, int m, bool near); /* transformed; wino.c */
/* What those are made of: what was packed already, or NULL; launches from here on go before the outermost loop in which w does not change (its
   number), until pack_keep. */
const View *pack_find(Ent *e, const View *w, const Taps taps[2], int kv, int m);
int pack_hoist(Ent *e, const View *w);
View pack_keep(Ent *e, const View *w, const Taps taps[2], int kv, int m, int level, View packed);
void pack_forget(Ent *e); /* at the end of a loop: what was packed inside */

/* ---- wino*.c: 3 x 3 taps by Winograd's transforms ---- */
int wino_choose(Ent *e, const TileConv *t); /* m: a tile makes m x m results; 0: the register tile is the better choice */
void wino_conv(Ent *e, const TileConv *t, int m);

/* ---- split.c ---- */
const Graph *split_joined(Arena *a, const Graph *g);

/* ---- graphs: entry.c ---- */
typedef enum ValKind {
    VAL_NONE,
    VAL_INLINE,
    VAL_HELD,
    VAL_STORED,
    VAL_LOOP
} ValKind; /* HELD: a product that waits for its reader */
typedef struct Val {
    ValKind kind;
    bool has_target; /* `view` says where it shall be written */
    View view;
    View *results; /* loop */
} Val;
typedef struct Groups {
    const Graph *graph; /* its nodes in the order of the parts */
    int32_t nparts;     /* 0: the whole batch at once. Even parts run once, odd ones group by group: what the batch
                           has no say in, what is made for each sample, what needs their sums, and so on */
    int32_t *part;      /* [node] */
    NodeId *begin;      /* [nparts + 1] */
    int64_t *size;      /* [nparts] samples of a group; 0: the whole batch */
    int *lanes;         /* [nparts] into how many lanes the groups are cut, each with sums of its own; 0: each group is a lane */
    bool *minus;        /* [node] it is taken from its sum */
    bool waits;         /* the last part makes gradients of values that are kept for all samples */
    NodeId *sum;        /* the sum over all groups that a node is a part of (its own number: it is that sum); NO_NODE */
    double each_cost, once; /* estimated cycles: of a sample, of a group by itself; of the last part chosen for */
    NodeId reader;      /* why there are no groups: a value per sample (of the graph as given) that sums lead to; NO_NODE */
} Groups;
typedef struct Gx { /* one graph being lowered: an entry's, or a body's in it */
    Ent *e;
    Arena *a;
    const Graph *g;
    const View *args; /* body */
    Val *val;
    uint32_t *uses;
    bool *fits;  /* is computed inside the first that reads it */
    bool *aside; /* ... and stored from there for others */
    const Groups *groups; /* NULL: there are none */
    const NodeId *sum;    /* group.c: the sum over groups that a node is a part of; NULL: there are none */
    const bool *minus;
    bool *in_lanes; /* group.c: a sum that lanes add to at present; */
    Val *before;    /* ... what it was before */
    bool *in_place; /* ... and lane 0 adds to that */
    const Lx *lane; /* the one that is running */
    bool *whole;   /* more parts than one read or write it: it is kept for all samples. NULL: nothing is */
    int32_t *made; /* [node] the part in which it is stored */
    bool hold;   /* gx_expr: leave a held product as it is, and say so in `held` */
    Ex *held;
    NodeId held_node;
    Vec(NodeId) inner; /* of the expression being built: what is stored aside */
    Vec(Ex *) inner_ex;
} Gx;
Gx *gx_new(Ent *e, const Graph *g, const View *args, const Groups *q);
void gx_target(
    Gx *x, NodeId n,
    const View *v); /* ask for the result there; only if nothing else was asked and it is not a view */
void gx_run(Gx *x);
View gx_view(Gx *x, NodeId n);   /* of a stored value; makes it if it is a constant */
View gx_result(Gx *x, NodeId n); /* where to write node n */
Ex *gx_expr(Gx *x, NodeId n);    /* the node as an expression over its own axes */
void fuse_decide(Gx *x);
bool is_view_op(OpKind op); /* nothing is computed: the value of an input, seen in another way */

/* What a product's result goes through before it is stored, as node `into`. NULL tree: nothing. */
typedef struct Ending {
    NodeId into;
    Ex *tree, *acc; /* acc: where the product stands in the tree */
} Ending;
typedef bool (*ViewChange)(const View *v, void *how, View *out);
/* A copy with the views of its leaves changed; *acc becomes its copy. NULL: one cannot be changed so. */
Ex *ex_change(Ent *e, Ex *x, Ex **acc, ViewChange f, void *how);

/* ---- group.c: samples in groups ---- */
Groups *groups_of(Arena *a, const Graph *g, int64_t wanted, bool wait); /* SchedTarget.group, .wait */
void group_open(Gx *x, const Groups *q, int32_t part);
void group_add(Gx *x, NodeId part, NodeId sum);
void group_close(Gx *x, const Groups *q, int32_t part);
void group_mark_whole(Gx *x, const Groups *q, const NodeId *root, const bool *again);
void group_describe(Ent *e, const Groups *q); /* a remark: what was chosen, and why */
void set_blocks(Ent *e, const Lx *alone); /* into how many a sample is cut: by the samples that there are now; alone: not at all */

/* ---- one file of lowerings each; n is the node's number ---- */
bool lower_product(Gx *x, NodeId n, Ending end);
void lower_reduce(Gx *x, NodeId n, const View *more); /* more: where the sum is added; NULL: to its own place */
bool lower_dense(Gx *x, NodeId n, Ending end); /* false: this ending cannot be had */
void lower_solve(Gx *x, NodeId n);
void lower_shape(Gx *x, NodeId n); /* concat embed gather scatter pick place argmax sort noise nbatch */
bool lower_conv(Gx *x, NodeId n, Ending end);
/* The position of the other side that meets position i under tap t along axis d; *cond: is it inside? back: of the adjoint. */
const Lx *conv_meet(Arena *a, const ConvGeom *g, int d, const Lx *i, const Lx *t, bool back, const Lx **cond);
bool lower_groups(Gx *x, NodeId id, Ending end); /* false: cannot, or too few groups */
void lower_pool(Gx *x, NodeId n);
void lower_loop(Gx *x, NodeId n);
void store_number(Ent *e, const Lx *v, const View *to); /* of an entry's variables */

/* ---- gpu_*.c: what a GPU does otherwise ---- */
bool gpu_aligned(Ent *e, const View *v); /* do it and its samples begin at multiples of 16 bytes? */
void gpu_copies(Ent *e, const View *from, const View *to, size_t n); /* row-major, not batched: a few launches for all */
void gpu_scatter(Ent *e, const Node *n, const View *from, const View *to);
void gpu_conv(Ent *e, const TileConv *t);
View gpu_pack(Ent *e, const View *w, const Taps taps[2]);
void gpu_grad(Ent *e, const TileGrad *t);
void gpu_solve(Gx *x, NodeId n);
const Ls *gpu_chain(Ent *e, const Ls *s); /* launches that do a sample's work one after the other become one */
const Ls *gpu_beside(Ent *e, const Ls *s); /* launches that need nothing of one another become one */
const Ls *gpu_merge(Ent *e, const Ls *s); /* launches of one block each, one after the other, become one */
const Ls *gpu_last(Ent *e, const Ls *s); /* launches of few blocks become the end of the one before */
/* A loop whose number of turns the device finds out: it may run to its bound, and kernels do nothing where it would have ended. */
typedef struct GpuTurns {
    View ended, odd, count; /* numbers: it has ended; it took an odd number of turns so far; how many */
    View both;              /* the first two and the third as one */
    const View *outer;      /* what guards the loop as a whole */
} GpuTurns;
void gpu_turns_start(Ent *e, GpuTurns *t, Span at);
void gpu_turns_from(Ent *e, GpuTurns *t, const Lx *turn, const View *count); /* a turn begins: it counts where turn < count */
/* Opens the loop over `var` of a backward loop of that many turns, and what is around it; gives back how many statements are open then. */
int gpu_turns_parts(Ent *e, GpuTurns *t, int64_t count, const View *taken, int32_t var);
void gpu_turns_end(Ent *e, GpuTurns *t, const View *stopped);                /* a turn ends; stopped: NULL, or flags that end the loop when all are set */
void gpu_turns_leave(Ent *e, GpuTurns *t, const Lx *turn, const Lx *count);  /* last in a turn of `count`: the loop may be left where it has ended */

void remark(Ent *e, Span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#endif
