/* Reads recipes: data sets, augmentation, optimisers, schedules. Names and labels were checked by sema against sig/recipes.def. */
#include "driver/recipe.h"
#include "base/trouble.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void runtime_error(Cx *cx, csc_context *rt, DiagCode code, Span at) {
    csc_status s = csc_error_status(rt);
    if (s == CSC_NO_MEMORY) machine_trouble("%s", csc_error(rt));
    diag_error(cx, code, at, "%s", csc_error(rt));
}

/* ---- Cfg ---- */
static double number(const Cfg *call, const char *key, double otherwise) {
    const Cfg *v = cfg_arg(call, key);
    return v && (v->kind == CFG_NUMBER || v->kind == CFG_BOOL) ? v->number : otherwise;
}
static const char *text(const Cfg *call, const char *key) {
    const Cfg *v = cfg_arg(call, key);
    return v && v->kind == CFG_TEXT ? v->text : NULL;
}
/* A text or a list of texts. */
static int texts(const Cfg *call, const char *key, const char **out, int most) {
    const Cfg *v = cfg_arg(call, key);
    if (!v) return 0;
    if (v->kind == CFG_TEXT) return out[0] = v->text, 1;
    int n = 0;
    if (v->kind == CFG_LIST)
        for (uint32_t i = 0; i < v->n && n < most; i++)
            if (v->item[i]->kind == CFG_TEXT) out[n++] = v->item[i]->text;
    return n;
}

static int read_numbers(const Cfg *call, const char *key, double *out, int most) {
    const Cfg *v = cfg_arg(call, key);
    if (!v) return 0;
    if (v->kind == CFG_NUMBER) return out[0] = v->number, 1;
    int n = 0;
    for (uint32_t i = 0; i < v->n && n < most; i++) out[n++] = v->item[i]->number;
    return n;
}

static const char *folder_of(Cx *cx, const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? arena_strndup(cx->keep, path, (size_t)(slash - path)) : ".";
}
static const char *last_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- data ---- */
static void shape_dims(Shape s, int *rank, int64_t *dim) {
    *rank = s.rank;
    for (int i = 0; i < s.rank; i++) dim[i] = s.dim[i];
}

/* --data FOLDER: where folders are named it takes their place, where files are named it holds them. */
static void replace_paths(Cx *cx, const char *folder, csc_data_spec *d) {
    bool folders = d->kind == CSC_DATA_MNIST || d->kind == CSC_DATA_CIFAR10 || d->kind == CSC_DATA_CIFAR100 || d->kind == CSC_DATA_IMAGES;
    if (folders && !d->path[1]) {
        d->path[0] = folder;
        return;
    }
    for (int i = 0; i < CSC_MAX_FIELDS; i++) {
        if (d->path[i]) d->path[i] = arena_printf(cx->keep, "%s/%s", folder, last_of(d->path[i]));
        if (d->test_path[i]) d->test_path[i] = arena_printf(cx->keep, "%s/%s", folder, last_of(d->test_path[i]));
    }
}

static void field_labels(const Program *p, csc_data_spec *d) { /* files stand for inputs, labels and targets in the order declared */
    for (size_t i = 0; i < p->inputs.len && i < 31; i++)
        if (p->inputs.at[i].kind == IN_LABEL) d->labels |= 1 << i;
}

