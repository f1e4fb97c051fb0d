/* Writes and reads checkpoints. Parameters that have one value for each turn are saved turn by turn, so that the count may change. */
#include "checkpoint.h"
#include "cuda_net.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const optimizer_names[] = {"sgd", "adam", "adamw"};

typedef struct List {
    RtOutTensor *at;
    size_t n, cap;
    char **name; /* owned, n of them */
    bool failed;
} List;

static void list_free(List *l) {
    for (size_t i = 0; i < l->n; i++) free(l->name[i]);
    free(l->name);
    free(l->at);
}

static void list_add(List *l, char *name, const csc_tensor_info *t, const float *at) {
    if (l->n == l->cap) {
        size_t cap = l->cap * 2 + 32;
        RtOutTensor *a = realloc(l->at, cap * sizeof *a);
        if (a) l->at = a;
        char **b = realloc(l->name, cap * sizeof *b);
        if (b) l->name = b;
        if (a && b) l->cap = cap;
    }
    if (!name || l->n == l->cap) {
        free(name);
        l->failed = true;
        return;
    }
    RtOutTensor *o = &l->at[l->n];
    *o = (RtOutTensor){.name = name, .rank = t->rank, .at = at};
    memcpy(o->dim, t->dim, sizeof o->dim);
    l->name[l->n++] = name;
}

static void list_block(List *l, const csc_tensor_info *t, int n, const float *block, const char *prefix) {
    for (int i = 0; i < n; i++) {
        int64_t one = rt_product(t[i].rank, t[i].dim);
        if (t[i].turns <= 0) list_add(l, rt_format("%s%s", prefix, t[i].name), &t[i], block + t[i].offset);
        for (int64_t k = 0; k < t[i].turns; k++)
            list_add(l, rt_format("%s%s.%" PRId64, prefix, t[i].name, k + 1), &t[i], block + t[i].offset + k * one);
    }
}

static csc_status save(csc_net *n, const RtOptim *o, const char *path, const char *const *meta, int nmeta) {
    List l = {0};
    csc_status s = net_host(n, NET_READ);
    if (s == CSC_OK && n->cuda && o) s = cuda_to_host(n->cuda, CUDA_M);
    if (s == CSC_OK && n->cuda && o) s = cuda_to_host(n->cuda, CUDA_V);
    if (s != CSC_OK) return s;
    list_block(&l, n->info->params, n->info->nparams, n->params.at, "");
    list_block(&l, n->info->states, n->info->nstates, n->states.at, "");
    for (int i = 0; o && i < o->nparams; i++) {
        const csc_tensor_info *t = &n->info->params[o->param[i]];
        list_block(&l, t, 1, o->m.at, "optimizer.m/");
        if (optim_slots(o->o.kind) > 1) list_block(&l, t, 1, o->v.at, "optimizer.v/");
    }
    s = l.failed ? rt_no_memory(n->cx, l.n * sizeof *l.at) : rt_tensors_write(n->cx, path, l.at, l.n, meta, nmeta);
    list_free(&l);
    return s;
}

csc_status csc_weights_save(csc_net *n, const char *path) {
    const char *meta[] = {"format", "csc 1", "program", n->info->program_hash ? n->info->program_hash : ""};
    return save(n, NULL, path, meta, 2);
}

#define SMALL 32
static void sums_text(RtText *t, const RtCursor *c) {
    int n = MAX_SCORES;
    while (n > 0 && c->metric_sum[n - 1] == 0) n--; /* what a file lacks is 0 */
    rt_text_f(t, "%a", c->loss_sum);
    for (int i = 0; i < n; i++) rt_text_f(t, " %a", c->metric_sum[i]);
}

csc_status checkpoint_save(csc_net *n, const RtOptim *o, const RtCursor *c, const char *path) {
    char number[8][SMALL];
    int64_t whole[] = {c->stage, c->epoch, c->step, c->all_steps, c->all_epochs, c->samples, (int64_t)c->log_bytes, o ? o->step : 0};
    for (int i = 0; i < 8; i++) snprintf(number[i], SMALL, "%" PRId64, whole[i]);
    char seed[SMALL], best[SMALL];
    snprintf(seed, SMALL, "%" PRIu64, c->seed);
    snprintf(best, SMALL, "%a", c->best);
    RtText sums = {0};
    sums_text(&sums, c);
    if (sums.failed) {
        rt_text_free(&sums);
        return rt_no_memory(n->cx, 4096);
    }
    const char *meta[] = {
        "format", "csc 1",
        "program", n->info->program_hash ? n->info->program_hash : "",
        "optimizer", o ? optimizer_names[o->o.kind] : "none",
        "seed", seed,
        "stage", number[0], "epoch", number[1], "step", number[2], /* the data cursor: step of the epoch to do next */
        "all_steps", number[3], "all_epochs", number[4],
        "sum_samples", number[5], "log_bytes", number[6],
        "optimizer_step", number[7],
        "best", best,
        "sums", sums.at,
        "standardize", c->standard,
    };
    csc_status s = save(n, o, path, meta, (int)(sizeof meta / sizeof *meta / 2));
    rt_text_free(&sums);
    return s;
}

