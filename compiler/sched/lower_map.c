/* Elementwise expressions and reductions: one kernel that walks an iteration domain, axes merged where every
   operand allows it, vectors along the innermost axis. Sums run in a fixed order that no number of threads
   changes. */
#include "sched/map.h"
#include <math.h>

enum { BLOCK_WORK = 8192, BLOCKS_MAX = 64, TURN_PART = 64 };
enum { FOLD_SUMS = 4, FOLD_OPS = 8 }; /* sums beside each other; operations of what they add, at most */

Dom dom_of(Shape s, bool batched) {
    Dom d = {.rank = s.rank, .batched = batched};
    for (int i = 0; i < s.rank; i++) d.dim[i] = s.dim[i];
    return d;
}

Ex *ex_leaf(Ent *e, const View *v, const int *axis) {
    Ex *x = ARENA_NEW(e->a, Ex);
    x->op = OP_arg;
    x->view = *v;
    for (int i = 0; i < v->shape.rank; i++) x->stride[axis ? axis[i] : i] += v->stride[i];
    return x;
}

Ex *ex_op(Ent *e, OpKind op, Ex *p, Ex *q, Ex *r) {
    Ex *x = ARENA_NEW(e->a, Ex);
    x->op = op;
    x->in[0] = p, x->in[1] = q, x->in[2] = r;
    return x;
}

Ex *ex_sum(Ent *e, const View *zeroth, View next, int64_t apart, int n) {
    Ex **part = ARENA_ARRAY(e->a, Ex *, n);
    for (int i = 0; i < n; i++) {
        bool other = zeroth && i == 0;
        part[i] = ex_leaf(e, other ? zeroth : &next, NULL);
        if (!other) next.offset += apart;
    }
    for (n /= 2; n; n /= 2)
        for (int i = 0; i < n; i++) part[i] = ex_op(e, OP_add, part[i], part[i + n], NULL);
    return part[0];
}

Ex *ex_const(Ent *e, double v) {
    Ex *x = ARENA_NEW(e->a, Ex);
    x->op = OP_constant;
    x->value = v;
    return x;
}

static Ex *change(Ent *e, Ex *x, Ex *acc, ViewChange f, void *how) {
    if (x->copy_of == e->change) return x->copy;
    Ex *r = x->copy = ARENA_NEW(e->a, Ex);
    x->copy_of = e->change;
    *r = *x;
    if (x->op == OP_arg) {
        if (!f(&x->view, how, &r->view)) return NULL;
        for (int i = 0; i < DOM_MAX; i++) r->stride[i] = i < r->view.shape.rank ? r->view.stride[i] : 0;
    }
    if (x->store && !(r->store = change(e, x->store, acc, f, how))) return NULL;
    for (int i = 0; i < 3 && x->in[i]; i++)
        if (!(r->in[i] = change(e, x->in[i], acc, f, how))) return NULL;
    return r;
}

Ex *ex_change(Ent *e, Ex *x, Ex **acc, ViewChange f, void *how) {
    e->change++;
    Ex *r = change(e, x, *acc, f, how);
    if (r) *acc = change(e, *acc, *acc, f, how);
    return r;
}

const Lx *lower_op(Arena *a, OpKind op, const Lx *x, const Lx *y, const Lx *z) {
    int w = x->width;
#define F(v) lx_float(a, (v), w)
#define F1(k, p) lx_f1(a, k, (p))
#define F2(k, p, q) lx_f2(a, k, (p), (q))
    switch ((int)op) {
    case OP_neg:
        return F1(LX_NEG, x);
    case OP_abs:
        return F1(LX_ABS, x);
    case OP_sign:
        return lx_f3(a, LX_SELECT, F2(LX_LT, F(0), x), F(1),
                     lx_f3(a, LX_SELECT, F2(LX_LT, x, F(0)), F(-1), x));
    case OP_relu:
        return F2(LX_MAX, x, F(0));
    case OP_exp:
        return F1(LX_EXP, x);
    case OP_log:
        return F1(LX_LOG, x);
    case OP_sqrt:
        return F1(LX_SQRT, x);
    case OP_recip:
        return F2(LX_DIV, F(1), x);
    case OP_tanh:
        return F1(LX_TANH, x);
    case OP_sigmoid:
        return F2(LX_DIV, F(1), F2(LX_ADD, F(1), F1(LX_EXP, F1(LX_NEG, x))));
    case OP_log1pexp: /* max(x, 0) + log(1 + e^-|x|) */
        return F2(LX_ADD, F2(LX_MAX, x, F(0)),
                  F1(LX_LOG, F2(LX_ADD, F(1), F1(LX_EXP, F1(LX_NEG, F1(LX_ABS, x))))));
    case OP_sin:
        return F1(LX_SIN, x);
    case OP_cos:
        return F1(LX_COS, x);
    case OP_floor:
        return F1(LX_FLOOR, x);
    case OP_stop:
        return x;
    case OP_add:
        return F2(LX_ADD, x, y);
    case OP_sub:
        return F2(LX_SUB, x, y);
    case OP_mul:
        return F2(LX_MUL, x, y);
    case OP_div:
        return F2(LX_DIV, x, y);
    case OP_max:
        return F2(LX_MAX, x, y);
    case OP_min:
        return F2(LX_MIN, x, y);
    case OP_pow:
        return F2(LX_POW, x, y);
    case OP_lt:
        return F2(LX_LT, x, y);
    case OP_le:
        return F2(LX_LE, x, y);
    case OP_eq:
        return F2(LX_EQ, x, y);
    case OP_select:
        return lx_f3(a, LX_SELECT, x, y, z);
    default:
        BUG("%s is not elementwise", op_info[op].name);
    }
#undef F
#undef F1
#undef F2
}

