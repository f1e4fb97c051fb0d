/* Operators that move entries by tables, labels or order, and leaves that must be computed. */
#include "sched/internal.h"
#include <math.h>

typedef struct Walk { /* loops over the axes of a shape, but one; in any order */
    Kb *k;
    const Lx *idx[RANK_MAX], *sample;
} Walk;

static Walk walk_open(Kb *k, Shape s, int skip, bool batched) {
    Walk w = {.k = k, .sample = kb_samples(k, batched)};
    int first = batched && k->e->s->t.gpu; /* neighbouring threads do what lies side by side: the first axis of samples */
    for (int j = 0; j < s.rank; j++) {
        int i = (j + first) % s.rank;
        if (i != skip) w.idx[i] = kb_each(k, s.dim[i]);
    }
    return w;
}

static const Lx *at(Walk *w, const View *v, int axis, const Lx *i) {
    const Lx *idx[RANK_MAX];
    for (int k = 0; k < v->shape.rank; k++) idx[k] = w->idx[k];
    if (axis >= 0) idx[axis] = i;
    return kb_at(w->k, v, w->sample, idx);
}

static void lower_concat(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    View out = gx_result(x, id);
    int64_t start = 0;
    for (uint32_t k = 0; k < n->nin; k++) {
        int64_t size = graph_shape(x->g, n->in[k]).dim[n->a.axis];
        View part = view_slice(&out, n->a.axis, start, 1, size);
        start += size;
        const Val *v = &x->val[n->in[k]];
        if (v->kind == VAL_STORED && view_same(&v->view, &part)) continue;
        Dom d = dom_of(part.shape, part.batched);
        lower_map(x->e, &d, FOLD_NONE, gx_expr(x, n->in[k]), &part, part.stride, "concat");
    }
}

static void lower_embed(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    View out = gx_result(x, id);
    View part =
        view_slice(&out, n->a.axis, n->a.start, n->a.step, graph_shape(x->g, n->in[0]).dim[n->a.axis]);
    lower_fill(x->e, 0, &out);
    Dom d = dom_of(part.shape, part.batched);
    lower_map(x->e, &d, FOLD_NONE, gx_expr(x, n->in[0]), &part, part.stride, "embed");
}

static void lower_gather(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    bool scatter = n->op == OP_scatter;
    View from = gx_view(x, n->in[0]), out = gx_result(x, id);
    if (scatter && x->e->s->t.gpu) {
        gpu_scatter(x->e, n, &from, &out);
        return;
    }
    if (scatter) lower_fill(x->e, 0, &out);
    Kb *k = kb_new(x->e, op_info[n->op].id, 0);
    int p = kb_ptr(k, &from, false), q = kb_ptr(k, &out, true), t = kb_table(k, n->a.list, n->a.list_len),
        axis = n->a.axis;
    Walk w = walk_open(k, n->shape, axis, n->batched);
    const Lx *i = scatter ? kb_for(k, INT(0), INT(n->a.list_len), 1) : kb_each(k, n->a.list_len), *j = lx_itab(a, t, i);
    kb_if(k, ILT(j, INT(0)));
    if (!scatter) kb_store(k, q, at(&w, &out, axis, i), lx_float(a, 0, 1), NULL);
    kb_else(k);
    const Lx *v = lx_load(a, p, at(&w, &from, axis, scatter ? i : j), 1, NULL),
             *to = at(&w, &out, axis, scatter ? j : i);
    kb_store(k, q, to, scatter ? lx_f2(a, LX_ADD, lx_load(a, q, to, 1, NULL), v) : v, NULL);
    kb_end(k);
    if (scatter) kb_end(k);
    kb_launch_each(k);
}

/* Labels: the first axis of x (pick) or of the result (place) is indexed by a float that may name no entry.
 */
