/* The oracle: operators that move entries along axes, sums, and labels. */
#include "op/eval_rules.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One axis of a shape: entry k of line (o, i) is at (o * n + k) * inner + i. */
typedef struct Axis {
    int64_t outer, n, inner;
} Axis;
static Axis axis_of(Shape s, int axis) {
    Axis a = {1, s.dim[axis], 1};
    for (int i = 0; i < axis; i++) a.outer *= s.dim[i];
    for (int i = axis + 1; i < s.rank; i++) a.inner *= s.dim[i];
    return a;
}
static int64_t place(Axis a, int64_t o, int64_t k, int64_t i) { return (o * a.n + k) * a.inner + i; }

/* Where entry number `at` of `big` lies in the shape without `axes`. */
static int64_t place_without(Shape big, uint32_t axes, int64_t at) {
    int64_t idx[RANK_MAX], r = 0;
    for (int i = big.rank - 1; i >= 0; i--) idx[i] = at % big.dim[i], at /= big.dim[i];
    for (int i = 0; i < big.rank; i++)
        if (!(axes >> i & 1)) r = r * big.dim[i] + idx[i];
    return r;
}

/* NaN counts as the largest */
static bool larger(double x, double than) { return x > than || (isnan(x) && !isnan(than)); }

void eval_expand(EvalAt *e) {
    for (int64_t i = 0; i < e->size; i++) e->y[i] = e->x[0][place_without(e->n->shape, e->n->a.axes, i)];
}
void eval_sum(EvalAt *e) {
    for (int64_t i = 0; i < shape_size(e->xs[0]); i++) e->y[place_without(e->xs[0], e->n->a.axes, i)] += e->x[0][i];
}
void eval_amax(EvalAt *e) {
    for (int64_t i = 0; i < e->size; i++) e->y[i] = -INFINITY;
    for (int64_t i = 0; i < shape_size(e->xs[0]); i++) {
        double *y = &e->y[place_without(e->xs[0], e->n->a.axes, i)];
        if (larger(e->x[0][i], *y)) *y = e->x[0][i];
    }
}
void eval_argmax(EvalAt *e) {
    Axis a = axis_of(e->xs[0], e->n->a.axis);
    for (int64_t o = 0; o < a.outer; o++)
        for (int64_t i = 0; i < a.inner; i++) {
            int64_t best = 0;
            for (int64_t k = 1; k < a.n; k++)
                if (larger(e->x[0][place(a, o, k, i)], e->x[0][place(a, o, best, i)])) best = k;
            e->y[o * a.inner + i] = (double)best;
        }
}
void eval_sort(EvalAt *e) {
    Axis a = axis_of(e->xs[0], e->n->a.axis);
    for (int64_t o = 0; o < a.outer; o++)
        for (int64_t i = 0; i < a.inner; i++)
            for (int64_t k = 0; k < a.n; k++) { /* each entry goes before the first smaller one */
                double x = e->x[0][place(a, o, k, i)];
                int64_t to = k;
                for (; to > 0 && larger(x, e->y[place(a, o, to - 1, i)]); to--)
                    e->y[place(a, o, to, i)] = e->y[place(a, o, to - 1, i)];
                e->y[place(a, o, to, i)] = x;
            }
}
void eval_batch_sum(EvalAt *e) {
    for (int64_t i = 0; i < e->size; i++) e->y[i] += e->x[0][i];
}
void eval_per_sample(EvalAt *e) { memcpy(e->y, e->x[0], (size_t)e->size * sizeof *e->y); }
void eval_reshape(EvalAt *e) { memcpy(e->y, e->x[0], (size_t)e->size * sizeof *e->y); }
void eval_permute(EvalAt *e) {
    Shape x = e->xs[0], y = e->n->shape;
    for (int64_t i = 0; i < e->size; i++) {
        int64_t idx[RANK_MAX] = {0}, at = i, from = 0;
        for (int k = y.rank - 1; k >= 0; k--) idx[e->n->a.list[k]] = at % y.dim[k], at /= y.dim[k];
        for (int k = 0; k < x.rank; k++) from = from * x.dim[k] + idx[k];
        e->y[i] = e->x[0][from];
    }
}
void eval_slice(EvalAt *e) {
    Axis x = axis_of(e->xs[0], e->n->a.axis), y = axis_of(e->n->shape, e->n->a.axis);
    for (int64_t o = 0; o < y.outer; o++)
        for (int64_t k = 0; k < y.n; k++)
            for (int64_t i = 0; i < y.inner; i++)
                e->y[place(y, o, k, i)] = e->x[0][place(x, o, e->n->a.start + k * e->n->a.step, i)];
}
void eval_embed(EvalAt *e) {
    Axis x = axis_of(e->xs[0], e->n->a.axis), y = axis_of(e->n->shape, e->n->a.axis);
    for (int64_t o = 0; o < x.outer; o++)
        for (int64_t k = 0; k < x.n; k++)
            for (int64_t i = 0; i < x.inner; i++)
                e->y[place(y, o, e->n->a.start + k * e->n->a.step, i)] = e->x[0][place(x, o, k, i)];
}
void eval_concat(EvalAt *e) {
    Axis y = axis_of(e->n->shape, e->n->a.axis);
    int64_t start = 0;
    for (uint32_t j = 0; j < e->n->nin; j++) {
        Axis x = axis_of(e->xs[j], e->n->a.axis);
        for (int64_t o = 0; o < x.outer; o++)
            for (int64_t k = 0; k < x.n; k++)
                for (int64_t i = 0; i < x.inner; i++) e->y[place(y, o, start + k, i)] = e->x[j][place(x, o, k, i)];
        start += x.n;
    }
}
void eval_gather(EvalAt *e) {
    Axis x = axis_of(e->xs[0], e->n->a.axis), y = axis_of(e->n->shape, e->n->a.axis);
    for (int64_t o = 0; o < y.outer; o++)
        for (int64_t k = 0; k < y.n; k++)
            for (int64_t i = 0; i < y.inner; i++)
                if (e->n->a.list[k] >= 0) e->y[place(y, o, k, i)] = e->x[0][place(x, o, e->n->a.list[k], i)];
}
void eval_scatter(EvalAt *e) {
    Axis x = axis_of(e->xs[0], e->n->a.axis), y = axis_of(e->n->shape, e->n->a.axis);
    for (int64_t o = 0; o < x.outer; o++)
        for (int64_t k = 0; k < x.n; k++)
            for (int64_t i = 0; i < x.inner; i++)
                if (e->n->a.list[k] >= 0) e->y[place(y, o, e->n->a.list[k], i)] += e->x[0][place(x, o, k, i)];
}
void eval_pick(EvalAt *e) {
    for (int64_t k = 0; k < e->xs[0].dim[0]; k++)
        for (int64_t i = 0; i < e->size; i++)
            if (e->x[1][i] == (double)k) e->y[i] = e->x[0][k * e->size + i];
}
void eval_place(EvalAt *e) {
    int64_t inner = shape_size(e->xs[0]);
    for (int64_t k = 0; k < e->n->a.size; k++)
        for (int64_t i = 0; i < inner; i++)
            if (e->x[1][i] == (double)k) e->y[k * inner + i] = e->x[0][i];
}
