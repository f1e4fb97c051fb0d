/* Train blocks: options and recipe calls. */
#include "sema/checker.h"
#include <string.h>

static const struct {
    const char *kind, *name, *labels;
} recipe[] = {
#define RECIPE(kind, name, labels, what) {#kind, name, labels},
#include "sig/recipes.def"
};
enum { NRECIPES = sizeof recipe / sizeof *recipe };

static void recipe_check(Checker *c, const char *kind, const char *option, const Expr *e);

static void recipe_args_check(Checker *c, int k, const Expr *e) {
    Arena *a = c->cx->pass;
    const char *name[16];
    bool required[16];
    uint32_t n = 0;
    for (const char *p = recipe[k].labels; *p;) {
        size_t len = strcspn(p, " ");
        required[n] = p[len - 1] == '!';
        name[n] = arena_strndup(a, p, len - required[n]);
        n++;
        p += len + (p[len] != 0);
    }
    Form f = {arena_printf(a, "'%s'", recipe[k].name), {0}, name, required, n, NULL, false};
    bool call = e->kind == EX_CALL;
    form_check(c, &f, e->span, call ? e->args : NULL, call ? e->n : 0);
    for (uint32_t i = 0; call && i < e->n; i++) {
        const char *label = e->args[i].label ? e->args[i].label : i < n ? name[i] : "";
        if (strcmp(label, "schedule") == 0 || strcmp(label, "then") == 0)
            recipe_check(c, "SCHEDULE", "schedule", e->args[i].value);
        else
            expr_check(c, e->args[i].value);
    }
}

static void recipe_check(Checker *c, const char *kind, const char *option, const Expr *e) {
    if (e->kind == EX_COND) {
        expr_check(c, e->a);
        recipe_check(c, kind, option, e->b);
        recipe_check(c, kind, option, e->c);
        return;
    }
    if (e->kind == EX_LIST) {
        for (uint32_t i = 0; i < e->n; i++) recipe_check(c, kind, option, e->items[i]);
        return;
    }
    const Expr *name = e->kind == EX_CALL ? e->a : e;
    if (name->kind != EX_NAME ||
        scope_find(c, name->name)) { /* text, an argument of the model, ...: build knows */
        expr_check(c, e);
        return;
    }
    const char *known[NRECIPES], *other = NULL;
    size_t n = 0;
    for (int k = 0; k < NRECIPES; k++) {
        bool same = strcmp(recipe[k].name, name->name) == 0;
        if (strcmp(recipe[k].kind, kind) == 0) {
            if (same) {
                recipe_args_check(c, k, e);
                return;
            }
            known[n++] = recipe[k].name;
        } else if (same)
            other = recipe[k].kind;
    }
    Diag *d =
        diag_error(c->cx, E_UNKNOWN_RECIPE, name->span,
                   other ? "'%s' does not belong to '%s'" : "'%s' is not known as '%s'", name->name, option);
    const char *near = diag_nearest(name->name, known, n), *list = known[0];
    for (size_t i = 1; i < n; i++) list = arena_printf(c->cx->pass, "%s, %s", list, known[i]);
    if (near)
        diag_help(c->cx, d, "did you mean '%s'?", near);
    else
        diag_help(c->cx, d, "there %s %s", n == 1 ? "is" : "are", list);
    if (e->kind == EX_CALL) args_check(c, e->args, e->n);
}

