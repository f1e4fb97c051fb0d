/* Problems: a lasso statement binds a dictionary, a signal and options, and calls a solver that is library code. */
#include "base/trouble.h"
#include "build/value.h"
#include <string.h>

/* ---- options ---- */
/* The option `name` for a layer: one with that number, else one with a new name as its index, else one for all. */
static const Option *find_option(Build *b, Problem *p, const char *name, int layer, Name *binder) {
    const Option *found = NULL;
    *binder = NULL;
    for (uint32_t i = 0; i < p->stmt->noptions; i++) {
        const Option *o = p->stmt->options[i];
        if (strcmp(o->name, name)) continue;
        if (o->nindex == 0) {
            if (!found) found = o;
            continue;
        }
        Expr *ix = o->index[0];
        bool is_new = ix->kind == EX_NAME && !env_find(p->env, ix->name);
        if (is_new) {
            found = o;
            *binder = ix->name;
            continue;
        }
        Frame *was = b->frame, f = *p->frame;
        f.env = p->env;
        b->frame = &f;
        int64_t k = 0;
        bool ok = eval_int(b, ix, "the number of a layer", &k);
        b->frame = was;
        if (ok && k == layer) return *binder = NULL, o;
    }
    return found;
}

static Val option_value(Build *b, Problem *p, const Option *o, Name binder, int layer) {
    Frame *was = b->frame, f = *p->frame;
    GCtx *home = b->home, *ctx = b->ctx;
    f.env = env_new(b, p->env);
    f.path = p->path;
    f.pending = NULL;
    f.turns.len = f.turns.cap = f.used.len = f.used.cap = 0;
    f.turns.at = NULL;
    f.used.at = NULL;
    if (binder) env_bind(b, f.env, binder, v_int(layer), false, o->span);
    if (!o->untied) { /* one for all turns: made where the lasso stands */
        b->home = p->home;
        enter(b, p->ctx);
    }
    b->frame = &f;
    Val v;
    if (o->decl) {
        bool per_layer = o->nindex > 0;
        if (per_layer) vec_push(b->a, &f.turns, (int64_t)layer);
        if (o->decl->kind == ST_PARAM) exec_param(b, o->decl);
        else exec_tunable(b, o->decl);
        Binding *x = env_find(f.env, o->name);
        v = x ? x->value : v_bad();
    } else {
        f.path = name_fmt(b->cx, binder || (o->nindex && layer) ? "%s.%s.%d" : "%s.%s", p->path, o->name, layer);
        if (o->nparams) {
            Fn *fn = ARENA_NEW(b->a, Fn);
            *fn = (Fn){.kind = FN_OPTION, .option = o, .name = o->name, .problem = p, .layer = layer, .frame = ARENA_NEW(b->a, Frame), .env = f.env,
                       .path = f.path, .home = p->home};
            *fn->frame = f;
            v = (Val){.kind = V_FN, .fn = fn};
        } else v = eval(b, o->value);
    }
    b->frame = was;
    b->home = home;
    enter(b, ctx);
    return v;
}

Val problem_option(Build *b, Problem *p, const char *name, int layer, Span at) {
    Name binder;
    const Option *o = find_option(b, p, name, layer, &binder);
    if (!o) return p->outer ? problem_option(b, p->outer, name, p->outer_layer, at) : (Val){.kind = V_ABSENT};
    int key = binder || o->nindex ? layer : 0;
    for (size_t i = 0; i < p->cache.len; i++)
        if (p->cache.at[i].option == o && p->cache.at[i].layer == key) {
            Val v = p->cache.at[i].value;
            return p->chain && layer && v.kind == V_LIST && !o->nindex ? index_value(b, v, v_int(layer), at) : v;
        }
    Val v = option_value(b, p, o, binder, layer);
    if (!o->untied) {
        OptionCache c = {o, key, v};
        vec_push(b->a, &p->cache, c);
    }
    if (p->chain && layer && v.kind == V_LIST && !o->nindex) return index_value(b, v, v_int(layer), at); /* a list runs over layers first */
    return v;
}

