/* Which field feeds which input, and augmentation. Every draw is a function of (seed, epoch, sample, place in the list). */
#include "feed.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static csc_status match(csc_context *cx, const csc_stage *s, const csc_data *d, RtPlan *p) {
    int next_label = 0, next_real = 0, first_real = -1;
    for (int k = 0; k < p->ninputs; k++) {
        const csc_input *in = &s->inputs[k];
        RtPlanInput *o = &p->input[k];
        bool label = in->kind == CSC_IN_LABEL;
        int *next = label ? &next_label : &next_real;
        if (d->kind == CSC_DATA_SPARSE_CODES && !label) *next = in->kind == CSC_IN_TARGET;
        while (*next < d->nfields && d->col[*next].info.label != label) ++*next;
        *o = (RtPlanInput){.name = in->name, .kind = in->kind, .field = (*next)++};
        if (o->field >= d->nfields && in->kind == CSC_IN_TARGET && first_real >= 0) {
            o->field = first_real;
            o->copy = true;
        }
        if (o->field >= d->nfields)
            return rt_fail(cx, CSC_MISMATCH, "the data set has nothing for %s `%s`", label ? "label" : in->kind == CSC_IN_TARGET ? "target" : "input", in->name);
        if (in->kind == CSC_IN_REAL && first_real < 0) first_real = o->field;
        const csc_field *f = &d->col[o->field].info;
        if (label && in->classes > 0 && f->classes > in->classes)
            return rt_fail(cx, CSC_MISMATCH, "the data set has %lld classes, label `%s` has %lld", (long long)f->classes, in->name, (long long)in->classes);
    }
    return CSC_OK;
}

static csc_status shapes(csc_context *cx, const csc_stage *s, const csc_data *d, RtPlan *p) {
    for (int k = 0; k < p->ninputs; k++) {
        RtPlanInput *o = &p->input[k];
        const csc_field *f = &d->col[o->field].info;
        o->floats = d->col[o->field].floats;
        o->picture = f->rank == 3 || (f->rank == 2 && (f->label || d->kind != CSC_DATA_SPARSE_CODES));
        o->channels = f->rank == 3 ? f->dim[0] : 1;
        o->h = o->picture ? f->dim[f->rank - 2] : 1;
        o->w = o->picture ? f->dim[f->rank - 1] : o->floats;
        int64_t h = o->h, w = o->w;
        o->most_floats = o->floats;
        for (int a = 0; a < p->naugment; a++) {
            const csc_augment *g = &p->augment[a];
            if (g->kind != CSC_CROP || g->size <= 0 || !o->picture) continue;
            if (g->size > h + 2 * g->by || g->size > w + 2 * g->by)
                return rt_fail(cx, CSC_MISMATCH, "crop: %lld is more than the picture of `%s` has (%lld x %lld, %lld around it)", (long long)g->size,
                               o->name, (long long)w, (long long)h, (long long)g->by);
            h = w = g->size;
            if (o->channels * h * w > o->most_floats) o->most_floats = o->channels * h * w;
        }
        o->out_floats = o->channels * h * w;
        if (o->most_floats > p->most_floats) p->most_floats = o->most_floats;
        if (o->out_floats != s->inputs[k].floats) {
            char dims[96];
            rt_dims_text(dims, sizeof dims, f->rank, f->dim);
            return rt_fail(cx, CSC_MISMATCH, "`%s` takes %lld numbers a sample; the data set's %s is %s%s", o->name, (long long)s->inputs[k].floats,
                           f->name, dims, o->out_floats != o->floats ? ", before crop" : "");
        }
    }
    return CSC_OK;
}

