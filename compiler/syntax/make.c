/* Constructors of the tree: what the grammar's actions call. All memory is the compilation's. */
#include "syntax/reader.h"
#include <string.h>

List *make_list(Reader *r, void *first) {
    List *l = ARENA_NEW(r->cx->keep, List);
    return make_more(r, l, first);
}

List *make_more(Reader *r, List *l, void *x) {
    if (x) vec_push(r->cx->keep, &l->of, x);
    return l;
}

Named *make_named(Reader *r, Name name, Span at) {
    Named *n = ARENA_NEW(r->cx->keep, Named);
    *n = (Named){name, at};
    return n;
}

static uint32_t length(const List *l) { return l ? (uint32_t)l->of.len : 0; }
static void *array(Reader *r, const List *l) {
    return arena_copy(r->cx->keep, l ? l->of.at : NULL, length(l) * sizeof(void *));
}

/* Args are kept by value. */
static Arg *arg_array(Reader *r, const List *l) {
    Arg *a = ARENA_ARRAY(r->cx->keep, Arg, length(l));
    for (uint32_t i = 0; i < length(l); i++) a[i] = *(Arg *)l->of.at[i];
    return a;
}

/* ---- heights: a tree that is too high is cut, so that whoever walks it may recurse ---- */
static uint32_t higher(uint32_t h, const Expr *e) { return e && e->height > h ? e->height : h; }
static uint32_t args_height(uint32_t h, const Arg *a, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) h = higher(h, a[i].value);
    return h;
}
static uint32_t items_height(uint32_t h, Expr *const *e, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) h = higher(h, e[i]);
    return h;
}
static uint32_t type_height(uint32_t h, const TypeRef *t) {
    return t ? args_height(items_height(h, t->dims, t->n), t->args, t->nargs) : h;
}
static uint32_t stmts_height(uint32_t h, Stmt *const *s, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (s[i]->height > h) h = s[i]->height;
    return h;
}

static bool too_high(Reader *r, uint32_t height, Span at) {
    if (height <= AST_HEIGHT_MOST) return false;
    if (!r->told_height) syntax_report_depth(r, at);
    r->told_height = true;
    return true;
}

static Expr *expr_new(Reader *r, Span at, ExprKind kind) {
    Expr *e = ARENA_NEW(r->cx->keep, Expr);
    e->kind = kind;
    e->span = at;
    e->height = 1;
    return e;
}

static Expr *expr_done(Reader *r, Expr *e) {
    uint32_t h = higher(higher(higher(0, e->a), e->b), e->c);
    e->height = 1 + stmts_height(args_height(items_height(h, e->items, e->items ? e->n : 0), e->args,
                                             e->args ? e->n : 0),
                                 e->stmts, e->stmts ? e->n : 0);
    return too_high(r, e->height, e->span) ? make_int(r, e->span, 0) : e;
}

static Stmt *stmt_new(Reader *r, Span at, StmtKind kind) {
    Stmt *s = ARENA_NEW(r->cx->keep, Stmt);
    s->kind = kind;
    s->span = at;
    return s;
}

static Stmt *stmt_done(Reader *r, Stmt *s) {
    uint32_t h = higher(higher(higher(higher(higher(0, s->over), s->value), s->cond), s->signal), s->dict);
    h = type_height(h, s->type);
    h = items_height(items_height(items_height(h, s->targets, s->ntargets), s->values, s->nvalues), s->index,
                     s->nindex);
    for (uint32_t i = 0; i < s->nconstraints; i++)
        h = args_height(h, s->constraints[i].args, s->constraints[i].n);
    for (uint32_t i = 0; i < s->noptions; i++) {
        const Option *o = s->options[i];
        h = items_height(higher(h, o->value), o->index, o->nindex);
        if (o->decl && o->decl->height > h) h = o->decl->height;
    }
    s->height = 1 + stmts_height(stmts_height(h, s->body, s->nbody), s->orelse, s->norelse);
    return too_high(r, s->height, s->span) ? NULL : s;
}