static void lower_label(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    bool pick = n->op == OP_pick;
    View from = gx_view(x, n->in[0]), label = gx_view(x, n->in[1]), out = gx_result(x, id);
    lower_fill(x->e, 0, &out);
    Kb *k = kb_new(x->e, op_info[n->op].id, 0);
    int p = kb_ptr(k, &from, false), l = kb_ptr(k, &label, false), q = kb_ptr(k, &out, true),
        r = kb_reg(k, 1, 1);
    Walk w = walk_open(k, label.shape, -1, n->batched);
    int64_t classes = pick ? from.shape.dim[0] : n->a.size;
    kb_set(k, r, NULL, lx_load(a, l, at(&w, &label, -1, NULL), 1, NULL));
    const Lx *reg = lx_reg(a, r, NULL, 1), *c = lx_f2i(a, reg);
    const Lx *whole = lx_f2i(a, lx_f2(a, LX_EQ, lx_i2f(a, c, 1), reg));
    kb_if(k, IAND(whole, IAND(ILT(INT(-1), c), ILT(c, INT(classes)))));
    View flat_from = from, flat_out = out, *wide = pick ? &flat_from : &flat_out;
    int64_t step = wide->stride[0];
    wide->shape.rank--;
    for (int i = 0; i < wide->shape.rank; i++) wide->stride[i] = wide->stride[i + 1];
    const Lx *i = at(&w, &flat_from, -1, NULL), *o = at(&w, &flat_out, -1, NULL);
    if (pick)
        i = ADD(i, MUL(c, INT(step)));
    else
        o = ADD(o, MUL(c, INT(step)));
    kb_store(k, q, o, lx_load(a, p, i, 1, NULL), NULL);
    kb_end(k);
    kb_launch_each(k);
}

const Lx *lower_larger(Arena *a, const Lx *x, const Lx *than) {
    const Lx *own = lx_f2(a, LX_EQ, x, x), *other = lx_f2(a, LX_EQ, than, than); /* 0: NaN */
    const Lx *nan = lx_f3(a, LX_SELECT, own, lx_float(a, 0, x->width), other);
    return lx_f2(a, LX_MAX, lx_f2(a, LX_LT, than, x), nan);
}

static void lower_argmax(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    View from = gx_view(x, n->in[0]), out = gx_result(x, id);
    Kb *k = kb_new(x->e, "argmax", 0);
    int p = kb_ptr(k, &from, false), q = kb_ptr(k, &out, true), axis = n->a.axis;
    int best = kb_reg(k, 1, 1), which = kb_reg(k, 1, 1), here = kb_reg(k, 1, 1);
    Walk w = walk_open(k, from.shape, axis, n->batched);
    kb_set(k, which, NULL, lx_float(a, 0, 1));
    kb_set(k, best, NULL, lx_load(a, p, at(&w, &from, axis, INT(0)), 1, NULL));
    const Lx *i = kb_for(k, INT(1), INT(from.shape.dim[axis]), 1);
    kb_set(k, here, NULL, lx_load(a, p, at(&w, &from, axis, i), 1, NULL));
    const Lx *v = lx_reg(a, here, NULL, 1);
    kb_if(k, lx_f2i(a, lower_larger(a, v, lx_reg(a, best, NULL, 1))));
    kb_set(k, best, NULL, v);
    kb_set(k, which, NULL, lx_i2f(a, i, 1));
    kb_end(k);
    kb_end(k);
    for (int j = axis; j < out.shape.rank; j++) w.idx[j] = w.idx[j + 1];
    kb_store(k, q, at(&w, &out, -1, NULL), lx_reg(a, which, NULL, 1), NULL);
    kb_launch_each(k);
}

/* Long axes, from where it was measured to be the faster: runs of 1, 2, 4, ... entries in order are merged in pairs. Of
 * equals the one of the left run goes first, as lower_sort's ranks and the evaluator have it. Places are counted in
 * floats: registers hold nothing else. */
