/* Instantiates a model, once for its declarations and once for each entry that is wanted. */
#include "build/build.h"
#include "base/trouble.h"
#include "build/value.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- arguments of the model ---- */
static bool set_value(Build *b, const Param *p, const char *text, Val *out) {
    const char *t = p->type ? p->type->name : p->init && p->init->kind == EX_INT ? "int" : p->init && p->init->kind == EX_REAL ? "real" : "";
    char *end;
    errno = 0;
    long long i = strtoll(text, &end, 10);
    bool is_int = *text && !*end && !errno;
    double r = strtod(text, &end);
    bool is_real = *text && !*end;
    if (!strcmp(t, "bool") && (!strcmp(text, "true") || !strcmp(text, "false"))) *out = v_bool(text[0] == 't');
    else if (!strcmp(t, "string")) *out = v_string(name_of(b->cx, text));
    else if (!strcmp(t, "int") && is_int) *out = v_int(i);
    else if (!strcmp(t, "real") && is_real) *out = v_real(r);
    else if (!*t && is_int) *out = v_int(i);
    else if (!*t && is_real) *out = v_real(r);
    else if (!*t && (!strcmp(text, "true") || !strcmp(text, "false"))) *out = v_bool(text[0] == 't');
    else if (!*t) *out = v_string(name_of(b->cx, text));
    else {
        diag_error(b->cx, E_SET, p->span, "--set %s=%s: '%s' is of type %s", p->name, text, p->name, t);
        return false;
    }
    return true;
}

static bool is_free_dimension(const Def *m, const char *name) {
    for (uint32_t i = 0; i < m->nbody; i++) {
        const Stmt *s = m->body[i];
        if (!s->type || (s->kind != ST_INPUT && s->kind != ST_LABEL && s->kind != ST_TARGET)) continue;
        for (uint32_t k = 0; k < s->type->n; k++)
            if (s->type->dims[k]->kind == EX_NAME && !strcmp(s->type->dims[k]->name, name)) return true;
    }
    return false;
}

static void check_sets(Build *b, const Def *m) {
    for (size_t i = 0; i < b->o->nset; i++) {
        const char *n = b->o->set[i].name;
        const char *names[64];
        size_t count = 0;
        bool known = is_free_dimension(m, n);
        for (uint32_t k = 0; k < m->nparams; k++) {
            known |= !strcmp(m->params[k].name, n);
            if (count < 64) names[count++] = m->params[k].name;
        }
        if (known) continue;
        Diag *d = diag_error(b->cx, E_SET, (Span){0}, "the model '%s' has no argument or free dimension '%s'", m->name, n);
        const char *near = diag_nearest(n, names, count);
        const char *all = "";
        for (size_t k = 0; k < count; k++) all = arena_printf(b->a, "%s%s%s", all, *all ? ", " : "", names[k]);
        if (near) diag_help(b->cx, d, "did you mean '%s'?", near);
        else if (count) diag_help(b->cx, d, "its arguments are %s", all);
    }
}

static void check_tunes(Build *b) {
    for (size_t i = 0; i < b->o->ntune; i++) {
        bool hit = false;
        char *end;
        for (size_t k = 0; k < b->p->tunables.len; k++) {
            hit |= tune_hits(b->o->tune[i].name, b->p->tunables.at[k].name);
        }
        strtod(b->o->tune[i].value, &end);
        if (!hit) {
            Diag *d = diag_error(b->cx, E_TUNE, (Span){0}, "the model has no tunable '%s'", b->o->tune[i].name);
            const char *names[64], *near;
            size_t n = 0;
            for (size_t k = 0; k < b->p->tunables.len && n + 2 < 64; k++) { /* by the whole path, or its last part */
                const char *dot = strrchr(names[n++] = b->p->tunables.at[k].name, '.');
                if (dot) names[n++] = dot + 1;
            }
            if ((near = diag_nearest(b->o->tune[i].name, names, n))) diag_help(b->cx, d, "did you mean '%s'?", near);
        } else if (*end || !*b->o->tune[i].value) diag_error(b->cx, E_TUNE, (Span){0}, "--tune %s=%s: not a number", b->o->tune[i].name, b->o->tune[i].value);
    }
}

