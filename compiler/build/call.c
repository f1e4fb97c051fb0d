/* Calls: definitions are inlined where they are called, with a frame of their own; without the first argument they become values. */
#include "base/trouble.h"
#include "build/value.h"
#include <string.h>

enum { DEPTH_MOST = 200 };
static const char *const update_labels[] = {"unfold", "iterations", "until", "at_most"};

static bool is_update_label(Name n) {
    for (int i = 0; i < 4; i++)
        if (!strcmp(n, update_labels[i])) return true;
    return false;
}

static bool given_by_name(const Fn *f, Name n) {
    for (uint32_t i = 0; i < f->nbound; i++)
        if (f->bound_name[i] == n) return true;
    return false;
}

int fn_arity(const Fn *f) {
    int n = 0;
    switch (f->kind) {
    case FN_DEF:
        for (uint32_t i = 0; i < f->def->nparams; i++)
            if (!f->def->params[i].init && !f->def->params[i].problem && !given_by_name(f, f->def->params[i].name)) n++;
        return n;
    case FN_BUILTIN: return builtin_info[f->builtin].min;
    case FN_OPTION: return (int)f->option->nparams;
    case FN_PROX: return 1;
    }
    return 0;
}

static bool type_fits(Build *b, const Param *p, Val v, Span at) {
    if (!p->type || v.kind == V_BAD) return true;
    const char *t = p->type->name;
    bool ok = true;
    if (!strcmp(t, "int")) ok = v.kind == V_INT;
    else if (!strcmp(t, "bool")) ok = v.kind == V_BOOL;
    else if (!strcmp(t, "string")) ok = v.kind == V_STRING;
    else if (!strcmp(t, "real") && !p->type->n) ok = v.kind == V_INT || v.kind == V_REAL || v.kind == V_TENSOR;
    else if (!strcmp(t, "solver") || !strcmp(t, "prox") || !strcmp(t, "layer")) ok = v.kind == V_FN || v.kind == V_STRING;
    else if (!strcmp(t, "dictionary")) ok = v.kind == V_OP;
    if (!ok) diag_error(b->cx, E_TYPE, at, "'%s' is of type %s, found %s", p->name, t, v_text(b, v));
    return ok;
}

bool argument_bind(Build *b, Frame *f, uint32_t i, Val v, Span at) {
    const Param *p = &f->def->params[i];
    if (!f->given) f->given = ARENA_ARRAY(b->a, Span, f->def->nparams);
    f->given[i] = at;
    env_bind(b, f->env, p->name, v, false, p->span);
    return type_fits(b, p, v, at.file ? at : p->span);
}

static const Val *bound_value(const Fn *f, Name n, Span *at) {
    for (uint32_t i = 0; i < f->nbound; i++)
        if (f->bound_name[i] == n) return *at = f->bound_span[i], &f->bound[i];
    return NULL;
}

/* Errors said since inside a definition get a note with the call that led there: the user's own, and three at most. */
void note_call(Build *b, size_t since, const Def *d, Span at) {
    if (!at.file || !strncmp(b->cx->sources.at[at.file].path, "<std>/", 6)) return;
    for (size_t i = since; i < b->cx->diags.len; i++) {
        Diag *x = b->cx->diags.at[i];
        if (x->code == E_DEPTH) continue;
        bool inside = x->span.file == d->span.file && x->span.line >= d->span.line && x->span.line <= d->span.end_line;
        bool library = x->span.file && !strncmp(b->cx->sources.at[x->span.file].path, "<std>/", 6);
        uint32_t calls = 0;
        for (size_t k = 0; k < x->notes.len; k++) {
            const char *called = strstr(x->notes.at[k].text, " was called here");
            calls += called != NULL;
            inside |= called && x->notes.at[k].span.file == d->span.file && x->notes.at[k].span.line >= d->span.line && x->notes.at[k].span.line <= d->span.end_line;
        }
        if ((inside || (library && !calls)) && calls < 3) diag_note(b->cx, x, at, "'%s' was called here", d->name);
    }
}

/* Runs the body in the current frame; its value. */
static Val run_body(Build *b, const Def *d, Span at) {
    if (d->value) return eval(b, d->value);
    exec_block(b, d->body, d->nbody);
    if (b->frame->has_returned) return b->frame->returned;
    if (b->cx->errors == 0) diag_error(b->cx, E_NO_VALUE, at, "'%s' ends without a `return`", d->name);
    return v_bad();
}

