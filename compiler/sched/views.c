/* Views: the same floats under other axes. */
#include "sched/internal.h"

View view_row_major(int32_t buf, Shape s, bool batched) {
    View v = {.buf = buf, .batched = batched, .shape = s};
    int64_t n = 1;
    for (int i = s.rank - 1; i >= 0; i--) v.stride[i] = n, n *= s.dim[i];
    v.sample = batched ? n : 0;
    return v;
}

View view_channels_last(int32_t buf, Shape s, bool batched) {
    View v = {.buf = buf, .batched = batched, .shape = s};
    int64_t n = s.rank ? s.dim[0] : 1;
    for (int i = s.rank - 1; i >= 1; i--) v.stride[i] = n, n *= s.dim[i];
    v.stride[0] = 1;
    v.sample = batched ? n : 0;
    return v;
}

View view_external(Ent *e, LpSpace space, int32_t which, int64_t base, Shape s, bool batched) {
    return view_row_major(buf_external(e, space, which, base, shape_size(s)), s, batched);
}

View view_new_row_major(Ent *e, Shape s, bool batched, Name name, Span span) {
    return view_row_major(buf_new(e, batched, shape_size(s), name, span), s, batched);
}

/* Per sample tensors lie with the first axis (channels) innermost: a register tile then reads and writes
   vectors of channels, a value per channel is one vector, and [I | F'] is a slice of each pixel. So do maps of
   many channels that are made of parameters alone (power iterations); the rest of those stays row-major. */
View view_new(Ent *e, Shape s, bool batched, Name name, Span span) {
    bool map = s.rank == 3 && s.dim[0] >= 16 && !e->s->t.gpu;
    if (!batched && !map) return view_new_row_major(e, s, false, name, span);
    int64_t size = shape_size(s), pad = !e->s->t.gpu && size >= 1024 && size % 512 == 0
                                            ? 16
                                            : 0; /* neighbours a page apart would share cache lines */
    View v = view_channels_last(buf_new(e, batched, size + pad, name, span), s, batched);
    v.sample += pad;
    return v;
}

/* Axes of v are cut and joined so that they make up `s`; joining needs strides that fit (as in numpy's
 * reshape). */
bool view_reshape(const View *v, Shape s, View *out) {
    View r = *v;
    r.shape = s;
    int64_t dim[RANK_MAX], st[RANK_MAX];
    int n = 0;
    for (int i = 0; i < v->shape.rank; i++) /* axes of length 1 have no say */
        if (v->shape.dim[i] != 1) dim[n] = v->shape.dim[i], st[n] = v->stride[i], n++;
    int i = 0, j = 0;
    while (i < n) {
        int i1 = i + 1, j1 = j + 1;
        MUST(j < s.rank);
        int64_t ni = dim[i], nj = s.dim[j];
        while (ni != nj) {
            if (ni < nj) {
                MUST(i1 < n);
                if (st[i1 - 1] != st[i1] * dim[i1]) return false;
                ni *= dim[i1++];
            } else {
                MUST(j1 < s.rank);
                nj *= s.dim[j1++];
            }
        }
        int64_t x = st[i1 - 1];
        for (int q = j1 - 1; q >= j; q--) r.stride[q] = x, x *= s.dim[q];
        i = i1, j = j1;
    }
    for (; j < s.rank; j++) r.stride[j] = 0; /* length 1 */
    *out = r;
    return true;
}

View view_permute(const View *v, const int32_t *list) {
    View r = *v;
    for (int i = 0; i < v->shape.rank; i++)
        r.shape.dim[i] = v->shape.dim[list[i]], r.stride[i] = v->stride[list[i]];
    return r;
}

View view_slice(const View *v, int axis, int64_t start, int64_t step, int64_t size) {
    View r = *v;
    r.offset += start * v->stride[axis];
    r.stride[axis] *= step;
    r.shape.dim[axis] = size;
    return r;
}

View view_expand(const View *v, Shape to, uint32_t axes) {
    View r = *v;
    r.shape = to;
    int from = 0;
    for (int i = 0; i < to.rank; i++) r.stride[i] = axes >> i & 1 ? 0 : v->stride[from++];
    return r;
}

View view_per_sample(const View *v) {
    View r = *v;
    r.batched = true;
    r.sample = v->batched ? v->sample : 0;
    return r;
}

View view_turn(Ent *e, const View *v, const Lx *turn) {
    Arena *a = e->a;
    View r = *v;
    r.shape.rank--;
    for (int i = 0; i < r.shape.rank; i++)
        r.shape.dim[i] = v->shape.dim[i + 1], r.stride[i] = v->stride[i + 1];
    const Lx *at = MUL(turn, INT(v->stride[0]));
    r.plus = v->plus ? ADD(v->plus, at) : at;
    return r;
}

bool view_is_row_major(const View *v) {
    View r = view_row_major(v->buf, v->shape, v->batched);
    for (int i = 0; i < v->shape.rank; i++)
        if (v->shape.dim[i] != 1 && v->stride[i] != r.stride[i]) return false;
    return !v->batched || v->sample == r.sample;
}

bool view_same(const View *x, const View *y) {
    if (x->buf != y->buf || x->offset != y->offset || x->plus != y->plus || x->batched != y->batched)
        return false;
    if (!shape_eq(x->shape, y->shape) || (x->batched && x->sample != y->sample)) return false;
    for (int i = 0; i < x->shape.rank; i++)
        if (x->shape.dim[i] != 1 && x->stride[i] != y->stride[i]) return false;
    return true;
}

/* Places are taken apart by the strides, from the largest on, as numbers by digits. */
bool view_apart(const View *x, const View *y) {
    const View *v[2] = {x, y};
    int64_t stride[2 * RANK_MAX], dim[2][2 * RANK_MAX], at[2] = {x->offset, y->offset};
    int n = 0;
    if (x->buf != y->buf || x->plus != y->plus || x->batched != y->batched || (x->batched && x->sample != y->sample)) return false;
    for (int k = 0; k < 2; k++) {
        if (v[k]->batched && v[k]->offset + view_span(v[k]) > v[k]->sample) return false;
        for (int i = 0; i < v[k]->shape.rank; i++) {
            if (v[k]->shape.dim[i] == 1) continue;
            int j = 0;
            while (j < n && stride[j] > v[k]->stride[i]) j++;
            if (v[k]->stride[i] < 1 || (j < n && stride[j] == v[k]->stride[i] && dim[k][j] > 1)) return false;
            if (j == n || stride[j] != v[k]->stride[i]) {
                for (int m = n++; m > j; m--) stride[m] = stride[m - 1], dim[0][m] = dim[0][m - 1], dim[1][m] = dim[1][m - 1];
                stride[j] = v[k]->stride[i], dim[0][j] = dim[1][j] = 1;
            }
            dim[k][j] = v[k]->shape.dim[i];
        }
    }
    for (int j = 0; j < n; j++) {
        int64_t digit[2];
        for (int k = 0; k < 2; k++) {
            int64_t below = 0;
            for (int m = j + 1; m < n; m++) below += (dim[k][m] - 1) * stride[m];
            digit[k] = at[k] / stride[j], at[k] %= stride[j];
            if (at[k] + below >= stride[j]) return false; /* it runs over into the next */
        }
        if (digit[0] + dim[0][j] <= digit[1] || digit[1] + dim[1][j] <= digit[0]) return true;
    }
    return at[0] != at[1];
}

int64_t view_span(const View *v) {
    int64_t n = 1;
    for (int i = 0; i < v->shape.rank; i++) n += (v->shape.dim[i] - 1) * v->stride[i];
    return n;
}