static LinOp *layer_dictionary(Problem *p, int layer) { return p->D[p->chain && layer ? layer - 1 : 0]; }

Val problem_step(Build *b, Problem *p, int layer, Span at) {
    Val v = problem_option(b, p, "step", layer, at);
    if (v.kind != V_ABSENT) return v;
    return apply1(b, OP_recip, lin_lipschitz(b, layer_dictionary(p, layer), at), at);
}

Val problem_name(Build *b, Problem *p, Name n, Span at, bool *found) {
    *found = true;
    if (!strcmp(n, "updates")) {
        if (p->has_updates) return v_int(p->run_updates);
        Diag *d = diag_error(b->cx, E_UPDATES, p->span, "the solver of '%s' counts its updates, but is not told how many", p->name);
        diag_help(b->cx, d, "solve = ista(unfold: 2), or iterations: 3, or until: 1e-5, at_most: 500");
        return v_bad();
    }
    if (!strcmp(n, "tolerance")) return p->tolerance;
    bool prox = !strcmp(n, "prox"), step = !strcmp(n, "step");
    if (!prox && !step && strcmp(n, "lambda") && strcmp(n, "init")) {
        Name binder;
        if (!find_option(b, p, n, 0, &binder)) return *found = false, v_bad();
    }
    if (p->chain) return (Val){.kind = V_LAYERS, .s = n, .code = p};
    return problem_value(b, p, n, 0, at);
}

Val problem_value(Build *b, Problem *p, Name n, int layer, Span at) {
    if (!strcmp(n, "prox")) {
        Fn *f = ARENA_NEW(b->a, Fn);
        *f = (Fn){.kind = FN_PROX, .name = n, .problem = p, .layer = layer};
        return (Val){.kind = V_FN, .fn = f};
    }
    if (!strcmp(n, "step")) return problem_step(b, p, layer, at);
    Val v = problem_option(b, p, n, layer, at);
    if (v.kind != V_ABSENT) return v;
    diag_error(b->cx, E_OPTION_MISSING, p->span, "the solver of '%s' uses '%s', which the lasso does not give", p->name, n);
    return v_bad();
}

/* ---- thresholds ---- */
/* A threshold with parameters of its own, as `prox = scaled` names it: G.prox.2.s whatever the solver, one for all updates. */
static Fn *prox_instance(Build *b, Problem *p, int layer, int block, const Fn *prox) {
    Name binder;
    const Option *o;
    while (!(o = find_option(b, p, "prox", layer, &binder)) && p->outer) layer = p->outer_layer, p = p->outer;
    Fn *f = ARENA_NEW(b->a, Fn);
    *f = *prox;
    f->path = name_fmt(b->cx, p->chain && layer ? "%s.prox.%d" : "%s.prox", p->path, layer);
    if (block) f->path = name_fmt(b->cx, "%s.%d", f->path, block);
    f->home = o && o->untied ? b->home : p->home;
    return f;
}

/* block: which of side-by-side dictionaries (1..), 0 all */
static Val prox_one(Build *b, Problem *p, int layer, int block, Val prox, Val lambda, Val z, Span at) {
    if (z.kind == V_BAD || prox.kind == V_BAD || lambda.kind == V_BAD) return v_bad();
    if (prox.kind == V_STRING && !strcmp(prox.s, "none")) return z;
    if (prox.kind != V_FN) {
        diag_error(b->cx, E_TYPE, p->span, "prox of '%s' is a threshold such as soft, found %s", p->name, v_text(b, prox));
        return v_bad();
    }
    Val arg[2] = {z, v_bad()};
    if (prox.fn->kind == FN_DEF && !prox.fn->path) prox.fn = prox_instance(b, p, layer, block, prox.fn);
    if (fn_arity(prox.fn) < 2) return call_simple(b, prox.fn, arg, 1, at);
    if (lambda.kind == V_ABSENT) {
        diag_error(b->cx, E_OPTION_MISSING, p->span, "the threshold of '%s' needs lambda", p->name);
        return v_bad();
    }
    Val step = problem_step(b, p, layer, at);
    double s, l;
    if (v_known_number(step, &s) && v_known_number(lambda, &l)) arg[1] = v_real(s * l);
    else if (lambda.kind == V_ZERO || (v_known_number(lambda, &l) && l == 0)) arg[1] = v_real(0);
    else arg[1] = apply2(b, OP_mul, step, lambda, at);
    return call_simple(b, prox.fn, arg, 2, at);
}