static void collect(Walk *w, Ex *x) {
    if (x->op == OP_constant) return;
    if (x->op == OP_arg) {
        for (int i = 0; i < w->nleaf; i++)
            if (w->leaf[i] == x) return;
        MUST(w->nleaf < LEAVES_MAX);
        w->leaf[w->nleaf++] = x;
        return;
    }
    if (x->store) {
        collect(w, x->store);
        w->stores = true;
    }
    for (int i = 0; i < 3 && x->in[i]; i++) collect(w, x->in[i]);
}

void map_pointers(Walk *w, Ex *x) {
    if (x->op == OP_arg) x->ptr = kb_ptr(w->k, &x->view, false);
    if (x->store) x->store->ptr = kb_ptr(w->k, &x->store->view, true);
    for (int i = 0; i < 3 && x->in[i]; i++) map_pointers(w, x->in[i]);
}

static int64_t weight(const Axis *x, int nleaf) {
    int64_t n = 0;
    for (int i = 0; i < nleaf; i++) n += x->leaf[i];
    return n;
}

/* Map axes by falling stride of the result, then folded axes by falling strides of what they read; then
 * neighbours are merged. */
static void order_axes(Walk *w) {
    for (int i = 1; i < w->naxis; i++) {
        Axis x = w->axis[i];
        int j = i;
        for (; j > 0; j--) {
            const Axis *y = &w->axis[j - 1];
            bool before = x.fold != y->fold ? !x.fold
                          : x.fold          ? weight(&x, w->nleaf) > weight(y, w->nleaf)
                                            : x.out > y->out;
            if (!before) break;
            w->axis[j] = *y;
        }
        w->axis[j] = x;
    }
    int n = 0;
    for (int i = 0; i < w->naxis; i++) {
        Axis *p = n ? &w->axis[n - 1] : NULL;
        const Axis *x = &w->axis[i];
        bool merge = p && p->fold == x->fold && p->out == x->out * x->dim;
        for (int l = 0; merge && l < w->nleaf; l++) merge = p->leaf[l] == x->leaf[l] * x->dim;
        if (!merge) {
            w->axis[n++] = *x;
            continue;
        }
        int64_t dim = p->dim * x->dim;
        *p = *x;
        p->dim = dim;
    }
    w->naxis = n;
    w->nmap = 0;
    for (int i = 0; i < n; i++) w->nmap += !w->axis[i].fold;
}

static bool plain(const Walk *w, int axis) { /* every operand is read as a vector or as one value */
    for (int l = 0; l < w->nleaf; l++)
        if (w->axis[axis].leaf[l] != 0 && w->axis[axis].leaf[l] != 1) return false;
    return true;
}

static int choose_vector(const Walk *w) {
    int m = w->nmap - 1, f = w->naxis - 1;
    bool fold_ok = w->fold != FOLD_NONE && f >= w->nmap && plain(w, f) && w->axis[f].dim >= w->lanes;
    if (m >= 0 && w->axis[m].out == 1 && plain(w, m) && (w->axis[m].dim >= w->lanes / 2 || !fold_ok))
        return m;
    if (fold_ok) return f;
    if (m >= 0 && w->axis[m].out == 1 && w->axis[m].dim >= w->lanes) return m;
    return -1;
}

const Lx *map_leaf_at(Walk *w, int l) {
    Arena *a = w->a;
    const View *v = &w->leaf[l]->view;
    const Lx *at = v->batched && w->sample ? MUL(w->sample, INT(v->sample)) : INT(0);
    for (int i = 0; i < w->naxis; i++) at = ADD(at, MUL(w->var[i], INT(w->axis[i].leaf[l])));
    return at;
}