enum { MERGE_FROM = 384, MERGE_MOST = 1 << 24 };
static void lower_merge_sort(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    View from = gx_view(x, n->in[0]), out = gx_result(x, id);
    Kb *k = kb_new(x->e, "sort", 0);
    int p = kb_ptr(k, &from, false), q = kb_ptr(k, &out, true), axis = n->a.axis;
    int64_t len = from.shape.dim[axis];
    int now = kb_scratch(k, len), next = kb_scratch(k, len);
    int left = kb_reg(k, 1, 1), right = kb_reg(k, 1, 1), l = kb_reg(k, 1, 1), r = kb_reg(k, 1, 1), take = kb_reg(k, 1, 1);
    const Lx *L = lx_reg(a, left, NULL, 1), *R = lx_reg(a, right, NULL, 1), *one = lx_float(a, 1, 1);
    Walk w = walk_open(k, from.shape, axis, n->batched);
    const Lx *i = kb_for(k, INT(0), INT(len), 1);
    kb_store(k, now, i, lx_load(a, p, at(&w, &from, axis, i), 1, NULL), NULL);
    kb_end(k);
    for (int64_t run = 1; run < len; run *= 2) {
        const Lx *b = kb_for(k, INT(0), INT(len), 2 * run);
        const Lx *middle = IMIN(ADD(b, INT(run)), INT(len)), *end = IMIN(ADD(b, INT(2 * run)), INT(len));
        kb_set(k, left, NULL, lx_i2f(a, b, 1));
        kb_set(k, right, NULL, lx_i2f(a, middle, 1));
        const Lx *o = kb_for(k, b, end, 1);
        kb_set(k, l, NULL, lx_load(a, now, IMIN(lx_f2i(a, L), INT(len - 1)), 1, NULL));
        kb_set(k, r, NULL, lx_load(a, now, IMIN(lx_f2i(a, R), INT(len - 1)), 1, NULL));
        const Lx *done = lx_f2(a, LX_SUB, one, lx_f2(a, LX_LT, L, lx_i2f(a, middle, 1)));
        const Lx *first = lx_f2(a, LX_MAX, done, lower_larger(a, lx_reg(a, r, NULL, 1), lx_reg(a, l, NULL, 1)));
        kb_set(k, take, NULL, lx_f2(a, LX_MUL, lx_f2(a, LX_LT, R, lx_i2f(a, end, 1)), first));
        const Lx *t = lx_reg(a, take, NULL, 1);
        kb_store(k, next, o, lx_f3(a, LX_SELECT, t, lx_reg(a, r, NULL, 1), lx_reg(a, l, NULL, 1)), NULL);
        kb_set(k, left, NULL, lx_f2(a, LX_ADD, L, lx_f2(a, LX_SUB, one, t)));
        kb_set(k, right, NULL, lx_f2(a, LX_ADD, R, t));
        kb_end(k);
        kb_end(k);
        int was = now;
        now = next, next = was;
    }
    const Lx *e = kb_for(k, INT(0), INT(len), 1);
    kb_store(k, q, at(&w, &out, axis, e), lx_load(a, now, e, 1, NULL), NULL);
    kb_end(k);
    kb_launch_each(k);
}

/* Each entry goes to its rank: the number of entries that come before it. Vectors of ranks, so n * n / lanes
 * steps. */
static void lower_sort(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    View from = gx_view(x, n->in[0]), out = gx_result(x, id);
    Kb *k = kb_new(x->e, "sort", 0);
    bool gpu = x->e->s->t.gpu; /* a thread for each entry */
    int p = kb_ptr(k, &from, false), q = kb_ptr(k, &out, true), axis = n->a.axis, L = x->e->s->t.lanes;
    int64_t len = from.shape.dim[axis];
    int t = gpu ? 0 : kb_scratch(k, (len + L - 1) / L * L), rank = kb_reg(k, L, 1), mine = kb_reg(k, L, 1),
        other = kb_reg(k, L, 1);
    Walk w = walk_open(k, from.shape, axis, n->batched);
    const Lx *i = gpu ? kb_each(k, len) : kb_for(k, INT(0), INT(len), L);
    kb_set(k, rank, NULL, lx_float(a, 0, L));
    kb_set(k, mine, NULL,
           lx_gather(a, p, at(&w, &from, axis, i), INT(from.stride[axis]), L, SUB(INT(len), i)));
    const Lx *j = kb_for(k, INT(0), INT(len), 1);
    kb_set(k, other, NULL, lx_splat(a, lx_load(a, p, at(&w, &from, axis, j), 1, NULL), L));
    const Lx *m = lx_reg(a, mine, NULL, L), *o = lx_reg(a, other, NULL, L);
    const Lx *mine_at = lx_f2(a, LX_ADD, lx_i2f(a, i, L), lx_lanes(a, L));
    const Lx *same =
        lx_f2(a, LX_SUB, lx_float(a, 1, L), lx_f2(a, LX_MAX, lower_larger(a, o, m), lower_larger(a, m, o)));
    const Lx *earlier = lx_f2(a, LX_MUL, same, lx_f2(a, LX_LT, lx_i2f(a, j, L), mine_at));
    kb_set(k, rank, NULL,
           lx_f2(a, LX_ADD, lx_reg(a, rank, NULL, L), lx_f2(a, LX_ADD, lower_larger(a, o, m), earlier)));
    kb_end(k);
    if (gpu) {
        kb_store(k, q, at(&w, &out, axis, lx_f2i(a, lx_reg(a, rank, NULL, 1))), m, NULL);
        kb_launch_each(k);
        return;
    }
    kb_store(k, t, i, lx_reg(a, rank, NULL, L), NULL);
    kb_end(k);
    const Lx *e = kb_for(k, INT(0), INT(len), 1);
    kb_store(k, q, at(&w, &out, axis, lx_f2i(a, lx_load(a, t, e, 1, NULL))),
             lx_load(a, p, at(&w, &from, axis, e), 1, NULL), NULL);
    kb_end(k);
    kb_launch_each(k);
}

