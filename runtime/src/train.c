/* The training loop. Everything that decides what the next step does is in the cursor, the blocks and the optimiser's moments: saved
   together, they let a run go on bit for bit. */
#include "cuda_net.h"
#include "cuda_train.h"
#include "eval.h"
#include "folder.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Run {
    csc_net *n;
    csc_context *cx;
    const csc_train_options *o;
    RtFolder folder;
    RtCursor c;
    /* of the stage */
    const csc_stage *s;
    const csc_entry *step, *eval;
    RtPlan plan, test_plan;
    RtFeed *feed, *test;
    RtOptim optim;
    RtScores scores;
    csc_progress p;
    struct Ahead { /* steps that a device was given and whose results the host has not seen */
        RtBatch b;
        int64_t all_steps;
        double rate;
        int64_t *number;
    } ahead[2];
    /* of this run of the program */
    double start;
    int64_t steps_done, samples_done;
    double test_seconds;
    bool saved_once;
} Run;

static csc_status save_as(Run *r, const char *path, bool with_optimizer) {
    const csc_net_info *f = r->n->info;
    csc_status st = net_host(r->n, NET_READ);
    if (st != CSC_OK) return st;
    for (int i = 0; i < f->nstates; i++)
        if (!finite_floats((float *)r->n->states.at + f->states[i].offset, net_tensor_floats(&f->states[i])))
            return rt_fail(r->cx, CSC_NAN, "stage %s, epoch %lld: state `%s` is not finite", r->s ? r->s->name : "", (long long)r->c.epoch + 1, f->states[i].name);
    return checkpoint_save(r->n, with_optimizer ? &r->optim : NULL, &r->c, path);
}

static csc_status save_last(Run *r, bool with_optimizer) {
    return r->o->run_dir ? save_as(r, r->folder.last, with_optimizer) : CSC_OK;
}

/* The file that says where the run is comes last: whatever was written before it is written again by a run that is killed in between. */
static csc_status save_epoch(Run *r, bool best) {
    if (!r->o->run_dir) return CSC_OK;
    csc_status s;
    char *name = r->o->keep > 0 ? folder_epoch_name(&r->folder, r->c.all_epochs) : NULL;
    const char *first = best ? r->folder.best : name ? name : r->folder.last;
    s = save_as(r, first, true);
    if (s == CSC_OK && name && first != name) s = rt_file_copy(r->cx, first, name);
    if (s == CSC_OK && first != r->folder.last) s = rt_file_copy(r->cx, first, r->folder.last);
    if (s == CSC_OK && name) folder_prune(&r->folder, r->c.all_epochs, r->o->keep);
    free(name);
    return s;
}

/* ---- numbers that ran away ---- */
static const char *where_bad(const Run *r, const RtBatch *b, char *text, size_t len) {
    csc_net *n = r->n;
    for (int i = 0; i < n->info->nparams; i++) {
        const csc_tensor_info *t = &n->info->params[i];
        if (finite_floats((float *)n->params.at + t->offset, net_tensor_floats(t))) continue;
        snprintf(text, len, "; parameter `%s` is not finite", t->name);
        return text;
    }
    for (int k = 0; k < r->plan.ninputs; k++)
        for (int64_t i = 0; i < b->n; i++)
            if (!finite_floats(b->in[k] + i * r->plan.input[k].out_floats, r->plan.input[k].out_floats)) {
                snprintf(text, len, "; `%s` is not finite in sample %lld of the data", r->plan.input[k].name, (long long)b->number[i]);
                return text;
            }
    return NULL;
}

/* A net of its own for a program of the device, with the numbers of this one. NULL: it cannot be had. */
static csc_net *net_beside(const csc_net *n, const csc_program *p) {
    csc_net *m = NULL;
    if (csc_net_new(n->cx, csc_program_model(p), n->info, NULL, &m) != CSC_OK) return NULL;
    if (csc_net_use_device(m, n->cuda->d, p, NULL) != CSC_OK) return csc_net_free(m), NULL;
    memcpy(m->params.at, n->params.at, n->params.bytes);
    memcpy(m->states.at, n->states.at, n->states.bytes);
    memcpy(m->tunables.at, n->tunables.at, n->tunables.bytes);
    return m;
}

