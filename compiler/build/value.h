/* What names stand for while a model is instantiated. */
#ifndef CSC_BUILD_VALUE_H
#define CSC_BUILD_VALUE_H
#include "build/build.h"

/* Limits of what is built, so that no program takes the machine with it. */
enum {
    SIZE_MOST = 1 << 28,   /* entries of a tensor */
    TABLE_MOST = 1 << 24,  /* numbers that stand in the code: matrices of transforms, starts */
    LIST_MOST = 100000,    /* items of a list */
    STEPS_MOST = 1000000,  /* expressions and statements evaluated, for one entry */
    NODES_MOST = 30000,    /* of one graph */
    TURNS_MOST = 1000000,  /* of a loop */
    STAGES_MOST = 1000,    /* of layerwise training */
    SCORES_MOST = 255,     /* numbers that metrics are made of: as many as the runtime sums */
    PARAMS_MOST = 10000,
    PARTS_MOST = 1000,     /* leaves and joints of one operator */
};

typedef struct GCtx GCtx;
typedef struct LinOp LinOp;
typedef struct Fn Fn;
typedef struct Problem Problem;
typedef struct Frame Frame;

typedef enum VKind {
    V_BAD,    /* after an error: makes no further ones */
    V_ABSENT, /* an option that was not given (tolerance): any comparison with it is false */
    V_INT,
    V_BOOL,
    V_REAL,
    V_STRING, /* also words: same, none, implicit */
    V_LIST,
    V_TENSOR, /* includes scalars that are not known */
    V_OP,     /* a linear operator */
    V_FN,     /* something to call */
    V_ZERO,   /* `zero`: takes the shape of what it meets */
    V_LAYERS, /* an option of a chain, to be indexed: `step` of step[i] */
} VKind;

typedef struct List List;
typedef struct Val {
    VKind kind;
    int64_t i; /* INT, BOOL */
    double r;
    Name s;    /* STRING, LAYERS (the option's name) */
    List *list;
    GCtx *ctx; /* TENSOR: the graph it lives in */
    NodeId node;
    LinOp *op;
    Fn *fn;
    Problem *code; /* this tensor or list is the solution of that problem; or LAYERS: whose options */
    int layer;     /* of a chain: which code (1..), 0 all */
} Val;
struct List {
    Vec(Val) item;
};

/* A graph under construction. Bodies of loops read outer values through arguments, which are added on first use. */
typedef struct Capture {
    NodeId outer, arg;
} Capture;
typedef struct StartVal { /* value of a carried variable when the turn began, for change() */
    Name name;
    Val value;
} StartVal;
typedef struct Emit { /* the body's value number k of each turn, wanted outside: state updates */
    NodeId node;
    int32_t state;
} Emit;
struct GCtx {
    Graph *g;
    GCtx *parent;
    int depth;
    int64_t turns, full_turns; /* repeat: run; declared (a stage of layerwise training runs fewer) */
    int64_t live_from;         /* turns before this one do not learn (layerwise) */
    NodeId turn;               /* argument that is the turn's number, or NO_NODE */
    Vec(Capture) captures, per_turn;
    Vec(StartVal) starts;
    Vec(Emit) emits;
};

/* Linear operators. `map` leaves: from x to y. */
typedef enum LinKind { L_CONV, L_DENSE, L_DIAG, L_DCT, L_HAAR, L_SHIFT, L_ID, L_SCALE, L_ADJ, L_COMPOSE, L_SUM, L_HCAT, L_VCAT } LinKind;
typedef enum PadKind { PAD_VALID, PAD_SAME, PAD_FULL, PAD_NUMBER } PadKind;
typedef enum Boundary { EDGE_ZERO, EDGE_CIRCULAR, EDGE_REFLECT } Boundary;
typedef struct Meeting { /* sizes a convolution has been used with: x -> y. What a stride rounds off is remembered so */
    Shape x, y;
} Meeting;
struct LinOp {
    LinKind kind;
    Span span;
    Val w;                /* CONV, DENSE, DIAG: weights; SCALE: the factor */
    int32_t stride[2], dilation[2], groups, pad_n; /* CONV */
    PadKind pad;
    Boundary edge;
    int64_t by;           /* SHIFT */
    int axis;             /* SHIFT: from 1, 0 the last */
    LinOp **part;         /* SCALE, ADJ: 1; COMPOSE, SUM: 2; HCAT, VCAT: n */
    int nparts;
    int size;             /* parts in all */
    Vec(Meeting) met;     /* CONV */
    Shape signal;         /* last signal this operator met as a dictionary (rank -1: none) */
    bool has_signal;
    Name path;            /* of the dictionary statement that made it, or NULL */
    Vec(struct LipCache) lips;
};
typedef struct LipCache {
    Shape signal;
    Val value;
} LipCache;