static Val call_def(Build *b, Fn *fn, const Val *pos, const Span *pos_span, uint32_t npos, Name pending, Span at) {
    const Def *d = fn->def;
    if (b->depth >= DEPTH_MOST) {
        diag_error(b->cx, E_DEPTH, at, "calls go more than %d deep", DEPTH_MOST);
        return v_bad();
    }
    Frame *caller = b->frame, f = {.def = d, .at = at, .source = d->span.file};
    GCtx *home = b->home;
    f.env = env_new(b, NULL);
    f.path = fn->path ? fn->path : scope_name(b, pending ? pending : d->name);
    if (fn->home) b->home = fn->home;
    b->frame = &f;
    b->depth++;
    size_t said = b->cx->diags.len;
    uint32_t k = 0;
    bool ok = true;
    for (uint32_t i = 0; i < d->nparams && ok; i++) {
        const Param *p = &d->params[i];
        Span vs = {0};
        const Val *given = bound_value(fn, p->name, &vs);
        Val v;
        if (given) v = *given;
        else if (k < npos) v = pos[k], vs = pos_span ? pos_span[k] : at, k++;
        else if (p->init) v = eval(b, p->init);
        else {
            diag_error(b->cx, E_ARGS, at, "'%s' needs '%s'", d->name, p->name);
            ok = false;
            break;
        }
        ok = argument_bind(b, &f, i, v, vs);
    }
    if (ok && k < npos) {
        diag_error(b->cx, E_ARGS, at, "'%s' takes %u arguments, found %u", d->name, d->nparams, npos);
        ok = false;
    }
    Val v = ok ? run_body(b, d, at) : v_bad();
    note_call(b, said, d, at);
    b->depth--;
    b->frame = caller;
    b->home = home;
    if (v.kind == V_OP && !v.op->path) v.op->path = f.path;
    return v;
}

Frame frame_within(Build *b, const Frame *of, Env *env, Name path) {
    Frame f = *of;
    f.env = env_new(b, env);
    f.path = path;
    f.pending = NULL;
    f.turns.len = f.turns.cap = f.used.len = f.used.cap = 0;
    f.turns.at = NULL;
    f.used.at = NULL;
    return f;
}

static Val call_option(Build *b, Fn *fn, const Val *pos, uint32_t npos, Span at) {
    const Option *o = fn->option;
    if (npos != o->nparams) {
        diag_error(b->cx, E_ARGS, at, "'%s' takes %u arguments, found %u", o->name, o->nparams, npos);
        return v_bad();
    }
    Frame *caller = b->frame, f = frame_within(b, fn->frame, fn->env, fn->path);
    GCtx *home = b->home;
    if (!o->untied) b->home = fn->home;
    for (uint32_t i = 0; i < npos; i++) env_bind(b, f.env, o->params[i], pos[i], false, o->param_spans[i]);
    b->frame = &f;
    b->depth++;
    Val v = b->depth < DEPTH_MOST ? eval(b, o->value) : v_bad();
    b->depth--;
    b->frame = caller;
    b->home = home;
    return v;
}

/* A function with (more) arguments given by name, to be called later. */
static Val partial(Build *b, Fn *fn, const Name *label, const Val *lab, const Span *lab_span, uint32_t nlab, Name pending) {
    Fn *p = ARENA_NEW(b->a, Fn);
    *p = *fn;
    uint32_t n = fn->nbound + nlab;
    Name *bn = ARENA_ARRAY(b->a, Name, n + 1);
    Val *bv = ARENA_ARRAY(b->a, Val, n + 1);
    Span *bs = ARENA_ARRAY(b->a, Span, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        bool old = i < fn->nbound;
        bn[i] = old ? fn->bound_name[i] : label[i - fn->nbound];
        bv[i] = old ? fn->bound[i] : lab[i - fn->nbound];
        bs[i] = old ? fn->bound_span[i] : lab_span[i - fn->nbound];
    }
    p->nbound = n;
    p->bound_name = bn;
    p->bound = bv;
    p->bound_span = bs;
    if (pending && !p->path && p->kind == FN_DEF && p->def->kind != DEF_SOLVER) { /* let bn = batch_norm(): an instance */
        p->path = scope_name(b, pending);
        p->home = b->home;
    }
    return (Val){.kind = V_FN, .fn = p};
}