static csc_data_spec data_spec(Cx *cx, const Compile *c, const Cfg *cfg) {
    const Program *p = c->program;
    csc_data_spec d = {.scale = number(cfg, "scale", 0), .test_every = (int64_t)number(cfg, "test_every", 0), .count = (int64_t)number(cfg, "count", 0)};
    const char *name = cfg->text;
    if (!strcmp(name, "mnist")) d.kind = CSC_DATA_MNIST, d.path[0] = text(cfg, "path");
    else if (!strcmp(name, "cifar10")) d.kind = CSC_DATA_CIFAR10, d.path[0] = text(cfg, "path");
    else if (!strcmp(name, "cifar100")) d.kind = CSC_DATA_CIFAR100, d.path[0] = text(cfg, "path");
    else if (!strcmp(name, "idx")) {
        d.kind = CSC_DATA_IDX;
        d.path[0] = text(cfg, "images"), d.path[1] = text(cfg, "labels");
        d.test_path[0] = text(cfg, "test_images"), d.test_path[1] = text(cfg, "test_labels");
    } else if (!strcmp(name, "npy")) {
        d.kind = CSC_DATA_NPY;
        d.nfields = texts(cfg, "files", d.path, CSC_MAX_FIELDS);
        texts(cfg, "test", d.test_path, CSC_MAX_FIELDS);
        field_labels(p, &d);
    } else if (!strcmp(name, "npz") || !strcmp(name, "safetensors")) {
        d.kind = strcmp(name, "npz") ? CSC_DATA_SAFETENSORS : CSC_DATA_NPZ;
        d.path[0] = text(cfg, "path"), d.test_path[0] = text(cfg, "test");
        d.nfields = texts(cfg, "fields", d.field, CSC_MAX_FIELDS);
        field_labels(p, &d);
    } else if (!strcmp(name, "images")) {
        d.kind = CSC_DATA_IMAGES;
        d.path[0] = text(cfg, "path"), d.path[1] = text(cfg, "targets");
        d.test_path[0] = text(cfg, "test"), d.test_path[1] = text(cfg, "test_targets");
        d.gray = number(cfg, "gray", 0) != 0, d.color = number(cfg, "color", 0) != 0, d.classes = number(cfg, "classes", 0) != 0;
        d.patch = (int64_t)number(cfg, "patch", 0);
        d.ignore = (int)number(cfg, "ignore", 0);
        double size[2];
        int sizes = read_numbers(cfg, "size", size, 2);
        for (int i = 0; sizes && i < 2; i++) d.size[i] = (int64_t)size[sizes == 2 ? i : 0];
        for (size_t i = 0; i < p->inputs.len; i++)
            if (d.path[1] && p->inputs.at[i].kind == IN_LABEL) d.labels |= 2;
    } else if (!strcmp(name, "sparse_codes")) {
        d.kind = CSC_DATA_SPARSE_CODES;
        d.density = number(cfg, "density", 0.1), d.snr = number(cfg, "snr", INFINITY), d.seed = (uint64_t)number(cfg, "seed", 1);
        d.synth_entry = "synth";
        bool have[2] = {false, false};
        for (size_t i = 0; i < p->inputs.len; i++) { /* the signal is the first input, the code the first target */
            const InputDecl *in = &p->inputs.at[i];
            int k = in->kind == IN_TARGET;
            if (in->kind == IN_LABEL || have[k]) continue;
            shape_dims(in->shape, &d.rank[k], d.dim[k]);
            have[k] = true;
        }
    } else BUG("recipe.c does not know the data '%s'", name);
    if (c->o->data) replace_paths(cx, c->o->data, &d);
    const char **roots = ARENA_ARRAY(cx->keep, const char *, 1);
    roots[0] = folder_of(cx, c->o->words[0]);
    d.roots = roots, d.nroots = 1;
    return d;
}

static csc_data *open_data(Cx *cx, csc_context *rt, Recipe *r, const csc_data_spec *spec, Span at) {
    csc_data *d = NULL;
    csc_error_clear(rt);
    if (csc_data_open(rt, spec, &d)) {
        runtime_error(cx, rt, E_DATA, at);
        return NULL;
    }
    vec_push(cx->keep, &r->opened, d);
    return d;
}

/* Is there a part to test on without a `test = ...`? */
static bool has_test(const csc_data_spec *d) {
    return d->kind == CSC_DATA_MNIST || d->kind == CSC_DATA_CIFAR10 || d->kind == CSC_DATA_CIFAR100 || d->kind == CSC_DATA_SPARSE_CODES ||
           d->test_every > 0 || d->test_path[0];
}