/* Runs the entry that gives back every value with a name; the first bad one in the program's order is the culprit. */
static const char *probe(const Run *r, const csc_call *step, const RtBatch *b, char *text, size_t len) {
    const csc_stage *s = r->s;
    csc_probe p = {csc_net_entry(r->n, s->probe_entry), s->probe_names, s->probe_floats, NULL};
    if (!s->probe_entry && s->make_probe && !s->make_probe(s->probe_user, &p)) return "";
    const csc_entry *e = p.entry;
    if (!e || !p.floats || !p.names) return "";
    uint64_t floats = 0;
    for (uint32_t i = 0; i < e->nout; i++) floats += (uint64_t)(p.floats[i] < 0 ? -p.floats[i] : p.floats[i] * b->n);
    RtBlock memory;
    float **out = calloc((size_t)e->nout + 1, sizeof *out);
    const char *found = "";
    if (out && rt_block_new(&memory, floats * 4)) {
        float *at = memory.at;
        csc_call c = *step;
        for (uint32_t i = 0; i < e->nout; i++) {
            out[i] = at;
            at += p.floats[i] < 0 ? -p.floats[i] : p.floats[i] * b->n;
        }
        c.out = out;
        csc_net *n = p.program ? net_beside(r->n, p.program) : r->n;
        c.state_out = n ? n->spare_states.at : NULL;
        bool ran = n && net_call(n, e, &c) == CSC_OK;
        if (n != r->n) csc_net_free(n);
        for (uint32_t i = 0; ran && !*found && i < e->nout; i++) {
            int64_t size = p.floats[i] < 0 ? -p.floats[i] : p.floats[i] * b->n;
            if (finite_floats(out[i], size)) continue;
            snprintf(text, len, "; the first value that is not finite is `%s`", p.names[i]);
            found = text;
        }
        rt_block_free(&memory);
    }
    free(out);
    return found;
}

static csc_status ran_away(Run *r, const csc_call *c, const RtBatch *b, const char *what, const char *name) {
    char text[300];
    csc_status st = r->n->cuda ? cuda_undo(r->n) : CSC_OK;
    if (st != CSC_OK) return st;
    memcpy(r->n->states.at, r->n->spare_states.at, r->n->states.bytes); /* as they were before this step */
    const char *why = where_bad(r, b, text, sizeof text);
    if (!why) why = probe(r, c, b, text, sizeof text);
    return rt_fail(r->cx, CSC_NAN, "stage %s, epoch %lld, step %lld: %s%s%s is not finite%s", r->s->name, (long long)r->c.epoch + 1, (long long)r->c.step + 1,
                   what, name ? " " : "", name ? name : "", why);
}

/* ---- one step ---- */
static void step_done(Run *r, int64_t samples, double rate) {
    RtCursor *c = &r->c;
    for (uint32_t i = 0; i < r->step->nout; i++) c->metric_sum[i] += (double)r->scores.value[i] * (double)samples;
    c->samples += samples;
    c->step++;
    c->all_steps++;
    r->steps_done++;
    r->samples_done += samples;
    r->p.learning_rate = rate;
}

static csc_status one_step(Run *r, const RtBatch *b) {
    csc_net *n = r->n;
    const csc_stage *s = r->s;
    RtCursor *c = &r->c;
    int64_t steps = feed_batches(r->feed);
    if (n->states.bytes) memcpy(n->spare_states.at, n->states.at, n->states.bytes);
    csc_call call = {.batch = (uint32_t)b->n, .in = (const float *const *)b->in, .out = r->scores.out, .state_out = n->states.at,
                     .seed = c->seed, .step = (uint64_t)c->all_steps, .first_sample = (uint64_t)b->first};
    csc_status st = net_call(n, r->step, &call);
    if (st != CSC_OK) return st;
    if (!isfinite(r->scores.value[0])) return ran_away(r, &call, b, "the loss", NULL);
    double norm;
    int bad = optim_check(&r->optim, &norm);
    if (bad >= 0) return ran_away(r, &call, b, "the gradient of", n->info->params[bad].name);
    double rate = csc_learning_rate(&s->optimizer, c->epoch * steps + c->step, steps, s->epochs);
    bad = optim_update(&r->optim, rate, norm);
    if (bad >= 0) return ran_away(r, &call, b, "after its update, parameter", n->info->params[bad].name);
    step_done(r, b->n, rate);
    return CSC_OK;
}

