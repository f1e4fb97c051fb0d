/* Statements: where they may stand, what they define, their types and constraints. */
#include "sema/checker.h"
#include <string.h>

static bool one_of(Name name, const char *const *list) {
    for (; *list; list++)
        if (strcmp(*list, name) == 0) return true;
    return false;
}

static const char *near_of(Name name, const char *const *list) {
    size_t n = 0;
    while (list[n]) n++;
    return diag_nearest(name, list, n);
}

/* ---- types ---- */
void type_check(Checker *c, const TypeRef *t, bool free_sizes) {
    static const char *const types[] = {"real",     "int",        "bool",     "string", "class", "list",
                                        "like",     "tensor",     "operator", "solver", "prox",  "layer",
                                        "function", "dictionary", "lasso",    NULL};
    if (!t) return;
    if (!one_of(t->name, types)) {
        Diag *d = diag_error(c->cx, E_UNKNOWN_TYPE, t->span, "there is no type '%s'", t->name);
        const char *near = near_of(t->name, types);
        if (strcmp(t->name, "float") == 0 || strcmp(t->name, "double") == 0 || strcmp(t->name, "Tensor") == 0)
            near = "real";
        if (strcmp(t->name, "str") == 0) near = "string";
        if (strcmp(t->name, "integer") == 0) near = "int";
        if (near) diag_help(c->cx, d, "did you mean '%s'?", near);
    }
    for (uint32_t i = 0; i < t->n; i++) {
        const Expr *e = t->dims[i];
        if (free_sizes && e->kind == EX_NAME && !scope_knows(c, e->name, e->span.file))
            scope_add_quietly(c, e->name, SYM_SIZE, e->span);
        else
            expr_check(c, e);
    }
    args_check(c, t->args, t->nargs);
    if (strcmp(t->name, "like") == 0 && (t->nargs != 1 || t->n || t->args[0].label))
        diag_error(c->cx, E_PORT_TYPE, t->span,
                   "'like' takes the operator to be built alike, as in 'like(D)'");
    else if (t->nargs && strcmp(t->name, "like") != 0 && one_of(t->name, types))
        diag_help(c->cx,
                  diag_error(c->cx, E_PORT_TYPE, t->span, "the type '%s' takes no arguments in ( )", t->name),
                  "sizes stand in [ ]");
    if (strcmp(t->name, "class") == 0 && !t->n)
        diag_help(c->cx, diag_error(c->cx, E_PORT_TYPE, t->span, "'class' needs the number of classes"),
                  "write 'class[10]'");
}

static void param_check(Checker *c, const Stmt *s) {
    static const struct {
        const char *name;
        int takes;
        const char *example;
    } table[] = {{"unit_atoms", 0, ""},
                 {"unit_columns", 0, ""},
                 {"nonnegative", 0, ""},
                 {"orthogonal", 0, ""},
                 {"fixed", 0, ""},
                 {"sparse_l0", 1, "sparse_l0(3)"},
                 {"sparse_l1", 1, "sparse_l1(1e-3)"}};
    enum { N = sizeof table / sizeof *table };
    size_t mark = scope_open(c);
    expr_check(c, s->over);
    if (s->over_name) scope_add(c, mark, s->over_name, SYM_TURN, s->over_span);
    type_check(c, s->type, false);
    if (s->type && strcmp(s->type->name, "real") && strcmp(s->type->name, "like")) {
        static const char *const others[] = {"int",  "bool",  "string",   "class",      "list",  "solver",
                                             "prox", "layer", "function", "dictionary", "lasso", NULL};
        if (one_of(s->type->name, others)) {
            Diag *d = diag_error(c->cx, E_PORT_TYPE, s->type->span, "a param cannot be of type '%s'",
                                 s->type->name);
            diag_help(c->cx, d, "what is learned is 'real', 'real[sizes]' or 'like(D)'");
        }
    }
    expr_check(c, s->value);
    for (uint32_t i = 0; i < s->nconstraints; i++) {
        const ConstraintRef *r = &s->constraints[i];
        const char *names[N];
        int k = 0;
        for (int j = 0; j < N; j++) names[j] = table[j].name;
        while (k < N && strcmp(table[k].name, r->name)) k++;
        args_check(c, r->args, r->n);
        if (k == N) {
            Diag *d =
                diag_error(c->cx, E_UNKNOWN_CONSTRAINT, r->span, "there is no constraint '%s'", r->name);
            const char *near = diag_nearest(r->name, names, N);
            if (near)
                diag_help(c->cx, d, "did you mean '%s'?", near);
            else
                diag_help(c->cx, d,
                          "there are unit_atoms, unit_columns, nonnegative, orthogonal, fixed, sparse_l0, "
                          "sparse_l1");
        } else if ((int)r->n != table[k].takes) {
            Diag *d =
                diag_error(c->cx, E_CONSTRAINT_FORM, r->span,
                           table[k].takes ? "'%s' takes one number" : "'%s' takes no arguments", r->name);
            if (table[k].takes) diag_help(c->cx, d, "write '%s'", table[k].example);
        } else if (r->n && r->args[0].label) {
            diag_error(c->cx, E_CONSTRAINT_FORM, r->args[0].label_span, "the argument of '%s' has no name",
                       r->name);
        }
        for (uint32_t j = 0; j < i; j++)
            if (s->constraints[j].name == r->name)
                diag_error(c->cx, E_TWICE, r->span, "the constraint '%s' is given twice", r->name);
    }
    scope_close(c, mark);
}