static void lower_nbatch(Gx *x, NodeId id) {
    View out = gx_result(x, id);
    Kb *k = kb_new(x->e, "nbatch", 1);
    k->ints[0] = lx_var(x->a, x->e->whole_var);
    int q = kb_ptr(k, &out, true);
    kb_samples(k, false);
    kb_store(k, q, lx_int(x->a, 0), lx_i2f(x->a, lx_var(x->a, 0), 1), NULL);
    kb_launch_each(k);
}

/* Entries are numbered in row-major order, so the tensor lies that way and neighbours are made together. */
static void lower_noise(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Arena *a = x->a;
    Val *v = &x->val[id];
    if (!v->has_target || !view_is_row_major(&v->view)) {
        v->view = view_new_row_major(x->e, n->shape, true, n->name, n->span);
        v->has_target = true;
    }
    View out = gx_result(x, id);
    Kb *k = kb_new(x->e, "noise", 3);
    k->ints[0] = lx_var(a, LP_VAR_SEED), k->ints[1] = lx_var(a, LP_VAR_STEP),
    k->ints[2] = lx_var(a, LP_VAR_FIRST_SAMPLE);
    int q = kb_ptr(k, &out, true), L = x->e->s->t.lanes;
    int64_t len = shape_size(n->shape), main = len / L * L;
    const Lx *s = kb_samples(k, true), *base = MUL(s, INT(out.sample)), *sample = ADD(IVAR(2), s);
    const Lx *i = L == 1 ? kb_each(k, len) : kb_for(k, INT(0), INT(main), L);
    kb_store(k, q, ADD(base, i), lx_noise(a, n->a.flag, L, IVAR(0), IVAR(1), sample, INT(n->a.index), i),
             NULL);
    if (L > 1) kb_end(k);
    if (main < len)
        kb_store(k, q, ADD(base, INT(main)),
                 lx_noise(a, n->a.flag, L, IVAR(0), IVAR(1), sample, INT(n->a.index), INT(main)),
                 INT(len - main));
    kb_launch_each(k);
}

void lower_shape(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    switch ((int)n->op) {
    case OP_concat:
        lower_concat(x, id);
        break;
    case OP_embed:
        lower_embed(x, id);
        break;
    case OP_gather:
    case OP_scatter:
        lower_gather(x, id);
        break;
    case OP_pick:
    case OP_place:
        lower_label(x, id);
        break;
    case OP_argmax:
        lower_argmax(x, id);
        break;
    case OP_sort:
        if (!x->e->s->t.gpu && n->shape.dim[n->a.axis] >= MERGE_FROM && n->shape.dim[n->a.axis] < MERGE_MOST)
            lower_merge_sort(x, id);
        else
            lower_sort(x, id);
        break;
    case OP_nbatch:
        lower_nbatch(x, id);
        break;
    case OP_noise:
        lower_noise(x, id);
        break;
    default:
        BUG("%s has no lowering", op_info[n->op].name);
    }
}
