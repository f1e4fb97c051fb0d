/* Convolutions and dense products, their adjoints and the gradients of their weights, as products of matrices on a GPU: rows are output channels,
   columns the positions of all samples (gradients: taps and channels), and nothing of the other side is ever written out as a matrix. */
#include "sched/gpu.h"

/* ---- weights ---- */
/* The taps in the order of the kernel. A phase of an adjoint has every so many, from the last to the first. */
static Taps rising(Arena *a, const Taps *t) {
    Taps r = *t;
    if (t->n < 2 || t->at[1] > t->at[0]) return r;
    r.at = ARENA_ARRAY(a, int32_t, t->n), r.off = ARENA_ARRAY(a, int32_t, t->n);
    for (int i = 0; i < t->n; i++) r.at[i] = t->at[t->n - 1 - i], r.off[i] = t->off[t->n - 1 - i];
    return r;
}

/* [tap][C][K], K a whole number of vectors; for matrix units [K][tap][C], a row of it a whole number. */
View gpu_pack(Ent *e, const View *w, const Taps taps[2]) {
    int64_t K = w->shape.dim[0], C = w->shape.dim[1], K4 = (K + 3) / 4 * 4;
    bool units = e->s->t.precision != SCHED_FLOAT32;
    int64_t row = (taps[0].n * taps[1].n * C + 3) / 4 * 4;
    Shape s = shape_of(4, (int64_t)taps[0].n, (int64_t)taps[1].n, C, units ? K : K4);
    View packed = view_new_row_major(e, units ? shape_of(2, K, row) : s, false, NULL, (Span){0});
    packed.shape = s;
    if (units) packed.stride[0] = taps[1].n * C, packed.stride[1] = C, packed.stride[2] = 1, packed.stride[3] = row;
    View from = *w, to = packed;
    for (int d = 0; d < 2; d++) from = view_slice(&from, d + 2, taps[d].at[0], taps[d].n > 1 ? taps[d].at[1] - taps[d].at[0] : 1, taps[d].n);
    from = view_permute(&from, (const int32_t[]){2, 3, 1, 0});
    to.shape.dim[3] = K;
    lower_copy(e, &from, &to);
    return packed;
}

static void weights_side(Ent *e, const View *w, const Taps taps[2], Gemm *g) {
    Side *s = &g->side[0];
    int64_t K = w->shape.dim[0];
    s->matrix = true, s->n = K;
    if (taps[0].n * taps[1].n == 1 && (w->stride[0] == 1 || w->stride[1] == 1)) {
        s->v = *w;
        s->v.offset += taps[0].at[0] * w->stride[2] + taps[1].at[0] * w->stride[3];
        s->v.shape.rank = 2;
        return;
    }
    View packed = pack_weights(e, w, taps, 0);
    s->v = packed;
    s->n = packed.shape.dim[3];
    s->v.shape = shape_of(2, s->n, shape_size(packed.shape) / s->n);
    s->v.stride[0] = packed.stride[3], s->v.stride[1] = packed.stride[2];
    if (g->planes > 1) g->plane = packed.stride[1];
}

/* ---- where results go ---- */
typedef struct Out {
    View to;   /* the result; or the parts, [sample][part][position][K], [part][tap][C][K] */
    int ptr;
    Ex *epilogue, *acc;
    const TileConv *conv; /* one of the two */
    const TileGrad *grad;
} Out;

static const Lx *finished(Gemm *g, const Out *o, const Lx *sample, const Lx *const *at, int axes, const Lx *value) {
    Finish f = {.k = g->k, .sample = sample, .acc = o->acc, .value = value, .axes = axes, .at = at, .width = value->width, .aligned = value->width > 1};
    return o->epilogue ? finish(&f, o->epilogue) : value;
}