static LinOp *side_by_side(LinOp *D) {
    while (D->kind == L_SCALE) D = D->part[0];
    return D;
}

/* Calls f on each block of a stacked code; prox and lambda may each be a list with one entry per block. */
static bool block_count(Build *b, Problem *p, LinOp *D, Val prox, Val lambda) {
    size_t n = (size_t)D->nparts;
    if (D->kind == L_HCAT && (prox.kind != V_LIST || prox.list->item.len == n) && (lambda.kind != V_LIST || lambda.list->item.len == n)) return true;
    size_t k = prox.kind == V_LIST ? prox.list->item.len : lambda.list->item.len;
    diag_error(b->cx, E_SHAPE, p->span, "'%s' has options for %zu blocks, but its dictionary is made of %d", p->name, k, D->kind == L_HCAT ? D->nparts : 1);
    return false;
}

Val problem_prox(Build *b, Problem *p, int layer, Val z, Span at) {
    Val prox = problem_option(b, p, "prox", layer, at), lambda = problem_option(b, p, "lambda", layer, at);
    if (z.kind == V_BAD || prox.kind == V_BAD) return v_bad();
    if (prox.kind == V_ABSENT) {
        Diag *d = diag_error(b->cx, E_OPTION_MISSING, p->span, "'%s' has no threshold", p->name);
        diag_help(b->cx, d, "prox = soft, prox = soft_nonneg, prox(z) = relu(z + b), prox = none");
        return v_bad();
    }
    if (prox.kind != V_LIST && lambda.kind != V_LIST) return prox_one(b, p, layer, 0, prox, lambda, z, at);
    LinOp *D = side_by_side(layer_dictionary(p, layer));
    if (!block_count(b, p, D, prox, lambda)) return v_bad();
    int64_t *size = ARENA_ARRAY(b->a, int64_t, D->nparts), start = 0;
    if (!lin_block_sizes(b, D, val_shape(b, z), size, at)) return v_bad();
    Val *out = ARENA_ARRAY(b->a, Val, D->nparts);
    for (int i = 0; i < D->nparts; i++) {
        Val zi = slice_axis(b, z, 0, start, size[i], at);
        start += size[i];
        out[i] = prox_one(b, p, layer, i + 1, prox.kind == V_LIST ? prox.list->item.at[i] : prox, lambda.kind == V_LIST ? lambda.list->item.at[i] : lambda, zi, at);
        if (out[i].kind == V_BAD) return out[i];
    }
    return concat_axis(b, out, D->nparts, 0, at);
}

/* ---- attributes ---- */
Val code_signal(Problem *p, int layer) { return p->chain && layer > 1 ? p->solution.list->item.at[layer - 2] : p->signal; }

Val code_residual(Build *b, Val v, Span at) {
    Problem *p = v.code;
    Val signal = code_signal(p, v.layer);
    return apply2(b, OP_sub, signal, lin_apply(b, layer_dictionary(p, v.layer), v, false, at), at);
}