static int leaf_number(const Walk *w, const Ex *x) {
    int l = 0;
    while (w->leaf[l] != x) l++;
    return l;
}

static const Lx *load(Walk *w, const Ex *x, int width, const Lx *count) {
    Arena *a = w->a;
    int l = leaf_number(w, x);
    const Lx *at = map_leaf_at(w, l);
    int64_t stride = w->vec >= 0 ? w->axis[w->vec].leaf[l] : 0;
    if (width == 1) return lx_load(a, x->ptr, at, 1, NULL);
    if (stride == 0) return lx_splat(a, lx_load(a, x->ptr, at, 1, NULL), width);
    if (w->aligned) return lx_load_aligned(a, x->ptr, at, width);
    return lx_gather(a, x->ptr, at, INT(stride), width, count);
}

const Lx *map_value(Walk *w, Ex *x, int width, const Lx *count) {
    Arena *a = w->a;
    if (x->memo_of == w->e->emission) return x->memo;
    const Lx *r, *in[3] = {0};
    if (x->op == OP_constant)
        r = lx_float(a, x->value, width);
    else if (x->op == OP_arg)
        r = load(w, x, width, count);
    else {
        for (int i = 0; i < 3 && x->in[i]; i++) in[i] = map_value(w, x->in[i], width, count);
        r = lower_op(a, x->op, in[0], in[1], in[2]);
    }
    if (x->store) {
        int reg = kb_reg(w->k, width, 1), l = leaf_number(w, x->store);
        kb_set(w->k, reg, NULL, r);
        r = lx_reg(a, reg, NULL, width);
        if (w->aligned)
            kb_store_aligned(w->k, x->store->ptr, map_leaf_at(w, l), r);
        else
            kb_store_strided(w->k, x->store->ptr, map_leaf_at(w, l), w->vec >= 0 ? w->axis[w->vec].leaf[l] : 1, r,
                             count);
    }
    x->memo = r, x->memo_of = w->e->emission;
    return r;
}

const Lx *map_result_at(const Walk *w) {
    Arena *a = w->a;
    const Lx *at = w->sample && w->d->batched ? MUL(w->sample, INT(w->out_sample)) : INT(0);
    for (int i = 0; i < w->nmap; i++) at = ADD(at, MUL(w->var[i], INT(w->axis[i].out)));
    return at;
}

static const Lx *folded(Walk *w, const Lx *acc, const Lx *v) {
    return lx_f2(w->a, w->fold == FOLD_SUM ? LX_ADD : LX_MAX, acc, v);
}

/* One more value for each of the sums (or maxima) p, whose entry of the innermost folded axis is `from` + p * step. */
static void fold_one(Walk *w, Ex *root, int acc, int sums, int width, const Lx *from, int64_t step, const Lx *count) {
    Kb *k = w->k;
    Arena *a = w->a;
    w->e->emission++;
    const Lx *p = sums > 1 ? kb_unroll(k, sums) : NULL;
    if (from) w->var[w->naxis - 1] = p ? ADD(from, MUL(p, INT(step))) : from;
    kb_set(k, acc, p, folded(w, lx_reg(a, acc, p, width), map_value(w, root, width, count)));
    if (p) kb_end(k);
}

/* The loops over the folded axes (and the samples); leaves the result in the register it returns. Several sums, where the innermost axis is long
   enough, do not wait for each other. */
