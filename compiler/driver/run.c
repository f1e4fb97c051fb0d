/* cscc run: codes, denoises or classifies files. Each size of the inputs is compiled once. */
#include "base/trouble.h"
#include "driver/commands.h"
#include "driver/device.h"
#include "driver/json.h"
#include "driver/model.h"
#include "driver/recipe.h"
#include "driver/sample.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
    csc_device *device; /* or NULL */
    Ready *ready;
    size_t *input, ninputs; /* the model's real inputs, in the order of the program */
    const char ***path;     /* [ninputs][nsets]: a set is a file for each input */
    size_t nsets;
    const char *folder; /* for results, or NULL */
    bool first_json;
} Run;

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
        picture = picture && !sample_ends_with(path, ".npy");
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
    csc_net_hold(x->m.net, true);
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
    if (!device_choose(cx, o, r.rt, &r.device)) return 1;
    device_set(&r.base, r.device);
    r.pool = model_pool(o);
    bool ok = true;
    if (o->json) printf("[");
    const SampleReader reader = {cx, o, &r.base, r.rt};
    Sample *set = ARENA_ARRAY(cx->keep, Sample, r.ninputs);
    for (size_t i = 0; i < r.nsets && ok; i++) {
        for (size_t k = 0; k < r.ninputs && ok; k++) {
            set[k] = (Sample){.path = r.path[k][i], .input = r.input[k]};
            ok = sample_read(&reader, &set[k]);
        }
        ok = ok && run_set(&r, set);
    }
    if (o->json) printf("\n]\n");
    for (Ready *x = r.ready; x; x = x->next) model_free(&x->m);
    csc_pool_free(r.pool);
    csc_device_close(r.device);
    csc_context_free(r.rt);
    return ok ? 0 : 1;
}
