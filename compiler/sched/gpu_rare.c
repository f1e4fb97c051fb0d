/* What a GPU does in another way: many small copies at a time, sums by destination, systems of equations. */
#include "sched/internal.h"

/* Each copy has blocks of its own. */
void gpu_copies(Ent *e, const View *from, const View *to, size_t n) {
    enum { MOST = 12, THREADS = 256 };
    Arena *a = e->a;
    for (size_t first = 0; first < n; first += MOST) {
        size_t end = first + MOST < n ? first + MOST : n;
        Kb *k = kb_new(e, "copies", 0);
        int p[MOST], q[MOST];
        for (size_t i = first; i < end; i++) p[i - first] = kb_ptr(k, &from[i], false), q[i - first] = kb_ptr(k, &to[i], true);
        k->threads = THREADS;
        int64_t blocks = 0;
        for (size_t i = first; i < end; i++) {
            int64_t size = shape_size(to[i].shape), mine = (size + THREADS - 1) / THREADS;
            kb_if(k, IAND(ILT(INT(blocks - 1), kb_grid(k)), ILT(kb_grid(k), INT(blocks + mine))));
            kb_threads(k);
            const Lx *at = kb_let(k, ADD(MUL(SUB(kb_grid(k), INT(blocks)), INT(THREADS)), lx_thread(a)));
            kb_if(k, ILT(at, INT(size)));
            kb_store(k, q[i - first], at, lx_load(a, p[i - first], at, 1, NULL), NULL);
            kb_end(k);
            kb_end(k);
            kb_end(k);
            blocks += mine;
        }
        kb_launch(k, INT(blocks));
    }
}

/* A thread for each entry of the result, which adds up what is sent to it, in the order of the list. */
void gpu_scatter(Ent *e, const Node *n, const View *from, const View *to) {
    Arena *a = e->a;
    int axis = n->a.axis;
    int64_t size = to->shape.dim[axis], len = n->a.list_len;
    int32_t *begin = ARENA_ARRAY(a, int32_t, size + 1), *source = ARENA_ARRAY(a, int32_t, len + 1), many = 0;
    for (int64_t j = 0; j < size; j++) {
        begin[j] = many;
        for (int64_t i = 0; i < len; i++)
            if (n->a.list[i] == j) source[many++] = (int32_t)i;
    }
    begin[size] = many;
    Kb *k = kb_new(e, "scatter", 0);
    int p = kb_ptr(k, from, false), q = kb_ptr(k, to, true), first = kb_table(k, begin, size + 1), which = kb_table(k, source, many + 1), sum = kb_reg(k, 1, 1);
    const Lx *sample = kb_samples(k, n->batched), *at[RANK_MAX], *read[RANK_MAX];
    for (int j = 0; j < to->shape.rank; j++) {
        int i = (j + n->batched) % to->shape.rank;
        read[i] = at[i] = kb_each(k, to->shape.dim[i]);
    }
    kb_set(k, sum, NULL, lx_float(a, 0, 1));
    const Lx *i = kb_for(k, lx_itab(a, first, at[axis]), lx_itab(a, first, ADD(at[axis], INT(1))), 1);
    read[axis] = lx_itab(a, which, i);
    kb_set(k, sum, NULL, lx_f2(a, LX_ADD, lx_reg(a, sum, NULL, 1), lx_load(a, p, kb_at(k, from, sample, read), 1, NULL)));
    kb_end(k);
    kb_store(k, q, kb_at(k, to, sample, at), lx_reg(a, sum, NULL, 1), NULL);
    kb_launch_each(k);
}

/* ---- solve: [n, n] as in op/eval_solve.c and the reciprocal pivots, in memory that the block has to itself ---- */
typedef struct Solve {
    Kb *k;
    Arena *a;
    int t, acc;
    int64_t n, size;
    const Lx *base; /* of this sample's matrix */
} Solve;

static const Lx *cell(Solve *s, const Lx *i, const Lx *j) {
    Arena *a = s->a;
    return ADD(s->base, ADD(MUL(i, INT(s->n)), j));
}
static const Lx *pivot(Solve *s, const Lx *i) {
    Arena *a = s->a;
    return ADD(s->base, ADD(INT(s->n * s->n), i));
}
static const Lx *load(Solve *s, const Lx *at) { return lx_load(s->a, s->t, at, 1, NULL); }
static const Lx *acc(Solve *s) { return lx_reg(s->a, s->acc, NULL, 1); }
static void less(Solve *s, const Lx *x, const Lx *y) {
    kb_set(s->k, s->acc, NULL, lx_f2(s->a, LX_SUB, acc(s), lx_f2(s->a, LX_MUL, x, y)));
}

/* acc = entry (i, j) less the products of row i and column j before j. */
static void reduced(Solve *s, const Lx *i, const Lx *j) {
    Arena *a = s->a;
    kb_set(s->k, s->acc, NULL, load(s, cell(s, i, j)));
    const Lx *k = kb_for(s->k, INT(0), j, 1);
    less(s, load(s, cell(s, i, k)), load(s, cell(s, k, j)));
    kb_end(s->k);
}

