/* The options of a problem: which one holds for a layer, thresholds, steps; and what a code knows of its problem. */
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

Span problem_option_span(Build *b, Problem *p, const char *name, int layer) {
    Name binder;
    const Option *o = find_option(b, p, name, layer, &binder);
    if (!o) return p->outer ? problem_option_span(b, p->outer, name, p->outer_layer) : p->span;
    return o->value ? o->value->span : o->span;
}

bool problem_untied(Build *b, Problem *p, const char *name, int layer) {
    Name binder;
    const Option *o = find_option(b, p, name, layer, &binder);
    return o ? o->untied : p->outer && problem_untied(b, p->outer, name, p->outer_layer);
}

static Val option_value(Build *b, Problem *p, const Option *o, Name binder, int layer) {
    Frame *was = b->frame, f = frame_within(b, p->frame, p->env, p->path);
    GCtx *home = b->home, *ctx = b->ctx;
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

/* Of a list given to a chain, the item of a layer: a list runs over layers first. */
static Val layer_item(Build *b, Problem *p, const Option *o, Val v, int layer, Span at) {
    if (!p->chain || !layer || v.kind != V_LIST || o->nindex) return v;
    if ((int)v.list->item.len == p->n) return index_value(b, v, v_int(layer), at);
    diag_error(b->cx, E_SHAPE, o->value ? o->value->span : o->span, "%s has %zu item%s, but '%s' is a chain of %d", o->name, v.list->item.len,
               v.list->item.len == 1 ? "" : "s", p->name, p->n);
    return v_bad();
}

Val problem_option(Build *b, Problem *p, const char *name, int layer, Span at) {
    Name binder;
    const Option *o = find_option(b, p, name, layer, &binder);
    if (!o) return p->outer ? problem_option(b, p->outer, name, p->outer_layer, at) : (Val){.kind = V_ABSENT};
    int key = binder || o->nindex ? layer : 0;
    for (size_t i = 0; i < p->cache.len; i++)
        if (p->cache.at[i].option == o && p->cache.at[i].layer == key) {
            Val v = p->cache.at[i].value, item = layer_item(b, p, o, v, layer, at);
            if (v.kind == V_LIST && item.kind == V_BAD) p->cache.at[i].value = v_bad(); /* said once */
            return item;
        }
    Val v = option_value(b, p, o, binder, layer);
    if (!o->untied) {
        OptionCache c = {o, key, v};
        vec_push(b->a, &p->cache, c);
    }
    Val item = layer_item(b, p, o, v, layer, at);
    if (v.kind == V_LIST && item.kind == V_BAD && !o->untied) p->cache.at[p->cache.len - 1].value = v_bad();
    return item;
}

static LinOp *layer_dictionary(Problem *p, int layer) { return p->D[p->chain && layer ? layer - 1 : 0]; }

Val problem_step(Build *b, Problem *p, int layer, Span at) {
    Val v = problem_option(b, p, "step", layer, at);
    Shape code = p->code[p->chain && layer ? layer - 1 : 0];
    if (v.kind == V_TENSOR && !shape_is_prefix(val_shape(b, v), code)) {
        diag_error(b->cx, E_SHAPE, problem_option_span(b, p, "step", layer), "step of '%s' is %s, its code %s", p->name, v_text(b, v), shape_text(b->a, code));
        return v_bad();
    }
    if (v.kind == V_INT || v.kind == V_REAL || v.kind == V_TENSOR || v.kind == V_ZERO || v.kind == V_BAD) return v;
    if (v.kind != V_ABSENT) {
        diag_error(b->cx, E_TYPE, problem_option_span(b, p, "step", layer), "step of '%s' is a number or a tensor, found %s", p->name, v_text(b, v));
        return v_bad();
    }
    return apply1(b, OP_recip, lin_lipschitz(b, layer_dictionary(p, layer), at), at);
}

Val problem_name(Build *b, Problem *p, Name n, Span at, bool *found) {
    *found = true;
    if (!strcmp(n, "updates")) {
        if (p->has_updates) return v_int(p->run_updates);
        Diag *d = diag_error(b->cx, E_UPDATES, problem_option_span(b, p, "solve", 0), "the solver of '%s' counts its updates, but is not told how many", p->name);
        diag_help(b->cx, d, "solve = ista(unfold: 2), or iterations: 3, or until: 1e-5, at_most: 500");
        return v_bad();
    }
    if (!strcmp(n, "tolerance")) return p->tolerance_read = true, p->tolerance;
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
static Val prox_one(Build *b, Problem *p, int layer, int block, Val prox, Val lambda, Val z, Val step, Span at) {
    if (z.kind == V_BAD || prox.kind == V_BAD || lambda.kind == V_BAD) return v_bad();
    if (prox.kind == V_STRING && !strcmp(prox.s, "none")) return z;
    if (prox.kind != V_FN) {
        diag_error(b->cx, E_TYPE, problem_option_span(b, p, "prox", layer), "prox of '%s' is a threshold such as soft, found %s", p->name, v_text(b, prox));
        return v_bad();
    }
    Val arg[2] = {z, v_bad()};
    if (prox.fn->kind == FN_DEF && !prox.fn->path) prox.fn = prox_instance(b, p, layer, block, prox.fn);
    if (fn_arity(prox.fn) < 2) return call_simple(b, prox.fn, arg, 1, at);
    if (lambda.kind == V_ABSENT) {
        Diag *d = diag_error(b->cx, E_OPTION_MISSING, p->span, "the threshold of '%s' needs lambda", p->name);
        diag_help(b->cx, d, "lambda = 0.1, tunable lambda = 0.1, lambda = 0.1 * lambda_max(D, X)");
        return v_bad();
    }
    if (lambda.kind != V_INT && lambda.kind != V_REAL && lambda.kind != V_TENSOR && lambda.kind != V_ZERO) {
        diag_error(b->cx, E_TYPE, problem_option_span(b, p, "lambda", layer), "lambda of '%s' is a number or a tensor, found %s", p->name, v_text(b, lambda));
        return v_bad();
    }
    if (lambda.kind == V_TENSOR && !shape_is_prefix(val_shape(b, lambda), val_shape(b, z))) {
        diag_error(b->cx, E_SHAPE, problem_option_span(b, p, "lambda", layer), "lambda of '%s' is %s, its code %s", p->name, v_text(b, lambda), v_text(b, z));
        return v_bad();
    }
    if (step.kind == V_ABSENT) step = problem_step(b, p, layer, at);
    else if (step.kind != V_INT && step.kind != V_REAL && step.kind != V_TENSOR && step.kind != V_BAD) {
        diag_error(b->cx, E_TYPE, at, "the step of a threshold is a number or a tensor, found %s", v_text(b, step));
        return v_bad();
    }
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
static bool block_count(Build *b, Problem *p, int layer, LinOp *D, Val prox, Val lambda) {
    size_t n = (size_t)D->nparts;
    if (D->kind == L_HCAT && (prox.kind != V_LIST || prox.list->item.len == n) && (lambda.kind != V_LIST || lambda.list->item.len == n)) return true;
    bool of_prox = prox.kind == V_LIST && !(D->kind == L_HCAT && prox.list->item.len == n);
    const char *name = of_prox ? "prox" : "lambda";
    size_t k = of_prox ? prox.list->item.len : lambda.list->item.len;
    Span at = problem_option_span(b, p, name, layer);
    Diag *d;
    if (D->kind == L_HCAT) d = diag_error(b->cx, E_SHAPE, at, "%s has %zu items, but the dictionary of '%s' is made of %zu blocks side by side", name, k, p->name, n);
    else d = diag_error(b->cx, E_SHAPE, at, "%s has %zu items, but the dictionary of '%s' is one block", name, k, p->name);
    diag_help(b->cx, d, "a list has one item for each block of [A | B]; in a chain, for each layer first");
    return false;
}

Val problem_prox(Build *b, Problem *p, int layer, Val z, Val step, Span at) {
    Val prox = problem_option(b, p, "prox", layer, at), lambda = problem_option(b, p, "lambda", layer, at);
    if (z.kind == V_BAD || prox.kind == V_BAD) return v_bad();
    if (prox.kind == V_ABSENT) {
        Diag *d = diag_error(b->cx, E_OPTION_MISSING, p->span, "'%s' has no threshold", p->name);
        diag_help(b->cx, d, "prox = soft, prox = soft_nonneg, prox(z) = relu(z + b), prox = none");
        return v_bad();
    }
    if (prox.kind != V_LIST && lambda.kind != V_LIST) return prox_one(b, p, layer, 0, prox, lambda, z, step, at);
    LinOp *D = side_by_side(layer_dictionary(p, layer));
    if (!block_count(b, p, layer, D, prox, lambda)) return v_bad();
    int64_t *size = ARENA_ARRAY(b->a, int64_t, D->nparts), start = 0;
    if (!lin_block_sizes(b, D, val_shape(b, z), size, at)) return v_bad();
    Val *out = ARENA_ARRAY(b->a, Val, D->nparts);
    for (int i = 0; i < D->nparts; i++) {
        Val zi = slice_axis(b, z, 0, start, size[i], at);
        start += size[i];
        out[i] = prox_one(b, p, layer, i + 1, prox.kind == V_LIST ? prox.list->item.at[i] : prox, lambda.kind == V_LIST ? lambda.list->item.at[i] : lambda, zi, step, at);
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
        if (!block_count(b, p, v.layer, D, prox, lambda)) return v_bad();
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
