/* cscc train and cscc eval. */
#include "base/trouble.h"
#include "driver/atoms.h"
#include "driver/device.h"
#include "driver/commands.h"
#include "driver/json.h"
#include "driver/model.h"
#include "driver/recipe.h"
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted; /* the one thing that a signal may write */

static void on_signal(int sig) {
    (void)sig;
    interrupted = 1;
}

static void catch_signals(void) {
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_RESETHAND}; /* a second Ctrl-C ends at once */
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- who was NaN first ---- compiled only when it is asked for, for where the numbers ran away */
typedef struct Probe {
    const Compile *base;
    csc_context *rt;
    int32_t stage;
    CodeImage *code;
    csc_program *program;
} Probe;

static bool make_probe(void *user, csc_probe *out) {
    Probe *p = user;
    Cx *cx = p->base->cx;
    Compile c = *p->base;
    Options quiet = *c.o;
    quiet.any_emit = quiet.remarks = quiet.time_passes = false;
    memset(quiet.emit, 0, sizeof quiet.emit);
    c.o = &quiet;
    c.object = NULL;
    memset(&c.want, 0, sizeof c.want);
    memset(&c.entries, 0, sizeof c.entries);
    compile_want(&c, ENTRY_PROBE, p->stage);
    const csc_model *m = NULL;
    const char *why = NULL;
    if (!compile_model(&c, "llvm")) return false;
    if (c.gpu && csc_program_read(p->rt, c.object->bytes, c.object->len, &p->program) == CSC_OK) m = csc_program_model(p->program);
    if (!c.gpu) p->code = code_load(cx->keep, c.object, &m, &why);
    if (!m) return false;
    const Graph *g = c.entries.at[0].graph;
    const char **names = ARENA_ARRAY(cx->keep, const char *, g->outs.len + 1);
    int64_t *floats = ARENA_ARRAY(cx->keep, int64_t, g->outs.len + 1);
    uint32_t n = 0;
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        if (o->role == OUT_GRAD || o->role == OUT_STATE) continue;
        int64_t size = shape_size(graph_shape(g, o->node));
        Span at = graph_at(g, o->node)->span;
        names[n] = o->name ? o->name : o->role == OUT_LOSS ? "loss" : "a value without a name";
        if (at.file) names[n] = arena_printf(cx->keep, "%s, %s:%u", names[n], cx->sources.at[at.file].path, at.line);
        floats[n++] = graph_batched(g, o->node) ? size : -size;
    }
    *out = (csc_probe){&m->entries[0], names, floats, p->program};
    return m->entry_count > 0 && m->entries[0].nout == n;
}

static Probe *watch(Cx *cx, const Compile *c, csc_context *rt, Recipe *r) {
    Probe *p = ARENA_ARRAY(cx->keep, Probe, (size_t)r->nstages + 1);
    for (int i = 0; i < r->nstages; i++) {
        p[i] = (Probe){.base = c, .rt = rt, .stage = i};
        r->stages[i].make_probe = make_probe;
        r->stages[i].probe_user = &p[i];
    }
    return p;
}

static void unwatch(Probe *p, int n) {
    for (int i = 0; i < n; i++) code_free(p[i].code), csc_program_free(p[i].program);
}

/* Reads, declares, opens the data, binds what it binds, and compiles the entries for training or for measuring. */
static bool prepare(Cx *cx, const Options *o, csc_context *rt, csc_device *device, Compile *c, Recipe *r, bool training) {
    if (!compile_read(c, cx, o)) return false;
    device_set(c, device);
    c->free_default = true;
    if (!compile_declare(c)) return false;
    if (!c->program) return false; /* --stop-after */
    if (!c->program->stages.len) {
        Diag *d = diag_error(cx, E_NO_RECIPE, (Span){0}, "no train block of '%s' names the model %s", o->words[0], c->program->model);
        diag_help(cx, d, "train %s { data = ...; minimize = ...; optimizer = adam(lr: 1e-3); epochs = 10; batch = 64 }", c->program->model);
        return false;
    }
    if (!recipe_open_data(cx, c, rt, r)) return false;
    if (!recipe_bind_sizes(cx, c, r)) return false;
    c->free_default = false;
    c->free_why = "the data does not bind it";
    compile_want(c, ENTRY_INIT, 0);
    bool synth = false;
    for (size_t i = 0; i < c->program->stages.len; i++) {
        const Stage *s = &c->program->stages.at[i];
        if (training) compile_want(c, ENTRY_STEP, (int32_t)i);
        if (training || i + 1 == c->program->stages.len) compile_want(c, ENTRY_EVAL, (int32_t)i);
        synth |= s->data && !strcmp(s->data->text, "sparse_codes");
    }
    if (synth) compile_want(c, ENTRY_SYNTH, 0);
    bool ok = compile_model(c, "llvm");
    compile_report(c);
    return ok && recipe_finish(cx, c, r);
}

