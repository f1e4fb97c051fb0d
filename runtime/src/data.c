/* Data sets: opening, the split into training and test part, one sample. */
#include "data.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *csc_find_path(csc_context *cx, const char *path, const char *const *roots, int nroots) {
    char *found = access(path, R_OK) == 0 ? strdup(path) : NULL;
    for (int i = 0; !found && path[0] != '/' && i < nroots; i++) {
        char *p = rt_join(roots[i], path);
        if (p && access(p, R_OK) == 0) found = p;
        else free(p);
    }
    if (found) return found;
    RtText t = {0};
    for (int i = 0; path[0] != '/' && i < nroots; i++) rt_text_f(&t, "%s%s", i ? ", " : "; also looked in ", roots[i]);
    rt_fail(cx, CSC_IO, "cannot find %s%s", path, t.at ? t.at : "");
    rt_text_free(&t);
    return NULL;
}

char *data_find_file(csc_data *d, const csc_data_spec *s, const char *path) {
    return csc_find_path(d->cx, path, s->roots, s->nroots);
}

void data_column_name(RtColumn *c, const char *name) {
    snprintf(c->name, sizeof c->name, "%s", name);
    c->info.name = c->name;
}

static csc_status check_labels(csc_data *d, RtColumn *c, int64_t n, const char *path) {
    float most = -1;
    for (int64_t i = 0; i < n; i++) {
        float v = c->bytes ? c->bytes[i] : c->values[i];
        if (!(v >= 0 && v < 1 << 24) || v != floorf(v))
            return rt_fail(d->cx, CSC_BAD_FILE, "%s: entry %lld is %g, which is no class number", path, (long long)i, v);
        most = v > most ? v : most;
    }
    c->info.classes = (int64_t)most + 1;
    return CSC_OK;
}

csc_status data_column_array(csc_data *d, int f, RtArray *a, const char *path, const char *name, bool label, double scale) {
    RtColumn *c = &d->col[f];
    data_column_name(c, name);
    c->bytes = a->bytes;
    c->values = a->floats;
    a->bytes = NULL;
    a->floats = NULL;
    if (a->rank < 1 || a->count == 0) return rt_fail(d->cx, CSC_BAD_FILE, "%s holds no samples", path);
    c->info.label = label;
    c->info.rank = a->rank - 1;
    memcpy(c->info.dim, a->dim + 1, sizeof(int64_t) * (size_t)(a->rank - 1));
    c->floats = a->count / a->dim[0];
    c->scale = label ? 1 : scale > 0 ? 1 / scale : c->bytes ? 1 / 255.0 : 1;
    if (f == 0) d->total = a->dim[0];
    else if (a->dim[0] != d->total)
        return rt_fail(d->cx, CSC_BAD_FILE, "%s holds %lld samples, the field before it %lld", path, (long long)a->dim[0], (long long)d->total);
    return label ? check_labels(d, c, a->count, path) : CSC_OK;
}

static csc_status open_kind(csc_data *d, const csc_data_spec *s, bool test, bool *split) {
    switch (s->kind) {
    case CSC_DATA_IDX:
    case CSC_DATA_MNIST: return data_open_idx(d, s, test, split);
    case CSC_DATA_CIFAR10:
    case CSC_DATA_CIFAR100: *split = s->test_every == 0; return data_open_cifar(d, s, test && *split);
    case CSC_DATA_NPY:
    case CSC_DATA_NPZ:
    case CSC_DATA_SAFETENSORS: return data_open_arrays(d, s, test, split);
    case CSC_DATA_IMAGES: return data_open_images(d, s, test, split);
    case CSC_DATA_SPARSE_CODES: *split = true; return data_open_sparse(d, s);
    }
    return rt_fail(d->cx, CSC_BAD_ARGUMENT, "an unknown kind of data");
}

/* Hold-out: samples k, 2k, ... (from 1) are the test part. */
static csc_status split_up(csc_data *d, const csc_data_spec *s, bool test, bool split) {
    d->count = d->total;
    if (!split && s->test_every > 0) {
        if (s->test_every < 2) return rt_fail(d->cx, CSC_BAD_ARGUMENT, "test_every: %lld leaves nothing to learn from", (long long)s->test_every);
        d->every = s->test_every;
        int64_t held = d->total / d->every;
        d->count = test ? held : d->total - held;
    } else if (!split && test) return rt_fail(d->cx, CSC_BAD_ARGUMENT, "this data set has no test part: give test files or test_every");
    if (d->count == 0) return rt_fail(d->cx, CSC_BAD_FILE, "this part of the data set is empty");
    if (d->kind == CSC_DATA_SPARSE_CODES || s->count <= 0) return CSC_OK;
    if (d->patch && !test) {
        d->repeat = d->count;
        d->count = s->count;
    } else if (s->count < d->count) d->count = s->count;
    return CSC_OK;
}