typedef enum FnKind { FN_DEF, FN_BUILTIN, FN_OPTION, FN_PROX } FnKind;
struct Fn {
    FnKind kind;
    const Def *def;
    int builtin;         /* index into the table of builtins */
    Name name;
    uint32_t nbound;     /* DEF: arguments given by name */
    const Name *bound_name;
    const Val *bound;
    const Span *bound_span;
    Name path;           /* an instance with parameters of its own (let bn = batch_norm()); NULL: named where it is called */
    GCtx *home;          /* where an instance's parameters live */
    const Option *option;/* OPTION: prox(z) = ... */
    Problem *problem;    /* OPTION, PROX */
    int layer;
    Frame *frame;        /* OPTION: where its names are looked up */
    struct Env *env;
};

typedef struct Binding {
    Name name;
    Val value;
    bool var;
    Span span;
} Binding;
typedef struct Env {
    struct Env *parent;
    Vec(Binding) b;
} Env;

/* One activation of a definition, a model or an option. */
struct Frame {
    Env *env;
    const Def *def;
    Span at;               /* of the call; file 0 at the model */
    Span *given;           /* [def->nparams] where the caller says an argument; file 0: nowhere */
    uint32_t source;       /* where its names are looked up */
    Name path;             /* prefix of parameter names, "" at the model */
    Vec(int64_t) turns;    /* numbers of the `for` loops entered */
    Vec(Name) used;        /* local names given out, for pair_2 */
    Name pending;          /* the name that the value under evaluation will get, or NULL */
    Problem *problem;      /* solver: options are names */
    Val returned;
    bool has_returned;
    bool is_model;
};

typedef struct OptionCache {
    const Option *option;
    int layer;
    Val value;
} OptionCache;
struct Problem {
    Name name;   /* of the code */
    Name path;
    Span span;
    bool chain;
    Val signal;
    int n;       /* dictionaries */
    LinOp **D;   /* [n] */
    Shape *code; /* [n] shapes */
    Val solution; /* tensor, or list for a chain */
    const Stmt *stmt;
    Frame *frame; /* of the statement */
    Env *env;
    GCtx *ctx, *home; /* where the statement stands, where its parameters live */
    Problem *outer; /* a layer's problem inside a chain's solver */
    int outer_layer;
    bool has_updates;
    int64_t updates, run_updates; /* declared; run (layerwise stages run fewer) */
    bool only_last;               /* layerwise: earlier turns do not learn */
    Val tolerance;
    bool tolerance_read;
    bool keep_loops;              /* gradient = recompute */
    Vec(OptionCache) cache;
};

typedef struct OpUse { /* an operator in use, for its dot test */
    LinOp *D;
    Shape code;
    Name name;
    Span at;
} OpUse;

typedef Vec(NodeId) NodeIds;

typedef struct Ratio { /* `value` is that of one sample; a report divides the sums over the data set */
    NodeId value, top, bottom; /* top, bottom: vectors */
    bool db;
} Ratio;

typedef struct Build {
    Cx *cx;
    Arena *a;
    const Ast *ast;
    const BuildOptions *o;
    Program *p;
    EntryKind mode;
    GCtx *root, *ctx, *home; /* current graph; where parameters are made */
    Vec(Val) param_init;     /* by parameter: value of INIT_EXPR (root graph), or V_BAD */
    NodeIds param_leaf, state_leaf, tunable_leaf;
    Vec(Problem *) codes;    /* of the model, in order */
    Vec(GraphOut) state_outs;
    Vec(GraphOut) named;     /* probe */
    Vec(OpUse) uses;         /* operators */
    Frame *model;
    int depth;               /* of calls */
    int32_t noises;
    Vec(Ratio) ratios;
    Name stage_code;         /* layerwise: the code whose updates are cut, or NULL */
    int64_t stage_updates;
    bool stage_own;
    struct Frame *frame;     /* current */
    int64_t steps;           /* evaluated so far */
    bool stopped;            /* too many: nothing more is evaluated */
} Build;

