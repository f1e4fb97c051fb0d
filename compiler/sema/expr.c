/* Names and calls inside expressions. */
#include "sema/checker.h"

static void note_use(Checker *c, const Def *to, Span at) {
    if (!c->def) return;
    Edge e = {c->def, to, at};
    vec_push(c->cx->pass, &c->edges, e);
}

static void name_check(Checker *c, const Expr *e) {
    if (scope_use(c, e->name)) return;
    const Def *d = ast_find(c->cx, c->ast, e->span.file, e->name);
    if (d)
        note_use(c, d, e->span);
    else if (!scope_knows(c, e->name, e->span.file))
        scope_unknown(c, e->name, e->span);
}

void exprs_check(Checker *c, Expr *const *e, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) expr_check(c, e[i]);
}

void args_check(Checker *c, const Arg *a, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) expr_check(c, a[i].value);
}

static void call_check(Checker *c, const Expr *e) {
    args_check(c, e->args, e->n);
    if (e->a->kind != EX_NAME || scope_find(c, e->a->name)) {
        expr_check(c, e->a);
        return;
    }
    const Def *d = ast_find(c->cx, c->ast, e->span.file, e->a->name);
    if (d) {
        note_use(c, d, e->a->span);
        call_check_def(c, d, e->span, e->args, e->n);
    } else if (!call_check_builtin(c, e->a->name, e->span, e->args, e->n)) {
        name_check(c, e->a);
    }
}

void expr_check(Checker *c, const Expr *e) {
    size_t mark;
    if (!e) return;
    switch (e->kind) {
    case EX_INT:
    case EX_REAL:
    case EX_STRING:
        break;
    case EX_NAME:
        name_check(c, e);
        break;
    case EX_UNARY:
    case EX_ADJOINT:
    case EX_FIELD:
        expr_check(c, e->a);
        break;
    case EX_BINARY:
    case EX_COND:
    case EX_RANGE:
        expr_check(c, e->a);
        expr_check(c, e->b);
        expr_check(c, e->c);
        break;
    case EX_CALL:
        call_check(c, e);
        break;
    case EX_INDEX:
        expr_check(c, e->a);
        exprs_check(c, e->items, e->n);
        break;
    case EX_LIST:
    case EX_BLOCKS:
        exprs_check(c, e->items, e->n);
        break;
    case EX_EACH:
        expr_check(c, e->b);
        mark = scope_open(c);
        scope_add(c, mark, e->name, SYM_TURN, e->name_span);
        expr_check(c, e->a);
        scope_close(c, mark);
        break;
    case EX_WHERE:
        mark = scope_open(c);
        stmts_check(c, e->stmts, e->n, mark);
        expr_check(c, e->a);
        scope_close(c, mark);
        break;
    }
}