/* ---- expressions ---- */
Expr *make_name(Reader *r, Span at, Name name) {
    Expr *e = expr_new(r, at, EX_NAME);
    e->name = name;
    e->name_span = at;
    return e;
}
Expr *make_int(Reader *r, Span at, int64_t v) {
    Expr *e = expr_new(r, at, EX_INT);
    e->integer = v;
    e->real = (double)v;
    return e;
}
Expr *make_real(Reader *r, Span at, double v) {
    Expr *e = expr_new(r, at, EX_REAL);
    e->real = v;
    return e;
}
Expr *make_string(Reader *r, Span at, Name text) {
    Expr *e = expr_new(r, at, EX_STRING);
    e->name = text;
    return e;
}
Expr *make_unary(Reader *r, Span at, UnOp op, Expr *a) {
    Expr *e = expr_new(r, at, EX_UNARY);
    e->un = op;
    e->a = a;
    return expr_done(r, e);
}
Expr *make_binary(Reader *r, Span at, BinOp op, Expr *a, Expr *b) {
    Expr *e = expr_new(r, at, EX_BINARY);
    e->bin = op;
    e->a = a;
    e->b = b;
    return expr_done(r, e);
}
static Expr *make_three(Reader *r, Span at, ExprKind kind, Expr *a, Expr *b, Expr *c) {
    Expr *e = expr_new(r, at, kind);
    e->a = a;
    e->b = b;
    e->c = c;
    return expr_done(r, e);
}
Expr *make_cond(Reader *r, Span at, Expr *a, Expr *b, Expr *c) { return make_three(r, at, EX_COND, a, b, c); }
Expr *make_range(Reader *r, Span at, Expr *a, Expr *b, Expr *by) {
    return make_three(r, at, EX_RANGE, a, b, by);
}
Expr *make_adjoint(Reader *r, Span at, Expr *a) { return make_three(r, at, EX_ADJOINT, a, NULL, NULL); }
Expr *make_call(Reader *r, Span at, Expr *f, List *args) {
    Expr *e = expr_new(r, at, EX_CALL);
    e->a = f;
    e->n = length(args);
    e->args = arg_array(r, args);
    return expr_done(r, e);
}
static Expr *make_many(Reader *r, Span at, ExprKind kind, Expr *a, List *items) {
    Expr *e = expr_new(r, at, kind);
    e->a = a;
    e->n = length(items);
    e->items = array(r, items);
    return expr_done(r, e);
}
Expr *make_index(Reader *r, Span at, Expr *a, List *items) { return make_many(r, at, EX_INDEX, a, items); }
Expr *make_items(Reader *r, Span at, List *items) { return make_many(r, at, EX_LIST, NULL, items); }
Expr *make_field(Reader *r, Span at, Expr *a, Name name, Span name_at) {
    Expr *e = expr_new(r, at, EX_FIELD);
    e->a = a;
    e->name = name;
    e->name_span = name_at;
    return expr_done(r, e);
}
Expr *make_each(Reader *r, Span at, Expr *a, Name name, Span name_at, Expr *in) {
    Expr *e = expr_new(r, at, EX_EACH);
    e->a = a;
    e->b = in;
    e->name = name;
    e->name_span = name_at;
    return expr_done(r, e);
}
Expr *make_blocks(Reader *r, Span at, List *rows) {
    Expr *e = expr_new(r, at, EX_BLOCKS);
    List *all = make_list(r, NULL);
    e->nrows = length(rows);
    e->row_len = ARENA_ARRAY(r->cx->keep, uint32_t, e->nrows);
    for (uint32_t i = 0; i < e->nrows; i++) {
        const List *row = rows->of.at[i];
        e->row_len[i] = length(row);
        for (uint32_t k = 0; k < length(row); k++) make_more(r, all, row->of.at[k]);
    }
    e->n = length(all);
    e->items = array(r, all);
    return expr_done(r, e);
}
Expr *make_where(Reader *r, Span at, Expr *a, List *stmts) {
    Expr *e = expr_new(r, at, EX_WHERE);
    e->a = a;
    e->n = length(stmts);
    e->stmts = array(r, stmts);
    return expr_done(r, e);
}
Arg *make_arg(Reader *r, Name label, Span label_at, Expr *value) {
    Arg *a = ARENA_NEW(r->cx->keep, Arg);
    *a = (Arg){label, label_at, value};
    return a;
}

