/* Which names are visible where, and what to say of one that is not. */
#include "sema/checker.h"
#include <string.h>

static const struct {
    const char *word, *help;
} foreign[] = {
    {"True", "it is written 'true'"},
    {"False", "it is written 'false'"},
    {"None", "no threshold is 'none', a start from nothing is 'zero'"},
    {"null", "no threshold is 'none', a start from nothing is 'zero'"},
    {"len", "'length(list)' counts a list, 'channels(x)', 'height(x)' and 'width(x)' give sizes of a tensor"},
    {"range", "a range is written '1..n', both ends included"},
    {"not", "'!a' negates a condition"},
    {"self", "parts of a model are named directly"},
    {"torch", "layers and functions are called by their own names, as in 'relu(x)'"},
    {"nn", "layers and functions are called by their own names, as in 'relu(x)'"},
    {"np", "functions are called by their own names, as in 'sqrt(x)'"},
    {"math", "functions are called by their own names, as in 'sqrt(x)'"},
};

size_t scope_open(const Checker *c) { return c->syms.len; }

void scope_close(Checker *c, size_t mark) {
    for (size_t i = mark; i < c->syms.len; i++) vec_push(c->cx->pass, &c->gone, c->syms.at[i]);
    c->syms.len = mark;
}

void scope_add_quietly(Checker *c, Name name, SymKind kind, Span at) {
    Sym s = {name, kind, at, NULL};
    vec_push(c->cx->pass, &c->syms, s);
}

void scope_add(Checker *c, size_t mark, Name name, SymKind kind, Span at) {
    for (size_t i = mark; i < c->syms.len; i++)
        if (c->syms.at[i].name == name && c->syms.at[i].kind != SYM_OPTION) {
            Diag *d = diag_error(c->cx, E_TWICE, at, "'%s' is defined twice in this block", name);
            diag_note(c->cx, d, c->syms.at[i].span, "first here");
            if (kind == SYM_LET)
                diag_help(c->cx, d, "a value that changes is a 'var', and gets a new value without 'let'");
            return;
        }
    scope_add_quietly(c, name, kind, at);
    for (size_t i = 0; i < c->missing.len; i++)
        if (c->missing.at[i].name == name && c->missing.at[i].diag) {
            diag_note(c->cx, c->missing.at[i].diag, at, "it is defined here, further down");
            c->missing.at[i].diag = NULL;
        }
}

const Sym *scope_find(const Checker *c, Name name) {
    for (size_t i = c->syms.len; i-- > 0;)
        if (c->syms.at[i].name == name) return &c->syms.at[i];
    for (size_t i = 0; i < c->lifted.len; i++)
        if (c->lifted.at[i].name == name) return &c->lifted.at[i];
    return NULL;
}

bool scope_use(Checker *c, Name name) {
    const Sym *s = scope_find(c, name);
    if (s && s->used) *s->used = true;
    return s != NULL;
}

void scope_add_param(Checker *c, size_t mark, Name name, Span at) {
    size_t before = c->syms.len;
    scope_add(c, mark, name, SYM_PARAM, at);
    if (c->syms.len == before) return; /* a second of this name */
    Sym *s = &c->syms.at[before];
    s->used = ARENA_NEW(c->cx->pass, bool);
    vec_push(c->cx->pass, &c->params, *s);
}

void params_check(Checker *c) {
    for (size_t i = 0; i < c->params.len; i++) {
        const Sym *s = &c->params.at[i];
        if (*s->used) continue;
        Diag *d = diag_warning(c->cx, E_UNUSED_PARAM, s->span, "the parameter '%s' is used nowhere", s->name);
        diag_help(c->cx, d, "nothing depends on it, so nothing is learned; is another name written where it should stand?");
    }
}

static bool is_builtin(Name name) {
    size_t n;
    const char *const *list = builtin_names(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0) return true;
    return false;
}

bool scope_knows(Checker *c, Name name, uint32_t source) {
    return scope_find(c, name) || ast_find(c->cx, c->ast, source, name) || is_builtin(name);
}

static const char *nearest(Checker *c, Name name) {
    Vec(const char *) all = {0};
    Arena *a = c->cx->pass;
    size_t nb;
    const char *const *builtins = builtin_names(&nb);
    for (size_t i = 0; i < c->syms.len; i++) vec_push(a, &all, c->syms.at[c->syms.len - 1 - i].name);
    for (uint32_t f = 0; f < c->ast->nfiles; f++)
        for (uint32_t k = 0; k < c->ast->files[f]->ndefs; k++)
            if (c->ast->files[f]->defs[k]->kind != DEF_MODEL)
                vec_push(a, &all, c->ast->files[f]->defs[k]->name);
    for (size_t i = 0; i < nb; i++) vec_push(a, &all, builtins[i]);
    return diag_nearest(name, all.at, all.len);
}

void scope_unknown(Checker *c, Name name, Span at) {
    if (c->any_name) return;
    for (size_t i = 0; i < c->missing.len; i++)
        if (c->missing.at[i].name == name) return;
    Diag *d = diag_error(c->cx, E_UNKNOWN_NAME, at, "'%s' is not known here", name);
    Missing m = {name, d};
    vec_push(c->cx->pass, &c->missing, m);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strcmp(foreign[i].word, name) == 0) {
            diag_help(c->cx, d, "%s", foreign[i].help);
            return;
        }
    for (size_t i = 0; i < c->gone.len; i++)
        if (c->gone.at[i].name == name) {
            diag_note(c->cx, d, c->gone.at[i].span, "this one is known inside its block only");
            diag_help(c->cx, d, "declare it before the block with 'var' and give it its value inside");
            return;
        }
    for (uint32_t f = 0; f < c->ast->nfiles; f++)
        for (uint32_t k = 0; k < c->ast->files[f]->ndefs; k++)
            if (c->ast->files[f]->defs[k]->kind == DEF_MODEL && c->ast->files[f]->defs[k]->name == name) {
                diag_note(c->cx, d, c->ast->files[f]->defs[k]->name_span,
                          "this is a model; models are trained and built, not called");
                diag_help(c->cx, d, "what several models share is a 'layer'");
                return;
            }
    static const struct {
        const char *kind, *name;
    } recipes[] = {
#define RECIPE(kind, name, labels, what) {#kind, name},
#include "sig/recipes.def"
    };
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (strcmp(recipes[i].name, name) == 0) {
            diag_help(c->cx, d, "'%s' is a recipe of train blocks, for their option %s", name,
                      *recipes[i].kind == 'D'                  ? "'data'"
                      : *recipes[i].kind == 'A'                ? "'augment'"
                      : *recipes[i].kind == 'O'                ? "'optimizer'"
                      : strcmp(recipes[i].kind, "STAGES") == 0 ? "'stages'"
                                                               : "'optimizer', as 'schedule:'");
            return;
        }
    const char *near = nearest(c, name);
    if (near) diag_help(c->cx, d, "did you mean '%s'?", near);
}