static csc_status measure(csc_context *cx, csc_data *d, const RtPlanInput *o, RtStandard *s) {
    int64_t plane = o->h * o->w;
    float *x = malloc((size_t)o->floats * 4);
    double *sum = calloc((size_t)o->channels * 2, sizeof *sum), *square = sum + o->channels;
    csc_status st = x && sum ? CSC_OK : rt_no_memory(cx, (size_t)o->floats * 4);
    for (int64_t i = 0; st == CSC_OK && i < d->count; i++) {
        st = d->kind == CSC_DATA_SPARSE_CODES ? csc_data_fetch(d, i, o->field, x) : data_get(d, i, o->field, NULL, x);
        for (int64_t c = 0; st == CSC_OK && c < o->channels; c++) {
            double a = 0, b = 0;
            for (int64_t k = 0; k < plane; k++) {
                double v = x[c * plane + k];
                a += v;
                b += v * v;
            }
            sum[c] += a;
            square[c] += b;
        }
    }
    for (int64_t c = 0; st == CSC_OK && c < o->channels; c++) {
        double n = (double)d->count * (double)plane, mean = sum[c] / n, variance = square[c] / n - mean * mean;
        s->mean[c] = mean;
        s->scale[c] = variance > 1e-12 ? 1 / sqrt(variance) : 1;
    }
    free(x);
    free(sum);
    return st;
}

static csc_status standards(csc_context *cx, const csc_stage *s, const csc_data *d, RtPlan *p) {
    for (int a = 0; a < p->naugment; a++)
        for (int k = 0; k < p->ninputs; k++) {
            const csc_augment *g = &p->augment[a];
            const RtPlanInput *o = &p->input[k];
            RtStandard *t = &p->standard[a * p->ninputs + k];
            if (g->kind != CSC_STANDARDIZE || !(o->kind == CSC_IN_REAL || o->copy)) continue;
            if (g->n != 0 && g->n != 1 && g->n != o->channels)
                return rt_fail(cx, CSC_MISMATCH, "standardize has %d numbers, `%s` has %lld channels", g->n, o->name, (long long)o->channels);
            t->mean = calloc((size_t)o->channels * 2, sizeof(double));
            if (!t->mean) return rt_no_memory(cx, (size_t)o->channels * 16);
            t->scale = t->mean + o->channels;
            if (g->n == 0) {
                csc_data *from = s->data ? s->data : (csc_data *)d;
                RtPlanInput in_training = *o;
                csc_status st = from->nfields > o->field && from->col[o->field].floats == o->floats
                                    ? measure(cx, from, &in_training, t)
                                    : rt_fail(cx, CSC_MISMATCH, "training and test data differ in shape: standardize needs numbers");
                if (st != CSC_OK) return st;
            } else
                for (int64_t c = 0; c < o->channels; c++) {
                    t->mean[c] = g->mean[g->n == 1 ? 0 : c];
                    t->scale[c] = 1 / g->deviation[g->n == 1 ? 0 : c];
                    if (!isfinite(t->scale[c])) return rt_fail(cx, CSC_BAD_ARGUMENT, "standardize: a deviation of 0");
                }
        }
    return CSC_OK;
}

csc_status plan_new(RtPlan *p, csc_context *cx, const csc_stage *s, const csc_data *d) {
    *p = (RtPlan){.ninputs = s->ninputs, .naugment = s->naugment, .augment = s->augment};
    p->input = calloc((size_t)s->ninputs + 1, sizeof *p->input);
    p->standard = calloc((size_t)(s->naugment * s->ninputs) + 1, sizeof *p->standard);
    csc_status st = p->input && p->standard ? CSC_OK : rt_no_memory(cx, 4096);
    if (st == CSC_OK) st = match(cx, s, d, p);
    if (st == CSC_OK) st = shapes(cx, s, d, p);
    if (st == CSC_OK) st = standards(cx, s, d, p);
    if (st != CSC_OK) plan_free(p);
    return st;
}

void plan_free(RtPlan *p) {
    for (int i = 0; p->standard && i < p->naugment * p->ninputs; i++) free(p->standard[i].mean);
    free(p->standard);
    free(p->input);
    *p = (RtPlan){0};
}

typedef struct Window {
    int64_t y, x, h, w; /* of the old picture; may lie partly outside */
    bool mirror_x, mirror_y;
} Window;