/* ---- what is said while it trains ---- */
typedef struct Talk {
    const Options *o;
    bool terminal, header;
    int stage;
    double last;
} Talk;

static void duration(char *out, size_t n, double s) {
    if (!(s >= 0) || s > 1e7) snprintf(out, n, "?");
    else if (s < 100) snprintf(out, n, "%.0f s", s);
    else if (s < 6000) snprintf(out, n, "%d:%02d min", (int)s / 60, (int)s % 60);
    else snprintf(out, n, "%d:%02d h", (int)(s / 3600), (int)(s / 60) % 60);
}

static double shown(const csc_metric *m, double v) { return recipe_is_share(m->name) ? 100 * v : v; }
static const char *unit(const csc_metric *m) { return recipe_is_share(m->name) ? " %" : ""; }

static void say_epoch(Talk *t, const csc_progress *p) {
    if (t->o->json) {
        printf("{\"stage\": %d, \"epoch\": %lld, \"loss\": ", p->stage_index + 1, (long long)p->epoch + 1);
        json_number(stdout, p->loss);
        printf(", \"lr\": ");
        json_number(stdout, p->learning_rate);
        for (int i = 0; i < p->nmetrics; i++) {
            printf(", ");
            json_text(stdout, p->metrics[i].name);
            printf(": ");
            json_number(stdout, p->train_metric[i]);
        }
        if (p->tested) {
            printf(", \"test\": {\"loss\": ");
            json_number(stdout, p->test_loss);
            for (int i = 0; i < p->nmetrics; i++) {
                printf(", ");
                json_text(stdout, p->metrics[i].name);
                printf(": ");
                json_number(stdout, p->test_metric[i]);
            }
            printf("}");
        }
        printf(", \"seconds\": %.3f, \"best\": %s}\n", p->train_seconds, p->best ? "true" : "false");
        fflush(stdout);
        return;
    }
    if (p->nstages > 1 && p->stage_index != t->stage) printf("stage %d of %d: %s\n", p->stage_index + 1, p->nstages, p->stage);
    t->stage = p->stage_index;
    printf("epoch %3lld/%lld  %6.2f s  lr %-8.3g loss %-9.5g", (long long)p->epoch + 1, (long long)p->epochs, p->train_seconds, p->learning_rate, p->loss);
    if (p->tested) printf("  test loss %-9.5g", p->test_loss);
    for (int i = 0; i < p->nmetrics; i++) {
        const csc_metric *m = &p->metrics[i];
        printf("  %s %.4g%s", m->name, shown(m, p->tested ? p->test_metric[i] : p->train_metric[i]), unit(m));
    }
    printf("%s\n", p->best ? "  *" : "");
    fflush(stdout);
}

static void on_progress(void *user, const csc_progress *p) {
    Talk *t = user;
    if (p->epoch_done) {
        if (t->terminal) fputs("\r\033[K", stderr);
        say_epoch(t, p);
        return;
    }
    if (!t->terminal || p->seconds - t->last < 0.2) return;
    t->last = p->seconds;
    char eta[32];
    duration(eta, sizeof eta, p->eta_seconds);
    fprintf(stderr, "\r\033[Kepoch %lld/%lld  %lld/%lld  loss %.5g  %.0f samples/s  %s left", (long long)p->epoch + 1, (long long)p->epochs, (long long)p->step,
            (long long)p->steps, p->loss, p->samples_per_second, eta);
}