csc_status csc_data_open(csc_context *cx, const csc_data_spec *spec, csc_data **out) {
    *out = NULL;
    csc_data *d = calloc(1, sizeof *d);
    if (!d) return rt_no_memory(cx, sizeof *d);
    d->cx = cx;
    d->kind = spec->kind;
    d->split = spec->split;
    bool split = false, test = spec->split == CSC_TEST;
    csc_status s = open_kind(d, spec, test, &split);
    if (s == CSC_OK) s = split_up(d, spec, test, split);
    if (s != CSC_OK) csc_data_close(d);
    else *out = d;
    return s;
}

void csc_data_close(csc_data *d) {
    if (!d) return;
    for (int f = 0; f < CSC_MAX_FIELDS; f++) {
        free(d->col[f].bytes);
        free(d->col[f].values);
        for (int64_t i = 0; d->col[f].pixels && i < d->total; i++) free(d->col[f].pixels[i].at);
        free(d->col[f].pixels);
    }
    csc_net_free(d->device_net);
    rt_block_free(&d->params);
    rt_block_free(&d->states);
    rt_block_free(&d->tunables);
    rt_block_free(&d->workspace);
    free(d);
}

int64_t csc_data_count(const csc_data *d) {
    return d->count;
}

int csc_data_fields(const csc_data *d) {
    return d->nfields;
}

const csc_field *csc_data_field(const csc_data *d, int i) {
    return &d->col[i].info;
}

static int64_t stored_number(const csc_data *d, int64_t i) {
    if (d->repeat) i %= d->repeat;
    if (!d->every) return i;
    return d->split == CSC_TEST ? (i + 1) * d->every - 1 : i + i / (d->every - 1);
}

static void get_pixels(const csc_data *d, int64_t number, int64_t i, const RtColumn *c, const RtDraw *draw, float *out) {
    const RtPixels *p = &c->pixels[number];
    int64_t y = 0, x = 0, h = p->height, w = p->width;
    if (d->patch) {
        y = (h - d->patch) / 2;
        x = (w - d->patch) / 2;
        if (draw && draw->random) { /* the same place in every column */
            RtRandom r = rt_random(draw->seed, RT_FOR_PATCH, (uint64_t)i, draw->epoch);
            y = (int64_t)rt_random_below(&r, (uint64_t)(h - d->patch + 1));
            x = (int64_t)rt_random_below(&r, (uint64_t)(w - d->patch + 1));
        }
        h = w = d->patch;
    }
    int channels = c->info.label ? 1 : (int)c->info.dim[0];
    rt_pixels_take(p, y, x, h, w, channels, c->info.label ? 1 : c->scale, out);
    if (c->info.label)
        for (int64_t k = 0; k < h * w; k++) out[k] = out[k] == (float)c->ignore ? -1 : rintf(out[k] * (float)c->scale);
}

csc_status data_get(const csc_data *d, int64_t i, int f, const RtDraw *draw, float *out) {
    const RtColumn *c = &d->col[f];
    int64_t number = stored_number(d, i);
    if (c->pixels) get_pixels(d, number, i, c, draw, out);
    else if (c->bytes) {
        const uint8_t *b = c->bytes + number * c->floats;
        float s = (float)c->scale;
        for (int64_t k = 0; k < c->floats; k++) out[k] = (float)b[k] * s;
    } else {
        const float *v = c->values + number * c->floats;
        float s = (float)c->scale;
        for (int64_t k = 0; k < c->floats; k++) out[k] = v[k] * s;
    }
    return CSC_OK;
}

csc_status csc_data_fetch(csc_data *d, int64_t i, int f, float *out) {
    if (i < 0 || i >= d->count || f < 0 || f >= d->nfields) return rt_fail(d->cx, CSC_BAD_ARGUMENT, "no sample %lld, field %d", (long long)i, f);
    if (d->kind != CSC_DATA_SPARSE_CODES) return data_get(d, i, f, NULL, out);
    RtBlock other;
    if (!rt_block_new(&other, (size_t)d->col[!f].floats * 4)) return rt_no_memory(d->cx, (size_t)d->col[!f].floats * 4);
    csc_status s = data_sparse_get(d, d->cx, &i, 1, f == 0 ? out : other.at, f == 0 ? other.at : out);
    rt_block_free(&other);
    return s;
}