static Val penalty_one(Build *b, Problem *p, Val prox, Val lambda, Val z, Span at) {
    if (prox.kind == V_STRING && !strcmp(prox.s, "none")) return v_real(0);
    if (prox.kind != V_FN || prox.fn->kind != FN_DEF || !prox.fn->def->of || !prox.fn->def->nparams) {
        diag_error(b->cx, E_NO_PENALTY, at, "the threshold of '%s' does not say its penalty", p->name);
        return v_bad();
    }
    const Def *d = prox.fn->def;
    Frame *was = b->frame, f = {.def = d, .source = d->span.file, .path = p->path, .env = env_new(b, NULL)};
    env_bind(b, f.env, d->params[0].name, z, false, at);
    for (uint32_t i = 0; i < prox.fn->nbound; i++) env_bind(b, f.env, prox.fn->bound_name[i], prox.fn->bound[i], false, at);
    b->frame = &f;
    for (uint32_t i = 1; i < d->nparams; i++)
        if (d->params[i].init && !env_find(f.env, d->params[i].name)) env_bind(b, f.env, d->params[i].name, eval(b, d->params[i].init), false, at);
    Val pen = eval(b, d->of);
    b->frame = was;
    if (lambda.kind == V_ABSENT) lambda = v_real(1);
    Val each = apply2(b, OP_mul, pen, lambda, at);
    return sum_entries(b, each, at);
}

Val code_objective(Build *b, Val v, Span at) {
    Problem *p = v.code;
    if (v.kind == V_LIST) { /* of a chain: the sum over its layers */
        Val all = v_real(0);
        for (size_t i = 0; i < v.list->item.len; i++) all = apply2(b, OP_add, all, code_objective(b, v.list->item.at[i], at), at);
        return all;
    }
    Val r = code_residual(b, v, at), fit = apply2(b, OP_mul, v_real(0.5), sum_entries(b, apply2(b, OP_mul, r, r, at), at), at);
    Val prox = problem_option(b, p, "prox", v.layer, at), lambda = problem_option(b, p, "lambda", v.layer, at), pen;
    if (prox.kind != V_LIST && lambda.kind != V_LIST) pen = penalty_one(b, p, prox, lambda, v, at);
    else {
        LinOp *D = side_by_side(layer_dictionary(p, v.layer));
        if (!block_count(b, p, D, prox, lambda)) return v_bad();
        int64_t *size = ARENA_ARRAY(b->a, int64_t, D->nparts), start = 0;
        if (!lin_block_sizes(b, D, val_shape(b, v), size, at)) return v_bad();
        pen = v_real(0);
        for (int i = 0; i < D->nparts; i++) {
            Val zi = slice_axis(b, v, 0, start, size[i], at);
            start += size[i];
            pen = apply2(b, OP_add, pen, penalty_one(b, p, prox.kind == V_LIST ? prox.list->item.at[i] : prox,
                                                     lambda.kind == V_LIST ? lambda.list->item.at[i] : lambda, zi, at), at);
        }
    }
    return apply2(b, OP_add, fit, pen, at);
}

Val code_reconstruct(Build *b, Val v, bool through, Span at) {
    Problem *p = v.code;
    if (v.kind == V_LIST) v = v.list->item.at[v.list->item.len - 1];
    Val x = lin_apply(b, layer_dictionary(p, v.layer), v, false, at);
    for (int i = v.layer - 1; through && p->chain && i >= 1; i--) x = lin_apply(b, p->D[i - 1], x, false, at);
    return x;
}

/* ---- the statement ---- */
static bool same_expr(const Expr *a, const Expr *c) {
    if (a->kind != c->kind) return false;
    if (a->kind == EX_NAME) return a->name == c->name;
    if (a->kind == EX_INT) return a->integer == c->integer;
    if (a->kind == EX_INDEX) return a->n == c->n && same_expr(a->a, c->a) && (a->n == 0 || same_expr(a->items[0], c->items[0]));
    if (a->kind == EX_BINARY) return a->bin == c->bin && same_expr(a->a, c->a) && same_expr(a->b, c->b);
    return false;
}

static bool is_chain_call(const Expr *e) { return e->kind == EX_CALL && e->a->kind == EX_NAME && !strcmp(e->a->name, "chain") && e->n == 1; }