static void option_check(Checker *c, const Option *o) {
    static const struct {
        const char *name, *kind;
    } known[] = {{"data", "DATA"},           {"test", "DATA"}, {"augment", "AUGMENT"}, {"minimize", NULL},
                 {"optimizer", "OPTIMIZER"}, {"epochs", NULL}, {"batch", NULL},        {"report", NULL},
                 {"stages", "STAGES"},       {"only", NULL},   {"name", NULL}};
    enum { N = sizeof known / sizeof *known };
    if (o->decl) {
        diag_error(c->cx, E_PLACE, o->span, "a train block declares no %s",
                   o->decl->kind == ST_PARAM ? "param" : "tunable");
        return;
    }
    if (o->untied || o->nindex || o->nparams) {
        diag_error(c->cx, E_OPTION_FORM, o->span, "an option of a train block is written 'name = value'");
        return;
    }
    int k = 0;
    const char *names[N];
    for (int i = 0; i < N; i++) names[i] = known[i].name;
    while (k < N && strcmp(known[k].name, o->name)) k++;
    if (k == N) {
        Diag *d =
            diag_error(c->cx, E_UNKNOWN_OPTION, o->name_span, "a train block has no option '%s'", o->name);
        const char *near = diag_nearest(o->name, names, N);
        if (strcmp(o->name, "loss") == 0) near = "minimize";
        if (strcmp(o->name, "metrics") == 0) near = "report";
        if (strcmp(o->name, "lr") == 0 || strcmp(o->name, "schedule") == 0 ||
            strcmp(o->name, "momentum") == 0)
            diag_help(c->cx, d, "it belongs to the optimizer: 'optimizer = sgd(lr: 0.1, %s: ...)'",
                      strcmp(o->name, "lr") ? o->name : "momentum");
        else if (near)
            diag_help(c->cx, d, "did you mean '%s'?", near);
        expr_check(c, o->value);
        return;
    }
    if (known[k].kind)
        recipe_check(c, known[k].kind, o->name, o->value);
    else
        expr_check(c, o->value);
}

static const Def *find_model(const Ast *ast, uint32_t source, Name name) {
    const Def *found = NULL;
    for (uint32_t f = 0; f < ast->nfiles; f++)
        for (uint32_t i = 0; i < ast->files[f]->ndefs; i++) {
            const Def *d = ast->files[f]->defs[i];
            if (d->kind == DEF_MODEL && d->name == name && (!found || ast->files[f]->source == source))
                found = d;
        }
    return found;
}

static const char *nearest_model(const Checker *c, Name name) {
    Vec(const char *) all = {0};
    for (uint32_t f = 0; f < c->ast->nfiles; f++)
        for (uint32_t i = 0; i < c->ast->files[f]->ndefs; i++)
            if (c->ast->files[f]->defs[i]->kind == DEF_MODEL)
                vec_push(c->cx->pass, &all, c->ast->files[f]->defs[i]->name);
    const char *near = diag_nearest(name, all.at, all.len);
    return near || all.len != 1 ? near : all.at[0];
}

void train_check(Checker *c, const Train *t) {
    const Def *m = find_model(c->ast, t->span.file, t->model);
    size_t mark = scope_open(c);
    c->def = NULL;
    c->missing.len = c->gone.len = c->lifted.len = 0;
    c->any_name = !m;
    if (!m) {
        Diag *d =
            diag_error(c->cx, E_UNKNOWN_MODEL, t->model_span, "there is no model '%s' to train", t->model);
        const char *near = nearest_model(c, t->model);
        if (near) diag_help(c->cx, d, "did you mean '%s'?", near);
    }
    for (size_t i = 0; i < c->models.len; i++)
        if (c->models.at[i]->model == m)
            for (size_t k = 0; k < c->models.at[i]->names.len; k++)
                vec_push(c->cx->pass, &c->syms, c->models.at[i]->names.at[k]);
    scope_add_quietly(c, name_of(c->cx, "codes"), SYM_OPTION, t->span);
    for (uint32_t i = 0; i < t->noptions; i++) {
        for (uint32_t k = 0; k < i; k++)
            if (t->options[k]->name == t->options[i]->name) {
                Diag *d = diag_error(c->cx, E_TWICE, t->options[i]->name_span,
                                     "the option '%s' is given twice", t->options[i]->name);
                diag_note(c->cx, d, t->options[k]->name_span, "first here");
                break;
            }
        option_check(c, t->options[i]);
    }
    c->any_name = false;
    c->syms.len = mark;
}