/* ---- small parts ---- */
TypeRef *make_type(Reader *r, Span at, Name name, List *dims, List *args) {
    TypeRef *t = ARENA_NEW(r->cx->keep, TypeRef);
    *t = (TypeRef){name, at, length(dims), array(r, dims), length(args), arg_array(r, args)};
    return t;
}
ConstraintRef *make_constraint(Reader *r, Span at, Name name, List *args) {
    ConstraintRef *c = ARENA_NEW(r->cx->keep, ConstraintRef);
    *c = (ConstraintRef){name, at, length(args), arg_array(r, args)};
    return c;
}
Param *make_param(Reader *r, Span at, Name name, TypeRef *type, Expr *init, Expr *problem) {
    Param *p = ARENA_NEW(r->cx->keep, Param);
    *p = (Param){name, at, type, init, problem};
    return p;
}
static void split_names(Reader *r, const List *l, uint32_t *n, Name **names, Span **spans) {
    *n = length(l);
    *names = ARENA_ARRAY(r->cx->keep, Name, *n);
    *spans = ARENA_ARRAY(r->cx->keep, Span, *n);
    for (uint32_t i = 0; i < *n; i++) {
        const Named *d = l->of.at[i];
        (*names)[i] = d->name;
        (*spans)[i] = d->span;
    }
}

