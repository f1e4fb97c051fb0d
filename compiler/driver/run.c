/* cscc run: codes, denoises or classifies files. Each size of the inputs is compiled once. */
#include "base/trouble.h"
#include "driver/commands.h"
#include "driver/json.h"
#include "driver/model.h"
#include "driver/recipe.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Sample { /* what one file holds, fitted to one input of the model */
    const char *path;
    size_t input;
    float *at;     /* [count, shape], arena */
    int64_t count; /* samples */
    Shape shape;
    bool picture;
    int height, width; /* of a picture that was brought to another size, else 0 */
} Sample;

typedef struct Ready { /* a model compiled for one size of its inputs */
    Shape *shape; /* of each real input */
    Compile c;
    Model m;
    struct Ready *next;
} Ready;

typedef struct Run {
    Cx *cx;
    const Options *o;
    Compile base; /* read and declared */
    csc_context *rt;
    csc_pool *pool;
    Ready *ready;
    size_t *input, ninputs; /* the model's real inputs, in the order of the program */
    const char ***path;     /* [ninputs][nsets]: a set is a file for each input */
    size_t nsets;
    const char *folder; /* for results, or NULL */
    bool first_json;
} Run;

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcasecmp(s + n - m, end);
}

/* ---- reading ---- */
static bool is_picture(const char *path) { return ends_with(path, ".png") || ends_with(path, ".jpg") || ends_with(path, ".jpeg"); }