/* The metric by which the best checkpoint is chosen: the first that has a known better side; else the loss. */
static int best_metric(const csc_stage *s) {
    for (int i = 0; i < s->nmetrics; i++)
        if (s->metrics[i].larger_is_better || !strncmp(s->metrics[i].name, "nmse", 4)) return i;
    return -1;
}

static bool make_folders(Cx *cx, const char *path) {
    for (const char *p = path; *p; p++)
        if (*p == '/' && p > path) mkdir(arena_strndup(cx->pass, path, (size_t)(p - path)), 0777);
    mkdir(path, 0777);
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && access(path, W_OK) == 0) return true;
    diag_error(cx, E_WRITE, (Span){0}, "the run folder '%s' cannot be made or written to", path);
    return false;
}

/* The picture shows the parameters that eval, run and build will be given, not those of the last epoch. */
static bool best_atoms(Cx *cx, const Options *o, const Compile *c, Model *m, const char *best) {
    csc_error_clear(m->rt);
    if (access(best, R_OK) == 0 && csc_weights_load(m->net, best)) {
        runtime_error(cx, m->rt, E_WEIGHTS, (Span){0});
        return false;
    }
    return atoms_of_net(cx, c->program, m->net, m->rt, o->atoms);
}

/* The memory plan of training: the largest workspace of its entries, and the blocks. */
static void say_memory(const Compile *c, const Recipe *r, const Model *m) {
    const csc_model *t = csc_net_model(m->net);
    size_t workspace = 0, thread = 0;
    int moments = 0;
    for (int i = 0; i < r->nstages; i++) {
        const csc_stage *s = &r->stages[i];
        const char *names[2] = {s->step_entry, s->eval_entry};
        for (int k = 0; k < 2; k++) {
            const csc_entry *e = csc_net_entry(m->net, names[k]);
            size_t n = e ? csc_net_workspace_bytes(m->net, e, s->batch) - e->lane_bytes : 0;
            if (n > workspace) workspace = n;
            if (e && e->thread_bytes + e->lane_bytes > thread) thread = e->thread_bytes + e->lane_bytes;
        }
        int need = s->optimizer.kind == CSC_SGD ? 1 : 2;
        if (need > moments) moments = need;
    }
    double params = 4e-6 * (double)t->param_floats;
    fprintf(stderr, "memory: workspace %.2f MB at batch %lld (the plan's peak), %.2f MB for each thread, parameters %.2f, gradients %.2f, moments %.2f, states %.2f MB\n",
            1e-6 * (double)workspace, (long long)r->stages[0].batch, 1e-6 * (double)thread, params, params, moments * params, 4e-6 * (double)c->program->state_floats);
}

static int train(Cx *cx, const Options *o, Compile *c, Recipe *r, Model *m) {
    const char *dir = o->runs ? o->runs : arena_printf(cx->keep, "runs/%s", c->program->model);
    if (!make_folders(cx, dir)) return 1;
    csc_error_clear(m->rt);
    if (csc_net_init(m->net, (uint64_t)o->seed)) {
        runtime_error(cx, m->rt, E_NAN, (Span){0});
        return 1;
    }
    if (!model_weights(cx, o, m, false)) return 1;
    Talk talk = {.o = o, .terminal = isatty(2), .stage = -1};
    csc_train_options t = {.stages = r->stages, .nstages = r->nstages, .seed = (uint64_t)o->seed, .run_dir = dir, .resume = o->resume, .keep = 3,
                           .save_steps = 1000, .best_metric = best_metric(&r->stages[r->nstages - 1]), .max_steps = o->most_steps, .interrupt = &interrupted,
                           .progress = on_progress, .user = &talk};
    if (!o->json)
        fprintf(stderr, "training %s on %lld samples, %s; results go to %s/\n", c->program->model, (long long)csc_data_count(r->stages[0].data),
                c->gpu ? "on the device" : arena_printf(cx->keep, "%d threads", csc_pool_threads(m->pool)), dir);
    if (!o->json && !c->gpu) say_memory(c, r, m);
    Probe *probes = watch(cx, c, m->rt, r);
    csc_status s = csc_train(m->net, &t);
    unwatch(probes, r->nstages);
    if (talk.terminal) fputs("\r\033[K", stderr);
    if (s == CSC_INTERRUPTED) {
        fprintf(stderr, "stopped; saved. Go on with: cscc train %s --resume%s%s\n", o->words[0], o->runs ? " --out " : "", o->runs ? o->runs : "");
        return interrupted ? 130 : 0;
    }
    if (s) {
        DiagCode code = s == CSC_NAN ? E_NAN : s == CSC_DEVICE || (s == CSC_NO_MEMORY && c->gpu) ? E_DEVICE : o->resume && (s == CSC_MISMATCH || s == CSC_IO || s == CSC_BAD_FILE) ? E_RESUME : E_DATA;
        if (s == CSC_IO && !o->resume) machine_trouble("%s", csc_error(m->rt));
        runtime_error(cx, m->rt, code, r->nstages ? c->program->stages.at[0].span : (Span){0});
        return 1;
    }
    const char *best = arena_printf(cx->keep, "%s/best.safetensors", dir);
    if (o->atoms && !best_atoms(cx, o, c, m, best)) return 1;
    if (!o->json && c->gpu) fprintf(stderr, "memory on the device: %.2f MB at most\n", 1e-6 * (double)csc_net_device_bytes(m->net));
    if (!o->json) fprintf(stderr, "done: %s\n", best);
    return 0;
}