/* The dictionaries and the sizes that flow through them. */
static bool bind_dictionaries(Build *b, Problem *p, const Stmt *s) {
    const Expr *d = s->dict;
    if (d->kind != EX_BINARY || d->bin != BIN_MUL || !same_expr(d->b, s->targets[0])) {
        Diag *e = diag_error(b->cx, E_LASSO, d->span, "after '~' stands a dictionary times the unknown '%s'", p->name);
        diag_help(b->cx, e, "lasso %s : X ~ D * %s { ... }", p->name, p->name);
        return false;
    }
    p->chain = is_chain_call(d->a);
    Val D = eval(b, p->chain ? d->a->args[0].value : d->a);
    if (D.kind == V_BAD) return false;
    if (p->chain ? D.kind != V_LIST || !D.list->item.len : D.kind != V_OP) {
        diag_error(b->cx, E_LASSO, d->a->span, p->chain ? "chain takes a list of dictionaries, found %s" : "expected a dictionary, found %s", v_text(b, D));
        return false;
    }
    p->n = p->chain ? (int)D.list->item.len : 1;
    p->D = ARENA_ARRAY(b->a, LinOp *, p->n);
    p->code = ARENA_ARRAY(b->a, Shape, p->n);
    Shape x = val_shape(b, p->signal);
    for (int i = 0; i < p->n; i++) {
        Val di = p->chain ? D.list->item.at[i] : D;
        if (di.kind != V_OP) {
            if (di.kind != V_BAD) diag_error(b->cx, E_LASSO, d->a->span, "item %d of the chain is %s, not a dictionary", i + 1, v_text(b, di));
            return false;
        }
        p->D[i] = di.op;
        size_t errors = b->cx->errors;
        if (!lin_meet(b, di.op, x, d->a->span, &p->code[i])) {
            if (b->cx->diags.len && b->cx->errors == errors + 1)
                diag_note(b->cx, b->cx->diags.at[b->cx->diags.len - 1], s->signal->span, "the signal%s is %s", i ? " of this layer" : "", shape_text(b->a, x));
            return false;
        }
        x = p->code[i];
    }
    return true;
}

static bool start_value(Build *b, Problem *p, int layer, Val *out, Span at) {
    Val v = problem_option(b, p, "init", layer, at);
    Shape want = p->code[layer ? layer - 1 : 0];
    if (v.kind == V_BAD) return false;
    double x;
    if (v.kind == V_ABSENT || v.kind == V_ZERO) *out = val_zeros(b, want);
    else if (v_known_number(v, &x)) *out = v_tensor(b, op_const(b->ctx->g, x, want));
    else if (v.kind == V_TENSOR && shape_eq(val_shape(b, v), want)) *out = v, out->code = NULL;
    else {
        diag_error(b->cx, E_SHAPE, at, "'%s' is %s and cannot start from %s", p->name, shape_text(b->a, want), v_text(b, v));
        return false;
    }
    return true;
}

static bool read_updates(Build *b, Problem *p, const Fn *solver) {
    p->tolerance = (Val){.kind = V_ABSENT};
    bool at_most = false;
    int given = 0;
    for (uint32_t i = 0; i < solver->nbound; i++) {
        const char *n = solver->bound_name[i];
        Val v = solver->bound[i];
        Span at = solver->bound_span[i];
        bool unfold = !strcmp(n, "unfold"), count = unfold || !strcmp(n, "iterations") || !strcmp(n, "at_most");
        if (!count && strcmp(n, "until")) continue;
        double x;
        if (!v_known_number(v, &x) || (count && (v.kind != V_INT || v.i < (unfold ? 0 : 1) || v.i > 1000000)) || (!count && !(x > 0))) {
            diag_error(b->cx, E_UPDATES, at, count ? "'%s' is a whole number, found %s" : "'%s' is a tolerance above zero, found %s", n, v_text(b, v));
            return false;
        }
        given++;
        if (count) p->has_updates = true, p->updates = v.i + unfold, at_most |= !strcmp(n, "at_most");
        else p->tolerance = v_real(x);
    }
    bool until = p->tolerance.kind != V_ABSENT;
    if (until != at_most || given > 1 + until) {
        Diag *d = diag_error(b->cx, E_UPDATES, p->span, "the updates of '%s' are not told clearly", p->name);
        diag_help(b->cx, d, "one of unfold: k, iterations: n, or both until: tolerance and at_most: n");
        return false;
    }
    p->run_updates = p->updates;
    if (b->stage_code == p->name && b->stage_updates < p->updates) p->run_updates = b->stage_updates;
    p->only_last = b->stage_code == p->name && b->stage_own;
    return true;
}