static void take_window(const float *in, int64_t channels, int64_t h, int64_t w, const Window *v, float outside, float *out) {
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < v->h; i++) {
            int64_t y = v->y + (v->mirror_y ? v->h - 1 - i : i);
            const float *row = in + (c * h + y) * w;
            for (int64_t k = 0; k < v->w; k++) {
                int64_t x = v->x + (v->mirror_x ? v->w - 1 - k : k);
                *out++ = y >= 0 && y < h && x >= 0 && x < w ? row[x] : outside;
            }
        }
}

/* False: this augmentation leaves the picture as it is. */
static bool window_of(const csc_augment *g, int64_t h, int64_t w, bool train, RtRandom *r, Window *v) {
    *v = (Window){.h = h, .w = w};
    switch (g->kind) {
    case CSC_TRANSLATE:
        v->y = (int64_t)rt_random_below(r, 2 * (uint64_t)g->by + 1) - g->by;
        v->x = (int64_t)rt_random_below(r, 2 * (uint64_t)g->by + 1) - g->by;
        return train;
    case CSC_CROP:
        if (g->size > 0) v->h = v->w = g->size;
        v->y = train ? (int64_t)rt_random_below(r, (uint64_t)(h + 2 * g->by - v->h) + 1) : (h + 2 * g->by - v->h) / 2;
        v->x = train ? (int64_t)rt_random_below(r, (uint64_t)(w + 2 * g->by - v->w) + 1) : (w + 2 * g->by - v->w) / 2;
        v->y -= g->by;
        v->x -= g->by;
        return true;
    case CSC_HFLIP: v->mirror_x = train && rt_random_below(r, 2); return v->mirror_x;
    case CSC_VFLIP: v->mirror_y = train && rt_random_below(r, 2); return v->mirror_y;
    case CSC_STANDARDIZE:
    case CSC_NOISE: return false;
    }
    return false;
}

static void one_input(const RtPlan *p, int k, int64_t i, bool train, uint64_t seed, uint32_t epoch, float *two, float *out) {
    const RtPlanInput *o = &p->input[k];
    float *now = two, *next = two + p->most_floats;
    int64_t h = o->h, w = o->w;
    for (int a = 0; a < p->naugment; a++) {
        const csc_augment *g = &p->augment[a];
        const RtStandard *t = &p->standard[a * p->ninputs + k];
        if (g->kind == CSC_STANDARDIZE) {
            for (int64_t c = 0; t->mean && c < o->channels; c++) {
                float mean = (float)t->mean[c], scale = (float)t->scale[c];
                for (int64_t j = c * h * w; j < (c + 1) * h * w; j++) now[j] = (now[j] - mean) * scale;
            }
        } else if (g->kind == CSC_NOISE) {
            if (o->kind != CSC_IN_REAL) continue;
            RtRandom r = rt_random(seed, RT_FOR_NOISE + ((uint32_t)a << 8) + ((uint32_t)k << 16), (uint64_t)i, epoch);
            rt_random_add_normal(&r, (float)g->sigma, now, o->channels * h * w);
        } else if (o->picture) {
            Window v;
            RtRandom r = rt_random(seed, RT_FOR_AUGMENT + ((uint32_t)a << 8), (uint64_t)i, epoch); /* the same for all inputs */
            if (!window_of(g, h, w, train, &r, &v)) continue;
            take_window(now, o->channels, h, w, &v, o->kind == CSC_IN_LABEL ? -1 : 0, next); /* what lies outside is of no class */
            float *swap = now;
            now = next;
            next = swap;
            h = v.h;
            w = v.w;
        }
    }
    memcpy(out, now, 4 * (size_t)o->out_floats);
}

void plan_sample(const RtPlan *p, const csc_data *d, int64_t i, bool train, uint64_t seed, uint32_t epoch, float *const *given,
                 float *const *out, float *two) {
    RtDraw draw = {train, seed, epoch};
    for (int k = 0; k < p->ninputs; k++) {
        const RtPlanInput *o = &p->input[k];
        if (given) memcpy(two, given[o->field], 4 * (size_t)o->floats);
        else data_get(d, i, o->field, &draw, two);
        one_input(p, k, i, train, seed, epoch, two, out[k]);
    }
}
