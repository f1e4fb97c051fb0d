/* Pictures of learned atoms: which tensor holds them, and how they are cut out of it. */
#include "driver/atoms.h"
#include "base/trouble.h"
#include "driver/recipe.h"
#include <math.h>

static bool is_bank(int rank, const int64_t *d) { return rank == 4 && d[0] >= 2 && d[2] * d[3] >= 4; }
static int64_t square(int64_t n) { /* side, or 0 */
    int64_t s = (int64_t)(sqrt((double)n) + 0.5);
    return s > 1 && s * s == n ? s : 0;
}
static bool is_matrix(int rank, const int64_t *d) { return rank == 2 && d[1] >= 2 && square(d[0]); }

/* Small atoms are drawn with several pixels for each entry, so that a person can see them. */
static const float *magnify(Arena *a, const float *at, int64_t planes, int64_t *h, int64_t *w) {
    int64_t f = 32 / (*h > *w ? *h : *w);
    if (f < 2) return at;
    float *out = arena_alloc(a, (size_t)(planes * *h * *w * f * f) * sizeof *out), *to = out;
    for (int64_t p = 0; p < planes; p++)
        for (int64_t y = 0; y < *h * f; y++)
            for (int64_t x = 0; x < *w * f; x++) *to++ = at[(p * *h + y / f) * *w + x / f];
    *h *= f;
    *w *= f;
    return out;
}

static bool picture(Cx *cx, csc_context *rt, const char *path, const float *at, int rank, const int64_t *d) {
    csc_status s;
    csc_error_clear(rt);
    if (rank == 4) {
        int64_t h = d[2], w = d[3];
        at = magnify(cx->keep, at, d[0] * d[1], &h, &w);
        s = csc_atoms_write_png(rt, path, at, d[0], d[1], h, w);
    } else { /* the atoms of dense(W) are its columns */
        float *t = arena_alloc(cx->keep, (size_t)(d[0] * d[1]) * sizeof *t);
        for (int64_t i = 0; i < d[0]; i++)
            for (int64_t j = 0; j < d[1]; j++) t[j * d[0] + i] = at[i * d[1] + j];
        int64_t h = square(d[0]), w = h;
        at = magnify(cx->keep, t, d[1], &h, &w);
        s = csc_atoms_write_png(rt, path, at, d[1], 1, h, w);
    }
    if (s) runtime_error(cx, rt, E_WRITE, (Span){0});
    return s == CSC_OK;
}

static bool none(Cx *cx, const char *where) {
    diag_error(cx, E_WEIGHTS, (Span){0}, "%s has no parameter that could be shown as atoms (a bank of filters, or a matrix with square columns)", where);
    return false;
}

bool atoms_of_net(Cx *cx, const Program *p, csc_net *n, csc_context *rt, const char *path) {
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < p->params.len; i++) {
            const ParamDecl *d = &p->params.at[i];
            if (pass ? is_matrix(d->shape.rank, d->shape.dim) : is_bank(d->shape.rank, d->shape.dim))
                return picture(cx, rt, path, csc_net_params(n) + d->offset, d->shape.rank, d->shape.dim);
        }
    return none(cx, p->model);
}

bool atoms_of_file(Cx *cx, csc_tensors *t, csc_context *rt, const char *path) {
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < csc_tensors_count(t); i++) {
            const csc_file_tensor *f = csc_tensors_at(t, i);
            if (!(pass ? is_matrix(f->rank, f->dim) : is_bank(f->rank, f->dim))) continue;
            int64_t n = 1;
            for (int k = 0; k < f->rank; k++) n *= f->dim[k];
            float *at = arena_alloc(cx->keep, (size_t)n * sizeof *at);
            if (csc_tensors_read(t, i, at)) {
                runtime_error(cx, rt, E_WEIGHTS, (Span){0});
                return false;
            }
            return picture(cx, rt, path, at, f->rank, f->dim);
        }
    return none(cx, "the file");
}