/* The same on a device, in two halves: the next step begins before the one before it is looked at. Nothing changes there any more once
   numbers ran away, so being one ahead shows nowhere. */
static csc_status begin_step(Run *r, const RtBatch *b) {
    const csc_stage *s = r->s;
    const RtCursor *c = &r->c;
    int ahead = cuda_ahead(r->n);
    struct Ahead *a = &r->ahead[(c->step + ahead) % 2];
    int64_t steps = feed_batches(r->feed), *number = a->number ? a->number : calloc((size_t)s->batch, sizeof *number);
    if (!number) return rt_no_memory(r->cx, (size_t)s->batch * sizeof *number);
    double rate = csc_learning_rate(&s->optimizer, c->epoch * steps + c->step + ahead, steps, s->epochs);
    memcpy(number, b->number, (size_t)b->n * sizeof *number);
    *a = (struct Ahead){.b = {b->n, b->first, NULL, number}, .all_steps = c->all_steps + ahead, .rate = rate, .number = number};
    CudaNumbers n = {c->seed, (uint64_t)a->all_steps, (uint64_t)b->first, rate};
    return cuda_begin(r->n, r->step, b->n, b->in, &n, true);
}

static csc_status end_step(Run *r) {
    struct Ahead *a = &r->ahead[r->c.step % 2];
    float *in[CSC_MAX_FIELDS];
    CudaResult x;
    csc_status st = cuda_end(r->n, &x);
    if (st != CSC_OK) return st;
    for (uint32_t i = 0; i < r->step->nout; i++) r->scores.value[i] = x.score[i * CUDA_SCORE_STRIDE];
    if (!x.kind) {
        step_done(r, a->b.n, a->rate);
        return CSC_OK;
    }
    static const char *const what[] = {"", "the loss", "the gradient of", "after its update, parameter"};
    cuda_inputs(r->n, r->step, a->b.n, in);
    a->b.in = in;
    csc_call call = {.batch = (uint32_t)a->b.n, .in = (const float *const *)in, .seed = r->c.seed, .step = (uint64_t)a->all_steps, .first_sample = (uint64_t)a->b.first};
    return ran_away(r, &call, &a->b, what[x.kind], x.param >= 0 ? r->n->info->params[x.param].name : NULL);
}

static csc_status end_steps(Run *r) {
    csc_status s = CSC_OK;
    while (s == CSC_OK && cuda_ahead(r->n)) s = end_step(r);
    return s;
}

/* ---- progress ---- */
static double eta(const Run *r, double seconds) {
    int64_t steps = feed_batches(r->feed), left = (r->s->epochs - r->c.epoch) * steps - r->c.step, epochs = r->s->epochs - r->c.epoch;
    for (int k = (int)r->c.stage + 1; k < r->o->nstages; k++) {
        const csc_stage *s = &r->o->stages[k];
        left += s->epochs * ((csc_data_count(s->data) + s->batch - 1) / s->batch);
        epochs += s->epochs;
    }
    double each = r->steps_done ? (seconds - r->test_seconds) / (double)r->steps_done : 0;
    return each * (double)left + r->p.test_seconds * (double)epochs;
}

static void report(Run *r, bool epoch_done) {
    csc_progress *p = &r->p;
    const RtCursor *c = &r->c;
    p->epoch_done = epoch_done;
    p->seconds = rt_now() - r->start;
    p->step = c->step;
    p->epoch = c->epoch;
    p->loss = c->samples ? c->metric_sum[0] / (double)c->samples : NAN;
    p->samples_per_second = p->seconds > 0 ? (double)r->samples_done / (p->seconds - r->test_seconds) : 0;
    p->eta_seconds = eta(r, p->seconds);
    if (r->o->progress) r->o->progress(r->o->user, p);
}

static void json_field(RtText *t, const char *prefix, const char *name, double v) {
    char *key = rt_format("%s%s", prefix, name);
    rt_text_add(t, ",", 1);
    rt_text_json(t, key ? key : name);
    rt_text_add(t, ":", 1);
    rt_text_number(t, v);
    free(key);
}