/* Runs the solver's definition on the problem: its head names the parts, the options of the lasso are names. */
static Val run_solver(Build *b, Problem *p, const Fn *solver, const Val *start) {
    const Def *d = solver->def;
    const Param *head = NULL;
    for (uint32_t i = 0; i < d->nparams; i++)
        if (d->params[i].problem) head = &d->params[i];
    const Expr *h = head ? head->problem : NULL;
    if (!h || h->kind != EX_BINARY || h->bin != BIN_MUL || h->b->kind != EX_NAME || (!is_chain_call(h->a) && h->a->kind != EX_NAME) ||
        (is_chain_call(h->a) && h->a->args[0].value->kind != EX_NAME)) {
        diag_error(b->cx, E_LASSO, d->name_span, "a solver's head is its problem: solver %s(X ~ D * g), or X ~ chain(D) * G", d->name);
        return v_bad();
    }
    bool chain = is_chain_call(h->a);
    if (p->chain && !chain) {
        Diag *e = diag_error(b->cx, E_SOLVER, p->span, "'%s' solves for one dictionary, '%s' is a chain of %d", d->name, p->name, p->n);
        diag_help(b->cx, e, "solve = layered(each: %s(...))", d->name);
        return v_bad();
    }
    bool made_chain = chain && !p->chain; /* a chain of one */
    p->chain |= made_chain;
    Frame *was = b->frame, f = {.def = d, .source = d->span.file, .problem = p, .env = env_new(b, NULL)};
    f.path = name_fmt(b->cx, "%s.%s", p->path, d->name);
    Val Dv = v_list(b, NULL, 0), g = v_list(b, NULL, 0);
    for (int i = 0; i < p->n; i++) vec_push(b->a, &Dv.list->item, v_op(p->D[i]));
    for (int i = 0; i < p->n; i++) vec_push(b->a, &g.list->item, start[i]);
    if (!chain) Dv = Dv.list->item.at[0], g = g.list->item.at[0];
    b->frame = &f;
    b->depth++;
    env_bind(b, f.env, head->name, p->signal, false, head->span);
    env_bind(b, f.env, chain ? h->a->args[0].value->name : h->a->name, Dv, false, head->span);
    env_bind(b, f.env, h->b->name, g, true, head->span);
    bool ok = b->depth < 200;
    for (uint32_t i = 0; i < d->nparams && ok; i++) {
        const Param *q = &d->params[i];
        if (q->problem) continue;
        const Val *given = NULL;
        for (uint32_t k = 0; k < solver->nbound; k++)
            if (solver->bound_name[k] == q->name) given = &solver->bound[k];
        if (!given && !q->init) {
            diag_error(b->cx, E_ARGS, p->span, "the solver '%s' needs '%s'", d->name, q->name);
            ok = false;
        } else env_bind(b, f.env, q->name, given ? *given : eval(b, q->init), false, q->span);
    }
    Val v = v_bad();
    if (ok) {
        if (d->value) v = eval(b, d->value);
        else {
            exec_block(b, d->body, d->nbody);
            if (f.has_returned) v = f.returned;
            else if (!b->cx->errors) diag_error(b->cx, E_NO_VALUE, d->name_span, "the solver '%s' ends without a `return`", d->name);
        }
    }
    b->depth--;
    b->frame = was;
    if (made_chain) {
        p->chain = false;
        if (v.kind == V_LIST && v.list->item.len == 1) v = v.list->item.at[0];
    }
    return v;
}

