/* Pooling: windows clipped to the map, vectors of channels. */
#include "sched/internal.h"
#include <math.h>

typedef struct Pool {
    Kb *k;
    Arena *a;
    const PoolGeom *g;
    View x, v, out; /* x: what windows compare or add; v: the second input */
    int px, pv, po, width;
    const Lx *sample, *c, *count;
    bool apart; /* what a window writes no other does, or they come one after another */
} Pool;

static const Lx *at(Pool *p, const View *v, const Lx *y, const Lx *x) {
    return kb_at(p->k, v, p->sample, (const Lx *const[]){p->c, y, x});
}
static const Lx *load(Pool *p, int ptr, const View *v, const Lx *y, const Lx *x) {
    return lx_gather(p->a, ptr, at(p, v, y, x), lx_int(p->a, v->stride[0]), p->width, p->count);
}
static void store(Pool *p, const Lx *y, const Lx *x, const Lx *value) {
    kb_store_strided(p->k, p->po, at(p, &p->out, y, x), p->out.stride[0], value, p->count);
}

/* Rows (d = 0) or columns (d = 1) of the window of output o. */
static void window(Pool *p, int d, const Lx *o, const Lx **lo, const Lx **hi) {
    Arena *a = p->a;
    const Lx *start = SUB(MUL(o, INT(p->g->stride[d])), INT(p->g->pad[d]));
    *lo = IMAX(INT(0), start);
    *hi = IMIN(INT(p->g->in[d]), ADD(start, INT(p->g->kernel[d])));
}

/* Outputs whose window holds i. */
static void owners(Pool *p, int d, const Lx *i, const Lx **lo, const Lx **hi) {
    Arena *a = p->a;
    const Lx *past = ADD(i, INT(p->g->pad[d]));
    *lo = DIV(IMAX(INT(0), ADD(past, INT(p->g->stride[d] - p->g->kernel[d]))), INT(p->g->stride[d]));
    *hi = IMIN(INT(p->g->out[d]), ADD(DIV(past, INT(p->g->stride[d])), INT(1)));
}

static void loops(Pool *p, void (*range)(Pool *, int, const Lx *, const Lx **, const Lx **), const Lx *y,
                  const Lx *x, const Lx **i, const Lx **j) {
    const Lx *lo, *hi;
    range(p, 0, y, &lo, &hi);
    *i = kb_for(p->k, lo, hi, 1);
    range(p, 1, x, &lo, &hi);
    *j = kb_for(p->k, lo, hi, 1);
}
static void close(Pool *p) {
    kb_end(p->k);
    kb_end(p->k);
}

/* max_pool_adj at entry (y, x): of each window that holds it, its value if this is where it went: the first entry equal to the largest, or the
   first NaN. */
static void collect_maxima(Pool *p, const Lx *y, const Lx *x) {
    Kb *k = p->k;
    Arena *a = p->a;
    int sum = kb_reg(k, 1, 1), own = kb_reg(k, 1, 1), hit = kb_reg(k, 1, 1), now = kb_reg(k, 1, 1);
    const Lx *S = lx_reg(a, sum, NULL, 1), *O = lx_reg(a, own, NULL, 1), *N = lx_reg(a, now, NULL, 1), *oy, *ox, *i, *j;
    const Lx *yes = lx_float(a, 1, 1), *none = lx_float(a, 0, 1);
    kb_set(k, sum, NULL, none);
    kb_set(k, own, NULL, load(p, p->px, &p->x, y, x));
    loops(p, owners, y, x, &oy, &ox);
    kb_set(k, hit, NULL, yes);
    loops(p, window, oy, ox, &i, &j);
    kb_set(k, now, NULL, load(p, p->px, &p->x, i, j));
    const Lx *before = lx_i2(a, LX_IOR, ILT(i, y), IAND(IEQ(i, y), ILT(j, x)));
    const Lx *equal = lx_f2(a, LX_EQ, N, O), *isnan = lx_f2(a, LX_SUB, yes, lx_f2(a, LX_EQ, N, N)), *me = lx_f2(a, LX_SUB, yes, lx_f2(a, LX_EQ, O, O));
    /* beaten by what is larger; earlier also by an equal, where both are NaN too */
    const Lx *beaten = lx_f2(a, LX_MAX, lower_larger(a, N, O), lx_f2(a, LX_MUL, lx_i2f(a, before, 1), lx_f2(a, LX_MAX, equal, lx_f2(a, LX_MUL, isnan, me))));
    kb_set(k, hit, NULL, lx_f3(a, LX_SELECT, beaten, none, lx_reg(a, hit, NULL, 1)));
    close(p);
    kb_set(k, sum, NULL, lx_f3(a, LX_SELECT, lx_reg(a, hit, NULL, 1), lx_f2(a, LX_ADD, S, load(p, p->pv, &p->v, oy, ox)), S));
    close(p);
    store(p, y, x, S);
}

