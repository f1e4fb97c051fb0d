/* Lasso problems and the solvers' heads. */
#include "sema/checker.h"
#include <string.h>

static bool is_name(const Expr *e, Name name) { return e && e->kind == EX_NAME && e->name == name; }

static const Expr *base_of(const Expr *e) {
    while (e && e->kind == EX_INDEX) e = e->a;
    return e;
}

static bool is_apply(const Expr *e) { return e->kind == EX_BINARY && e->bin == BIN_MUL; }

static void option_check(Checker *c, const Option *o) {
    static const char *const known[] = {"lambda", "prox", "solve", "init", "step", "gradient"};
    static const char *const modes[] = {"unrolled", "recompute", "implicit", "stopped"};
    size_t k = 0, mark = scope_open(c);
    for (uint32_t i = 0; i < o->nindex; i++) { /* prox[i]: a new name counts the layers */
        const Expr *e = o->index[i];
        if (e->kind == EX_NAME && !scope_find(c, e->name))
            scope_add_quietly(c, e->name, SYM_TURN, e->span);
        else
            expr_check(c, e);
    }
    if (o->decl) { /* its name was declared by the caller */
        Stmt copy = *o->decl;
        size_t inner = scope_open(c);
        copy.nindex = 0;
        Stmt *one = &copy;
        stmts_check(c, &one, 1, inner);
        scope_use(c, o->decl->name); /* by the solver */
        scope_close(c, inner);
        if (o->untied && o->decl->kind == ST_TUNABLE)
            diag_error(c->cx, E_OPTION_FORM, o->span, "a tunable cannot be untied");
        scope_close(c, mark);
        return;
    }
    while (k < 6 && strcmp(known[k], o->name)) k++;
    if (k == 6) {
        Diag *d = diag_error(c->cx, E_UNKNOWN_OPTION, o->name_span, "a lasso has no option '%s'", o->name);
        const char *near = diag_nearest(o->name, known, 6);
        if (strcmp(o->name, "unfold") == 0 || strcmp(o->name, "iterations") == 0 ||
            strcmp(o->name, "until") == 0 || strcmp(o->name, "at_most") == 0)
            diag_help(c->cx, d, "it belongs to the solver: 'solve = fista(%s: ...)'", o->name);
        else if (strcmp(o->name, "solver") == 0)
            diag_help(c->cx, d, "did you mean 'solve'?");
        else if (strcmp(o->name, "threshold") == 0)
            diag_help(c->cx, d, "did you mean 'prox'?");
        else if (near)
            diag_help(c->cx, d, "did you mean '%s'?", near);
        else
            diag_help(c->cx, d,
                      "options are lambda, prox, solve, init, step and gradient; a further name is declared "
                      "with 'param' or 'tunable'");
    }
    bool is_prox = strcmp(o->name, "prox") == 0;
    if (k < 6 && o->nparams && !is_prox)
        diag_error(c->cx, E_OPTION_FORM, o->span, "only 'prox' can be written as a function, not '%s'",
                   o->name);
    if (is_prox && o->nparams > 2) {
        Diag *d = diag_error(c->cx, E_OPTION_FORM, o->span,
                             "a prox is a function of one or two arguments, not of %u", o->nparams);
        diag_help(c->cx, d, "write 'prox(z) = ...', or 'prox(z, t) = ...' where t is step * lambda");
    }
    if (o->untied &&
        (strcmp(o->name, "solve") == 0 || strcmp(o->name, "init") == 0 || strcmp(o->name, "gradient") == 0))
        diag_error(c->cx, E_OPTION_FORM, o->span, "'%s' cannot be untied: it is not used in every update",
                   o->name);
    for (uint32_t i = 0; i < o->nparams; i++) scope_add(c, mark, o->params[i], SYM_ARG, o->param_spans[i]);
    if (strcmp(o->name, "gradient") == 0) {
        const Expr *v = o->value;
        size_t i = 0;
        while (i < 4 && v->kind == EX_NAME && strcmp(modes[i], v->name)) i++;
        if (v->kind == EX_NAME && i == 4 && !scope_find(c, v->name)) {
            Diag *d =
                diag_error(c->cx, E_OPTION_FORM, o->value->span, "there is no gradient '%s'", o->value->name);
            const char *near = diag_nearest(o->value->name, modes, 4);
            if (near)
                diag_help(c->cx, d, "did you mean '%s'?", near);
            else
                diag_help(c->cx, d, "it is unrolled, recompute, implicit or stopped");
            scope_close(c, mark);
            return;
        }
    }
    expr_check(c, o->value);
    scope_close(c, mark);
}