/* ---- reading ---- */
static csc_status read_one(csc_net *n, csc_tensors *f, int i, const char *name, const csc_tensor_info *t, float *to) {
    const csc_file_tensor *x = csc_tensors_at(f, i);
    bool same = x->rank == t->rank;
    for (int k = 0; same && k < t->rank; k++) same = x->dim[k] == t->dim[k];
    if (same) return csc_tensors_read(f, i, to);
    char have[128], want[128];
    rt_dims_text(have, sizeof have, x->rank, x->dim);
    rt_dims_text(want, sizeof want, t->rank, t->dim);
    return rt_fail(n->cx, CSC_MISMATCH, "%s: tensor `%s` is %s, the model has %s", rt_tensors_path(f), name, have, want);
}

static csc_status read_tensor(csc_net *n, csc_tensors *f, const char *prefix, const csc_tensor_info *t, float *block, bool *used) {
    int64_t one = rt_product(t->rank, t->dim), turns = t->turns > 0 ? t->turns : 1;
    for (int64_t k = 0; k < turns; k++) {
        char *name = t->turns > 0 ? rt_format("%s%s.%" PRId64, prefix, t->name, k + 1) : rt_format("%s%s", prefix, t->name);
        if (!name) return rt_no_memory(n->cx, 4096);
        int i = csc_tensors_find(f, name);
        float *to = block + t->offset + k * one;
        csc_status s = CSC_OK;
        if (i >= 0) {
            used[i] = true;
            s = read_one(n, f, i, name, t, to);
        } else if (k > 0) memcpy(to, to - one, sizeof(float) * (size_t)one); /* a turn that the file lacks copies its last */
        else {
            char want[128];
            rt_dims_text(want, sizeof want, t->rank, t->dim);
            s = rt_fail(n->cx, CSC_MISMATCH, "%s has no tensor `%s` %s, which the model needs", rt_tensors_path(f), name, want);
        }
        free(name);
        if (s != CSC_OK) return s;
    }
    return CSC_OK;
}

/* Further turns of a parameter that has turns here. */
static bool extra_turn(const csc_net *n, const char *name) {
    for (int i = 0; i < n->info->nparams + n->info->nstates; i++) {
        const csc_tensor_info *t = i < n->info->nparams ? &n->info->params[i] : &n->info->states[i - n->info->nparams];
        size_t len = strlen(t->name);
        if (t->turns > 0 && !strncmp(name, t->name, len) && name[len] == '.' && strspn(name + len + 1, "0123456789") == strlen(name + len + 1) &&
            name[len + 1])
            return true;
    }
    return false;
}

/* A computed state that the file has in another size, or not at all. */
static bool must_compute(csc_tensors *f, const csc_tensor_info *t, bool *used) {
    int i = csc_tensors_find(f, t->name);
    if (!t->computed) return false;
    if (i < 0) return true;
    const csc_file_tensor *x = csc_tensors_at(f, i);
    bool same = x->rank == t->rank;
    for (int k = 0; same && k < t->rank; k++) same = x->dim[k] == t->dim[k];
    used[i] = true;
    return !same;
}

/* All or nothing: into new blocks, which then change places with the old ones. */
static csc_status load(csc_net *n, csc_tensors *f) {
    RtBlock params = {0}, states = {0};
    int count = csc_tensors_count(f);
    bool *used = calloc((size_t)count + 1, sizeof *used);
    csc_status s = used && rt_block_new(&params, n->params.bytes) && rt_block_new(&states, n->states.bytes) ? CSC_OK
                                                                                                            : rt_no_memory(n->cx, n->params.bytes);
    for (int i = 0; s == CSC_OK && i < n->info->nparams; i++) s = read_tensor(n, f, "", &n->info->params[i], params.at, used);
    bool compute = false;
    for (int i = 0; s == CSC_OK && i < n->info->nstates; i++) {
        if (must_compute(f, &n->info->states[i], used)) { /* a power iteration starts from its random vector */
            net_init_random(n, &n->info->states[i], 1, states.at);
            compute = true;
        } else s = read_tensor(n, f, "", &n->info->states[i], states.at, used);
    }
    for (int i = 0; s == CSC_OK && i < count; i++) {
        const csc_file_tensor *x = csc_tensors_at(f, i);
        if (used[i] || !strncmp(x->name, "optimizer.", 10) || extra_turn(n, x->name)) continue;
        char have[128];
        rt_dims_text(have, sizeof have, x->rank, x->dim);
        s = rt_fail(n->cx, CSC_MISMATCH, "%s: tensor `%s` %s is not in the model", rt_tensors_path(f), x->name, have);
    }
    if (s == CSC_OK) s = net_host(n, NET_WRITE);
    if (s == CSC_OK) {
        memcpy(n->params.at, params.at, n->params.bytes);
        memcpy(n->states.at, states.at, n->states.bytes);
    }
    if (s == CSC_OK && compute) s = net_compute_states(n);
    rt_block_free(&params);
    rt_block_free(&states);
    free(used);
    return s;
}