static csc_status log_epoch(Run *r) {
    if (!r->o->run_dir) return CSC_OK;
    RtText t = {0};
    const csc_progress *p = &r->p;
    rt_text_f(&t, "{\"type\":\"epoch\",\"stage\":");
    rt_text_json(&t, r->s->name);
    rt_text_f(&t, ",\"epoch\":%lld,\"steps\":%lld", (long long)r->c.epoch + 1, (long long)r->c.all_steps);
    json_field(&t, "", "lr", p->learning_rate);
    json_field(&t, "", "loss", p->loss);
    for (int i = 0; i < r->s->nmetrics; i++) json_field(&t, "", r->s->metrics[i].name, p->train_metric[i]);
    if (p->tested) {
        json_field(&t, "test_", "loss", p->test_loss);
        for (int i = 0; i < r->s->nmetrics; i++) json_field(&t, "test_", r->s->metrics[i].name, p->test_metric[i]);
    }
    json_field(&t, "", "seconds", p->train_seconds);
    json_field(&t, "test_", "seconds", p->test_seconds);
    rt_text_f(&t, ",\"best\":%s}\n", p->best ? "true" : "false");
    csc_status s = folder_log(&r->folder, &t, &r->c.log_bytes);
    rt_text_free(&t);
    return s;
}

static csc_status log_start(Run *r) {
    RtText t = {0};
    uint64_t learned = 0;
    for (int i = 0; i < r->n->info->nparams; i++) learned += (uint64_t)net_tensor_floats(&r->n->info->params[i]);
    rt_text_f(&t, "{\"type\":\"start\",\"program\":");
    rt_text_json(&t, r->n->info->program_hash ? r->n->info->program_hash : "");
    rt_text_f(&t, ",\"seed\":%llu,\"parameters\":%llu,\"stages\":%d,\"threads\":%d}\n", (unsigned long long)r->c.seed, (unsigned long long)learned, r->o->nstages,
              r->n->pool ? csc_pool_threads(r->n->pool) : 1);
    csc_status s = folder_log(&r->folder, &t, &r->c.log_bytes);
    rt_text_free(&t);
    return s;
}

/* ---- epochs and stages ---- */
static bool better(const Run *r) {
    int k = r->o->best_metric;
    const csc_progress *p = &r->p;
    bool loss = k < 0 || k >= r->s->nmetrics;
    double v = loss ? (p->tested ? p->test_loss : p->loss) : p->tested ? p->test_metric[k] : p->train_metric[k];
    bool larger = !loss && r->s->metrics[k].larger_is_better;
    return !isnan(v) && (isnan(r->c.best) || (larger ? v > r->c.best : v < r->c.best));
}

static csc_status end_epoch(Run *r, double began) {
    csc_progress *p = &r->p;
    RtCursor *c = &r->c;
    csc_eval_result e = {0};
    p->train_seconds = rt_now() - began;
    for (int i = 0; i < r->s->nmetrics; i++) p->train_metric[i] = score_of(&r->s->metrics[i], c->metric_sum, c->samples);
    p->tested = r->test != NULL;
    if (r->test) {
        csc_status s = eval_pass(r->n, r->s, r->eval, r->test, r->o->interrupt, &e);
        if (s == CSC_INTERRUPTED) { /* all steps of the epoch are done: a run that goes on begins with this test */
            csc_status saved = save_last(r, true);
            return saved == CSC_OK ? s : saved;
        }
        if (s != CSC_OK) return s;
        p->test_loss = e.loss;
        memcpy(p->test_metric, e.metric, sizeof e.metric);
        p->test_seconds = e.seconds;
        r->test_seconds += e.seconds;
    }
    p->best = better(r);
    if (p->best) {
        int k = r->o->best_metric;
        bool loss = k < 0 || k >= r->s->nmetrics;
        c->best = loss ? (p->tested ? p->test_loss : p->loss) : p->tested ? p->test_metric[k] : p->train_metric[k];
    }
    p->loss = c->samples ? c->metric_sum[0] / (double)c->samples : NAN;
    csc_status s = log_epoch(r);
    if (s != CSC_OK) return s;
    report(r, true);
    c->epoch++;
    c->all_epochs++;
    c->step = c->samples = 0;
    memset(c->metric_sum, 0, sizeof c->metric_sum);
    return save_epoch(r, p->best);
}