static void port_check(Checker *c, const Stmt *s, size_t mark) {
    const char *word = s->kind == ST_INPUT    ? "input"
                       : s->kind == ST_LABEL  ? "label"
                       : s->kind == ST_TARGET ? "target"
                                              : "output";
    if (!c->def || c->def->kind != DEF_MODEL) {
        Diag *d = diag_error(c->cx, E_PLACE, s->span, "'%s' stands in a model only", word);
        if (c->def && s->kind == ST_OUTPUT)
            diag_help(c->cx, d, "a %s gives back its value with 'return'", ast_def_text(c->def->kind));
        else if (c->def)
            diag_help(c->cx, d, "a %s gets its values as arguments", ast_def_text(c->def->kind));
    } else if (c->loops) {
        diag_error(c->cx, E_PLACE, s->span, "'%s' cannot stand in a loop", word);
    }
    if (s->kind == ST_OUTPUT) {
        if (s->value) {
            expr_check(c, s->value);
            scope_add(c, mark, s->name, SYM_OUTPUT, s->name_span);
        } else if (!scope_use(c, s->name)) {
            scope_unknown(c, s->name, s->name_span);
        }
        return;
    }
    type_check(c, s->type, true);
    bool is_class = strcmp(s->type->name, "class") == 0, is_real = strcmp(s->type->name, "real") == 0;
    if (is_class || is_real || strcmp(s->type->name, "int") == 0 || strcmp(s->type->name, "bool") == 0 ||
        strcmp(s->type->name, "string") == 0) {
        if (s->kind == ST_LABEL && !is_class) {
            Diag *d =
                diag_error(c->cx, E_PORT_TYPE, s->type->span, "a label is a class, not '%s'", s->type->name);
            diag_help(c->cx, d,
                      is_real ? "write 'target %s : real[...]' for values, 'label %s : class[10]' for a class"
                              : "write 'label %s : class[10]'",
                      s->name, s->name);
        } else if (s->kind != ST_LABEL && !is_real) {
            Diag *d = diag_error(c->cx, E_PORT_TYPE, s->type->span, "%s %s is real, not '%s'",
                                 s->kind == ST_INPUT ? "an" : "a", word, s->type->name);
            if (is_class)
                diag_help(c->cx, d, "write 'label %s : class[...]'", s->name);
            else
                diag_help(c->cx, d, "what is known while compiling is an argument of the model");
        }
    }
    scope_add(c, mark, s->name, SYM_PORT, s->name_span);
}

static void count_check(Checker *c, const Stmt *s, uint32_t names) {
    if (names == s->nvalues ||
        (s->nvalues == 1 && (s->values[0]->kind == EX_CALL || s->values[0]->kind == EX_COND)))
        return;
    diag_error(c->cx, E_COUNT, s->span, "there %s %u name%s and %u value%s", names == 1 ? "is" : "are", names,
               names == 1 ? "" : "s", s->nvalues, s->nvalues == 1 ? "" : "s");
}

static void target_check(Checker *c, const Expr *e) {
    bool indexed = e->kind == EX_INDEX;
    while (e->kind == EX_INDEX) {
        exprs_check(c, e->items, e->n);
        e = e->a;
    }
    const Sym *s = scope_find(c, e->name);
    if (!s) {
        if (scope_knows(c, e->name, e->span.file)) {
            Diag *d = diag_error(
                c->cx, E_CONSTANT, e->span,
                "'%s' is a name of the library or of a definition and cannot be given a value", e->name);
            diag_help(c->cx, d, "a new name begins with 'let' or 'var'");
            return;
        }
        scope_unknown(c, e->name, e->span);
        Missing *m = c->missing.len ? &c->missing.at[c->missing.len - 1] : NULL;
        if (m && m->name == e->name && m->diag && !m->diag->notes.len)
            diag_help(c->cx, m->diag, "a new name begins with 'let', or with 'var' when its value changes");
        return;
    }
    if (s->kind == SYM_VAR || s->kind == SYM_UNKNOWN || (s->kind == SYM_CODE && indexed)) return;
    Diag *d = diag_error(c->cx, E_CONSTANT, e->span, "'%s' cannot be given a new value", e->name);
    diag_note(c->cx, d, s->span, "it is defined here");
    if (s->kind == SYM_LET)
        diag_help(c->cx, d, "declare it with 'var' instead of 'let'");
    else if (s->kind == SYM_ARG || s->kind == SYM_CODE)
        diag_help(c->cx, d, "begin with 'var y = %s' and change 'y'", e->name);
    else if (s->kind == SYM_PORT || s->kind == SYM_PARAM || s->kind == SYM_DICTIONARY)
        diag_help(c->cx, d, "give the new value a name of its own");
}