bool recipe_open_data(Cx *cx, Compile *c, csc_context *rt, Recipe *r) {
    const Program *p = c->program;
    *r = (Recipe){.rt = rt, .nstages = (int)p->stages.len};
    r->stages = ARENA_ARRAY(cx->keep, csc_stage, p->stages.len + 1);
    for (size_t i = 0; i < p->stages.len; i++) {
        const Stage *s = &p->stages.at[i];
        csc_stage *out = &r->stages[i];
        for (size_t k = 0; k < i && !out->data; k++) /* the steps of one block share its data */
            if (p->stages.at[k].data == s->data && p->stages.at[k].test == s->test) out->data = r->stages[k].data, out->test = r->stages[k].test;
        if (out->data) continue;
        if (!s->data) {
            Diag *d = diag_error(cx, E_NO_RECIPE, s->span, "this train block names no data");
            diag_help(cx, d, "data = idx(\"images.gz\", \"labels.gz\")");
            return false;
        }
        csc_data_spec spec = data_spec(cx, c, s->data);
        if (!(out->data = open_data(cx, rt, r, &spec, s->data->span))) return false;
        if (s->test) {
            spec = data_spec(cx, c, s->test);
            if (!has_test(&spec)) /* all of it is for testing */
                for (int k = 0; k < CSC_MAX_FIELDS; k++) spec.test_path[k] = spec.path[k];
        }
        if (!s->test && !has_test(&spec)) continue;
        spec.split = CSC_TEST;
        if (!(out->test = open_data(cx, rt, r, &spec, s->test ? s->test->span : s->data->span))) return false;
    }
    return true;
}

void recipe_close(Recipe *r) {
    for (size_t i = 0; i < r->opened.len; i++) csc_data_close(r->opened.at[i]);
    r->opened.len = 0;
}

/* ---- free dimensions ---- */
static bool defined_in(const Def *m, Name name) {
    for (uint32_t i = 0; i < m->nparams; i++)
        if (m->params[i].name == name) return true;
    for (uint32_t i = 0; i < m->nbody; i++) {
        const Stmt *s = m->body[i];
        if (s->kind != ST_LET && s->kind != ST_VAR) continue;
        for (uint32_t k = 0; k < s->nnames; k++)
            if (s->names[k] == name) return true;
    }
    return false;
}

void free_axes(const Compile *c, size_t index, const char *axes[RANK_MAX]) {
    for (int i = 0; i < RANK_MAX; i++) axes[i] = NULL;
    const Def *m = NULL;
    for (uint32_t f = 0; f < c->ast->nfiles && !m; f++)
        for (uint32_t i = 0; i < c->ast->files[f]->ndefs; i++)
            if (c->ast->files[f]->defs[i]->kind == DEF_MODEL && c->ast->files[f]->defs[i]->name == c->program->model) m = c->ast->files[f]->defs[i];
    const InputDecl *in = &c->program->inputs.at[index];
    for (uint32_t i = 0; m && i < m->nbody; i++) {
        const Stmt *s = m->body[i];
        if ((s->kind != ST_INPUT && s->kind != ST_LABEL && s->kind != ST_TARGET) || s->name != in->name || !s->type) continue;
        uint32_t skip = s->kind == ST_LABEL ? 1 : 0; /* class[21, H, W]: the classes are no axis */
        for (uint32_t k = skip; k < s->type->n && k - skip < RANK_MAX; k++)
            if (s->type->dims[k]->kind == EX_NAME && !defined_in(m, s->type->dims[k]->name)) axes[k - skip] = s->type->dims[k]->name;
    }
}