static int eval(Cx *cx, const Options *o, Compile *c, Recipe *r, Model *m) {
    csc_stage *s = &r->stages[r->nstages - 1];
    if (csc_net_init(m->net, (uint64_t)o->seed)) {
        runtime_error(cx, m->rt, E_NAN, (Span){0});
        return 1;
    }
    if (!model_weights(cx, o, m, c->program->params.len > 0)) return 1;
    csc_eval_result e;
    csc_status st = csc_eval(m->net, s, s->test ? s->test : s->data, (uint64_t)o->seed, &interrupted, &e);
    if (st == CSC_INTERRUPTED) return 130;
    if (st) {
        runtime_error(cx, m->rt, st == CSC_NAN ? E_NAN : st == CSC_DEVICE || (st == CSC_NO_MEMORY && c->gpu) ? E_DEVICE : E_DATA, c->program->stages.at[0].span);
        return 1;
    }
    if (o->json) {
        printf("{\"samples\": %lld, \"loss\": ", (long long)e.samples);
        json_number(stdout, e.loss);
        for (int i = 0; i < s->nmetrics; i++) {
            printf(", ");
            json_text(stdout, s->metrics[i].name);
            printf(": ");
            json_number(stdout, e.metric[i]);
        }
        printf(", \"seconds\": %.3f}\n", e.seconds);
        return 0;
    }
    printf("%lld %s samples  loss %.6g", (long long)e.samples, s->test ? "test" : "training", e.loss);
    for (int i = 0; i < s->nmetrics; i++) printf("  %s %.4g%s", s->metrics[i].name, shown(&s->metrics[i], e.metric[i]), unit(&s->metrics[i]));
    printf("  (%.2f s)\n", e.seconds);
    return 0;
}

static int with_model(Cx *cx, const Options *o, bool training) {
    csc_context *rt = csc_context_new();
    if (!rt) machine_trouble("there is no memory left");
    Compile c;
    Recipe r = {0};
    Model m = {0};
    int code = 1;
    csc_pool *pool = NULL;
    csc_device *device = NULL;
    if (!device_choose(cx, o, rt, &device)) {
        csc_context_free(rt);
        return 1;
    }
    if (prepare(cx, o, rt, device, &c, &r, training)) {
        pool = model_pool(o);
        if (model_load(cx, &c, rt, pool, &m)) {
            catch_signals(); /* before, Ctrl-C ends the compiler at once: there is nothing to save */
            code = training ? train(cx, o, &c, &r, &m) : eval(cx, o, &c, &r, &m);
        }
    } else if (!cx->errors) code = 0; /* --stop-after */
    recipe_close(&r); /* its data may use the model */
    model_free(&m);
    csc_pool_free(pool);
    csc_device_close(device);
    csc_context_free(rt);
    return code;
}

int command_train(Cx *cx, const Options *o) { return with_model(cx, o, true); }
int command_eval(Cx *cx, const Options *o) { return with_model(cx, o, false); }
