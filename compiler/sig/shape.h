/* Shapes of tensors, per sample (the batch is never an axis), channels first. */
#ifndef CSC_SIG_SHAPE_H
#define CSC_SIG_SHAPE_H
#include "base/arena.h"
#include <stdbool.h>
#include <stdint.h>

enum { RANK_MAX = 6 };
typedef struct Shape {
    int32_t rank; /* 0: a scalar */
    int64_t dim[RANK_MAX];
} Shape;

int64_t shape_size(Shape s); /* product of the dims; 1 for a scalar */
bool shape_eq(Shape a, Shape b);
bool shape_is_prefix(Shape small, Shape big); /* small is aligned at the first axis of big */
Shape shape_of(int rank, ...);                /* dims as int64_t */
const char *shape_text(Arena *a, Shape s);    /* "real[3, 32, 32]", "real" for a scalar */

/* The geometry of one 2-D convolution; 1-D is 2-D with height 1. `in` is the side of conv's input x, `out` of its output y:
   y[k, oy, ox] = sum over c, i, j of w[k, c, i, j] * x[c, oy*stride[0] + i*dilation[0] - pad_lo[0], ...]; zero outside.
   conv_adj maps back from out to in exactly (also where the stride rounded off). */
typedef struct ConvGeom {
    int32_t kernel[2], stride[2], dilation[2], pad_lo[2], pad_hi[2];
    int32_t groups;
    int64_t in[2], out[2]; /* height, width */
    int64_t in_ch, out_ch;
} ConvGeom;

/* Pooling windows over [C, H, W]: out = (in + 2*pad - kernel) / stride + 1 */
typedef struct PoolGeom {
    int32_t kernel[2], stride[2], pad[2];
    int64_t in[2], out[2];
} PoolGeom;
#endif