void bind_size(Compile *c, const char *name, int64_t size) {
    for (size_t i = 0; i < c->nset; i++)
        if (!strcmp(c->set[i].name, name)) return; /* the command line's word, or an earlier input's, stands */
    c->set = arena_grow(c->cx->keep, c->set, c->nset * sizeof *c->set, (c->nset + 1) * sizeof *c->set);
    c->set[c->nset++] = (BuildSet){name, arena_printf(c->cx->keep, "%lld", (long long)size)};
}

/* Which field of the data an input takes: labels the label fields in order, the others the other fields. */
static const csc_field *field_of(const Program *p, size_t input, const csc_data *d) {
    int nth = 0;
    bool label = p->inputs.at[input].kind == IN_LABEL;
    for (size_t i = 0; i < input; i++) nth += (p->inputs.at[i].kind == IN_LABEL) == label;
    for (int f = 0; f < csc_data_fields(d); f++) {
        const csc_field *field = csc_data_field(d, f);
        if (field->label == label && nth-- == 0) return field;
    }
    return NULL;
}

bool recipe_bind_sizes(Cx *cx, Compile *c, const Recipe *r) {
    if (!r->nstages) return true;
    for (size_t i = 0; i < c->program->inputs.len; i++) {
        const char *axes[RANK_MAX];
        free_axes(c, i, axes);
        const csc_field *f = field_of(c->program, i, r->stages[0].data);
        if (!f) continue;
        const InputDecl *in = &c->program->inputs.at[i];
        if (f->rank != in->shape.rank) {
            diag_error(cx, E_DATA, in->span, "%s is %s, and a sample of the data has %d axes", in->name, shape_text(cx->keep, in->shape), f->rank);
            return false;
        }
        for (int k = 0; k < f->rank; k++)
            if (axes[k]) bind_size(c, axes[k], f->dim[k]);
    }
    return true;
}

/* ---- the rest of a stage ---- */
static void read_schedule(Cx *cx, const Cfg *s, csc_schedule *out) {
    if (!s || s->kind != CFG_CALL) return;
    if (!strcmp(s->text, "warmup")) {
        read_schedule(cx, cfg_arg(s, "then"), out);
        out->warmup_epochs = (int64_t)number(s, "epochs", 0);
        return;
    }
    if (!strcmp(s->text, "step_decay")) {
        out->kind = CSC_STEP_DECAY;
        out->by = number(s, "by", 0.1);
        out->every = (int64_t)number(s, "every", 0);
        const Cfg *at = cfg_arg(s, "at");
        uint32_t n = at ? (at->kind == CFG_LIST ? at->n : 1) : 0;
        int64_t *list = ARENA_ARRAY(cx->keep, int64_t, n + 1);
        for (uint32_t i = 0; i < n; i++) list[i] = (int64_t)(at->kind == CFG_LIST ? at->item[i]->number : at->number);
        out->at = list, out->nat = (int)n;
    } else if (!strcmp(s->text, "cosine")) {
        out->kind = CSC_COSINE;
        out->to = number(s, "to", 0);
    }
    out->warmup_epochs = (int64_t)number(s, "warmup", 0);
}

static csc_optimizer read_optimizer(Cx *cx, const Cfg *o) {
    csc_optimizer out = {.kind = CSC_ADAM, .lr = 1e-3};
    if (!o) return out;
    out.kind = !strcmp(o->text, "sgd") ? CSC_SGD : !strcmp(o->text, "adam") ? CSC_ADAM : CSC_ADAMW;
    out.lr = number(o, "lr", 1e-3);
    out.momentum = number(o, "momentum", 0);
    out.nesterov = number(o, "nesterov", 0) != 0;
    out.weight_decay = number(o, "weight_decay", 0);
    out.beta1 = number(o, "beta1", 0), out.beta2 = number(o, "beta2", 0), out.epsilon = number(o, "epsilon", 0);
    out.clip = number(o, "clip", 0);
    read_schedule(cx, cfg_arg(o, "schedule"), &out.schedule);
    return out;
}