static bool labels_fit(Build *b, const Fn *fn, const Name *label, const Span *lab_span, uint32_t nlab) {
    const Def *d = fn->def;
    bool ok = true;
    for (uint32_t i = 0; i < nlab; i++) {
        bool known = d->kind == DEF_SOLVER && is_update_label(label[i]);
        const char *names[64];
        size_t n = 0;
        for (uint32_t k = 0; k < d->nparams; k++) {
            if (n < 60) names[n++] = d->params[k].name;
            if (d->params[k].name == label[i] && !d->params[k].problem) known = true;
        }
        if (d->kind == DEF_SOLVER)
            for (int k = 0; k < 4; k++) names[n++] = update_labels[k];
        if (known && given_by_name(fn, label[i])) {
            diag_error(b->cx, E_ARGS, lab_span[i], "'%s' is given twice", label[i]);
            ok = false;
        }
        if (known) continue;
        Diag *e = diag_error(b->cx, E_ARGS, lab_span[i], "'%s' has no argument '%s'", d->name, label[i]);
        const char *near = diag_nearest(label[i], names, n);
        if (near) diag_help(b->cx, e, "did you mean '%s'?", near);
        ok = false;
    }
    return ok;
}

static Val call_named(Build *b, Fn *fn, const Val *pos, const Span *pos_span, uint32_t npos, const Name *label, const Val *lab, const Span *lab_span,
                      uint32_t nlab, Span at, Name pending) {
    for (uint32_t i = 0; i < npos; i++)
        if (pos[i].kind == V_BAD) return v_bad();
    for (uint32_t i = 0; i < nlab; i++)
        if (lab[i].kind == V_BAD) return v_bad();
    if (fn->kind == FN_BUILTIN) {
        BArgs a = {pos, pos_span, npos, nlab, label, lab, lab_span, at};
        return builtin_call(b, fn->builtin, &a);
    }
    if (fn->kind == FN_DEF) {
        const Def *d = fn->def;
        if (!labels_fit(b, fn, label, lab_span, nlab)) return v_bad();
        Val whole = nlab ? partial(b, fn, label, lab, lab_span, nlab, NULL) : (Val){.kind = V_FN, .fn = fn};
        bool first_open = d->nparams && !d->params[0].init && !given_by_name(whole.fn, d->params[0].name);
        if (d->kind == DEF_SOLVER || (npos == 0 && first_open)) {
            if (npos) {
                diag_error(b->cx, E_ARGS, at, "the solver '%s' takes its arguments by name; the problem comes from the lasso", d->name);
                return v_bad();
            }
            return partial(b, whole.fn, NULL, NULL, NULL, 0, pending);
        }
        return call_def(b, whole.fn, pos, pos_span, npos, pending, at);
    }
    if (nlab) {
        diag_error(b->cx, E_ARGS, lab_span[0], "'%s' takes no named arguments", fn->name ? fn->name : "this function");
        return v_bad();
    }
    if (fn->kind == FN_OPTION) return call_option(b, fn, pos, npos, at);
    if (npos < 1 || npos > 2) {
        diag_error(b->cx, E_ARGS, at, "prox takes a tensor, and a step when it is not the lasso's; the threshold step * lambda is added to it");
        return v_bad();
    }
    return problem_prox(b, fn->problem, fn->layer, pos[0], npos == 2 ? pos[1] : (Val){.kind = V_ABSENT}, at);
}

Val call_fn(Build *b, Fn *fn, const Val *pos, const Span *pos_span, uint32_t npos, const Name *label, const Val *lab, const Span *lab_span, uint32_t nlab,
            Span at) {
    return call_named(b, fn, pos, pos_span, npos, label, lab, lab_span, nlab, at, NULL);
}

Val call_simple(Build *b, Fn *fn, const Val *pos, uint32_t npos, Span at) {
    Span *spans = ARENA_ARRAY(b->a, Span, npos + 1);
    for (uint32_t i = 0; i < npos; i++) spans[i] = at;
    return call_named(b, fn, pos, spans, npos, NULL, NULL, NULL, 0, at, NULL);
}