static void conv_out(Gemm *g, const Lx *m, const Lx *n, const Lx *value) {
    Kb *k = g->k;
    Arena *a = g->a;
    const Out *o = g->how;
    const Taps *tx = &o->conv->taps[1];
    Place p = g->here;
    (void)n;
    if (g->parts > 1) {
        int64_t each = g->OH * g->OW;
        const Lx *part = p.sample ? ADD(MUL(p.sample, INT(g->parts)), g->z) : g->z, *position = ADD(MUL(p.y, INT(g->OW)), p.x);
        kb_store_aligned(k, o->ptr, ADD(MUL(ADD(MUL(part, INT(each)), position), INT(g->M)), m), value);
        return;
    }
    const Lx *at[3] = {m, p.y, p.x};
    if (g->planes > 1) at[1] = MUL(DIV(g->z, INT(tx->n)), INT(o->conv->spread[0])), at[2] = MUL(MOD(g->z, INT(tx->n)), INT(o->conv->spread[1]));
    const Lx *v = finished(g, o, p.sample, at, 3, value);
    kb_store_aligned(k, o->ptr, kb_at(k, &o->to, p.sample, at), v);
}

static void grad_out(Gemm *g, const Lx *m, const Lx *n, const Lx *value) {
    Kb *k = g->k;
    Arena *a = g->a;
    const Out *o = g->how;
    if (g->parts > 1) {
        kb_store_aligned(k, o->ptr, ADD(MUL(ADD(MUL(g->z, INT(g->entries)), n), INT(g->M)), m), value);
        return;
    }
    int64_t C = o->grad->x.shape.dim[0], kw = o->grad->taps[1].n;
    const Lx *tap = DIV(n, INT(C)), *at[4] = {m, MOD(n, INT(C)), DIV(tap, INT(kw)), MOD(tap, INT(kw))};
    const Lx *v = finished(g, o, NULL, at, 4, value);
    kb_store(k, o->ptr, kb_at(k, &o->to, NULL, at), v, NULL);
}

/* Phases of an adjoint touch entries of their own: what is known of the result and of what an ending reads and stores. */
static void exact_leaf(Kb *k, const Ex *x, int axes) {
    if (x->ptr >= 64 || x->view.shape.rank != axes) return;
    for (int i = 0; i < axes; i++)
        if (x->view.shape.dim[i] != 1 && x->view.stride[i] != x->stride[i]) return;
    k->exact |= (uint64_t)1 << x->ptr;
}

static void exact(Kb *k, int out, const Ex *x, int axes) {
    if (out >= 0 && out < 64) k->exact |= (uint64_t)1 << out;
    if (!x) return;
    if (x->op == OP_arg) exact_leaf(k, x, axes);
    if (x->store) exact_leaf(k, x->store, axes);
    for (int i = 0; i < 3 && x->in[i]; i++) exact(k, -1, x->in[i], axes);
}

/* The parts, `apart` from one another, added up in order, and what becomes of the sum. */
static void add_parts(Ent *e, const View *from, int64_t parts, int64_t apart, const View *out, Ex *epilogue, Ex *acc, const char *what) {
    Kb *k = kb_new(e, what, 0);
    Arena *a = e->a;
    int p = kb_ptr(k, from, false), q = kb_ptr(k, out, true), sum = kb_reg(k, 1, 1);
    int rank = out->shape.rank;
    if (epilogue) finish_pointers(k, epilogue);
    exact(k, q, epilogue, rank);
    const Lx *sample = kb_samples(k, out->batched), *at[4], *where = sample ? MUL(sample, INT(from->sample)) : INT(0);
    static const int of_map[3] = {1, 2, 0}, of_weights[4] = {2, 3, 1, 0};
    const int *order = rank == 4 ? of_weights : of_map;
    int64_t unit[4], inner = 1;
    for (int i = rank; i-- > 0;) unit[order[i]] = inner, inner *= out->shape.dim[order[i]];
    for (int i = 0; i < rank; i++) {
        at[order[i]] = kb_each(k, out->shape.dim[order[i]]);
        where = ADD(where, MUL(at[order[i]], INT(unit[order[i]])));
    }
    kb_set(k, sum, NULL, lx_load(a, p, where, 1, NULL));
    const Lx *i = kb_for(k, INT(1), INT(parts), 1);
    kb_set(k, sum, NULL, lx_f2(a, LX_ADD, lx_reg(a, sum, NULL, 1), lx_load(a, p, ADD(where, MUL(i, INT(apart))), 1, NULL)));
    kb_end(k);
    Finish f = {.k = k, .sample = sample, .acc = acc, .value = lx_reg(a, sum, NULL, 1), .axes = rank, .at = at, .width = 1};
    const Lx *v = epilogue ? finish(&f, epilogue) : f.value;
    kb_store(k, q, kb_at(k, out, sample, at), v, NULL);
    kb_launch_each(k);
}