static bool stop_asked(const Run *r) {
    return (r->o->interrupt && *r->o->interrupt) || (r->o->max_steps > 0 && r->steps_done + cuda_ahead(r->n) >= r->o->max_steps);
}

static bool save_asked(const Run *r, int64_t all_steps) {
    return r->o->save_steps > 0 && all_steps > 0 && all_steps % r->o->save_steps == 0;
}

static csc_status one_epoch(Run *r) {
    double began = rt_now();
    const RtBatch *b = NULL;
    csc_status s = CSC_OK;
    if (r->c.step < feed_batches(r->feed)) feed_epoch(r->feed, (uint32_t)r->c.epoch, r->c.step);
    bool device = r->n->cuda != NULL;
    while (r->c.step + cuda_ahead(r->n) < feed_batches(r->feed)) {
        if (stop_asked(r)) {
            s = end_steps(r);
            if (s == CSC_OK) s = save_last(r, true);
            return s == CSC_OK ? CSC_INTERRUPTED : s;
        }
        s = feed_next(r->feed, &b);
        if (s == CSC_OK) s = device ? begin_step(r, b) : one_step(r, b);
        if (s == CSC_OK && cuda_ahead(r->n) > 1) s = end_step(r);
        bool save = s == CSC_OK && save_asked(r, r->c.all_steps + cuda_ahead(r->n));
        if (save) s = end_steps(r);
        if (s != CSC_OK) return s;
        report(r, false);
        if (save && (s = save_last(r, true)) != CSC_OK) return s;
    }
    s = end_steps(r);
    if (s != CSC_OK) return s;
    if (device) report(r, false);
    return end_epoch(r, began);
}

static void standard_text(Run *r) {
    RtText t = {0};
    rt_text_add(&t, "{", 1);
    for (int a = 0; a < r->plan.naugment; a++)
        for (int k = 0; k < r->plan.ninputs; k++) {
            const RtStandard *s = &r->plan.standard[a * r->plan.ninputs + k];
            if (!s->mean) continue;
            if (t.len > 1) rt_text_add(&t, ",", 1);
            rt_text_json(&t, r->plan.input[k].name);
            for (int part = 0; part < 2; part++) {
                rt_text_f(&t, part ? "],\"deviation\":[" : ":{\"mean\":[");
                for (int64_t c = 0; c < r->plan.input[k].channels; c++) {
                    if (c) rt_text_add(&t, ",", 1);
                    rt_text_number(&t, part ? 1 / s->scale[c] : s->mean[c]);
                }
            }
            rt_text_add(&t, "]}", 2);
        }
    rt_text_add(&t, "}", 1);
    r->c.standard[0] = 0;
    if (!t.failed && t.len < sizeof r->c.standard) memcpy(r->c.standard, t.at, t.len + 1);
    rt_text_free(&t);
}

