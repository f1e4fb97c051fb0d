/* What `build` makes of one model: its parameters and other declarations, and the recipe of its train blocks; and for each entry
   (something that can be run) an operator graph. */
#ifndef CSC_OP_PROGRAM_H
#define CSC_OP_PROGRAM_H
#include "op/graph.h"

typedef enum InitKind { INIT_CONST, INIT_NORMAL, INIT_UNIFORM, INIT_EXPR } InitKind; /* EXPR: an OUT_PARAM of the init entry */
typedef struct Init {
    InitKind kind;
    double a, b; /* CONST: value a; NORMAL: mean a, deviation b; UNIFORM: from a to b */
} Init;

typedef enum ConstraintKind {
    CON_UNIT_ATOMS,   /* norm 1 over all but the first axis */
    CON_UNIT_COLUMNS, /* norm 1 along the first axis */
    CON_NONNEGATIVE,
    CON_ORTHOGONAL,   /* [m, rest]: orthonormal rows or columns, the nearest one */
    CON_SPARSE_L0,    /* value: how many entries of each first index stay (>= 1), or their share (< 1) */
    CON_SPARSE_L1,    /* value: soft threshold, times the learning rate */
} ConstraintKind;
typedef struct Constraint {
    ConstraintKind kind;
    double value;
} Constraint;

typedef struct ParamDecl {
    Name name;     /* "z.lista_cp.W"; entries of a per-turn parameter are saved as name.1 .. name.turns */
    Shape shape;   /* without the turns */
    int64_t turns; /* 0: one for all; else stored as [turns, shape] */
    Init init;
    bool fixed;
    Vec(Constraint) constraints;
    Span span;
    int64_t offset; /* floats, in the block of all parameters, 16-float aligned */
} ParamDecl;

typedef struct StateDecl { /* same block rules as parameters */
    Name name;
    Shape shape;   /* as stored: [turns, ...] where there are turns */
    int64_t turns; /* 0: one for all; else saved as name.1 .. name.turns */
    bool computed; /* the entry init makes it from the parameters: no checkpoint needs to hold it (lipschitz, at another size) */
    Init init;
    int64_t offset;
} StateDecl;

typedef struct TunableDecl {
    Name name;
    double value;
    Span span;
} TunableDecl;

typedef enum InputKind { IN_REAL, IN_LABEL, IN_TARGET } InputKind;
typedef struct InputDecl {
    Name name;
    InputKind kind;
    Shape shape;     /* of class[21, H, W]: [H, W] */
    int64_t classes; /* labels */
    Span span;
} InputDecl;

typedef struct OutputDecl {
    Name name;
    Shape shape;
} OutputDecl;

/* A value of a recipe: number, text, list, or a call with named arguments, `sgd(lr: 0.1)`. */
typedef enum CfgKind { CFG_NUMBER, CFG_BOOL, CFG_TEXT, CFG_LIST, CFG_CALL } CfgKind;
typedef struct Cfg {
    CfgKind kind;
    Span span;
    double number; /* also bool */
    Name text;     /* TEXT; CALL: the name */
    uint32_t n;    /* LIST, CALL */
    const struct Cfg **item;
    const Name *key; /* CALL: name of each argument, filled in for positional ones */
} Cfg;
const Cfg *cfg_arg(const Cfg *call, const char *key); /* NULL: not given */

typedef enum EntryKind {
    ENTRY_INIT,     /* parameters with INIT_EXPR, states -> their values */
    ENTRY_FORWARD,  /* inputs -> outputs (statistics frozen) */
    ENTRY_EVAL,     /* all inputs, labels, targets -> loss, metrics (frozen) */
    ENTRY_STEP,     /* all -> loss, metrics, new states, gradients (after autodiff) */
    ENTRY_BACKWARD, /* inputs and one cotangent per output -> gradients of parameters and inputs (frozen) */
    ENTRY_SYNTH,    /* sparse_codes: target -> input (data = sparse_codes(A, ...)) */
    ENTRY_PROBE,    /* all -> every named value: who was NaN first */
    ENTRY_OPERATORS,/* the dot test of each operator, for the evaluator: x, y, <D x, y>, <x, D' y>, |D x|^2 |y|^2 of one after another */
} EntryKind;

typedef struct Metric {
    Name name;
    int32_t index; /* its first OUT_METRIC */
    int32_t terms; /* n > 0: n sums over the data set, then the n they are divided by; see `ratio`. 0: a mean over the samples */
    bool db;       /* 10 log10 of it */
} Metric;

typedef struct Stage { /* one train block, or one step of stages = layerwise(..) */
    Name name;
    const Cfg *data, *test, *optimizer; /* test may be NULL */
    Vec(const Cfg *) augment;
    int64_t epochs, batch;
    Vec(Metric) metrics;
    Vec(int32_t) only; /* parameters that learn; empty: all that are not fixed */
    Span span;
} Stage;

typedef struct Program {
    Arena *arena;
    Name model;
    Vec(ParamDecl) params;
    Vec(StateDecl) states;
    Vec(TunableDecl) tunables;
    Vec(InputDecl) inputs; /* inputs, labels and targets as declared */
    Vec(OutputDecl) outputs;
    Vec(Stage) stages;
    int64_t param_floats, state_floats; /* sizes of the blocks */
} Program;

/* One entry's graph. As build makes it, OP_input is numbered as Program.inputs. Before sched, the driver (its pass "ad") gives each entry the
   face of its call (csc_model.h): OP_input k is csc_call.in[k], described by in[k] (FORWARD, BACKWARD: the real inputs only; BACKWARD: then
   one cotangent per output; SYNTH: the code alone). csc_call.out[k] is the k-th of graph->outs that is neither OUT_GRAD nor OUT_STATE, in the
   order: loss, metrics, values, input gradients, parameters (init). OUT_GRAD and OUT_STATE go to the blocks grads and state_out. */
typedef struct Entry {
    EntryKind kind;
    int32_t stage; /* EVAL, STEP, PROBE; else 0 */
    Graph *graph;
    int32_t nin; /* set by the driver */
    const InputDecl *in;
    Name name;   /* "forward", "step", "step:2" (the second stage) */
} Entry;

void program_layout(Program *p); /* sets offsets and block sizes */
Shape param_stored(const ParamDecl *p); /* [turns, shape] where there are turns */
int64_t param_size(const ParamDecl *p); /* floats, all turns */
const char *entry_kind_text(EntryKind k); /* "forward" */
void program_print(const Program *p, FILE *out); /* the declarations and recipes, one a line, as the head of --emit=op; for people */
#endif