static void run(Gemm *g, Out *o, const View *out, Ex *epilogue, Ex *acc) {
    Ent *e = g->e;
    int64_t size = shape_size(out->shape);
    o->to = *out, o->epilogue = epilogue, o->acc = acc;
    if (g->parts > 1) {
        o->to = view_row_major(buf_new(e, out->batched, g->parts * size, NULL, (Span){0}), shape_of(2, g->parts, size), out->batched);
        o->epilogue = NULL;
    }
    g->k = kb_new(e, g->what, 0);
    o->ptr = kb_ptr(g->k, &o->to, true);
    if (o->epilogue) finish_pointers(g->k, o->epilogue);
    g->how = o;
    if (g->parts == 1) exact(g->k, o->ptr, epilogue, out->shape.rank);
    /* vectors of rows: parts have them side by side, and so may the result and what its ending reads */
    bool row = out->stride[0] == 1 && gpu_aligned(e, out);
    for (int d = 1; d < out->shape.rank; d++) row &= out->stride[d] % 4 == 0;
    g->wide = g->M % 4 == 0 && (g->parts > 1 || (row && (!epilogue || finish_aligned(e, epilogue, out->shape.rank))));
    gemm_run(g);
    if (g->parts > 1) add_parts(e, &o->to, g->parts, size, out, epilogue, acc, g->what);
}

void gpu_conv(Ent *e, const TileConv *t) {
    Gemm *g = ARENA_NEW(e->a, Gemm);
    const View *x = &t->x, *out = &t->out;
    *g = (Gemm){.e = e, .a = e->a, .what = t->what, .M = out->shape.dim[0], .batched = out->batched, .parts = 1, .planes = 1, .out = conv_out};
    Taps *taps = ARENA_ARRAY(e->a, Taps, 2);
    for (int d = 0; d < 2; d++) taps[d] = rising(e->a, &t->taps[d]);
    bool spread = t->spread[0] > 0;
    g->OH = spread ? 1 : out->shape.dim[1], g->OW = spread ? 1 : out->shape.dim[2];
    if (spread) g->planes = (int64_t)taps[0].n * taps[1].n;
    g->entries = x->shape.dim[0] * (spread ? 1 : (int64_t)taps[0].n * taps[1].n);
    weights_side(e, &t->w, taps, g);
    g->side[1] = (Side){.v = *x, .taps = spread ? NULL : taps};
    if (!spread) g->parts = gemm_parts(g->M, g->OH * g->OW * (g->batched ? 64 : 1), g->entries);
    TileConv *own = arena_copy(e->a, t, sizeof *t);
    own->taps[0] = taps[0], own->taps[1] = taps[1];
    run(g, &(Out){.conv = own}, out, t->epilogue, t->acc);
}

void gpu_grad(Ent *e, const TileGrad *t) {
    Gemm *g = ARENA_NEW(e->a, Gemm);
    *g = (Gemm){.e = e, .a = e->a, .what = "conv_grad", .M = t->y.shape.dim[0], .planes = 1, .out = grad_out};
    g->OH = t->y.shape.dim[1], g->OW = t->y.shape.dim[2];
    g->batched = t->x.batched || t->y.batched;
    g->entries = t->x.shape.dim[0] * (int64_t)t->taps[0].n * t->taps[1].n;
    g->side[0] = (Side){.v = t->y, .r_is_position = true};
    g->side[1] = (Side){.v = t->x, .r_is_position = true, .taps = t->taps};
    g->parts = gemm_parts(g->M, g->entries, g->OH * g->OW * (g->batched ? 64 : 1));
    run(g, &(Out){.grad = t}, &t->out, t->epilogue, t->acc);
}