static const Lx *fold_all(Walk *w, Ex *root, int width, const Lx *count) {
    Kb *k = w->k;
    Arena *a = w->a;
    double start = w->fold == FOLD_SUM ? 0 : -INFINITY;
    bool inner = w->vec >= w->nmap; /* vectors run along a folded axis */
    int f = w->naxis - 1, wide = inner ? w->lanes : width;
    int64_t n = f >= w->nmap ? w->axis[f].dim : 1, step = inner ? w->lanes : 1;
    int sums = n >= 2 * FOLD_SUMS * step && finish_ops(root) <= FOLD_OPS ? FOLD_SUMS : 1;
    int64_t main = n / (sums * step) * (sums * step), whole = n / step * step;
    int acc = kb_reg(k, wide, sums), one = inner ? kb_reg(k, 1, 1) : acc;
    const Lx *first = w->d->more ? lx_load(a, w->out_ptr, map_result_at(w), width, count) : lx_float(a, start, width), *p = kb_unroll(k, sums);
    kb_set(k, acc, p, lx_float(a, start, wide));
    kb_end(k);
    if (inner || w->d->more) kb_set(k, one, inner ? NULL : INT(0), first);
    if (w->d->fold_batch) w->sample = kb_for(k, INT(0), kb_batch(k), 1);
    for (int i = w->nmap; i < f; i++) w->var[i] = kb_for(k, INT(0), INT(w->axis[i].dim), 1);
    if (f < w->nmap)
        fold_one(w, root, acc, 1, wide, NULL, 0, count);
    else {
        fold_one(w, root, acc, sums, wide, kb_for(k, INT(0), INT(main), sums * step), step, count);
        kb_end(k);
        if (main < whole) {
            fold_one(w, root, acc, 1, wide, kb_for(k, INT(main), INT(whole), step), 0, count);
            kb_end(k);
        }
        if (whole < n) {
            fold_one(w, root, one, 1, 1, kb_for(k, INT(whole), INT(n), 1), 0, count);
            kb_end(k);
        }
    }
    for (int i = w->nmap; i < f; i++) kb_end(k);
    if (w->d->fold_batch) kb_end(k);
    for (int half = sums / 2; half; half /= 2) {
        p = kb_unroll(k, half);
        kb_set(k, acc, p, folded(w, lx_reg(a, acc, p, wide), lx_reg(a, acc, ADD(p, INT(half)), wide)));
        kb_end(k);
    }
    const Lx *r = lx_reg(a, acc, NULL, wide);
    return inner ? folded(w, lx_reg(a, one, NULL, 1), lx_f1(a, w->fold == FOLD_SUM ? LX_HSUM : LX_HMAX, r)) : r;
}

static void one(Walk *w, Ex *root, int width, const Lx *count) {
    Kb *k = w->k;
    w->e->emission++;
    const Lx *v = w->fold == FOLD_NONE ? map_value(w, root, width, count) : fold_all(w, root, width, count);
    kb_store(k, w->out_ptr, map_result_at(w), v, count);
}

static void innermost(Walk *w, Ex *root, const Lx *base, const Lx *lo, const Lx *hi) { /* entries base + lo .. base + hi - 1 of the last axis */
    Kb *k = w->k;
    Arena *a = w->a;
    int m = w->nmap - 1;
    if (w->vec != m) {
        w->var[m] = ADD(base, kb_for(k, lo, hi, 1));
        one(w, root, 1, NULL);
        kb_end(k);
        return;
    }
    int64_t L = w->lanes;
    const Lx *rest = MOD(SUB(hi, lo), INT(L)), *main = SUB(hi, rest);
    w->var[m] = ADD(base, kb_for(k, lo, main, L));
    one(w, root, (int)L, NULL);
    kb_end(k);
    if (rest->kind == LX_INT && rest->i == 0) return;
    if (rest->kind != LX_INT) kb_if(k, ILT(INT(0), rest));
    w->var[m] = ADD(base, main);
    one(w, root, (int)L, rest);
    if (rest->kind != LX_INT) kb_end(k);
}

/* Does the last axis of the result run across what is read, and the one before it along it? Then each line of
 * memory is used for all of the latter before the next ones are read. */
static bool turns(const Walk *w) {
    int m = w->nmap - 1;
    bool across = m > 0 && w->vec == m && w->fold == FOLD_NONE && w->axis[m].dim > TURN_PART;
    for (int l = 0; across && l < w->nleaf; l++)
        if (w->axis[m].leaf[l] > 1 && w->axis[m - 1].leaf[l] == 1) return true;
    return false;
}

int64_t map_work(const Walk *w) {
    int64_t n = 1;
    for (int i = 0; i < w->naxis; i++) n *= w->axis[i].dim;
    return n;
}