/* |now - start|^2 and |now|^2, of the tensors of a list together; false: they are not alike, or no tensors. */
static bool change_parts(Build *b, Val now, Val start, Span at, Val *moved, Val *size) {
    if (now.kind == V_LIST && start.kind == V_LIST && now.list->item.len == start.list->item.len) {
        bool ok = now.list->item.len > 0;
        for (size_t i = 0; ok && i < now.list->item.len; i++) ok = change_parts(b, now.list->item.at[i], start.list->item.at[i], at, moved, size);
        return ok;
    }
    if (start.kind != V_TENSOR || now.kind == V_LIST) return false;
    Val d = apply2(b, OP_sub, now, start, at);
    *moved = apply2(b, OP_add, *moved, sum_entries(b, apply2(b, OP_mul, d, d, at), at), at);
    *size = apply2(b, OP_add, *size, sum_entries(b, apply2(b, OP_mul, now, now, at), at), at);
    return true;
}

/* change(g): |g - g at the turn's start| / |g|; of a list as of one long vector */
static Val change_call(Build *b, Expr *e) {
    Expr *a = e->n == 1 ? e->args[0].value : NULL;
    if (!a || a->kind != EX_NAME) {
        diag_error(b->cx, E_ARGS, e->span, "change takes the name of a variable");
        return v_bad();
    }
    const StartVal *start = NULL;
    for (size_t i = 0; i < b->ctx->starts.len; i++)
        if (b->ctx->starts.at[i].name == a->name) start = &b->ctx->starts.at[i];
    Val moved = v_real(0), size = v_real(0);
    if (!start || !change_parts(b, lookup(b, a->name, a->span, false), start->value, e->span, &moved, &size)) {
        diag_error(b->cx, E_LOOP_USE, e->span, "'%s' is no tensor, or list of tensors, that this `repeat` changes", a->name);
        return v_bad();
    }
    return apply1(b, OP_sqrt, apply2(b, OP_div, moved, apply2(b, OP_max, size, v_real(1e-30), e->span), e->span), e->span);
}

Val eval_call(Build *b, Expr *e) {
    Name pending = b->frame->pending;
    b->frame->pending = NULL;
    if (e->a->kind == EX_NAME && !strcmp(e->a->name, "change") && !env_find(b->frame->env, e->a->name)) return change_call(b, e);
    Val f = eval(b, e->a);
    uint32_t npos = 0, nlab = 0;
    Val *pos = ARENA_ARRAY(b->a, Val, e->n + 1), *lab = ARENA_ARRAY(b->a, Val, e->n + 1);
    Span *ps = ARENA_ARRAY(b->a, Span, e->n + 1), *ls = ARENA_ARRAY(b->a, Span, e->n + 1);
    Name *label = ARENA_ARRAY(b->a, Name, e->n + 1);
    for (uint32_t i = 0; i < e->n; i++) {
        const Arg *a = &e->args[i];
        Val v = eval(b, a->value);
        if (a->label) {
            for (uint32_t k = 0; k < nlab; k++)
                if (label[k] == a->label) {
                    diag_error(b->cx, E_ARGS, a->label_span, "'%s' is given twice", a->label);
                    return v_bad();
                }
            label[nlab] = a->label, ls[nlab] = a->value->span, lab[nlab++] = v;
        } else if (nlab) {
            diag_error(b->cx, E_ARGS, a->value->span, "arguments by position come before those by name");
            return v_bad();
        } else ps[npos] = a->value->span, pos[npos++] = v;
    }
    if (f.kind == V_BAD) return f;
    if (f.kind == V_OP) {
        if (npos != 1 || nlab) {
            diag_error(b->cx, E_ARGS, e->span, "an operator is applied to one tensor");
            return v_bad();
        }
        if (pos[0].kind == V_ZERO) return pos[0];
        return operator_apply(b, f.op, pos[0], e->span);
    }
    if (f.kind == V_STRING && !strcmp(f.s, "none") && npos == 1) return pos[0];
    if (f.kind != V_FN) {
        diag_error(b->cx, E_TYPE, e->a->span, "%s cannot be called", v_text(b, f));
        return v_bad();
    }
    return call_named(b, f.fn, pos, ps, npos, label, lab, ls, nlab, e->span, pending);
}
