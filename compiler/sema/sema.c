/* The whole check: definitions one by one, then what they use, then the train blocks. */
#include "sema/checker.h"

static void def_check(Checker *c, const Def *d) {
    c->def = d;
    c->missing.len = c->gone.len = c->lifted.len = 0;
    size_t mark = scope_open(c);
    if (d->kind == DEF_SOLVER) {
        static const char *const given[] = {"prox", "step", "lambda", "updates", "tolerance", "init"};
        for (size_t i = 0; i < sizeof given / sizeof *given; i++)
            scope_add_quietly(c, name_of(c->cx, given[i]), SYM_OPTION, d->name_span);
    }
    if (d->kind == DEF_MODEL) scope_add_quietly(c, name_of(c->cx, "codes"), SYM_OPTION, d->name_span);
    solver_head_check(c, d, mark);
    for (uint32_t i = 0; i < d->nparams; i++) {
        const Param *p = &d->params[i];
        type_check(c, p->type, true);
        expr_check(c, p->init);
        scope_add(c, mark, p->name, SYM_ARG, p->span);
    }
    expr_check(c, d->of);
    expr_check(c, d->value);
    stmts_check(c, d->body, d->nbody, mark);
    if (d->kind == DEF_MODEL) {
        ModelNames *m = ARENA_NEW(c->cx->pass, ModelNames);
        m->model = d;
        for (size_t i = 0; i < c->gone.len; i++) vec_push(c->cx->pass, &m->names, c->gone.at[i]);
        for (size_t i = mark; i < c->syms.len; i++) vec_push(c->cx->pass, &m->names, c->syms.at[i]);
        for (size_t i = 0; i < c->lifted.len; i++) vec_push(c->cx->pass, &m->names, c->lifted.at[i]);
        vec_push(c->cx->pass, &c->models, m);
    }
    c->syms.len = mark;
    c->def = NULL;
}

/* Each definition is visited once; meeting one that is on the path closes a ring. The path is as long as the
 * definitions are many. */
typedef struct Visit {
    const Def *def;
    int state; /* 1: on the path, 2: done */
} Visit;

static Visit *visit_of(Visit *v, size_t n, const Def *d) {
    for (size_t i = 0; i < n; i++)
        if (v[i].def == d) return &v[i];
    return NULL;
}

static void recursion_check(Checker *c) {
    Vec(Visit) all = {0};
    Arena *a = c->cx->pass;
    for (uint32_t f = 0; f < c->ast->nfiles; f++)
        for (uint32_t i = 0; i < c->ast->files[f]->ndefs; i++) {
            Visit v = {c->ast->files[f]->defs[i], 0};
            vec_push(a, &all, v);
        }
    /* The edges of each definition lie side by side: they were noted while it was checked. */
    size_t *first = ARENA_ARRAY(a, size_t, all.len), *last = ARENA_ARRAY(a, size_t, all.len);
    for (size_t e = 0; e < c->edges.len; e++) {
        size_t k = (size_t)(visit_of(all.at, all.len, c->edges.at[e].from) - all.at);
        if (last[k] == 0) first[k] = e;
        last[k] = e + 1;
    }
    size_t *path = ARENA_ARRAY(a, size_t, all.len), *next = ARENA_ARRAY(a, size_t, all.len);
    for (size_t root = 0; root < all.len; root++) {
        if (all.at[root].state) continue;
        size_t depth = 1;
        path[0] = root;
        next[root] = first[root];
        all.at[root].state = 1;
        while (depth) {
            size_t k = path[depth - 1];
            if (next[k] >= last[k]) {
                all.at[k].state = 2;
                depth--;
                continue;
            }
            const Edge *e = &c->edges.at[next[k]++];
            Visit *to = visit_of(all.at, all.len, e->to);
            if (to->state == 0) {
                to->state = 1;
                size_t t = (size_t)(to - all.at);
                next[t] = first[t];
                path[depth++] = t;
            } else if (to->state == 1) {
                Diag *d = to->def == e->from
                              ? diag_error(c->cx, E_RECURSION, e->at, "'%s' uses itself", e->from->name)
                              : diag_error(c->cx, E_RECURSION, e->at, "'%s' uses itself through '%s'",
                                           to->def->name, e->from->name);
                for (size_t i = 0; i + 1 < depth; i++)
                    if (path[i] == (size_t)(to - all.at))
                        diag_note(c->cx, d, to->def->name_span, "'%s' uses '%s'", to->def->name,
                                  all.at[path[i + 1]].def->name);
                diag_help(c->cx, d, "for a fixed number of turns use 'for' or 'repeat'");
            }
        }
    }
}

static void file_check(Checker *c, const File *f) {
    for (uint32_t i = 0; i < f->nimports; i++)
        for (uint32_t k = 0; k < i; k++)
            if (f->imports[k]->path == f->imports[i]->path &&
                f->imports[k]->is_file == f->imports[i]->is_file) {
                diag_error(c->cx, E_TWICE, f->imports[i]->span, "'%s' is imported twice",
                           f->imports[i]->path);
                break;
            }
    for (uint32_t i = 0; i < f->ndefs; i++) {
        for (uint32_t k = 0; k < i; k++)
            if (f->defs[k]->name == f->defs[i]->name &&
                (f->defs[k]->kind == DEF_MODEL) == (f->defs[i]->kind == DEF_MODEL)) {
                Diag *d = diag_error(c->cx, E_TWICE, f->defs[i]->name_span,
                                     "'%s' is defined twice in this file", f->defs[i]->name);
                diag_note(c->cx, d, f->defs[k]->name_span, "first here");
                break;
            }
        def_check(c, f->defs[i]);
    }
}

void sema_check(Cx *cx, const Ast *ast) {
    Checker *c = ARENA_NEW(cx->pass, Checker);
    c->cx = cx;
    c->ast = ast;
    for (uint32_t i = 0; i < ast->nfiles; i++) file_check(c, ast->files[i]);
    recursion_check(c);
    for (uint32_t i = 0; i < ast->nfiles; i++)
        for (uint32_t k = 0; k < ast->files[i]->ntrains; k++) train_check(c, ast->files[i]->trains[k]);
    if (!cx->errors) params_check(c);
}