/* Writes the kernel and its launch. */
static void run(Walk *w, Ex *root, const View *out, const char *what, int64_t work) {
    Ent *e = w->e;
    Arena *a = w->a;
    const Dom *d = w->d;
    Kb *k = w->k = kb_new(e, what, 1);
    map_pointers(w, root);
    MUST(!w->stores || w->fold == FOLD_NONE);
    w->out_ptr = kb_ptr(k, out, true);
    w->vec = choose_vector(w);

    /* A grid point is one block of one sample (or of the whole, for what the batch does not touch). */
    const Lx *blocks = IVAR(0), *block = kb_grid(k), *grid = blocks;
    k->ints[0] = INT(1);
    int64_t first = w->nmap ? w->axis[0].dim : 1;
    int64_t units = w->nmap == 1 && w->vec == 0 ? (first + w->lanes - 1) / w->lanes : first;
    if (d->batched) {
        w->sample = DIV(kb_grid(k), blocks);
        block = MOD(kb_grid(k), blocks);
        if (work >= BLOCK_WORK && units >= 8) k->ints[0] = IVAR(e->blocks_var);
        grid = MUL(IVAR(0), k->ints[0]); /* batch * blocks */
    } else {
        int64_t n = work / BLOCK_WORK;
        if (d->fold_batch) n = work / 256;
        if (n > BLOCKS_MAX) n = BLOCKS_MAX;
        if (n > units) n = units;
        if (n < 1 || !w->nmap) n = 1;
        k->ints[0] = grid = INT(n);
    }
    if (!w->nmap) {
        one(w, root, 1, NULL);
    } else {
        bool single = w->nmap == 1;
        const Lx *lo = DIV(MUL(block, INT(units)), blocks),
                 *hi = DIV(MUL(ADD(block, INT(1)), INT(units)), blocks);
        if (single && w->vec == 0) {
            lo = MUL(lo, INT(w->lanes));
            hi = IMIN(MUL(hi, INT(w->lanes)), INT(first));
        }
        int64_t n = w->axis[w->nmap - 1].dim, part = turns(w) ? TURN_PART : n;
        for (int64_t from = 0; from < n; from += n / part * part, part = n - from) { /* all whole parts, then the rest */
            const Lx *base = part < n && from == 0 ? kb_for(k, INT(0), INT(n / part * part), part) : INT(from);
            for (int i = 0; i < w->nmap - 1; i++)
                w->var[i] = kb_for(k, i ? INT(0) : lo, i ? INT(w->axis[i].dim) : hi, 1);
            innermost(w, root, base, single ? lo : INT(0), single ? hi : INT(part));
            for (int i = 0; i < w->nmap - 1 + (base->kind != LX_INT); i++) kb_end(k);
        }
    }
    kb_launch(k, grid);
}

/* A large sum to one number is cut into parts, whose number the sizes alone decide; they are added up by a
 * second kernel. */
static int64_t parts_of(const Walk *w, int64_t work) {
    if (w->fold == FOLD_NONE || w->nmap || w->d->fold_batch || work < 65536) return 1;
    for (int64_t c = 64; c >= 8; c--)
        if (w->axis[0].dim % c == 0 && w->axis[0].dim / c >= w->lanes) return c;
    return 1;
}

static void cut_first_axis(Walk *w, int64_t parts) {
    for (int i = w->naxis++; i > 0; i--) w->axis[i] = w->axis[i - 1];
    Axis *x = &w->axis[0];
    int64_t rest = w->axis[1].dim /= parts;
    *x = w->axis[1];
    x->dim = parts, x->fold = false, x->out = 1;
    for (int l = 0; l < w->nleaf; l++) x->leaf[l] *= rest;
    w->nmap = 1;
}

void lower_map(Ent *e, const Dom *d, Fold fold, Ex *root, const View *out, const int64_t *stride,
               const char *what) {
    Arena *a = e->a;
    Walk *w = ARENA_NEW(a, Walk);
    *w = (Walk){.e = e, .a = a, .d = d, .fold = fold, .lanes = e->s->t.lanes, .out_sample = out->sample};
    collect(w, root);
    for (int i = 0; i < d->rank; i++) {
        if (d->dim[i] == 1) continue;
        Axis *x = &w->axis[w->naxis++];
        x->dim = d->dim[i], x->fold = d->fold[i], x->out = d->fold[i] ? 0 : stride[i];
        for (int l = 0; l < w->nleaf; l++) x->leaf[l] = w->leaf[l]->stride[i];
    }
    order_axes(w);
    if (e->s->t.gpu) {
        gpu_map(w, root, out, what);
        return;
    }
    int64_t work = map_work(w), parts = parts_of(w, work);
    if (parts > 1) {
        View part = view_new(e, shape_of(1, parts), d->batched, NULL, (Span){0});
        cut_first_axis(w, parts);
        w->out_sample = part.sample;
        run(w, root, &part, what, work);
        Dom sum = {.rank = 1, .dim = {parts}, .fold = {true}, .batched = d->batched};
        lower_map(e, &sum, fold, ex_leaf(e, &part, NULL), out, stride, what);
        return;
    }
    run(w, root, out, what, work);
}

void lower_copy(Ent *e, const View *from, const View *to) {
    Dom d = dom_of(to->shape, to->batched);
    lower_map(e, &d, FOLD_NONE, ex_leaf(e, from, NULL), to, to->stride, "copy");
}

void lower_fill(Ent *e, double v, const View *to) {
    Dom d = dom_of(to->shape, to->batched);
    lower_map(e, &d, FOLD_NONE, ex_const(e, v), to, to->stride, "fill");
}
