/* Constraints of parameters: after each step, back to the nearest point where they hold. */
#include "net.h"
#include <math.h>
#include <string.h>

#define COLUMNS 64 /* of unit_columns, a task */

typedef struct Job {
    float *at;
    int64_t rows, rest, turn; /* one turn is [rows, rest] */
    int64_t units;            /* tasks a turn */
    double value;
} Job;

static void unit_row(void *arg, int64_t i, void *scratch) {
    const Job *j = arg;
    float *x = j->at + i * j->rest;
    double sum = 0;
    (void)scratch;
    for (int64_t k = 0; k < j->rest; k++) sum += (double)x[k] * x[k];
    if (sum > 0 && sum != 1) {
        double c = 1 / sqrt(sum);
        for (int64_t k = 0; k < j->rest; k++) x[k] = (float)(c * x[k]);
    }
}

static void unit_columns(void *arg, int64_t i, void *scratch) {
    const Job *j = arg;
    int64_t from = i % j->units * COLUMNS, to = from + COLUMNS < j->rest ? from + COLUMNS : j->rest;
    float *x = j->at + i / j->units * j->turn;
    double sum[COLUMNS] = {0};
    (void)scratch;
    for (int64_t r = 0; r < j->rows; r++)
        for (int64_t c = from; c < to; c++) sum[c - from] += (double)x[r * j->rest + c] * x[r * j->rest + c];
    for (int64_t c = from; c < to; c++) sum[c - from] = sum[c - from] > 0 ? 1 / sqrt(sum[c - from]) : 1;
    for (int64_t r = 0; r < j->rows; r++)
        for (int64_t c = from; c < to; c++) x[r * j->rest + c] = (float)(sum[c - from] * x[r * j->rest + c]);
}

static void nonnegative_row(void *arg, int64_t i, void *scratch) {
    const Job *j = arg;
    float *x = j->at + i * j->rest;
    (void)scratch;
    for (int64_t k = 0; k < j->rest; k++) x[k] = x[k] < 0 ? 0 : x[k]; /* NaN stays, to be seen */
}

static void shrink_row(void *arg, int64_t i, void *scratch) {
    const Job *j = arg;
    float *x = j->at + i * j->rest, t = (float)j->value;
    (void)scratch;
    for (int64_t k = 0; k < j->rest; k++) x[k] = x[k] > t ? x[k] - t : x[k] < -t ? x[k] + t : x[k] == x[k] ? 0 : x[k];
}

/* The k-th largest of a[0..n-1], k from 0; a is reordered. */
static float select_largest(float *a, int64_t n, int64_t k) {
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
        float pivot = a[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (a[i] > pivot) i++;
            while (a[j] < pivot) j--;
            if (i <= j) {
                float t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (k <= j) hi = j;
        else if (k >= i) lo = i;
        else break;
    }
    return a[k];
}

static int64_t kept(double value, int64_t rest) {
    double k = value >= 1 ? floor(value) : ceil(value * (double)rest);
    return k >= (double)rest ? rest : k < 0 ? 0 : (int64_t)k;
}

static void keep_largest_row(void *arg, int64_t i, void *scratch) {
    const Job *j = arg;
    float *x = j->at + i * j->rest, *a = scratch;
    int64_t keep = kept(j->value, j->rest), above = 0;
    if (keep == j->rest) return;
    for (int64_t k = 0; k < j->rest; k++) {
        a[k] = fabsf(x[k]);
        if (!(a[k] <= 3.4e38f)) return; /* not finite: to be seen */
    }
    float edge = keep > 0 ? select_largest(a, j->rest, keep - 1) : INFINITY;
    for (int64_t k = 0; k < j->rest; k++) above += fabsf(x[k]) > edge;
    for (int64_t k = 0, ties = keep - above; k < j->rest; k++) {
        float v = fabsf(x[k]);
        if (v > edge || (v == edge && ties-- > 0)) continue; /* of equals, the first ones stay */
        x[k] = 0;
    }
}

/* The orthogonal factor of the polar decomposition, by Newton-Schulz: Y <- Y (3 I - Y' Y) / 2 (Higham, "Functions of Matrices", 8.3).
   Converges from singular values in (0, sqrt 3): first divided by the Frobenius norm unless it is close already. y: [tall, wide]. */
static void polar(double *y, double *next, double *gram, int64_t tall, int64_t wide) {
    double worst = 0;
    for (int it = 0; it < 100; it++) {
        worst = 0;
        for (int64_t a = 0; a < wide; a++)
            for (int64_t b = a; b < wide; b++) {
                double s = 0;
                for (int64_t r = 0; r < tall; r++) s += y[r * wide + a] * y[r * wide + b];
                gram[a * wide + b] = gram[b * wide + a] = s;
                double off = fabs(s - (a == b));
                if (!(off <= worst)) worst = off;
            }
        if (!(worst > 1e-9)) return; /* also NaN */
        if (it == 0 && worst * (double)wide > 0.5) { /* eigenvalues of y'y might leave (0, 3) */
            double trace = 0;
            for (int64_t a = 0; a < wide; a++) trace += gram[a * wide + a];
            if (!(trace > 0)) return;
            double c = 1 / sqrt(trace);
            for (int64_t i = 0; i < tall * wide; i++) y[i] *= c;
            for (int64_t i = 0; i < wide * wide; i++) gram[i] /= trace;
        }
        for (int64_t r = 0; r < tall; r++)
            for (int64_t b = 0; b < wide; b++) {
                double s = 0;
                for (int64_t a = 0; a < wide; a++) s += y[r * wide + a] * gram[a * wide + b];
                next[r * wide + b] = 1.5 * y[r * wide + b] - 0.5 * s;
            }
        memcpy(y, next, sizeof *y * (size_t)(tall * wide));
    }
}

static void orthogonal(float *x, int64_t rows, int64_t rest, double *scratch) {
    int64_t tall = rows > rest ? rows : rest, wide = rows > rest ? rest : rows;
    double *y = scratch, *next = y + rows * rest, *gram = next + rows * rest;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < rest; c++) y[rows >= rest ? r * wide + c : c * wide + r] = x[r * rest + c];
    polar(y, next, gram, tall, wide);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < rest; c++) x[r * rest + c] = (float)y[rows >= rest ? r * wide + c : c * wide + r];
}

