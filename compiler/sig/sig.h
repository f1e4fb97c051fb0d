/* The operator table as an enum, and its shape rules. */
#ifndef CSC_SIG_SIG_H
#define CSC_SIG_SIG_H
#include "sig/shape.h"
#include <stdio.h>

#define OP_SOLVE_PIVOT 1e-6 /* of the diagonal entry: what elimination leaves of it, when the column depends on those before it */
typedef enum OpKind {
#define OP(id, name, inputs, linear, formula) OP_##id,
#include "sig/ops.def"
#undef OP
    OP_COUNT
} OpKind;

typedef struct OpInfo {
    const char *id, *name, *formula;
    int inputs;      /* -1: any number */
    unsigned linear; /* bit i: linear in input i */
} OpInfo;
extern const OpInfo op_info[OP_COUNT];
bool op_find(const char *name, OpKind *out);
bool op_is_leaf(OpKind k);
bool op_is_elementwise(OpKind k); /* neg .. select of the table */

void op_reference_print(FILE *out); /* docs/operators.md */

struct LoopAttr; /* op/graph.h */

/* What a node says besides its inputs. Fields not named by its row of the table are zero. */
typedef struct Attr {
    double value;           /* const */
    int32_t index;          /* input, param, state, tunable, arg, proj, noise */
    int32_t axis;           /* argmax, sort, slice, embed, concat, gather, scatter */
    uint32_t axes;          /* expand, sum, amax */
    int64_t start, step, size; /* slice (step from 1), embed, scatter, place */
    bool flag;              /* dense, dense_grad, conv_grad, noise */
    Shape shape;            /* leaves (not nbatch), expand, reshape: the result's */
    bool batched;           /* arg: one per sample? */
    const int32_t *list;    /* gather, scatter: indices; permute: axes */
    int64_t list_len;
    const double *data;     /* table: shape_size(shape) entries; lives as long as the graph */
    const ConvGeom *conv;   /* conv, conv_adj, conv_grad */
    const PoolGeom *pool;
    const struct LoopAttr *loop;  /* loop */
    const struct Graph *body;     /* fixed_point: args: g, then the rest; one output */
} Attr;

/* One input as the rules see it. */
typedef struct SigIn {
    Shape shape;
    bool batched;
} SigIn;

/* The shape of a result (not for loop, proj: the graph knows them). False: the inputs do not fit; *why is a sentence in `a`. */
bool sig_infer(Arena *a, OpKind k, const SigIn *in, int n, const Attr *attr, Shape *shape, bool *batched, const char **why);

/* Output size along one axis; <= 0 when the kernel does not fit. */
int64_t sig_conv_out(int64_t in, int32_t kernel, int32_t stride, int32_t dilation, int32_t pad_lo, int32_t pad_hi);
#endif