/* g, with the gradient of the solution of g = prox(g - step D'(D g - X)). */
static Val implicit_code(Build *b, Problem *p, Val g, Span at) {
    if (p->chain) {
        diag_error(b->cx, E_IMPLICIT, p->span, "'%s' is a chain: its gradient cannot be implicit", p->name);
        return v_bad();
    }
    NodeId gn;
    if (!to_node(b, apply1(b, OP_stop, g, at), at, &gn)) return v_bad();
    GCtx *outer = b->ctx, *body = body_open(b);
    const Node *n = graph_at(outer->g, gn);
    Val x = v_tensor(b, op_leaf(body->g, OP_arg, 0, n->shape, n->batched, at, NULL));
    Val r = apply2(b, OP_sub, lin_apply(b, p->D[0], x, false, at), p->signal, at);
    Val down = apply2(b, OP_mul, problem_step(b, p, 0, at), lin_apply(b, p->D[0], r, true, at), at);
    Val y = problem_prox(b, p, 0, apply2(b, OP_sub, x, down, at), at);
    NodeId out;
    bool ok = to_node(b, y, at, &out);
    if (ok) graph_out(body->g, OUT_VALUE, 0, out, NULL);
    NodeId *in = ARENA_ARRAY(b->a, NodeId, 1 + body->captures.len + body->per_turn.len);
    in[0] = gn;
    body_number(b, body, 1, in);
    enter(b, outer);
    if (!ok) return v_bad();
    Attr a = {.body = body->g};
    return v_tensor(b, graph_add(outer->g, OP_fixed_point, in, (uint32_t)(1 + body->captures.len + body->per_turn.len), &a, at));
}

static Val finish_code(Build *b, Problem *p, Val v, const char *gradient, int layer, Span at) {
    Shape want = p->code[layer ? layer - 1 : 0];
    if (v.kind == V_ZERO) v = val_zeros(b, want);
    if (v.kind != V_TENSOR || !shape_eq(val_shape(b, v), want)) {
        if (v.kind != V_BAD) diag_error(b->cx, E_SHAPE, at, "the solver gives %s for '%s', which is %s", v_text(b, v), p->name, shape_text(b->a, want));
        return v_bad();
    }
    if (!strcmp(gradient, "stopped")) v = apply1(b, OP_stop, v, at);
    bool done = p->chain && v.code && v.code != p; /* the layer's own lasso made it so: layered(each: ...) */
    if (!strcmp(gradient, "implicit") && !done) v = implicit_code(b, p, v, at);
    v.code = p;
    v.layer = layer;
    return v;
}

/* How each layer's code is differentiated. */
static bool gradient_modes(Build *b, Problem *p, const char **mode, Span at) {
    for (int i = 0; i < p->n; i++) {
        Val v = problem_option(b, p, "gradient", p->chain ? i + 1 : 0, at);
        mode[i] = v.kind == V_ABSENT ? "unrolled" : v.kind == V_STRING ? v.s : "";
        p->keep_loops |= !strcmp(mode[i], "recompute");
        if (v.kind == V_BAD) return false;
        if (!strcmp(mode[i], "unrolled") || !strcmp(mode[i], "recompute") || !strcmp(mode[i], "implicit") || !strcmp(mode[i], "stopped")) continue;
        diag_error(b->cx, E_VALUE, at, "gradient of '%s' is one of unrolled, recompute, implicit, stopped; found %s", p->name, v_text(b, v));
        return false;
    }
    return true;
}