static void refuse(Run *r, const Sample *s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void refuse(Run *r, const Sample *s, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *why = arena_vprintf(r->cx->keep, fmt, ap);
    va_end(ap);
    const InputDecl *in = &r->base.program->inputs.at[s->input];
    diag_error(r->cx, E_INPUT, in->span, "'%s' does not fit %s : %s: %s", s->path, in->name, shape_text(r->cx->keep, in->shape), why);
}

/* Does `shape` fit the declared one, up to its free axes? */
static bool fits(const Run *r, size_t input, Shape shape) {
    const char *axes[RANK_MAX];
    free_axes(&r->base, input, axes);
    const Shape want = r->base.program->inputs.at[input].shape;
    if (want.rank != shape.rank) return false;
    for (int i = 0; i < want.rank; i++) {
        bool open = axes[i] != NULL;
        for (size_t k = 0; k < r->o->nset && open; k++) open = strcmp(r->o->set[k].name, axes[i]) != 0;
        if (!open && want.dim[i] != shape.dim[i]) return false;
    }
    return true;
}

/* Training brought all pictures to one size: that, unless the command line says another. */
static bool trained_size(const Run *r, size_t input, int size[2]) {
    const char *axes[RANK_MAX];
    free_axes(&r->base, input, axes);
    for (size_t i = 0; i < r->o->nset; i++)
        for (int k = 0; k < RANK_MAX; k++)
            if (axes[k] && !strcmp(r->o->set[i].name, axes[k])) return false;
    for (size_t i = 0; i < r->base.program->stages.len; i++) {
        const Cfg *d = r->base.program->stages.at[i].data, *v = d && !strcmp(d->text, "images") ? cfg_arg(d, "size") : NULL;
        if (!v || cfg_arg(d, "patch") || (v->kind == CFG_LIST && v->n != 2)) continue;
        for (int k = 0; k < 2; k++) size[k] = (int)(v->kind == CFG_LIST ? v->item[k] : v)->number;
        return true;
    }
    return false;
}

static bool read_picture(Run *r, Sample *s) {
    const Shape want = r->base.program->inputs.at[s->input].shape;
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
static double file_scale(const Run *r, const csc_array *x) {
    double s = 0;
    for (size_t i = 0; i < r->base.program->stages.len && s == 0; i++) {
        const Cfg *d = r->base.program->stages.at[i].data, *v = d ? cfg_arg(d, "scale") : NULL;
        if (v && v->kind == CFG_NUMBER) s = v->number;
    }
    if (s != 0) return s;
    return !strcmp(x->dtype, "u1") ? 255 : !strcmp(x->dtype, "u2") ? 65535 : 1;
}

static bool read_array(Run *r, Sample *s) {
    csc_array x = {0};
    csc_error_clear(r->rt);
    if (csc_array_read(r->rt, s->path, &x)) return runtime_error(r->cx, r->rt, E_INPUT, (Span){0}), false;
    /* [shape] or [n, shape]; a channel axis of one may be missing in the file */
    const Shape want = r->base.program->inputs.at[s->input].shape;
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
static bool saved_scaling(Run *r, size_t input, Scaling *out) {
    csc_tensors *t = NULL;
    bool ok = false;
    csc_error_clear(r->rt);
    if (r->o->weights && csc_tensors_open(r->rt, r->o->weights, &t) == CSC_OK) {
        const char *text = csc_tensors_metadata(t, "standardize"), *at = NULL, *middle = "],\"deviation\":[";
        const char *key = arena_printf(r->cx->keep, "\"%s\":{\"mean\":[", r->base.program->inputs.at[input].name);
        int m = 0;
        if (text && (at = strstr(text, key)) && (at = list(at + strlen(key), out->mean, &out->n)) && !strncmp(at, middle, strlen(middle)))
            ok = list(at + strlen(middle), out->deviation, &m) && m == out->n;
    }
    csc_tensors_close(t);
    return ok;
}

static bool standardize(Run *r, Sample *s) {
    const Program *p = r->base.program;
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

/* ---- compiling for a size ---- */
static bool same_shapes(const Run *r, const Ready *x, const Sample *set) {
    for (size_t i = 0; i < r->ninputs; i++)
        if (!shape_eq(x->shape[i], set[i].shape)) return false;
    return true;
}

/* Sizes that several axes share are the first file's: do they fit all? */
static bool sizes_agree(Run *r, const Compile *c, const Sample *set) {
    Arena *a = r->cx->keep;
    for (size_t i = 0; i < r->ninputs; i++) {
        const InputDecl *in = &c->program->inputs.at[set[i].input];
        if (shape_eq(in->shape, set[i].shape)) continue;
        const char *here = arena_printf(a, "'%s' holds %s", set[i].path, shape_text(a, set[i].shape));
        if (i) diag_error(r->cx, E_INPUT, in->span, "%s, and beside '%s' the input %s must be %s", here, set[0].path, in->name, shape_text(a, in->shape));
        else diag_error(r->cx, E_INPUT, in->span, "%s, and no size of the input %s is like that", here, in->name);
        return false;
    }
    return true;
}

static Ready *ready_for(Run *r, const Sample *set) {
    for (Ready *x = r->ready; x; x = x->next)
        if (same_shapes(r, x, set)) return x;
    Ready *x = ARENA_NEW(r->cx->keep, Ready);
    x->c = r->base;
    x->shape = ARENA_ARRAY(r->cx->keep, Shape, r->ninputs);
    for (size_t k = 0; k < r->ninputs; k++) {
        x->shape[k] = set[k].shape;
        const char *axes[RANK_MAX];
        free_axes(&r->base, set[k].input, axes);
        for (int i = 0; i < set[k].shape.rank; i++)
            if (axes[i]) bind_size(&x->c, axes[i], set[k].shape.dim[i]);
    }
    x->c.free_default = false;
    x->c.free_why = "the file does not bind it";
    if (!compile_declare(&x->c) || !sizes_agree(r, &x->c, set)) return NULL;
    compile_want(&x->c, ENTRY_INIT, 0);
    compile_want(&x->c, ENTRY_FORWARD, 0);
    bool ok = compile_model(&x->c, "llvm");
    compile_report(&x->c);
    if (!ok || !x->c.object || !model_load(r->cx, &x->c, r->rt, r->pool, &x->m)) return NULL;
    x->next = r->ready;
    r->ready = x;
    if (csc_net_init(x->m.net, (uint64_t)r->o->seed)) return runtime_error(r->cx, r->rt, E_NAN, (Span){0}), NULL;
    return model_weights(r->cx, r->o, &x->m, x->c.program->params.len > 0) ? x : NULL;
}

/* ---- results ---- */
static const char *stem_of(Arena *a, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    if (n > 3 && !strcmp(name + n - 3, ".gz")) n -= 3;
    for (size_t i = n; i > 1; i--)
        if (name[i - 1] == '.') {
            n = i - 1;
            break;
        }
    return arena_strndup(a, name, n);
}

/* A vector of one score a class, and a label of as many classes: which is likeliest, and how likely (scores that are no probabilities go
   through softmax). */
static bool is_classes(const Program *p, const OutputDecl *d) {
    if (d->shape.rank != 1) return false;
    for (size_t i = 0; i < p->inputs.len; i++)
        if (p->inputs.at[i].kind == IN_LABEL && p->inputs.at[i].shape.rank == 0 && p->inputs.at[i].classes == d->shape.dim[0]) return true;
    return false;
}

static int64_t likeliest(const float *v, int64_t n, double *probability) {
    int64_t best = 0;
    double sum = 0, soft = 0;
    bool already = true;
    for (int64_t i = 0; i < n; i++) {
        if (v[i] > v[best] || isnan(v[best])) best = i;
        sum += v[i];
        already &= v[i] >= 0 && v[i] <= 1;
    }
    for (int64_t i = 0; i < n; i++) soft += exp((double)v[i] - v[best]);
    *probability = already && fabs(sum - 1) < 1e-3 ? v[best] : 1 / soft;
    return best;
}

static void json_item(Run *r, const Sample *set, const OutputDecl *d) {
    printf("%s\n  {\"file\": ", r->first_json ? "" : ",");
    json_text(stdout, set->path);
    for (size_t i = 0; r->ninputs > 1 && i < r->ninputs; i++) {
        printf(i ? ", " : ", \"inputs\": {");
        json_text(stdout, r->base.program->inputs.at[set[i].input].name);
        printf(": ");
        json_text(stdout, set[i].path);
        if (i + 1 == r->ninputs) printf("}");
    }
    printf(", \"output\": ");
    json_text(stdout, d->name);
    r->first_json = false;
}

/* A result of the size that the picture was brought to, in the picture's own: each pixel the nearest. */
static void grow(Run *r, const Sample *s, csc_image *img) {
    csc_image to = {img->channels, s->height, s->width, arena_alloc(r->cx->keep, sizeof(float) * (size_t)img->channels * (size_t)s->height * (size_t)s->width)};
    for (int c = 0; c < to.channels; c++)
        for (int y = 0; y < to.height; y++)
            for (int x = 0; x < to.width; x++) {
                int64_t v = (2 * (int64_t)y + 1) * img->height / (2 * to.height), h = (2 * (int64_t)x + 1) * img->width / (2 * to.width);
                to.at[((int64_t)c * to.height + y) * to.width + x] = img->at[((int64_t)c * img->height + v) * img->width + h];
            }
    *img = to;
}

static bool write_output(Run *r, const Sample *s, const OutputDecl *d, const float *at, size_t nout) {
    bool picture = s->picture && s->count == 1 && d->shape.rank == 3 && (d->shape.dim[0] == 1 || d->shape.dim[0] == 3);
    const char *path;
    if (r->folder) path = arena_printf(r->cx->keep, "%s/%s%s%s.%s", r->folder, stem_of(r->cx->keep, s->path), nout > 1 ? "_" : "", nout > 1 ? d->name : "", picture ? "png" : "npy");
    else if (r->o->output && nout == 1) {
        path = r->o->output;
        picture = picture && !ends_with(path, ".npy");
    } else if (r->o->output) path = arena_printf(r->cx->keep, "%s_%s.%s", stem_of(r->cx->keep, r->o->output), d->name, picture ? "png" : "npy");
    else path = arena_printf(r->cx->keep, "%s_%s.%s", stem_of(r->cx->keep, s->path), d->name, picture ? "png" : "npy");
    csc_error_clear(r->rt);
    csc_status st;
    Shape written = d->shape;
    if (picture) {
        csc_image img = {(int)d->shape.dim[0], (int)d->shape.dim[1], (int)d->shape.dim[2], (float *)at};
        if (s->height && d->shape.dim[1] == s->shape.dim[1] && d->shape.dim[2] == s->shape.dim[2]) {
            grow(r, s, &img);
            written.dim[1] = s->height, written.dim[2] = s->width;
        }
        st = csc_image_write_png(r->rt, path, &img);
    } else {
        int64_t dim[CSC_MAX_RANK] = {s->count};
        for (int i = 0; i < d->shape.rank; i++) dim[i + 1] = d->shape.dim[i];
        st = csc_npy_write(r->rt, path, at, d->shape.rank + 1, dim);
    }
    if (st == CSC_IO) machine_trouble("%s", csc_error(r->rt));
    if (st) return runtime_error(r->cx, r->rt, E_WRITE, (Span){0}), false;
    if (!r->o->json) printf("%s -> %s %s\n", s->path, path, shape_text(r->cx->keep, written));
    else {
        json_item(r, s, d);
        printf(", \"written\": ");
        json_text(stdout, path);
        printf(", \"samples\": %lld, \"shape\": ", (long long)s->count);
        json_dims(stdout, written.rank, written.dim);
        printf("}");
    }
    return true;
}

static void say_class(Run *r, const Sample *s, const OutputDecl *d, const float *at) {
    for (int64_t i = 0; i < s->count; i++) {
        double p;
        int64_t label = likeliest(at + i * d->shape.dim[0], d->shape.dim[0], &p);
        if (r->o->json) {
            json_item(r, s, d);
            printf(", \"sample\": %lld, \"label\": %lld, \"probability\": %.6f}", (long long)i, (long long)label, p);
        } else if (s->count == 1) printf("%s: %lld  (%.1f %%)\n", s->path, (long long)label, 100 * p);
        else printf("%s %lld: %lld  (%.1f %%)\n", s->path, (long long)i, (long long)label, 100 * p);
    }
}

static bool run_set(Run *r, const Sample *s) {
    Arena *keep = r->cx->keep;
    for (size_t i = 1; i < r->ninputs; i++)
        if (s[i].count != s[0].count) {
            diag_error(r->cx, E_INPUT, (Span){0}, "'%s' holds %lld samples, and '%s' %lld", s[0].path, (long long)s[0].count, s[i].path, (long long)s[i].count);
            return false;
        }
    Ready *x = ready_for(r, s);
    if (!x) return false;
    const Program *p = x->c.program;
    const csc_entry *e = csc_net_entry(x->m.net, "forward");
    MUST(e && e->nin == r->ninputs && e->nout == p->outputs.len);
    int64_t most = r->o->has_batch ? r->o->batch : 64;
    const float **in = ARENA_ARRAY(keep, const float *, r->ninputs + 1);
    float **all = ARENA_ARRAY(keep, float *, p->outputs.len + 1), **out = ARENA_ARRAY(keep, float *, p->outputs.len + 1);
    for (size_t i = 0; i < p->outputs.len; i++) all[i] = arena_alloc(keep, (size_t)(s->count * shape_size(p->outputs.at[i].shape)) * sizeof(float));
    for (int64_t at = 0; at < s->count; at += most) {
        int64_t n = s->count - at < most ? s->count - at : most;
        for (size_t i = 0; i < r->ninputs; i++) in[i] = s[i].at + at * shape_size(s[i].shape);
        for (size_t i = 0; i < p->outputs.len; i++) out[i] = all[i] + at * shape_size(p->outputs.at[i].shape);
        csc_error_clear(r->rt);
        if (csc_net_run(x->m.net, e, n, in, out, false)) return runtime_error(r->cx, r->rt, E_INPUT, (Span){0}), false;
    }
    for (size_t i = 0; i < p->outputs.len; i++) {
        const OutputDecl *d = &p->outputs.at[i];
        if (is_classes(p, d)) say_class(r, s, d, all[i]);
        if ((!is_classes(p, d) || r->o->output) && !write_output(r, s, d, all[i], p->outputs.len)) return false;
    }
    return true;
}

/* ---- which file goes to which input ---- */
static bool find_inputs(Run *r) {
    const Program *p = r->base.program;
    r->input = ARENA_ARRAY(r->cx->keep, size_t, p->inputs.len + 1);
    for (size_t i = 0; i < p->inputs.len; i++)
        if (p->inputs.at[i].kind == IN_REAL) r->input[r->ninputs++] = i;
    if (!r->ninputs) diag_error(r->cx, E_INPUT, (Span){0}, "model %s has no input that files could be fed to", p->model);
    return r->ninputs > 0;
}

/* NAME=FILE of --input: the place of NAME in r->input, and *text becomes FILE. -1: a path. -2: there is no such input. */
static int named_input(Run *r, const char **text) {
    const char *eq = strchr(*text, '='), *names[64];
    if (!eq) return -1;
    size_t n = (size_t)(eq - *text), nnames = 0;
    for (size_t i = 0; i < r->ninputs; i++) {
        Name name = r->base.program->inputs.at[r->input[i]].name;
        if (nnames < 64) names[nnames++] = name;
        if (strlen(name) != n || memcmp(name, *text, n)) continue;
        *text = eq + 1;
        return (int)i;
    }
    struct stat st;
    if (stat(*text, &st) == 0) return -1; /* a file whose name holds a = */
    const char *said = arena_strndup(r->cx->keep, *text, n), *near = diag_nearest(said, names, nnames);
    Diag *d = diag_error(r->cx, E_INPUT, (Span){0}, "model %s has no input '%s'", r->base.program->model, said);
    if (near) diag_help(r->cx, d, "did you mean '%s'?", near);
    return -2;
}

static const char *input_names(Run *r) { /* "X, mask" */
    const char *s = "";
    for (size_t i = 0; i < r->ninputs; i++) s = arena_printf(r->cx->keep, "%s%s%s", s, i ? ", " : "", r->base.program->inputs.at[r->input[i]].name);
    return s;
}

/* Files with a name go to that input; those without to the inputs that no file names, in turn. */
static bool deal_files(Run *r) {
    const Options *o = r->o;
    size_t n = o->nwords - 1 + o->ninputs, k = r->ninputs, nplain = 0, nopen = 0;
    const char **plain = ARENA_ARRAY(r->cx->keep, const char *, n);
    size_t *have = ARENA_ARRAY(r->cx->keep, size_t, k), *open = ARENA_ARRAY(r->cx->keep, size_t, k);
    r->path = ARENA_ARRAY(r->cx->keep, const char **, k);
    for (size_t i = 0; i < k; i++) r->path[i] = ARENA_ARRAY(r->cx->keep, const char *, n);
    for (size_t i = 1; i < o->nwords; i++) plain[nplain++] = o->words[i];
    for (size_t i = 0; i < o->ninputs; i++) {
        const char *text = o->inputs[i];
        int to = named_input(r, &text);
        if (to == -2) return false;
        if (to < 0) plain[nplain++] = text;
        else r->path[to][have[to]++] = text;
    }
    for (size_t i = 0; i < k; i++)
        if (!have[i]) open[nopen++] = i;
    if (nplain && !nopen) {
        diag_error(r->cx, E_INPUT, (Span){0}, "each input of model %s has files of its own, and none is left for '%s'", r->base.program->model, plain[0]);
        return false;
    }
    for (size_t i = 0; i < nplain; i++) r->path[open[i % nopen]][have[open[i % nopen]]++] = plain[i];
    r->nsets = have[0];
    for (size_t i = 1; i < k; i++) {
        if (have[i] == r->nsets) continue;
        Name a = r->base.program->inputs.at[r->input[0]].name, b = r->base.program->inputs.at[r->input[i]].name;
        Diag *d = diag_error(r->cx, E_INPUT, (Span){0}, "model %s takes a file for each of its inputs %s; %s was given %zu, and %s %zu", r->base.program->model,
                             input_names(r), a, r->nsets, b, have[i]);
        diag_help(r->cx, d, "name the files in the order of the inputs, or say --input %s=FILE", b);
        return false;
    }
    return true;
}

/* ---- the command ---- */
static bool choose_folder(Run *r) { /* several results: --output is a folder */
    struct stat st;
    if (!r->o->output) return true;
    bool exists = stat(r->o->output, &st) == 0, is = exists && S_ISDIR(st.st_mode);
    if (is || r->nsets > 1) r->folder = r->o->output;
    if (r->folder && !is && (exists || mkdir(r->folder, 0777))) {
        diag_error(r->cx, E_WRITE, (Span){0}, "'%s' must be a folder for the results of several files", r->folder);
        return false;
    }
    return true;
}

static bool read_sample(Run *r, Sample *s) { return (is_picture(s->path) ? read_picture(r, s) : read_array(r, s)) && standardize(r, s); }

int command_run(Cx *cx, const Options *o) {
    Run r = {.cx = cx, .o = o, .first_json = true};
    if (o->nwords + o->ninputs < 2) {
        Diag *d = diag_error(cx, E_OPTION, (Span){0}, "'cscc run' needs a file to work on");
        diag_help(cx, d, "usage: cscc run PROGRAM.csc FILE... --weights FILE");
        return 1;
    }
    if (!compile_read(&r.base, cx, o)) return 1;
    r.base.free_default = true;
    if (!compile_declare(&r.base)) return 1;
    if (!r.base.program) return 0;
    if (!find_inputs(&r) || !deal_files(&r) || !choose_folder(&r)) return 1;
    if (!(r.rt = csc_context_new())) machine_trouble("there is no memory left");
    r.pool = model_pool(o);
    bool ok = true;
    if (o->json) printf("[");
    Sample *set = ARENA_ARRAY(cx->keep, Sample, r.ninputs);
    for (size_t i = 0; i < r.nsets && ok; i++) {
        for (size_t k = 0; k < r.ninputs && ok; k++) {
            set[k] = (Sample){.path = r.path[k][i], .input = r.input[k]};
            ok = read_sample(&r, &set[k]);
        }
        ok = ok && run_set(&r, set);
    }
    if (o->json) printf("\n]\n");
    for (Ready *x = r.ready; x; x = x->next) model_free(&x->m);
    csc_pool_free(r.pool);
    csc_context_free(r.rt);
    return ok ? 0 : 1;
}