static csc_status stage_open(Run *r, const csc_stage *s) {
    csc_net *n = r->n;
    r->s = s;
    r->step = csc_net_entry(n, s->step_entry);
    r->eval = csc_net_entry(n, s->eval_entry);
    if (!r->step || (s->test && !r->eval))
        return rt_fail(r->cx, CSC_BAD_ARGUMENT, "the model has no entry `%s`", r->step ? s->eval_entry ? s->eval_entry : "eval" : s->step_entry ? s->step_entry : "step");
    if (!s->data || s->epochs < 0 || s->epochs > UINT32_MAX - 2) return rt_fail(r->cx, CSC_BAD_ARGUMENT, "stage %s: no data, or a bad number of epochs", s->name);
    uint64_t seed = r->c.seed + 0x9E3779B97F4A7C15u * (uint64_t)r->c.stage; /* each stage shuffles its own way */
    bool thread = !r->o->no_prefetch;
    csc_status st = scores_check(r->cx, s, r->step);
    if (st == CSC_OK && s->test) st = scores_check(r->cx, s, r->eval);
    if (st == CSC_OK) st = data_sparse_bind(s->data, n, r->c.seed);
    if (st == CSC_OK && s->test) st = data_sparse_bind(s->test, n, r->c.seed);
    if (st == CSC_OK) st = plan_new(&r->plan, r->cx, s, s->data);
    if (st == CSC_OK && s->test) st = plan_new(&r->test_plan, r->cx, s, s->test);
    if (st == CSC_OK) st = feed_new(&r->feed, r->cx, &r->plan, s->data, s->batch, true, seed, thread);
    if (st == CSC_OK && s->test) st = feed_new(&r->test, r->cx, &r->test_plan, s->test, s->batch, false, seed, thread);
    if (st == CSC_OK) st = optim_new(&r->optim, n, s);
    if (st != CSC_OK) return st;
    if (n->cuda) st = cuda_train_open(n, &r->optim, r->step, s->test ? r->eval : NULL, s->batch);
    if (st != CSC_OK) return st;
    if (!n->cuda) st = net_reserve(n, r->step, s->batch);
    if (!n->cuda && s->test && st == CSC_OK) st = net_reserve(n, r->eval, s->batch);
    if (st != CSC_OK) return st;
    memset(n->grads.at, 0, n->grads.bytes);
    standard_text(r);
    r->p = (csc_progress){.stage = s->name, .stage_index = (int)r->c.stage, .nstages = r->o->nstages, .epochs = s->epochs, .steps = feed_batches(r->feed),
                          .metrics = s->metrics, .nmetrics = s->nmetrics};
    return CSC_OK;
}

static void stage_close(Run *r) {
    cuda_train_close(r->n);
    for (int i = 0; i < 2; i++) {
        free(r->ahead[i].number);
        r->ahead[i] = (struct Ahead){0};
    }
    feed_free(r->feed);
    feed_free(r->test);
    plan_free(&r->plan);
    plan_free(&r->test_plan);
    optim_free(&r->optim);
    r->feed = r->test = NULL;
    r->s = NULL;
}

static csc_status run_stages(Run *r) {
    csc_status s = CSC_OK;
    bool resumed = r->o->resume;
    while (r->c.stage < r->o->nstages) {
        s = stage_open(r, &r->o->stages[r->c.stage]);
        if (s == CSC_OK && resumed && (r->c.epoch > 0 || r->c.step > 0)) s = checkpoint_load_optimizer(r->n, r->folder.last, &r->optim);
        if (s == CSC_OK && r->c.step > feed_batches(r->feed)) s = rt_fail(r->cx, CSC_MISMATCH, "%s: the data set is smaller than the one it was trained with", r->folder.last);
        if (s == CSC_OK && !r->saved_once) s = save_last(r, true); /* so that there is something to go on from at any moment */
        r->saved_once = true;
        resumed = false;
        while (s == CSC_OK && r->c.epoch < r->s->epochs) s = one_epoch(r);
        stage_close(r);
        if (s != CSC_OK) return s;
        r->c.stage++;
        r->c.epoch = r->c.step = 0;
        r->c.best = NAN;
        s = save_last(r, false);
        if (s != CSC_OK) return s;
    }
    return s;
}

csc_status csc_train(csc_net *n, const csc_train_options *o) {
    Run *r = calloc(1, sizeof *r);
    if (!r) return rt_no_memory(n->cx, sizeof *r);
    csc_net_hold(n, false);
    *r = (Run){.n = n, .cx = n->cx, .o = o, .start = rt_now(), .c = {.seed = o->seed, .best = NAN}};
    for (int i = 0; i < MAX_SCORES; i++) r->scores.out[i] = &r->scores.value[i];
    csc_status s = CSC_OK;
    if (o->run_dir) s = folder_open(&r->folder, r->cx, o->run_dir);
    else if (o->resume) s = rt_fail(r->cx, CSC_BAD_ARGUMENT, "there is no folder to go on from");
    if (s == CSC_OK && o->resume) s = checkpoint_load(n, r->folder.last, &r->c);
    if (s == CSC_OK && o->run_dir) s = folder_log_start(&r->folder, r->c.log_bytes);
    if (s == CSC_OK && o->run_dir && !o->resume) s = log_start(r);
    if (s == CSC_OK) s = run_stages(r);
    folder_close(&r->folder);
    free(r);
    return s;
}
