/* What a product's sums go through on their way from the registers to memory. */
#include "sched/internal.h"

/* Each value counts once, however many read it: that is how often it is computed. */
enum { SEEN_MOST = 128 };
typedef struct Seen {
    Ex *at[SEEN_MOST];
    int n, ops, loads;
} Seen;

static void count(Seen *s, Ex *x) {
    if (x->op == OP_constant || s->n == SEEN_MOST) return;
    for (int i = 0; i < s->n; i++)
        if (s->at[i] == x) return;
    s->at[s->n++] = x;
    if (x->op == OP_arg)
        s->loads++;
    else
        s->ops++;
    for (int i = 0; i < 3 && x->in[i]; i++) count(s, x->in[i]);
}

int finish_ops(Ex *x) {
    Seen s = {0};
    count(&s, x);
    return s.ops;
}

int finish_parts(Ex *x) {
    Seen s = {0};
    count(&s, x);
    return s.ops + s.loads;
}

void finish_pointers(Kb *k, Ex *x) {
    if (x->op == OP_arg) x->ptr = kb_ptr(k, &x->view, false);
    if (x->store) x->store->ptr = kb_ptr(k, &x->store->view, true);
    for (int i = 0; i < 3 && x->in[i]; i++) finish_pointers(k, x->in[i]);
}

/* Is entry for entry of `out` where leaf x reads, in another buffer? */
static bool lies_alike(const Ex *x, const View *out) {
    const View *v = &x->view;
    bool same = v->buf != out->buf && v->batched == out->batched && v->sample == out->sample && v->offset == out->offset && !v->plus && !out->plus;
    for (int d = 0; d < out->shape.rank; d++) same &= x->stride[d] == out->stride[d];
    return same && shape_eq(v->shape, out->shape);
}

static void over(Kb *k, const Seen *s, const View *out, int to, const int *others, int n) {
    for (int i = 0; i < s->n; i++) {
        Ex *x = s->at[i];
        bool alone = x->op == OP_arg && lies_alike(x, out);
        for (int j = 0; j < n; j++) alone &= others[j] != x->ptr;
        if (!alone) continue;
        x->early = true;
        kb_may_lie_over(k, x->ptr, to);
    }
}

void finish_over(Kb *k, Ex *tree, const View *out, int po, const int *others, int n) {
    Seen s = {0};
    count(&s, tree);
    over(k, &s, out, po, others, n);
    for (int i = 0; i < s.n; i++)
        if (s.at[i]->store) over(k, &s, &s.at[i]->store->view, s.at[i]->store->ptr, others, n);
}

/* Is all that is read or stored, lanes along the first axis, at multiples of 4 lanes? */
bool finish_aligned(Ent *e, const Ex *x, int axes) {
    if (x->op == OP_arg) {
        bool vector = x->stride[0] == 1 && gpu_aligned(e, &x->view);
        for (int d = 1; d < axes; d++) vector &= x->stride[d] % 4 == 0;
        if (!vector && x->stride[0] != 0) return false;
    }
    if (x->store && !finish_aligned(e, x->store, axes)) return false;
    for (int i = 0; i < 3 && x->in[i]; i++)
        if (!finish_aligned(e, x->in[i], axes)) return false;
    return true;
}

static const Lx *place(Finish *f, const Ex *x) {
    Arena *a = f->k->a;
    const Lx *i = x->view.batched && f->sample ? MUL(f->sample, INT(x->view.sample)) : INT(0);
    for (int d = 0; d < f->axes; d++) i = ADD(i, MUL(f->at[d], INT(x->stride[d])));
    return i;
}

static const Lx *value(Finish *f, Ex *x) {
    Arena *a = f->k->a;
    if (x->memo_of == f->k->e->emission) return x->memo;
    const Lx *r, *in[3] = {0};
    if (x == f->acc)
        r = f->value;
    else if (x->op == OP_constant)
        r = lx_float(a, x->value, f->width);
    else if (x->op == OP_arg) {
        int64_t stride = x->stride[f->lanes];
        if (f->width == 1 || stride == 0)
            r = lx_splat(a, lx_load(a, x->ptr, place(f, x), 1, NULL), f->width);
        else if (f->aligned)
            r = lx_load_aligned(a, x->ptr, place(f, x), f->width);
        else
            r = lx_gather(a, x->ptr, place(f, x), INT(stride), f->width, f->count);
    } else {
        for (int i = 0; i < 3 && x->in[i]; i++) in[i] = value(f, x->in[i]);
        r = lower_op(a, x->op, in[0], in[1], in[2]);
    }
    if (x->store) {
        int reg = kb_reg(f->k, f->width, 1);
        kb_set(f->k, reg, NULL, r);
        r = lx_reg(a, reg, NULL, f->width);
        if (f->aligned)
            kb_store_aligned(f->k, x->store->ptr, place(f, x->store), r);
        else
            kb_store_strided(f->k, x->store->ptr, place(f, x->store), x->store->stride[f->lanes], r, f->count);
    }
    x->memo = r, x->memo_of = f->k->e->emission;
    return r;
}

/* A store in the middle may be to the memory that they lie in. */
static void load_early(Finish *f, Ex *tree) {
    Seen s = {0};
    bool stores = false;
    count(&s, tree);
    for (int i = 0; i < s.n; i++) stores |= s.at[i]->store != NULL;
    for (int i = 0; stores && i < s.n; i++) {
        Ex *x = s.at[i];
        if (x->op != OP_arg || !x->early) continue;
        int reg = kb_reg(f->k, f->width, 1);
        kb_set(f->k, reg, NULL, value(f, x));
        x->memo = lx_reg(f->k->a, reg, NULL, f->width);
    }
}

const Lx *finish(Finish *f, Ex *x) {
    f->k->e->emission++;
    load_early(f, x);
    return value(f, x);
}

static bool far(const Kb *k, const Ex *x, int64_t samples) {
    return x->op == OP_arg && x->view.batched && x->stride[0] == 1 && !k->ptr.at[x->ptr].writes && x->view.sample * samples * 4 > SECOND_LEVEL;
}

bool finish_reads_far(const Kb *k, Ex *tree, int64_t samples) {
    Seen s = {0};
    bool some = false;
    count(&s, tree);
    for (int i = 0; i < s.n; i++) some |= far(k, s.at[i], samples);
    return some;
}

void finish_ask(Finish *f, Ex *tree, int64_t samples) {
    Seen s = {0};
    count(&s, tree);
    for (int i = 0; i < s.n; i++) {
        bool asked = !far(f->k, s.at[i], samples);
        for (int j = 0; j < i; j++) asked |= s.at[j]->op == OP_arg && s.at[j]->ptr == s.at[i]->ptr;
        if (!asked) kb_prefetch(f->k, s.at[i]->ptr, place(f, s.at[i]), true);
    }
}