/* value.c */
Val v_int(int64_t i);
Val v_bool(bool b);
Val v_real(double r);
Val v_string(Name s);
Val v_bad(void);
Val v_list(Build *b, const Val *item, size_t n);
Val v_tensor(Build *b, NodeId n); /* in the current graph; V_BAD, and an error, when it is too large */
Val v_op(LinOp *op);
const char *v_text(Build *b, Val v); /* "a list of 3", "real[3, 8, 8]": for messages */
bool build_step(Build *b, int64_t n, Span at);                 /* counts n steps; false once the limit is met */
bool size_fits(Shape s);                                       /* at most SIZE_MOST entries */
bool v_known_number(Val v, double *out); /* INT or REAL */

Binding *env_find(Env *e, Name n);
Env *env_new(Build *b, Env *parent);
/* For an option: the frame where the lasso stands, with local names and a path of its own. */
Frame frame_within(Build *b, const Frame *of, Env *env, Name path);
void env_bind(Build *b, Env *e, Name n, Val v, bool var, Span span);

/* graph.c: tensors of the current graph */
GCtx *gctx_new(Build *b, GCtx *parent);
bool to_node(Build *b, Val v, Span at, NodeId *out);         /* numbers become constants; false after an error */
Shape val_shape(Build *b, Val v);                             /* of a tensor or number */
const Node *val_node(Val v);
bool node_checked(Build *b, OpKind k, const NodeId *in, uint32_t n, const Attr *attr, Span at, Val *out); /* error when the rule refuses */
Val apply1(Build *b, OpKind k, Val x, Span at);
Val apply2(Build *b, OpKind k, Val x, Val y, Span at);         /* aligns at the first axis */
Val apply_select(Build *b, Val c, Val x, Val y, Span at);
Val sum_entries(Build *b, Val x, Span at);                     /* all axes */
Val mean_entries(Build *b, Val x, Span at);
Val sum_axis(Build *b, Val x, int axis, Span at);              /* axis from 0, goes */
Val expand_axis(Build *b, Val x, int axis, int64_t n, Span at);/* a new axis */
Val slice_axis(Build *b, Val x, int axis, int64_t start, int64_t n, Span at);
Val concat_axis(Build *b, const Val *x, int n, int axis, Span at);
Val val_zeros(Build *b, Shape s);
GCtx *enter(Build *b, GCtx *ctx);                              /* makes ctx current; returns the one before */

/* repeat.c: bodies */
GCtx *body_open(Build *b);                                     /* a graph inside the current one, which it becomes */
void body_number(Build *b, GCtx *body, uint32_t ncarry, NodeId *inputs); /* numbers captured arguments; fills the outer nodes after ncarry */
/* Closes the body: makes the loop node in the outer graph, current again. init: outer nodes; next: body nodes. Results: final values, then emits. */
NodeId body_loop(Build *b, GCtx *body, const NodeId *init, const NodeId *next, uint32_t ncarry, NodeId until, int64_t turns, bool keep, Span at);

/* expr.c, call.c, stmt.c */
Val eval(Build *b, Expr *e);
Val eval_named(Build *b, Expr *e, Name name);                  /* the value of a statement that names it */
bool eval_int(Build *b, Expr *e, const char *what, int64_t *out);
Val call_fn(Build *b, Fn *fn, const Val *pos, const Span *pos_span, uint32_t npos, const Name *label, const Val *lab, const Span *lab_span, uint32_t nlab, Span at);
Val call_simple(Build *b, Fn *fn, const Val *pos, uint32_t npos, Span at);
bool argument_bind(Build *b, Frame *f, uint32_t i, Val v, Span at);   /* argument i of the frame's definition, said at `at`; false after an error */
int fn_arity(const Fn *fn);                                    /* positional parameters still open */
Val eval_call(Build *b, Expr *e);
void note_call(Build *b, size_t since, const Def *d, Span at); /* errors from number `since` on that lie inside d: who called it */
Val lookup(Build *b, Name n, Span at, bool quiet);
void exec_block(Build *b, Stmt **s, uint32_t n);
void exec_repeat(Build *b, const Stmt *s);
bool assign_to(Build *b, Expr *target, Val v);
Name scope_name(Build *b, Name local);                         /* path of something called `local` here, made unique */
Val index_value(Build *b, Val v, Val ix, Span at);