csc_status csc_weights_load(csc_net *n, const char *path) {
    csc_tensors *f;
    csc_status s = csc_tensors_open(n->cx, path, &f);
    if (s == CSC_OK) s = load(n, f);
    csc_tensors_close(f);
    return s;
}

static bool whole(const csc_tensors *f, const char *key, int64_t *to) {
    const char *v = csc_tensors_metadata(f, key);
    char *end;
    if (!v || !*v) return false;
    *to = strtoll(v, &end, 10);
    return *end == 0 && *to >= 0;
}

static bool read_cursor(const csc_tensors *f, RtCursor *c) {
    int64_t log;
    const char *seed = csc_tensors_metadata(f, "seed"), *best = csc_tensors_metadata(f, "best"), *sums = csc_tensors_metadata(f, "sums"),
               *standard = csc_tensors_metadata(f, "standardize");
    if (!whole(f, "stage", &c->stage) || !whole(f, "epoch", &c->epoch) || !whole(f, "step", &c->step) || !whole(f, "all_steps", &c->all_steps) ||
        !whole(f, "all_epochs", &c->all_epochs) || !whole(f, "sum_samples", &c->samples) || !whole(f, "log_bytes", &log) || !seed || !best || !sums)
        return false;
    c->log_bytes = (uint64_t)log;
    c->seed = strtoull(seed, NULL, 10);
    c->best = strtod(best, NULL);
    char *at;
    c->loss_sum = strtod(sums, &at);
    for (int i = 0; i < MAX_SCORES; i++) c->metric_sum[i] = strtod(at, &at);
    snprintf(c->standard, sizeof c->standard, "%s", standard ? standard : "");
    return true;
}

csc_status checkpoint_load(csc_net *n, const char *path, RtCursor *c) {
    csc_tensors *f;
    csc_status s = csc_tensors_open(n->cx, path, &f);
    if (s == CSC_OK && !read_cursor(f, c)) s = rt_fail(n->cx, CSC_MISMATCH, "%s holds weights, but not where the training was: it cannot go on from there", path);
    const char *program = s == CSC_OK ? csc_tensors_metadata(f, "program") : NULL;
    if (s == CSC_OK && n->info->program_hash && program && *program && strcmp(program, n->info->program_hash))
        s = rt_fail(n->cx, CSC_MISMATCH, "%s was made by another program (%s, this is %s): start afresh from its weights instead", path, program, n->info->program_hash);
    if (s == CSC_OK) s = load(n, f);
    csc_tensors_close(f);
    return s;
}

csc_status checkpoint_load_optimizer(csc_net *n, const char *path, RtOptim *o) {
    csc_tensors *f;
    csc_status s = csc_tensors_open(n->cx, path, &f);
    if (s != CSC_OK) return s;
    const char *kind = csc_tensors_metadata(f, "optimizer");
    bool *used = calloc((size_t)csc_tensors_count(f) + 1, sizeof *used);
    if (!used) s = rt_no_memory(n->cx, 4096);
    else if (!kind || strcmp(kind, optimizer_names[o->o.kind]) || !whole(f, "optimizer_step", &o->step))
        s = rt_fail(n->cx, CSC_MISMATCH, "%s was trained with the optimiser %s, this recipe says %s", path, kind ? kind : "none", optimizer_names[o->o.kind]);
    for (int i = 0; s == CSC_OK && i < o->nparams; i++) {
        const csc_tensor_info *t = &n->info->params[o->param[i]];
        s = read_tensor(n, f, "optimizer.m/", t, o->m.at, used);
        if (s == CSC_OK && optim_slots(o->o.kind) > 1) s = read_tensor(n, f, "optimizer.v/", t, o->v.at, used);
    }
    if (n->cuda) n->cuda->block[CUDA_M].host_new = n->cuda->block[CUDA_V].host_new = true;
    free(used);
    csc_tensors_close(f);
    return s;
}
