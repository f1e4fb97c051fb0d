/* Systems of equations with a symmetric positive matrix: one sample's elimination in the thread's scratch, then its right sides. */
#include "sched/internal.h"

typedef struct Solve {
    Kb *k;
    Arena *a;
    int t, acc; /* scratch: [n, n] as in op/eval_solve.c, reciprocal pivots, one solution; a number */
    int64_t n;
} Solve;

static const Lx *cell(Solve *s, const Lx *i, const Lx *j) {
    Arena *a = s->a;
    return ADD(MUL(i, INT(s->n)), j);
}
static const Lx *inv_at(Solve *s, const Lx *i) {
    Arena *a = s->a;
    return ADD(INT(s->n * s->n), i);
}
static const Lx *z_at(Solve *s, const Lx *i) {
    Arena *a = s->a;
    return ADD(INT(s->n * s->n + s->n), i);
}
static const Lx *load(Solve *s, const Lx *at) { return lx_load(s->a, s->t, at, 1, NULL); }
static const Lx *acc(Solve *s) { return lx_reg(s->a, s->acc, NULL, 1); }

/* acc -= the sum over k in lo .. hi-1 of t[x(k)] * t[y(k)] */
typedef const Lx *(*At)(Solve *s, const Lx *fixed, const Lx *k);
static const Lx *row(Solve *s, const Lx *i, const Lx *k) { return cell(s, i, k); }
static const Lx *column(Solve *s, const Lx *j, const Lx *k) { return cell(s, k, j); }
static const Lx *solution(Solve *s, const Lx *none, const Lx *k) {
    (void)none;
    return z_at(s, k);
}
static void less_products(Solve *s, const Lx *lo, const Lx *hi, At x, const Lx *i, At y, const Lx *j) {
    const Lx *k = kb_for(s->k, lo, hi, 1);
    kb_set(s->k, s->acc, NULL, lx_f2(s->a, LX_SUB, acc(s), lx_f2(s->a, LX_MUL, load(s, x(s, i, k)), load(s, y(s, j, k)))));
    kb_end(s->k);
}

static void factor(Solve *s) {
    Kb *k = s->k;
    Arena *a = s->a;
    const Lx *zero = lx_float(a, 0, 1), *n = INT(s->n), *j = kb_for(k, INT(0), n, 1);
    kb_set(k, s->acc, NULL, load(s, cell(s, j, j)));
    less_products(s, INT(0), j, row, j, column, j);
    const Lx *least = lx_f2(a, LX_MUL, lx_float(a, OP_SOLVE_PIVOT, 1), load(s, cell(s, j, j)));
    const Lx *dropped = lx_f2(a, LX_LE, acc(s), least);
    kb_store(k, s->t, inv_at(s, j), lx_f3(a, LX_SELECT, dropped, zero, lx_f2(a, LX_DIV, lx_float(a, 1, 1), acc(s))), NULL);
    const Lx *i = kb_for(k, ADD(j, INT(1)), n, 1);
    kb_set(k, s->acc, NULL, load(s, cell(s, i, j)));
    less_products(s, INT(0), j, row, i, column, j);
    const Lx *inv = load(s, inv_at(s, j)), *gone = lx_f2(a, LX_EQ, inv, zero);
    kb_store(k, s->t, cell(s, j, i), lx_f3(a, LX_SELECT, gone, zero, acc(s)), NULL);
    kb_store(k, s->t, cell(s, i, j), lx_f3(a, LX_SELECT, gone, zero, lx_f2(a, LX_MUL, acc(s), inv)), NULL);
    kb_end(k);
    kb_end(k);
}

void lower_solve(Gx *x, NodeId id) {
    if (x->e->s->t.gpu) {
        gpu_solve(x, id);
        return;
    }
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    View m = gx_view(x, n->in[0]), b = gx_view(x, n->in[1]), out = gx_result(x, id);
    int64_t size = m.shape.dim[0];
    Kb *k = kb_new(x->e, "solve", 0);
    int p = kb_ptr(k, &m, false), q = kb_ptr(k, &b, false), o = kb_ptr(k, &out, true);
    Solve s = {.k = k, .a = a, .t = kb_scratch(k, size * size + 2 * size), .acc = kb_reg(k, 1, 1), .n = size};
    const Lx *sample = n->batched ? kb_grid(k) : NULL, *end = INT(size);

    const Lx *i = kb_for(k, INT(0), end, 1), *j = kb_for(k, INT(0), end, 1);
    const Lx *one = lx_load(a, p, kb_at(k, &m, sample, (const Lx *[]){i, j}), 1, NULL),
             *other = lx_load(a, p, kb_at(k, &m, sample, (const Lx *[]){j, i}), 1, NULL);
    kb_store(k, s.t, cell(&s, i, j), lx_f2(a, LX_MUL, lx_float(a, 0.5, 1), lx_f2(a, LX_ADD, one, other)), NULL);
    kb_end(k);
    kb_end(k);
    factor(&s);

    const Lx *idx[RANK_MAX] = {NULL};
    for (int r = 1; r < n->shape.rank; r++) idx[r] = kb_for(k, INT(0), INT(n->shape.dim[r]), 1);
    idx[0] = kb_for(k, INT(0), end, 1);
    kb_set(k, s.acc, NULL, lx_load(a, q, kb_at(k, &b, sample, idx), 1, NULL));
    less_products(&s, INT(0), idx[0], row, idx[0], solution, NULL);
    kb_store(k, s.t, z_at(&s, idx[0]), acc(&s), NULL);
    kb_end(k);
    const Lx *up = kb_for(k, INT(0), end, 1);
    idx[0] = SUB(INT(size - 1), up); /* from the last to the first */
    const Lx *inv = load(&s, inv_at(&s, idx[0])), *zero = lx_float(a, 0, 1);
    kb_set(k, s.acc, NULL, lx_f3(a, LX_SELECT, lx_f2(a, LX_EQ, inv, zero), zero, lx_f2(a, LX_MUL, load(&s, z_at(&s, idx[0])), inv)));
    less_products(&s, ADD(idx[0], INT(1)), end, column, idx[0], solution, NULL);
    kb_store(k, s.t, z_at(&s, idx[0]), acc(&s), NULL);
    kb_store(k, o, kb_at(k, &out, sample, idx), acc(&s), NULL);
    for (int r = 0; r < n->shape.rank; r++) kb_end(k);
    kb_launch(k, n->batched ? lx_var(a, LP_VAR_BATCH) : INT(1));
}