/* param.c */
void exec_param(Build *b, const Stmt *s);
void exec_tunable(Build *b, const Stmt *s);
bool tune_hits(const char *tune, const char *name);            /* lambda, z.lambda: the whole of a tunable's path or its end */
Val param_value(Build *b, Name full, Shape shape, Init init, const Val *init_value, bool fixed, const Stmt *s, Span span);
int32_t state_new(Build *b, Name full, Shape shape, Init init);
Val state_value(Build *b, int32_t state);                      /* in the root graph */
Val state_here(Build *b, Name full, Shape shape, Init init, int32_t *state, Span at); /* one per turn inside loops */
Val state_keep(Build *b, int32_t state, Val now, Span at);     /* its new value; one per turn inside loops */
bool param_start(Build *b, int32_t index, NodeId *out);        /* what an INIT_EXPR parameter starts from, in the root graph */
bool type_shape(Build *b, const TypeRef *t, Shape *out);

/* linop.c */
LinOp *lin_new(Build *b, LinKind k, Span at);
Val lin_apply(Build *b, LinOp *op, Val x, bool adjoint, Span at);
bool lin_meet(Build *b, LinOp *D, Shape signal, Span at, Shape *code); /* D' signal: sizes flow */
Val lin_binary(Build *b, BinOp op, Val x, Val y, Span at);
Val lin_blocks(Build *b, Expr *e);
Val lin_adjoint(Build *b, LinOp *x, Span at);
LinOp *lin_like(Build *b, LinOp *D, LinOp *init, Name full, const Stmt *s, Span at);
int64_t lin_atoms(Build *b, LinOp *D);
Val lin_lipschitz(Build *b, LinOp *D, Span at);
Val lin_coherence(Build *b, LinOp *D, Span at);
bool lin_block_sizes(Build *b, LinOp *op, Shape stacked, int64_t *size, Span at); /* of HCAT's code, VCAT's signal */
int64_t lin_channels(Build *b, LinOp *op, bool of_y);           /* first axis of x or y; -1: the operator alone does not say */
GCtx *lin_home(Build *b, LinOp *D, bool *batched);              /* the innermost graph that its weights live in */
LinOp *as_op(Val v);
bool table_fits(Build *b, int64_t n, Span at);                  /* error when so many numbers are too many for the code */

/* operators.c */
void operator_note(Build *b, LinOp *D, Shape code, Name name, Span at);
Val operator_apply(Build *b, LinOp *D, Val x, Span at); /* as the program writes it: D(x), D * x */
bool operators_entry(Build *b);

/* lasso.c */
void exec_lasso(Build *b, const Stmt *s);
Val problem_step(Build *b, Problem *p, int layer, Span at);   /* 1 / lipschitz(D) where none is given */
Span problem_option_span(Build *b, Problem *p, const char *name, int layer);        /* where the user says it; else the lasso */
bool problem_untied(Build *b, Problem *p, const char *name, int layer);              /* does each update have its own? */
Val code_signal(Problem *p, int layer);                        /* X, or the code below */
Val problem_option(Build *b, Problem *p, const char *name, int layer, Span at); /* V_ABSENT when not given */
Val problem_name(Build *b, Problem *p, Name n, Span at, bool *found);             /* prox, step, lambda, ... inside a solver */
Val problem_value(Build *b, Problem *p, Name n, int layer, Span at);              /* the option n as a solver sees it: prox, a step, or an error */
Val problem_prox(Build *b, Problem *p, int layer, Val z, Val step, Span at);      /* step V_ABSENT: the problem's own */
Val code_reconstruct(Build *b, Val code, bool through, Span at);
Val code_residual(Build *b, Val code, Span at);                                   /* X - D G */
Val code_objective(Build *b, Val code, Span at);

/* train.c */
void build_stages(Build *b, const Ast *ast);
bool build_loss(Build *b, const Ast *ast, int32_t stage);
int32_t stage_of(Build *b, const Ast *ast, int32_t stage, const Train **train, int64_t *updates, bool *own, Name *code);

/* builtins.c */
typedef struct BuiltinInfo {
    const char *name;
    int min, max;
    const char *labels;
} BuiltinInfo;
extern const BuiltinInfo builtin_info[];
int builtin_find(Name n); /* -1 */
typedef struct BArgs {    /* of a builtin's call */
    const Val *pos;
    const Span *span;
    uint32_t npos, nlab;
    const Name *label;
    const Val *lab;
    const Span *lab_span;
    Span at;
} BArgs;
Val builtin_call(Build *b, int which, const BArgs *args);
const Val *barg(const BArgs *args, const char *label); /* NULL: not given */
#endif