/* ---- one instance ---- */
static Build *instantiate(Cx *cx, Arena *a, const Ast *ast, const BuildOptions *o, const Def *m, Program *p, EntryKind mode) {
    Build *b = ARENA_NEW(a, Build);
    b->cx = cx;
    b->a = a;
    b->ast = ast;
    b->o = o;
    b->p = p;
    b->mode = mode;
    b->root = b->ctx = b->home = gctx_new(b, NULL);
    b->model = b->frame = ARENA_NEW(a, Frame);
    b->frame->def = m;
    b->frame->source = m->span.file;
    b->frame->path = name_of(cx, "");
    b->frame->env = env_new(b, NULL);
    b->frame->is_model = true;
    p->inputs.len = p->outputs.len = 0;
    return b;
}

static bool run_model(Build *b, const Def *m) {
    for (uint32_t i = 0; i < m->nparams; i++) {
        const Param *p = &m->params[i];
        Val v = v_bad();
        bool set = false;
        for (size_t k = 0; k < b->o->nset; k++)
            if (!strcmp(b->o->set[k].name, p->name)) set = set_value(b, p, b->o->set[k].value, &v);
        if (!set && p->init) v = eval(b, p->init);
        else if (!set && !b->cx->errors) {
            Diag *d = diag_error(b->cx, E_SET, p->span, "the model's argument '%s' has no value", p->name);
            diag_help(b->cx, d, "--set %s=...", p->name);
        }
        env_bind(b, b->frame->env, p->name, v, false, p->span);
    }
    exec_block(b, m->body, m->nbody);
    return b->cx->errors == 0;
}

/* sparse_codes(A, ...): the signal that a code makes. The code is the first target. */
static bool synth_entry(Build *b, int32_t stage) {
    const Cfg *data = b->p->stages.at[stage].data, *d = cfg_arg(data, "dictionary");
    int32_t target = -1;
    for (size_t i = 0; i < b->p->inputs.len; i++)
        if (target < 0 && b->p->inputs.at[i].kind == IN_TARGET) target = (int32_t)i;
    Binding *x = d ? env_find(b->frame->env, d->text) : NULL;
    if (!x || x->value.kind != V_OP || target < 0) {
        diag_error(b->cx, E_RECIPE, data->span, "sparse_codes takes a dictionary of the model, and the model a target for the codes");
        return false;
    }
    NodeId leaf = NO_NODE;
    for (size_t i = 0; i < b->root->g->nodes.len; i++)
        if (b->root->g->nodes.at[i].op == OP_input && b->root->g->nodes.at[i].a.index == target) leaf = (NodeId)i;
    Val y = lin_apply(b, x->value.op, v_tensor(b, leaf), false, data->span);
    if (y.kind == V_BAD) return false;
    graph_out(b->root->g, OUT_VALUE, 0, y.node, name_of(b->cx, "signal"));
    return true;
}