static bool returns(Stmt *const *s, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (s[i]->kind == ST_RETURN || returns(s[i]->body, s[i]->nbody) ||
            returns(s[i]->orelse, s[i]->norelse))
            return true;
    return false;
}

static void block_check(Checker *c, Stmt *const *s, uint32_t n) {
    size_t mark = scope_open(c);
    stmts_check(c, s, n, mark);
    scope_close(c, mark);
}

static void stmt_check(Checker *c, const Stmt *s, size_t mark) {
    size_t inner;
    switch (s->kind) {
    case ST_DICTIONARY:
        inner = scope_open(c);
        expr_check(c, s->over);
        if (s->over_name) scope_add(c, inner, s->over_name, SYM_TURN, s->over_span);
        expr_check(c, s->value);
        scope_close(c, inner);
        scope_add(c, mark, s->name, SYM_DICTIONARY, s->name_span);
        break;
    case ST_LASSO:
        lasso_check(c, s, mark);
        break;
    case ST_INPUT:
    case ST_LABEL:
    case ST_TARGET:
    case ST_OUTPUT:
        port_check(c, s, mark);
        break;
    case ST_PARAM:
        param_check(c, s);
        scope_add_param(c, mark, s->name, s->name_span);
        break;
    case ST_TUNABLE:
        if (s->nindex)
            diag_error(c->cx, E_PLACE, s->span,
                       "a tunable with an index stands in a lasso over a chain only");
        expr_check(c, s->value);
        scope_add(c, mark, s->name, SYM_TUNABLE, s->name_span);
        break;
    case ST_VAR:
    case ST_LET:
        exprs_check(c, s->values, s->nvalues);
        count_check(c, s, s->nnames);
        for (uint32_t i = 0; i < s->nnames; i++)
            scope_add(c, mark, s->names[i], s->kind == ST_VAR ? SYM_VAR : SYM_LET, s->name_spans[i]);
        break;
    case ST_ASSIGN:
        exprs_check(c, s->values, s->nvalues);
        count_check(c, s, s->ntargets);
        for (uint32_t i = 0; i < s->ntargets; i++) target_check(c, s->targets[i]);
        break;
    case ST_FOR:
        expr_check(c, s->value);
        inner = scope_open(c);
        scope_add(c, inner, s->name, SYM_TURN, s->name_span);
        c->loops++;
        block_check(c, s->body, s->nbody);
        c->loops--;
        scope_close(c, inner);
        break;
    case ST_REPEAT:
        expr_check(c, s->value);
        c->loops++;
        inner = scope_open(c);
        stmts_check(c, s->body, s->nbody, inner);
        expr_check(c, s->cond); /* the test sees what a turn has made */
        scope_close(c, inner);
        c->loops--;
        break;
    case ST_IF:
        expr_check(c, s->cond);
        block_check(c, s->body, s->nbody);
        block_check(c, s->orelse, s->norelse);
        break;
    case ST_REQUIRE:
        expr_check(c, s->cond);
        break;
    case ST_RETURN:
        exprs_check(c, s->values, s->nvalues);
        if (c->def && c->def->kind == DEF_MODEL) {
            Diag *d = diag_error(c->cx, E_PLACE, s->span, "a model does not return");
            diag_help(c->cx, d, "write 'output NAME = value'");
        }
        break;
    }
}

void stmts_check(Checker *c, Stmt *const *s, uint32_t n, size_t mark) {
    for (uint32_t i = 0; i < n; i++) {
        if (i && s[i - 1]->kind == ST_RETURN) {
            Diag *d = diag_error(c->cx, E_AFTER_RETURN, s[i]->span, "nothing behind 'return' is reached");
            diag_note(c->cx, d, s[i - 1]->span, "here the block ends");
        }
        stmt_check(c, s[i], mark);
    }
    if (c->def && s == c->def->body && c->def->kind != DEF_MODEL && !c->def->value && !returns(s, n))
        diag_help(c->cx,
                  diag_error(c->cx, E_NO_RETURN, c->def->name_span, "the %s '%s' returns nothing",
                             ast_def_text(c->def->kind), c->def->name),
                  "end it with 'return value'");
}
