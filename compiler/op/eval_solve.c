/* The oracle: systems of equations with a symmetric positive matrix. */
#include "op/eval_rules.h"

/* t becomes L (unit, below the diagonal) and D L' (above it), inv the reciprocals of D: 0 where a pivot says that its column depends on those
   before it. That column of L is zero, so the others are solved without it. */
static void factor(double *t, double *inv, int64_t n) {
    for (int64_t j = 0; j < n; j++) {
        double p = t[j * n + j];
        for (int64_t k = 0; k < j; k++) p -= t[j * n + k] * t[k * n + j];
        inv[j] = p <= OP_SOLVE_PIVOT * t[j * n + j] ? 0 : 1 / p;
        for (int64_t i = j + 1; i < n; i++) {
            double v = t[i * n + j];
            for (int64_t k = 0; k < j; k++) v -= t[i * n + k] * t[k * n + j];
            t[j * n + i] = inv[j] == 0 ? 0 : v;
            t[i * n + j] = inv[j] == 0 ? 0 : v * inv[j];
        }
    }
}

void eval_solve(EvalAt *e) {
    int64_t n = e->xs[0].dim[0], rest = e->size / n;
    const double *a = e->x[0], *b = e->x[1];
    double *t = ARENA_ARRAY(e->a, double, n * n), *inv = ARENA_ARRAY(e->a, double, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) t[i * n + j] = 0.5 * (a[i * n + j] + a[j * n + i]);
    factor(t, inv, n);
    for (int64_t r = 0; r < rest; r++) {
        for (int64_t i = 0; i < n; i++) {
            double u = b[i * rest + r];
            for (int64_t k = 0; k < i; k++) u -= t[i * n + k] * e->y[k * rest + r];
            e->y[i * rest + r] = u;
        }
        for (int64_t i = n; i-- > 0;) {
            double z = inv[i] == 0 ? 0 : e->y[i * rest + r] * inv[i];
            for (int64_t k = i + 1; k < n; k++) z -= t[k * n + i] * e->y[k * rest + r];
            e->y[i * rest + r] = z;
        }
    }
}