static csc_augment read_augment(const Cfg *a) {
    csc_augment out = {.by = (int64_t)number(a, "by", 0), .size = (int64_t)number(a, "size", 0), .sigma = number(a, "sigma", 0)};
    const char *s = a->text;
    if (!strcmp(s, "standardize")) {
        out.kind = CSC_STANDARDIZE;
        int n = read_numbers(a, "mean", out.mean, 16), m = read_numbers(a, "deviation", out.deviation, 16);
        out.n = n < m ? n : m;
    } else if (!strcmp(s, "translate")) out.kind = CSC_TRANSLATE;
    else if (!strcmp(s, "crop")) out.kind = CSC_CROP;
    else if (!strcmp(s, "hflip")) out.kind = CSC_HFLIP;
    else if (!strcmp(s, "vflip")) out.kind = CSC_VFLIP;
    else if (!strcmp(s, "noise")) out.kind = CSC_NOISE;
    else BUG("recipe.c does not know the augmentation '%s'", s);
    return out;
}

static bool begins_with_one(const char *s, const char *const *words) {
    for (; *words; words++)
        if (!strncmp(s, *words, strlen(*words))) return true;
    return false;
}
bool recipe_larger_is_better(const char *name) {
    return begins_with_one(name, (const char *const[]){"accuracy", "psnr", "pixel_accuracy", "mean_accuracy", "mean_iou", NULL});
}
bool recipe_is_share(const char *name) {
    return begins_with_one(name, (const char *const[]){"accuracy", "sparsity", "pixel_accuracy", "mean_accuracy", "mean_iou", NULL});
}

bool recipe_finish(Cx *cx, const Compile *c, Recipe *r) {
    const Program *p = c->program;
    Arena *a = cx->keep;
    r->ninputs = (int)p->inputs.len;
    r->inputs = ARENA_ARRAY(a, csc_input, p->inputs.len + 1);
    for (size_t i = 0; i < p->inputs.len; i++) {
        const InputDecl *in = &p->inputs.at[i];
        csc_input_kind kind = in->kind == IN_LABEL ? CSC_IN_LABEL : in->kind == IN_TARGET ? CSC_IN_TARGET : CSC_IN_REAL;
        r->inputs[i] = (csc_input){in->name, kind, shape_size(in->shape), in->classes};
    }
    for (size_t i = 0; i < p->stages.len; i++) {
        const Stage *s = &p->stages.at[i];
        csc_stage *out = &r->stages[i];
        out->name = s->name ? s->name : p->model;
        out->step_entry = entry_name(cx, ENTRY_STEP, (int32_t)i);
        out->eval_entry = entry_name(cx, ENTRY_EVAL, (int32_t)i);
        out->inputs = r->inputs, out->ninputs = r->ninputs;
        csc_augment *aug = ARENA_ARRAY(a, csc_augment, s->augment.len + 1);
        for (size_t k = 0; k < s->augment.len; k++) aug[k] = read_augment(s->augment.at[k]);
        out->augment = aug, out->naugment = (int)s->augment.len;
        out->epochs = c->o->has_epochs ? c->o->epochs : s->epochs;
        out->batch = c->o->has_batch ? c->o->batch : s->batch;
        out->optimizer = read_optimizer(cx, s->optimizer);
        csc_metric *m = ARENA_ARRAY(a, csc_metric, s->metrics.len + 1);
        for (size_t k = 0; k < s->metrics.len; k++)
            m[k] = (csc_metric){.name = s->metrics.at[k].name, .terms = s->metrics.at[k].terms, .db = s->metrics.at[k].db, .index = 1 + s->metrics.at[k].index,
                                .larger_is_better = recipe_larger_is_better(s->metrics.at[k].name)};
        out->metrics = m, out->nmetrics = (int)s->metrics.len;
        int *only = ARENA_ARRAY(a, int, s->only.len + 1);
        for (size_t k = 0; k < s->only.len; k++) only[k] = s->only.at[k];
        out->only = only, out->nonly = (int)s->only.len;
    }
    return true;
}