/* A block eliminates one matrix: column by column, a thread for each row. */
static void eliminate(Ent *e, const View *m, const View *t, int64_t n) {
    enum { THREADS = 128 };
    Arena *a = e->a;
    Kb *k = kb_new(e, "eliminate", 0);
    k->threads = THREADS;
    int p = kb_ptr(k, m, false), inv = kb_reg(k, 1, 1);
    Solve s = {.k = k, .a = a, .t = kb_ptr(k, t, true), .acc = kb_reg(k, 1, 1), .n = n, .base = m->batched ? MUL(kb_grid(k), INT(t->sample)) : INT(0)};
    const Lx *sample = m->batched ? kb_grid(k) : NULL, *zero = lx_float(a, 0, 1), *I = lx_reg(a, inv, NULL, 1);
    kb_threads(k);
    const Lx *at = kb_for(k, lx_thread(a), INT(n * n), THREADS), *i = DIV(at, INT(n)), *j = MOD(at, INT(n));
    const Lx *one = lx_load(a, p, kb_at(k, m, sample, (const Lx *[]){i, j}), 1, NULL), *other = lx_load(a, p, kb_at(k, m, sample, (const Lx *[]){j, i}), 1, NULL);
    kb_store(k, s.t, ADD(s.base, at), lx_f2(a, LX_MUL, lx_float(a, 0.5, 1), lx_f2(a, LX_ADD, one, other)), NULL);
    kb_end(k);
    kb_end(k);
    j = kb_for(k, INT(0), INT(n), 1);
    kb_sync(k);
    kb_threads(k);
    reduced(&s, j, j); /* each thread for itself */
    const Lx *least = lx_f2(a, LX_MUL, lx_float(a, OP_SOLVE_PIVOT, 1), load(&s, cell(&s, j, j)));
    kb_set(k, inv, NULL, lx_f3(a, LX_SELECT, lx_f2(a, LX_LE, acc(&s), least), zero, lx_f2(a, LX_DIV, lx_float(a, 1, 1), acc(&s))));
    kb_if(k, IEQ(lx_thread(a), INT(0)));
    kb_store(k, s.t, pivot(&s, j), I, NULL);
    kb_end(k);
    const Lx *gone = lx_f2(a, LX_EQ, I, zero);
    i = kb_for(k, ADD(ADD(j, INT(1)), lx_thread(a)), INT(n), THREADS);
    reduced(&s, i, j);
    kb_store(k, s.t, cell(&s, j, i), lx_f3(a, LX_SELECT, gone, zero, acc(&s)), NULL);
    kb_store(k, s.t, cell(&s, i, j), lx_f3(a, LX_SELECT, gone, zero, lx_f2(a, LX_MUL, acc(&s), I)), NULL);
    kb_end(k);
    kb_end(k);
    kb_end(k);
    if (m->batched) kb_launch_samples(k, 1, 1, 1);
    else kb_launch(k, INT(1));
}

/* A thread for each right side, in the memory of its solution. */
void gpu_solve(Gx *x, NodeId id) {
    const Node *node = graph_at(x->g, id);
    Ent *e = x->e;
    Arena *a = x->a;
    View m = gx_view(x, node->in[0]), b = gx_view(x, node->in[1]), out = gx_result(x, id);
    int64_t n = m.shape.dim[0];
    View t = view_new_row_major(e, shape_of(1, n * n + n), m.batched, NULL, node->span);
    eliminate(e, &m, &t, n);

    Kb *k = kb_new(e, "solve", 0);
    int q = kb_ptr(k, &b, false), o = kb_ptr(k, &out, true);
    Solve s = {.k = k, .a = a, .t = kb_ptr(k, &t, false), .acc = kb_reg(k, 1, 1), .n = n};
    const Lx *sample = kb_samples(k, node->batched), *idx[RANK_MAX] = {NULL}, *other[RANK_MAX];
    for (int r = 1; r < node->shape.rank; r++) other[r] = idx[r] = kb_each(k, node->shape.dim[r]);
    s.base = m.batched ? MUL(sample, INT(t.sample)) : INT(0);
    idx[0] = kb_for(k, INT(0), INT(n), 1);
    kb_set(k, s.acc, NULL, lx_load(a, q, kb_at(k, &b, sample, idx), 1, NULL));
    other[0] = kb_for(k, INT(0), idx[0], 1);
    less(&s, load(&s, cell(&s, idx[0], other[0])), lx_load(a, o, kb_at(k, &out, sample, other), 1, NULL));
    kb_end(k);
    kb_store(k, o, kb_at(k, &out, sample, idx), acc(&s), NULL);
    kb_end(k);
    const Lx *up = kb_for(k, INT(0), INT(n), 1), *zero = lx_float(a, 0, 1);
    idx[0] = SUB(INT(n - 1), up); /* from the last to the first */
    const Lx *inv = load(&s, pivot(&s, idx[0])), *had = lx_load(a, o, kb_at(k, &out, sample, idx), 1, NULL);
    kb_set(k, s.acc, NULL, lx_f3(a, LX_SELECT, lx_f2(a, LX_EQ, inv, zero), zero, lx_f2(a, LX_MUL, had, inv)));
    other[0] = kb_for(k, ADD(idx[0], INT(1)), INT(n), 1);
    less(&s, load(&s, cell(&s, other[0], idx[0])), lx_load(a, o, kb_at(k, &out, sample, other), 1, NULL));
    kb_end(k);
    kb_store(k, o, kb_at(k, &out, sample, idx), acc(&s), NULL);
    kb_end(k);
    kb_launch_each(k);
}
