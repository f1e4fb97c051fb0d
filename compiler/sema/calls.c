/* Arguments of calls: counts, labels, order. */
#include "sema/checker.h"
#include <string.h>

static int find_arg(const Form *f, Name label) {
    for (uint32_t i = 0; i < f->n; i++)
        if (strcmp(f->name[i], label) == 0) return (int)i;
    return -1;
}

static bool is_more(const Form *f, Name label) {
    for (const char *const *m = f->more; m && *m; m++)
        if (strcmp(*m, label) == 0) return true;
    return false;
}

static void unknown_label(Checker *c, const Form *f, const Arg *a) {
    Arena *pass = c->cx->pass;
    Diag *d = diag_error(c->cx, E_UNKNOWN_LABEL, a->label_span, "%s has no argument '%s'", f->what, a->label);
    Vec(const char *) all = {0};
    for (uint32_t i = 0; i < f->n; i++) vec_push(pass, &all, f->name[i]);
    for (const char *const *m = f->more; m && *m; m++) vec_push(pass, &all, *m);
    const char *near = diag_nearest(a->label, all.at, all.len);
    if (f->defined.file) diag_note(c->cx, d, f->defined, "it is defined here");
    if (near)
        diag_help(c->cx, d, "did you mean '%s'?", near);
    else if (all.len && all.len <= 12) {
        const char *list = all.at[0];
        for (size_t i = 1; i < all.len; i++) list = arena_printf(pass, "%s, %s", list, all.at[i]);
        diag_help(c->cx, d, "it takes %s", list);
    }
}

void form_check(Checker *c, const Form *f, Span at, const Arg *args, uint32_t n) {
    bool *given = ARENA_ARRAY(c->cx->pass, bool, f->n + 1);
    uint32_t place = 0;
    bool labelled = false, wrong = false;
    for (uint32_t i = 0; i < n; i++) {
        const Arg *a = &args[i];
        int k;
        if (!a->label) {
            if (labelled) {
                Diag *d = diag_error(c->cx, E_ARG_ORDER, a->value->span,
                                     "an argument without a name cannot follow one with a name");
                if (place < f->n)
                    diag_help(c->cx, d, "name it, as in '%s: ...', or put it first", f->name[place]);
                wrong = true;
                continue;
            }
            if (place >= f->n) {
                Diag *d = diag_error(c->cx, E_TOO_MANY_ARGS, a->value->span,
                                     f->n ? "%s takes %u argument%s" : "%s takes no arguments", f->what, f->n,
                                     f->n == 1 ? "" : "s");
                if (f->defined.file) diag_note(c->cx, d, f->defined, "it is defined here");
                return;
            }
            given[place++] = true;
            continue;
        }
        labelled = true;
        k = find_arg(f, a->label);
        for (uint32_t j = 0; j < i; j++)
            if (args[j].label == a->label) {
                diag_error(c->cx, E_ARG_TWICE, a->label_span, "the argument '%s' is given twice", a->label);
                k = -2;
                break;
            }
        if (k == -2) continue;
        if (k >= 0 && given[k]) {
            Diag *d =
                diag_error(c->cx, E_ARG_TWICE, a->label_span, "the argument '%s' is given twice", a->label);
            diag_note(c->cx, d, args[k].value->span, "here it is given by its place");
        } else if (k >= 0)
            given[k] = true;
        else if (!is_more(f, a->label)) {
            unknown_label(c, f, a);
            wrong = true; /* probably the one that would be missing */
        }
    }
    if (wrong || (f->may_wait && !place)) return;
    for (uint32_t k = 0; k < f->n; k++)
        if (f->required[k] && !given[k]) {
            Diag *d = diag_error(c->cx, E_MISSING_ARG, at, "%s needs its argument '%s'", f->what, f->name[k]);
            if (f->defined.file) diag_note(c->cx, d, f->defined, "it is defined here");
            return;
        }
}

void call_check_def(Checker *c, const Def *d, Span at, const Arg *args, uint32_t n) {
    static const char *const solving[] = {"unfold", "iterations", "until", "at_most", NULL};
    Arena *a = c->cx->pass;
    const char **name = ARENA_ARRAY(a, const char *, d->nparams);
    bool *required = ARENA_ARRAY(a, bool, d->nparams);
    for (uint32_t i = 0; i < d->nparams; i++) {
        name[i] = d->params[i].name;
        required[i] = !d->params[i].init && !d->params[i].problem;
    }
    Form f = {arena_printf(a, "'%s'", d->name),       d->name_span, name, required, d->nparams,
              d->kind == DEF_SOLVER ? solving : NULL, true};
    form_check(c, &f, at, args, n);
}

/* ---- builtins ---- */
static const struct {
    const char *name;
    int min, max;
    const char *labels;
} builtin[] = {
#define BUILTIN(id, name, min, max, labels, what) {name, min, max, labels},
#include "sig/builtins.def"
#undef BUILTIN
};
enum { NBUILTINS = sizeof builtin / sizeof *builtin };

const char *const *builtin_names(size_t *n) {
    static const char *const names[] = {
#define BUILTIN(id, name, min, max, labels, what) name,
#define BUILTIN_NAME(name, what) name,
#include "sig/builtins.def"
#undef BUILTIN
    };
    *n = sizeof names / sizeof *names;
    return names;
}

bool call_check_builtin(Checker *c, Name name, Span at, const Arg *args, uint32_t n) {
    int k = 0;
    while (k < NBUILTINS && strcmp(builtin[k].name, name)) k++;
    if (k == NBUILTINS) return false;
    Arena *a = c->cx->pass;
    Vec(const char *) labels = {0};
    for (const char *p = builtin[k].labels; *p;) {
        size_t len = strcspn(p, " ,!");
        if (len) vec_push(a, &labels, arena_strndup(a, p, len));
        p += len + (p[len] != 0);
    }
    vec_push(a, &labels, NULL);
    Form f = {arena_printf(a, "'%s'", name), {0}, NULL, NULL, 0, labels.at, true};
    uint32_t positional = 0;
    bool labelled = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!args[i].label) {
            positional++;
            if (labelled) {
                diag_error(c->cx, E_ARG_ORDER, args[i].value->span,
                           "an argument without a name cannot follow one with a name");
                return true;
            }
            if (builtin[k].max >= 0 && positional > (uint32_t)builtin[k].max) {
                Diag *d = diag_error(c->cx, E_TOO_MANY_ARGS, args[i].value->span, "'%s' takes %d argument%s",
                                     name, builtin[k].max, builtin[k].max == 1 ? "" : "s");
                if (labels.len > 1)
                    diag_help(c->cx, d, "the others are given by name, as in '%s: ...'", labels.at[0]);
                return true;
            }
            continue;
        }
        labelled = true;
        if (!is_more(&f, args[i].label)) {
            unknown_label(c, &f, &args[i]);
            return true;
        }
        for (uint32_t j = 0; j < i; j++)
            if (args[j].label == args[i].label)
                diag_error(c->cx, E_ARG_TWICE, args[i].label_span, "the argument '%s' is given twice",
                           args[i].label);
    }
    if (positional && (int)n < builtin[k].min)
        diag_error(c->cx, E_MISSING_ARG, at, "'%s' takes %s%d arguments; there %s %u here", name,
                   builtin[k].max == builtin[k].min ? "" : "at least ", builtin[k].min, n == 1 ? "is" : "are",
                   n);
    return true;
}