void exec_lasso(Build *b, const Stmt *s) {
    Expr *target = s->targets[0], *base = target;
    while (base->kind == EX_INDEX) base = base->a;
    Problem *p = ARENA_NEW(b->a, Problem);
    p->stmt = s;
    p->span = target->span;
    p->name = base->name;
    p->outer = b->frame->problem;
    Name local = base->name;
    int64_t place = 0;
    if (target->kind == EX_INDEX && target->n == 1 && eval_int(b, target->items[0], "the number of a code", &place)) {
        local = name_fmt(b->cx, "%s.%lld", base->name, (long long)place);
        p->outer_layer = (int)place;
    }
    p->path = scope_name(b, local);
    p->frame = ARENA_NEW(b->a, Frame);
    *p->frame = *b->frame;
    p->env = b->frame->env;
    p->ctx = b->ctx;
    p->home = b->home;
    p->signal = eval(b, s->signal);
    Val v = v_bad();
    Span at = target->span;
    NodeId ignored;
    if (p->signal.kind != V_BAD && p->signal.kind != V_TENSOR) {
        diag_error(b->cx, E_LASSO, s->signal->span, "the signal is a tensor, found %s", v_text(b, p->signal));
    } else if (p->signal.kind == V_TENSOR && to_node(b, p->signal, s->signal->span, &ignored) && bind_dictionaries(b, p, s)) {
        p->signal = v_tensor(b, ignored);
        Val solve = problem_option(b, p, "solve", 0, at);
        const char **mode = ARENA_ARRAY(b->a, const char *, p->n);
        if (!gradient_modes(b, p, mode, at)) ;
        else if (solve.kind == V_ABSENT) {
            Diag *d = diag_error(b->cx, E_OPTION_MISSING, at, "'%s' has no solver", p->name);
            diag_help(b->cx, d, "solve = fista(unfold: 2)");
        } else if (solve.kind != V_FN || solve.fn->kind != FN_DEF || solve.fn->def->kind != DEF_SOLVER) {
            if (solve.kind != V_BAD) diag_error(b->cx, E_SOLVER, at, "solve of '%s' is a solver such as fista(unfold: 2), found %s", p->name, v_text(b, solve));
        } else {
            p->keep_loops |= p->outer && p->outer->keep_loops;
            Val *start = ARENA_ARRAY(b->a, Val, p->n);
            bool ok = read_updates(b, p, solve.fn);
            for (int i = 0; i < p->n && ok; i++) ok = start_value(b, p, p->chain ? i + 1 : 0, &start[i], at);
            if (ok) v = run_solver(b, p, solve.fn, start);
            if (p->chain && v.kind == V_LIST && (int)v.list->item.len == p->n) {
                Val all = v_list(b, NULL, 0);
                for (int i = 0; i < p->n; i++) vec_push(b->a, &all.list->item, finish_code(b, p, v.list->item.at[i], mode[i], i + 1, at));
                v = all;
                v.code = p;
            } else if (p->chain) {
                if (v.kind != V_BAD) diag_error(b->cx, E_SHAPE, at, "the solver gives %s for the %d codes of '%s'", v_text(b, v), p->n, p->name);
                v = v_bad();
            } else v = finish_code(b, p, v, mode[0], 0, at);
        }
    }
    p->solution = v;
    if (b->ctx == b->root && v.kind != V_BAD) vec_push(b->a, &b->codes, p);
    Binding *x = env_find(b->frame->env, base->name);
    if (target->kind == EX_INDEX && !x) {
        env_bind(b, b->frame->env, base->name, v_list(b, NULL, 0), true, base->span);
        x = env_find(b->frame->env, base->name);
    }
    if (target->kind == EX_INDEX || (x && x->var)) assign_to(b, target, v);
    else env_bind(b, b->frame->env, base->name, v, false, base->span);
    if (v.kind == V_TENSOR) {
        Node *n = &v.ctx->g->nodes.at[v.node];
        n->name = p->path;
        if (v.ctx == b->root) {
            GraphOut o = {OUT_VALUE, (int32_t)b->named.len, v.node, p->path};
            vec_push(b->a, &b->named, o);
        }
    }
}