static void shape(const csc_tensor_info *t, int64_t *turns, int64_t *rows, int64_t *rest) {
    *turns = t->turns > 0 ? t->turns : 1;
    *rows = t->rank > 0 ? t->dim[0] : 1;
    *rest = t->rank > 1 ? rt_product(t->rank - 1, t->dim + 1) : 1;
}

bool project_sizes(const csc_net_info *info, size_t *row, size_t *block) {
    *row = *block = 0;
    for (int i = 0; i < info->nparams; i++) {
        int64_t turns, rows, rest;
        shape(&info->params[i], &turns, &rows, &rest);
        for (int k = 0; k < info->params[i].nconstraints; k++) {
            csc_constraint_kind c = info->params[i].constraints[k].kind;
            if (c == CSC_SPARSE_L0 && (size_t)rest * 4 > *row) *row = (size_t)rest * 4;
            int64_t wide = rows < rest ? rows : rest, need;
            if (c != CSC_ORTHOGONAL) continue;
            if (__builtin_mul_overflow(16 * rows, rest, &need) || __builtin_add_overflow(need, 8 * wide * wide, &need)) return false;
            if ((size_t)need > *block) *block = (size_t)need;
        }
    }
    if (*row > *block) *block = *row; /* the same memory serves tasks where there is no pool */
    return true;
}

void project_param(csc_net *n, const csc_tensor_info *t, double learning_rate) {
    int64_t turns, rows, rest;
    shape(t, &turns, &rows, &rest);
    for (int k = 0; k < t->nconstraints; k++) {
        Job j = {.at = (float *)n->params.at + t->offset, .rows = rows, .rest = rest, .turn = rows * rest, .value = t->constraints[k].value};
        csc_task task = NULL;
        j.units = rows;
        switch (t->constraints[k].kind) {
        case CSC_UNIT_ATOMS: task = unit_row; break;
        case CSC_UNIT_COLUMNS:
            task = unit_columns;
            j.units = (rest + COLUMNS - 1) / COLUMNS;
            break;
        case CSC_NONNEGATIVE: task = nonnegative_row; break;
        case CSC_SPARSE_L0: task = keep_largest_row; break;
        case CSC_SPARSE_L1:
            task = shrink_row;
            j.value *= learning_rate;
            break;
        case CSC_ORTHOGONAL:
            for (int64_t i = 0; i < turns; i++) orthogonal(j.at + i * j.turn, rows, rest, n->project.at);
            continue;
        }
        rt_parallel(n->pool, turns * j.units, task, &j, n->project_row, n->project.at);
    }
}