static void body(Pool *p, OpKind op, const Lx *y, const Lx *x) {
    Kb *k = p->k;
    Arena *a = p->a;
    if (op == OP_max_pool_adj && !p->apart) {
        collect_maxima(p, y, x);
        return;
    }
    int w = p->width, acc = kb_reg(k, w, 1), val = kb_reg(k, w, 1), any = kb_reg(k, w, 1);
    const Lx *A = lx_reg(a, acc, NULL, w), *V = lx_reg(a, val, NULL, w), *N = lx_reg(a, any, NULL, w), *i, *j;
    const Lx *none = lx_float(a, 0, w), *yes = lx_float(a, 1, w);
    kb_set(k, acc, NULL, lx_float(a, op == OP_sum_pool || op == OP_sum_pool_adj ? 0 : -INFINITY, w));
    if (op == OP_sum_pool_adj) {
        loops(p, owners, y, x, &i, &j);
        kb_set(k, acc, NULL, lx_f2(a, LX_ADD, A, load(p, p->px, &p->x, i, j)));
        close(p);
        store(p, y, x, A);
        return;
    }
    kb_set(k, any, NULL, none);
    kb_set(k, val, NULL, none);
    loops(p, window, y, x, &i, &j);
    const Lx *here = load(p, p->px, &p->x, i, j);
    if (op == OP_sum_pool)
        kb_set(k, acc, NULL, lx_f2(a, LX_ADD, A, here));
    else if (op == OP_max_pool_at) { /* the first largest, a NaN counting as the largest */
        int cond = kb_reg(k, w, 1), now = kb_reg(k, w, 1);
        const Lx *C = lx_reg(a, cond, NULL, w), *H = lx_reg(a, now, NULL, w);
        kb_set(k, now, NULL, here);
        kb_set(k, cond, NULL, lx_f3(a, LX_SELECT, N, lower_larger(a, H, A), yes));
        kb_set(k, acc, NULL, lx_f3(a, LX_SELECT, C, H, A));
        kb_set(k, val, NULL, lx_f3(a, LX_SELECT, C, load(p, p->pv, &p->v, i, j), V));
        kb_set(k, any, NULL, yes);
    } else
        kb_set(k, acc, NULL, lx_f2(a, LX_MAX, A, here));
    close(p);
    if (op == OP_sum_pool || op == OP_max_pool)
        store(p, y, x, A);
    else if (op == OP_max_pool_at)
        store(p, y, x, V);
    else { /* max_pool_adj: y goes to the first entry that equals the largest (or the first NaN) */
        int hit = kb_reg(k, w, 1), now = kb_reg(k, w, 1);
        const Lx *H = lx_reg(a, now, NULL, w);
        kb_set(k, val, NULL, load(p, p->pv, &p->v, y, x));
        loops(p, window, y, x, &i, &j);
        kb_set(k, now, NULL, load(p, p->px, &p->x, i, j));
        const Lx *nan = lx_f2(a, LX_SUB, yes, lx_f2(a, LX_EQ, H, H));
        kb_set(k, hit, NULL, lx_f3(a, LX_SELECT, N, none, lx_f2(a, LX_MAX, lx_f2(a, LX_EQ, H, A), nan)));
        const Lx *hitv = lx_reg(a, hit, NULL, w), *old = load(p, p->po, &p->out, i, j);
        store(p, i, j, lx_f3(a, LX_SELECT, hitv, lx_f2(a, LX_ADD, old, V), old));
        kb_set(k, any, NULL, lx_f2(a, LX_MAX, N, hitv));
        close(p);
    }
}

void lower_pool(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    Pool p = {.a = a, .g = n->a.pool, .x = gx_view(x, n->in[0])};
    if (n->nin > 1) p.v = gx_view(x, n->in[1]);
    p.out = gx_result(x, id);
    p.apart = !x->e->s->t.gpu || (p.g->stride[0] >= p.g->kernel[0] && p.g->stride[1] >= p.g->kernel[1]);
    if (n->op == OP_max_pool_adj && p.apart) lower_fill(x->e, 0, &p.out);
    Kb *k = p.k = kb_new(x->e, op_info[n->op].id, 0);
    p.px = kb_ptr(k, &p.x, false), p.po = kb_ptr(k, &p.out, true);
    if (n->nin > 1) p.pv = kb_ptr(k, &p.v, false);
    p.sample = kb_samples(k, n->batched);
    /* the loops run over outputs of the window, or over entries of the map when each collects from its
     * windows */
    bool collect = n->op == OP_sum_pool_adj || (n->op == OP_max_pool_adj && !p.apart);
    int64_t L = x->e->s->t.lanes, ch = n->shape.dim[0], main = ch / L * L;
    if (ch < L / 2) main = 0, L = 1;
    const Lx *y = kb_each(k, collect ? p.g->in[0] : p.g->out[0]);
    const Lx *xx = kb_each(k, collect ? p.g->in[1] : p.g->out[1]);
    p.width = (int)L;
    if (L == 1) main = ch;
    if (main) {
        p.c = L == 1 ? kb_each(k, main) : kb_for(k, INT(0), INT(main), L);
        body(&p, n->op, y, xx);
        if (L > 1) kb_end(k);
    }
    if (main < ch) {
        p.c = INT(main);
        p.count = INT(ch - main);
        body(&p, n->op, y, xx);
    }
    kb_launch_each(k);
}