static bool finish_entry(Build *b, const Ast *ast, EntryKind kind, int32_t stage) {
    Graph *g = b->root->g;
    bool frozen = kind == ENTRY_FORWARD || kind == ENTRY_BACKWARD;
    if (!frozen) g->outs.len = 0; /* the model's outputs are not wanted */
    switch (kind) {
    case ENTRY_FORWARD: case ENTRY_BACKWARD: return true;
    case ENTRY_INIT:
        for (size_t i = 0; i < b->p->params.len; i++) {
            NodeId n;
            if (b->p->params.at[i].init.kind != INIT_EXPR) continue;
            if (!param_start(b, (int32_t)i, &n)) return false;
            graph_out(g, OUT_PARAM, (int32_t)i, n, b->p->params.at[i].name);
        }
        break;
    case ENTRY_EVAL: case ENTRY_STEP:
        if (!build_loss(b, ast, stage)) return false;
        if (kind == ENTRY_EVAL) return true;
        break;
    case ENTRY_PROBE:
        for (size_t i = 0; i < b->named.len; i++) {
            GraphOut o = b->named.at[i];
            if (!graph_batched(g, o.node)) o.node = op1(g, OP_per_sample, o.node);
            graph_out(g, OUT_VALUE, (int32_t)i, o.node, o.name);
        }
        return true;
    case ENTRY_SYNTH: return synth_entry(b, stage);
    case ENTRY_OPERATORS: return operators_entry(b);
    }
    for (size_t i = 0; i < b->state_outs.len; i++) { /* one value a state: a layer called twice leaves that of its last call */
        const GraphOut *o = &b->state_outs.at[i];
        bool last = true;
        for (size_t k = i + 1; k < b->state_outs.len; k++) last &= b->state_outs.at[k].index != o->index;
        if (last) graph_out(g, OUT_STATE, o->index, o->node, b->p->states.at[o->index].name);
    }
    return true;
}

static const Def *find_model(Cx *cx, const Ast *ast, const BuildOptions *o) {
    const Def *m = ast_find_model(ast, o->model);
    if (m) return m;
    Diag *d = o->model ? diag_error(cx, E_MODEL, (Span){0}, "there is no model '%s' in the program", o->model)
                       : diag_error(cx, E_MODEL, (Span){0}, "the program has no model");
    if (!o->model) diag_help(cx, d, "model name(...) { input X : real[...] ... output y = ... }");
    const char *names[64];
    size_t n = 0;
    for (uint32_t i = 0; o->model && i < ast->files[0]->ndefs && n < 64; i++)
        if (ast->files[0]->defs[i]->kind == DEF_MODEL) names[n++] = ast->files[0]->defs[i]->name;
    const char *near = n ? diag_nearest(o->model, names, n) : NULL;
    if (near || n == 1) diag_help(cx, d, near ? "did you mean '%s'?" : "it has '%s'", near ? near : names[0]);
    return NULL;
}

BuildResult *build_program(Cx *cx, Arena *a, const Ast *ast, const BuildOptions *o, const EntryKind *want, const int32_t *stage, size_t nwant) {
    const Def *m = find_model(cx, ast, o);
    if (!m) return NULL;
    BuildResult *r = ARENA_NEW(a, BuildResult);
    Program *p = r->program = ARENA_NEW(a, Program);
    p->arena = a;
    p->model = m->name;
    Build *b = instantiate(cx, a, ast, o, m, p, ENTRY_FORWARD);
    check_sets(b, m);
    if (cx->errors || !run_model(b, m)) return NULL;
    check_tunes(b);
    build_stages(b, ast);
    if (cx->errors) return NULL;
    size_t said = cx->diags.len;
    for (size_t i = 0; i < p->stages.len; i++) { /* losses are checked also where no entry asks for them */
        bool first = i == 0 || p->stages.at[i].span.line != p->stages.at[i - 1].span.line || p->stages.at[i].span.file != p->stages.at[i - 1].span.file;
        if (first && !build_loss(b, ast, (int32_t)i)) return NULL;
    }
    for (size_t i = 0; i < nwant; i++) {
        Build *e = instantiate(cx, a, ast, o, m, p, want[i]);
        const Train *t;
        bool staged = want[i] == ENTRY_EVAL || want[i] == ENTRY_STEP || want[i] == ENTRY_PROBE;
        if (staged && stage_of(e, ast, stage[i], &t, &e->stage_updates, &e->stage_own, &e->stage_code) < 0) BUG("there is no stage %d", stage[i]);
        cx->diags.len = said; /* warnings are said once */
        if (!run_model(e, m) || !finish_entry(e, ast, want[i], stage[i])) return NULL;
        Entry entry = {.kind = want[i], .stage = stage[i], .graph = e->root->g};
        vec_push(a, &r->entries, entry);
    }
    program_layout(p);
    return r;
}
