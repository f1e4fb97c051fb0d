/* The oracle: products with matrices and filters, pooling. Each adds to a result of zeros, so that the gradients with their flag set sum
   over the batch by being called for one sample after another. */
#include "op/eval_rules.h"
#include <math.h>

void eval_dense(EvalAt *e) {
    const double *a = e->x[0], *x = e->x[1];
    bool flag = e->n->a.flag;
    int64_t m = e->n->shape.dim[0], n = e->xs[1].dim[0], rest = e->size / m;
    for (int64_t i = 0; i < m; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t r = 0; r < rest; r++) e->y[i * rest + r] += a[flag ? k * m + i : i * n + k] * x[k * rest + r];
}
void eval_dense_grad(EvalAt *e) {
    const double *y = e->x[0], *x = e->x[1];
    int64_t m = e->xs[0].dim[0], n = e->xs[1].dim[0], rest = shape_size(e->xs[0]) / m;
    for (int64_t i = 0; i < m; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t r = 0; r < rest; r++) e->y[i * n + k] += y[i * rest + r] * x[k * rest + r];
}

/* Outputs o with 0 <= o * stride + shift < in: from *lo to *hi (exclusive). */
static void reach(int64_t in, int64_t out, int64_t stride, int64_t shift, int64_t *lo, int64_t *hi) {
    *lo = 0;
    while (*lo < out && *lo * stride + shift < 0) ++*lo;
    *hi = out;
    while (*hi > *lo && (*hi - 1) * stride + shift >= in) --*hi;
}

/* All three products of the family are this sum, over all places where x, w and y meet; `to` says which of them receives. Inlined, so that each
   has an inner loop of its own. */
typedef enum Receiver { TO_Y, TO_X, TO_W } Receiver;
static inline __attribute__((always_inline)) void conv_meet(const ConvGeom *g, Receiver to, double *x, double *w, double *y) {
    int64_t cg = g->in_ch / g->groups, kg = g->out_ch / g->groups;
    for (int64_t k = 0; k < g->out_ch; k++)
        for (int64_t c = 0; c < cg; c++)
            for (int64_t i = 0; i < g->kernel[0]; i++)
                for (int64_t j = 0; j < g->kernel[1]; j++) {
                    int64_t shift_y = i * g->dilation[0] - g->pad_lo[0], shift_x = j * g->dilation[1] - g->pad_lo[1];
                    int64_t y0, y1, x0, x1;
                    reach(g->in[0], g->out[0], g->stride[0], shift_y, &y0, &y1);
                    reach(g->in[1], g->out[1], g->stride[1], shift_x, &x0, &x1);
                    double *wp = &w[((k * cg + c) * g->kernel[0] + i) * g->kernel[1] + j];
                    for (int64_t oy = y0; oy < y1; oy++) {
                        int64_t row = ((k / kg * cg + c) * g->in[0] + oy * g->stride[0] + shift_y) * g->in[1] + shift_x;
                        double *yp = &y[(k * g->out[0] + oy) * g->out[1]];
                        for (int64_t ox = x0; ox < x1; ox++) {
                            double *xq = &x[row + ox * g->stride[1]];
                            if (to == TO_Y) yp[ox] += *wp * *xq;
                            else if (to == TO_X) *xq += *wp * yp[ox];
                            else *wp += *xq * yp[ox];
                        }
                    }
                }
}
void eval_conv(EvalAt *e) { conv_meet(e->n->a.conv, TO_Y, (double *)e->x[0], (double *)e->x[1], e->y); }
void eval_conv_adj(EvalAt *e) { conv_meet(e->n->a.conv, TO_X, e->y, (double *)e->x[1], (double *)e->x[0]); }
void eval_conv_grad(EvalAt *e) { conv_meet(e->n->a.conv, TO_W, (double *)e->x[0], e->y, (double *)e->x[1]); }

/* One window of channel c, clipped to the map: rows lo[0] .. hi[0]-1, columns lo[1] .. hi[1]-1. */
typedef struct Window {
    int64_t c, lo[2], hi[2];
} Window;
static Window window_at(const PoolGeom *g, int64_t at) {
    int64_t o[2] = {at / g->out[1] % g->out[0], at % g->out[1]};
    Window w = {.c = at / g->out[1] / g->out[0]};
    for (int i = 0; i < 2; i++) {
        w.lo[i] = o[i] * g->stride[i] - g->pad[i];
        w.hi[i] = w.lo[i] + g->kernel[i];
        if (w.lo[i] < 0) w.lo[i] = 0;
        if (w.hi[i] > g->in[i]) w.hi[i] = g->in[i];
    }
    return w;
}
#define FOR_WINDOW(g, w, p) /* p runs over the entries of the window, row by row */                            \
    for (int64_t r_ = (w).lo[0]; r_ < (w).hi[0]; r_++)                                                         \
        for (int64_t q_ = (w).lo[1], p; q_ < (w).hi[1] && (p = ((w).c * (g)->in[0] + r_) * (g)->in[1] + q_, true); q_++)

static int64_t windows(const EvalAt *e) { return e->n->a.pool->out[0] * e->n->a.pool->out[1] * e->xs[0].dim[0]; }

/* Where the first largest entry of the window is; a NaN counts as the largest. */
static int64_t largest(const PoolGeom *g, Window w, const double *x) {
    int64_t best = -1;
    FOR_WINDOW(g, w, p) {
        if (best < 0 || x[p] > x[best] || (isnan(x[p]) && !isnan(x[best]))) best = p;
    }
    return best;
}

void eval_sum_pool(EvalAt *e) {
    for (int64_t o = 0; o < windows(e); o++) {
        Window w = window_at(e->n->a.pool, o);
        FOR_WINDOW(e->n->a.pool, w, p) e->y[o] += e->x[0][p];
    }
}
void eval_sum_pool_adj(EvalAt *e) {
    for (int64_t o = 0; o < windows(e); o++) {
        Window w = window_at(e->n->a.pool, o);
        FOR_WINDOW(e->n->a.pool, w, p) e->y[p] += e->x[0][o];
    }
}
void eval_max_pool(EvalAt *e) {
    for (int64_t o = 0; o < windows(e); o++) e->y[o] = e->x[0][largest(e->n->a.pool, window_at(e->n->a.pool, o), e->x[0])];
}
void eval_max_pool_adj(EvalAt *e) {
    for (int64_t o = 0; o < windows(e); o++) e->y[largest(e->n->a.pool, window_at(e->n->a.pool, o), e->x[0])] += e->x[1][o];
}
void eval_max_pool_at(EvalAt *e) {
    for (int64_t o = 0; o < windows(e); o++) e->y[o] = e->x[1][largest(e->n->a.pool, window_at(e->n->a.pool, o), e->x[0])];
}