void lasso_check(Checker *c, const Stmt *s, size_t mark) {
    const Expr *target = base_of(s->targets[0]);
    Name code = target->name;
    const Sym *old = scope_find(c, code);
    bool indexed = s->targets[0]->kind == EX_INDEX;
    if (indexed)
        for (const Expr *e = s->targets[0]; e->kind == EX_INDEX; e = e->a) exprs_check(c, e->items, e->n);
    expr_check(c, s->signal);
    if (!is_apply(s->dict)) {
        Diag *d = diag_error(c->cx, E_LASSO_FORM, s->dict->span,
                             "the right side of '~' is an operator times the code");
        diag_help(c->cx, d, "write '~ D * %s'", code);
    } else {
        const Expr *b = base_of(s->dict->b);
        if (!is_name(b, code)) {
            Diag *d =
                diag_error(c->cx, E_LASSO_FORM, s->dict->b->span,
                           "the code on the right of '~' is not the one that is looked for, '%s'", code);
            diag_note(c->cx, d, target->span, "named here");
        }
        expr_check(c, s->dict->a);
        for (const Expr *e = s->dict->b; e && e->kind == EX_INDEX; e = e->a) exprs_check(c, e->items, e->n);
    }
    size_t inner = scope_open(c);
    for (uint32_t i = 0; i < s->noptions; i++) { /* options see each other's names */
        const Option *o = s->options[i];
        for (uint32_t k = 0; k < i; k++)
            if (s->options[k]->name == o->name && !s->options[k]->nindex && !o->nindex) {
                Diag *d = diag_error(c->cx, E_TWICE, o->name_span, "the option '%s' is given twice", o->name);
                diag_note(c->cx, d, s->options[k]->name_span, "first here");
                break;
            }
        scope_add_quietly(c, o->name, SYM_OPTION, o->name_span);
    }
    for (uint32_t i = 0; i < s->noptions; i++) option_check(c, s->options[i]);
    c->syms.len = inner;
    if (old && (old->kind == SYM_VAR || old->kind == SYM_UNKNOWN || old->kind == SYM_ARG ||
                (old->kind == SYM_CODE && indexed)))
        return;
    if (!indexed) {
        scope_add(c, mark, code, SYM_CODE, target->span);
        return;
    }
    Sym sym = {code, SYM_CODE, target->span, NULL}; /* `lasso G[i]` in a loop makes a list that is known outside */
    vec_push(c->cx->pass, &c->lifted, sym);
}

void solver_head_check(Checker *c, const Def *d, size_t mark) {
    for (uint32_t i = 0; i < d->nparams; i++) {
        const Param *p = &d->params[i];
        if (p->problem && (d->kind != DEF_SOLVER || i)) {
            Diag *g = diag_error(c->cx, E_SOLVER_HEAD, p->problem->span,
                                 d->kind == DEF_SOLVER ? "only the first argument of a solver is its problem"
                                                       : "only a solver has a problem '%s ~ ...' as argument",
                                 p->name);
            if (d->kind != DEF_SOLVER) diag_help(c->cx, g, "begin the definition with 'solver'");
        }
    }
    if (d->kind != DEF_SOLVER) return;
    const Param *p = d->nparams ? &d->params[0] : NULL;
    if (!p || !p->problem) {
        Diag *g = diag_error(c->cx, E_SOLVER_HEAD, p ? p->span : d->name_span,
                             "the first argument of a solver is the problem it solves");
        diag_help(c->cx, g, "write 'solver %s(X ~ D * g)', or '(X ~ chain(D) * G)' for several layers",
                  d->name);
        return;
    }
    const Expr *e = p->problem, *op = is_apply(e) ? e->a : NULL;
    bool chain = op && op->kind == EX_CALL && op->a->kind == EX_NAME && strcmp(op->a->name, "chain") == 0 &&
                 op->n == 1 && !op->args[0].label;
    if (chain) op = op->args[0].value;
    if (!op || op->kind != EX_NAME || e->b->kind != EX_NAME) {
        Diag *g =
            diag_error(c->cx, E_SOLVER_HEAD, e->span, "a solver's problem is written with names of its own");
        diag_help(c->cx, g, "write 'X ~ D * g', or 'X ~ chain(D) * G' for several layers");
        return;
    }
    scope_add(c, mark, op->name, SYM_ARG, op->span);
    scope_add(c, mark, e->b->name, SYM_UNKNOWN, e->b->span);
}
