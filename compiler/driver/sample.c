/* Reads the files that cscc run is given, fits them to the model's inputs, and does to them what training did to its data. */
#include "driver/sample.h"
#include "driver/recipe.h"
#include <stdlib.h>
#include <string.h>

bool sample_ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcasecmp(s + n - m, end);
}

/* ---- reading ---- */
static bool is_picture(const char *path) { return sample_ends_with(path, ".png") || sample_ends_with(path, ".jpg") || sample_ends_with(path, ".jpeg"); }

static void refuse(const SampleReader *r, const Sample *s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void refuse(const SampleReader *r, const Sample *s, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *why = arena_vprintf(r->cx->keep, fmt, ap);
    va_end(ap);
    const InputDecl *in = &r->base->program->inputs.at[s->input];
    diag_error(r->cx, E_INPUT, in->span, "'%s' does not fit %s : %s: %s", s->path, in->name, shape_text(r->cx->keep, in->shape), why);
}

/* Does `shape` fit the declared one, up to its free axes? */
static bool fits(const SampleReader *r, size_t input, Shape shape) {
    const char *axes[RANK_MAX];
    free_axes(r->base, input, axes);
    const Shape want = r->base->program->inputs.at[input].shape;
    if (want.rank != shape.rank) return false;
    for (int i = 0; i < want.rank; i++) {
        bool open = axes[i] != NULL;
        for (size_t k = 0; k < r->o->nset && open; k++) open = strcmp(r->o->set[k].name, axes[i]) != 0;
        if (!open && want.dim[i] != shape.dim[i]) return false;
    }
    return true;
}

/* Training brought all pictures to one size: that, unless the command line says another. */
static bool trained_size(const SampleReader *r, size_t input, int size[2]) {
    const char *axes[RANK_MAX];
    free_axes(r->base, input, axes);
    for (size_t i = 0; i < r->o->nset; i++)
        for (int k = 0; k < RANK_MAX; k++)
            if (axes[k] && !strcmp(r->o->set[i].name, axes[k])) return false;
    for (size_t i = 0; i < r->base->program->stages.len; i++) {
        const Cfg *d = r->base->program->stages.at[i].data, *v = d && !strcmp(d->text, "images") ? cfg_arg(d, "size") : NULL;
        if (!v || cfg_arg(d, "patch") || (v->kind == CFG_LIST && v->n != 2)) continue;
        for (int k = 0; k < 2; k++) size[k] = (int)(v->kind == CFG_LIST ? v->item[k] : v)->number;
        return true;
    }
    return false;
}

static bool read_picture(const SampleReader *r, Sample *s) {
    const Shape want = r->base->program->inputs.at[s->input].shape;
    if (want.rank != 3 || (want.dim[0] != 1 && want.dim[0] != 3)) return refuse(r, s, "only an input of one or three channels takes pictures"), false;
    csc_image img = {0};
    csc_error_clear(r->rt);
    if (csc_image_read(r->rt, s->path, (int)want.dim[0], &img)) return runtime_error(r->cx, r->rt, E_INPUT, (Span){0}), false;
    int size[2];
    if (trained_size(r, s->input, size) && (img.height != size[0] || img.width != size[1])) {
        s->height = img.height, s->width = img.width;
        csc_image_free(&img);
        if (csc_image_read_sized(r->rt, s->path, (int)want.dim[0], size[0], size[1], &img)) return runtime_error(r->cx, r->rt, E_INPUT, (Span){0}), false;
    }
    s->shape = shape_of(3, (int64_t)img.channels, (int64_t)img.height, (int64_t)img.width);
    s->at = arena_copy(r->cx->keep, img.at, (size_t)shape_size(s->shape) * sizeof(float));
    s->count = 1;
    s->picture = true;
    csc_image_free(&img);
    if (!fits(r, s->input, s->shape)) return refuse(r, s, "the picture is %s", shape_text(r->cx->keep, s->shape)), false;
    return true;
}

/* Whole numbers in files are scaled as in training: by the recipe's `scale`, else to 0..1. */
static double file_scale(const SampleReader *r, const csc_array *x) {
    double s = 0;
    for (size_t i = 0; i < r->base->program->stages.len && s == 0; i++) {
        const Cfg *d = r->base->program->stages.at[i].data, *v = d ? cfg_arg(d, "scale") : NULL;
        if (v && v->kind == CFG_NUMBER) s = v->number;
    }
    if (s != 0) return s;
    return !strcmp(x->dtype, "u1") ? 255 : !strcmp(x->dtype, "u2") ? 65535 : 1;
}

static bool read_array(const SampleReader *r, Sample *s) {
    csc_array x = {0};
    csc_error_clear(r->rt);
    if (csc_array_read(r->rt, s->path, &x)) return runtime_error(r->cx, r->rt, E_INPUT, (Span){0}), false;
    /* [shape] or [n, shape]; a channel axis of one may be missing in the file */
    const Shape want = r->base->program->inputs.at[s->input].shape;
    bool ok = false;
    for (int many = 0; many < 2 && !ok; many++)
        for (int add = 0; add < 2 && !ok; add++) {
            int rank = x.rank - many + add;
            if (rank != want.rank || x.rank < many || (add && want.dim[0] != 1)) continue;
            Shape t = {.rank = rank};
            if (add) t.dim[0] = 1;
            for (int i = add; i < rank; i++) t.dim[i] = x.dim[i - add + many];
            if (!fits(r, s->input, t)) continue;
            s->shape = t;
            s->count = many ? x.dim[0] : 1;
            ok = true;
        }
    if (ok && s->count > 0) {
        size_t n = (size_t)(shape_size(s->shape) * s->count);
        s->at = arena_copy(r->cx->keep, x.at, n * sizeof(float));
        double scale = file_scale(r, &x);
        for (size_t i = 0; i < n; i++) s->at[i] = (float)(s->at[i] / scale);
    } else {
        Shape t = {.rank = x.rank > RANK_MAX ? RANK_MAX : x.rank};
        for (int i = 0; i < t.rank; i++) t.dim[i] = x.dim[i];
        refuse(r, s, "the file holds %s", shape_text(r->cx->keep, t));
        ok = false;
    }
    csc_array_free(&x);
    return ok;
}

/* ---- what training did to every sample it must be done here, too ---- */
typedef struct Scaling {
    int n; /* channels */
    double mean[16], deviation[16];
} Scaling;

static int numbers(const Cfg *v, double *out) {
    if (!v) return 0;
    if (v->kind == CFG_NUMBER) return out[0] = v->number, 1;
    int n = 0;
    for (uint32_t i = 0; i < v->n && n < 16; i++) out[n++] = v->item[i]->number;
    return n;
}

static const char *list(const char *s, double *out, int *n) { /* 1,2,3] */
    for (*n = 0; *n < 16; s++) {
        char *end;
        out[(*n)++] = strtod(s, &end);
        if (end == s) return NULL;
        if (*(s = end) != ',') break;
    }
    return *s == ']' ? s : NULL;
}

/* The checkpoint remembers what was computed over the training set: {"X":{"mean":[..],"deviation":[..]}}. */
static bool saved_scaling(const SampleReader *r, size_t input, Scaling *out) {
    csc_tensors *t = NULL;
    bool ok = false;
    csc_error_clear(r->rt);
    if (r->o->weights && csc_tensors_open(r->rt, r->o->weights, &t) == CSC_OK) {
        const char *text = csc_tensors_metadata(t, "standardize"), *at = NULL, *middle = "],\"deviation\":[";
        const char *key = arena_printf(r->cx->keep, "\"%s\":{\"mean\":[", r->base->program->inputs.at[input].name);
        int m = 0;
        if (text && (at = strstr(text, key)) && (at = list(at + strlen(key), out->mean, &out->n)) && !strncmp(at, middle, strlen(middle)))
            ok = list(at + strlen(middle), out->deviation, &m) && m == out->n;
    }
    csc_tensors_close(t);
    return ok;
}

static bool standardize(const SampleReader *r, Sample *s) {
    const Program *p = r->base->program;
    const Stage *st = p->stages.len ? &p->stages.at[p->stages.len - 1] : NULL;
    for (size_t i = 0; st && i < st->augment.len; i++) {
        const Cfg *a = st->augment.at[i];
        if (strcmp(a->text, "standardize")) continue;
        Scaling z = {0};
        z.n = numbers(cfg_arg(a, "mean"), z.mean);
        if ((!z.n || numbers(cfg_arg(a, "deviation"), z.deviation) != z.n) && !saved_scaling(r, s->input, &z)) {
            Diag *d = diag_error(r->cx, E_INPUT, a->span, "the model was trained on standardized data, and neither the program nor the weights have the numbers");
            diag_help(r->cx, d, "standardize(mean: [0.49, 0.48, 0.45], deviation: [0.25, 0.24, 0.26])");
            return false;
        }
        int64_t c = s->shape.rank ? s->shape.dim[0] : 1, plane = c ? shape_size(s->shape) / c : 0;
        for (int64_t k = 0; k < s->count * c; k++) {
            int ch = (int)(k % c) < z.n ? (int)(k % c) : z.n - 1;
            for (int64_t q = 0; q < plane; q++) s->at[k * plane + q] = (float)((s->at[k * plane + q] - z.mean[ch]) / z.deviation[ch]);
        }
    }
    return true;
}

bool sample_read(const SampleReader *r, Sample *s) { return (is_picture(s->path) ? read_picture(r, s) : read_array(r, s)) && standardize(r, s); }