/* ---- statements ---- */
static Stmt *named_stmt(Reader *r, Span at, StmtKind kind, Name name, Span name_at) {
    Stmt *s = stmt_new(r, at, kind);
    s->name = name;
    s->name_span = name_at;
    return s;
}
Stmt *make_over(Reader *r, Name name, Span name_at, Expr *over) {
    Stmt *s = stmt_new(r, name_at, ST_FOR);
    s->over_name = name;
    s->over_span = name_at;
    s->over = over;
    return s;
}
static void take_over(Stmt *s, const Stmt *over) {
    if (!over) return;
    s->over_name = over->over_name;
    s->over_span = over->over_span;
    s->over = over->over;
}
Stmt *make_dictionary(Reader *r, Span at, Name name, Span name_at, const Stmt *over, Expr *value) {
    Stmt *s = named_stmt(r, at, ST_DICTIONARY, name, name_at);
    take_over(s, over);
    s->value = value;
    return stmt_done(r, s);
}
Stmt *make_paramdecl(Reader *r, Span at, Named *name, const Stmt *over, TypeRef *type, Expr *init,
                     List *constraints) {
    Stmt *s = named_stmt(r, at, ST_PARAM, name->name, name->span);
    take_over(s, over);
    s->type = type;
    s->value = init;
    s->nconstraints = length(constraints);
    s->constraints = ARENA_ARRAY(r->cx->keep, ConstraintRef, s->nconstraints);
    for (uint32_t i = 0; i < s->nconstraints; i++)
        s->constraints[i] = *(ConstraintRef *)constraints->of.at[i];
    return stmt_done(r, s);
}
Stmt *make_lasso(Reader *r, Span at, Expr *target, Expr *signal, Expr *dict, List *options) {
    Stmt *s = stmt_new(r, at, ST_LASSO);
    s->ntargets = 1;
    s->targets = array(r, make_list(r, target));
    s->signal = signal;
    s->dict = dict;
    s->noptions = length(options);
    s->options = array(r, options);
    return stmt_done(r, s);
}
Stmt *make_port(Reader *r, Span at, StmtKind kind, Name name, Span name_at, TypeRef *type, Expr *value) {
    Stmt *s = named_stmt(r, at, kind, name, name_at);
    s->type = type;
    s->value = value;
    return stmt_done(r, s);
}
Stmt *make_tunable(Reader *r, Span at, Name name, Span name_at, List *index, Expr *value) {
    Stmt *s = named_stmt(r, at, ST_TUNABLE, name, name_at);
    s->nindex = length(index);
    s->index = array(r, index);
    s->value = value;
    return stmt_done(r, s);
}
static void take_values(Reader *r, Stmt *s, const List *values) {
    s->nvalues = length(values);
    s->values = array(r, values);
}
Stmt *make_names(Reader *r, Span at, StmtKind kind, List *names, List *values) {
    Stmt *s = stmt_new(r, at, kind);
    split_names(r, names, &s->nnames, &s->names, &s->name_spans);
    take_values(r, s, values);
    return stmt_done(r, s);
}
Stmt *make_assign(Reader *r, Span at, List *targets, List *values) {
    Stmt *s = stmt_new(r, at, ST_ASSIGN);
    s->ntargets = length(targets);
    s->targets = array(r, targets);
    take_values(r, s, values);
    return stmt_done(r, s);
}
static void take_body(Reader *r, Stmt *s, const List *body) {
    s->nbody = length(body);
    s->body = array(r, body);
}
Stmt *make_for(Reader *r, Span at, Name name, Span name_at, Expr *in, List *body) {
    Stmt *s = named_stmt(r, at, ST_FOR, name, name_at);
    s->value = in;
    take_body(r, s, body);
    return stmt_done(r, s);
}
Stmt *make_repeat(Reader *r, Span at, Expr *count, Expr *until, List *body) {
    Stmt *s = stmt_new(r, at, ST_REPEAT);
    s->value = count;
    s->cond = until;
    take_body(r, s, body);
    return stmt_done(r, s);
}
Stmt *make_if(Reader *r, Span at, Expr *cond, List *body, List *orelse) {
    Stmt *s = stmt_new(r, at, ST_IF);
    s->cond = cond;
    take_body(r, s, body);
    s->norelse = length(orelse);
    s->orelse = array(r, orelse);
    return stmt_done(r, s);
}
Stmt *make_return(Reader *r, Span at, List *values) {
    Stmt *s = stmt_new(r, at, ST_RETURN);
    take_values(r, s, values);
    return stmt_done(r, s);
}
Stmt *make_require(Reader *r, Span at, Expr *cond, Name text) {
    Stmt *s = stmt_new(r, at, ST_REQUIRE);
    s->cond = cond;
    s->text = text;
    return stmt_done(r, s);
}
Option *make_option(Reader *r, Span at, int untied, Named *name, List *index, List *params, Expr *value) {
    Option *o = ARENA_NEW(r->cx->keep, Option);
    o->span = at;
    o->untied = untied != 0;
    o->name = name->name;
    o->name_span = name->span;
    o->nindex = length(index);
    o->index = array(r, index);
    split_names(r, params, &o->nparams, &o->params, &o->param_spans);
    o->value = value;
    return o;
}
Option *make_option_decl(Reader *r, Span at, int untied, Stmt *decl) {
    if (!decl) return NULL;
    Option *o = ARENA_NEW(r->cx->keep, Option);
    o->span = at;
    o->untied = untied != 0;
    o->name = decl->name;
    o->name_span = decl->name_span;
    o->decl = decl;
    o->nindex = decl->nindex; /* tunable step[i] */
    o->index = decl->index;
    return o;
}

/* ---- what stands at the top ---- */
void make_import(Reader *r, Span at, Name path, bool is_file) {
    Import *i = ARENA_NEW(r->cx->keep, Import);
    *i = (Import){at, path, is_file};
    make_more(r, r->imports, i);
}
void make_def(Reader *r, Span at, int kind, Named *name, List *params, Expr *of, Expr *value, List *body) {
    Def *d = ARENA_NEW(r->cx->keep, Def);
    d->kind = (DefKind)kind;
    d->span = at;
    d->name = name->name;
    d->name_span = name->span;
    d->nparams = length(params);
    d->params = ARENA_ARRAY(r->cx->keep, Param, d->nparams);
    for (uint32_t i = 0; i < d->nparams; i++) d->params[i] = *(Param *)params->of.at[i];
    d->of = of;
    d->value = value;
    d->nbody = length(body);
    d->body = array(r, body);
    make_more(r, r->defs, d);
}
void make_train(Reader *r, Span at, Name model, Span model_at, List *options) {
    Train *t = ARENA_NEW(r->cx->keep, Train);
    *t = (Train){at, model, model_at, length(options), array(r, options)};
    make_more(r, r->trains, t);
}
