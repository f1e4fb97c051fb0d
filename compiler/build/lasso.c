/* Problems: a lasso statement binds a dictionary, a signal and options, and calls a solver that is library code. */
#include "base/trouble.h"
#include "build/value.h"
#include <string.h>

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

/* "D maps codes of 8 channels to signals of 1": what a message about sizes needs to say. */
static void note_maps(Build *b, Diag *d, LinOp *D, const Expr *e) {
    int64_t from = lin_channels(b, D, false), to = lin_channels(b, D, true);
    if (from > 0 && to > 0)
        diag_note(b->cx, d, e->span, "this dictionary maps codes of %lld channel%s to signals of %lld", (long long)from, from == 1 ? "" : "s", (long long)to);
}

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
            if (b->cx->diags.len && b->cx->errors == errors + 1) {
                Diag *e = b->cx->diags.at[b->cx->diags.len - 1];
                note_maps(b, e, di.op, d->a);
                if (i == 0) diag_note(b->cx, e, s->signal->span, "the signal is %s", shape_text(b->a, x));
                else diag_note(b->cx, e, (Span){0}, "the signal of layer %d, which is the code of layer %d, is %s", i + 1, i, shape_text(b->a, x));
            }
            return false;
        }
        operator_note(b, di.op, p->code[i], NULL, d->a->span);
        x = p->code[i];
    }
    return true;
}

static bool start_value(Build *b, Problem *p, int layer, Val *out) {
    Val v = problem_option(b, p, "init", layer, p->span);
    Shape want = p->code[layer ? layer - 1 : 0];
    if (v.kind == V_BAD) return false;
    double x;
    if (v.kind == V_ABSENT || v.kind == V_ZERO) *out = val_zeros(b, want);
    else if (v_known_number(v, &x)) *out = v_tensor(b, op_const(b->ctx->g, x, want));
    else if (v.kind == V_TENSOR && shape_eq(val_shape(b, v), want)) *out = v, out->code = NULL;
    else {
        diag_error(b->cx, E_SHAPE, problem_option_span(b, p, "init", layer), "'%s' is %s and cannot start from %s", p->name, shape_text(b->a, want), v_text(b, v));
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
        if (!v_known_number(v, &x) || (count && (v.kind != V_INT || v.i < (unfold ? 0 : 1) || v.i > TURNS_MOST - unfold)) || (!count && !(x > 0))) {
            if (count) diag_error(b->cx, E_UPDATES, at, "'%s' is a whole number from %d to %d, found %s", n, unfold ? 0 : 1, TURNS_MOST - unfold, v_text(b, v));
            else diag_error(b->cx, E_UPDATES, at, "'%s' is a tolerance above zero, found %s", n, v_text(b, v));
            return false;
        }
        given++;
        if (count) p->has_updates = true, p->updates = v.i + unfold, at_most |= !strcmp(n, "at_most");
        else p->tolerance = v_real(x);
    }
    bool until = p->tolerance.kind != V_ABSENT;
    if (until != at_most || given > 1 + until) {
        Diag *d = diag_error(b->cx, E_UPDATES, problem_option_span(b, p, "solve", 0), "the updates of '%s' are not told clearly", p->name);
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
        Diag *e = diag_error(b->cx, E_SOLVER, problem_option_span(b, p, "solve", 0), "'%s' solves for one dictionary, '%s' is a chain of %d", d->name, p->name, p->n);
        diag_help(b->cx, e, "solve = layered(each: %s(...))", d->name);
        return v_bad();
    }
    bool made_chain = chain && !p->chain; /* a chain of one */
    p->chain |= made_chain;
    Frame *was = b->frame, f = {.def = d, .at = problem_option_span(b, p, "solve", 0), .source = d->span.file, .problem = p, .env = env_new(b, NULL)};
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
        Span said = {0};
        for (uint32_t k = 0; k < solver->nbound; k++)
            if (solver->bound_name[k] == q->name) given = &solver->bound[k], said = solver->bound_span[k];
        if (!given && !q->init) {
            diag_error(b->cx, E_ARGS, problem_option_span(b, p, "solve", 0), "the solver '%s' needs '%s'", d->name, q->name);
            ok = false;
        } else ok = argument_bind(b, &f, i, given ? *given : eval(b, q->init), said);
    }
    Val v = v_bad();
    size_t said = b->cx->diags.len;
    if (ok) {
        if (d->value) v = eval(b, d->value);
        else {
            exec_block(b, d->body, d->nbody);
            if (f.has_returned) v = f.returned;
            else if (!b->cx->errors) diag_error(b->cx, E_NO_VALUE, d->name_span, "the solver '%s' ends without a `return`", d->name);
        }
    }
    if (p->tolerance.kind != V_ABSENT && !p->tolerance_read && !b->cx->errors) {
        Diag *e = diag_error(b->cx, E_UPDATES, problem_option_span(b, p, "solve", 0), "the solver '%s' looks at no tolerance: '%s' would take all its updates", d->name, p->name);
        diag_help(b->cx, e, "unfold: k or iterations: n; or let it `repeat updates until change(g) < tolerance`");
    }
    note_call(b, said, d, problem_option_span(b, p, "solve", 0));
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
        Diag *d = diag_error(b->cx, E_IMPLICIT, problem_option_span(b, p, "gradient", 1), "'%s' is a chain: its gradient cannot be implicit", p->name);
        diag_help(b->cx, d, "solve = layered(each: fista(...)) makes each layer a lasso of its own");
        return v_bad();
    }
    static const char *const parts[] = {"prox", "step", "lambda"};
    for (int i = 0; i < 3; i++)
        if (problem_untied(b, p, parts[i], 0)) {
            diag_error(b->cx, E_IMPLICIT, problem_option_span(b, p, parts[i], 0), "each update of '%s' has its own %s: there is no one equation that its gradient could follow",
                       p->name, parts[i]);
            return v_bad();
        }
    NodeId gn;
    if (!to_node(b, apply1(b, OP_stop, g, at), at, &gn)) return v_bad();
    GCtx *outer = b->ctx, *body = body_open(b);
    const Node *n = graph_at(outer->g, gn);
    Val x = v_tensor(b, op_leaf(body->g, OP_arg, 0, n->shape, n->batched, at, NULL));
    Val r = apply2(b, OP_sub, lin_apply(b, p->D[0], x, false, at), p->signal, at);
    Val down = apply2(b, OP_mul, problem_step(b, p, 0, at), lin_apply(b, p->D[0], r, true, at), at);
    Val y = problem_prox(b, p, 0, apply2(b, OP_sub, x, down, at), (Val){.kind = V_ABSENT}, at);
    NodeId out;
    bool ok = to_node(b, y, at, &out);
    if (ok && (body->per_turn.len || body->emits.len)) {
        diag_error(b->cx, E_IMPLICIT, problem_option_span(b, p, "prox", 0), "the threshold of '%s' keeps statistics of the batch: it is no equation of one sample", p->name);
        ok = false;
    }
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
static bool gradient_modes(Build *b, Problem *p, const char **mode) {
    for (int i = 0; i < p->n; i++) {
        Val v = problem_option(b, p, "gradient", p->chain ? i + 1 : 0, p->span);
        mode[i] = v.kind == V_ABSENT ? "unrolled" : v.kind == V_STRING ? v.s : "";
        p->keep_loops |= !strcmp(mode[i], "recompute");
        if (v.kind == V_BAD) return false;
        if (!strcmp(mode[i], "unrolled") || !strcmp(mode[i], "recompute") || !strcmp(mode[i], "implicit") || !strcmp(mode[i], "stopped")) continue;
        diag_error(b->cx, E_VALUE, problem_option_span(b, p, "gradient", p->chain ? i + 1 : 0), "gradient of '%s' is one of unrolled, recompute, implicit, stopped; found %s", p->name, v_text(b, v));
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
        bool modes = gradient_modes(b, p, mode);
        if (modes && solve.kind == V_ABSENT) {
            Diag *d = diag_error(b->cx, E_OPTION_MISSING, at, "'%s' has no solver", p->name);
            diag_help(b->cx, d, "solve = fista(unfold: 2)");
        } else if (modes && (solve.kind != V_FN || solve.fn->kind != FN_DEF || solve.fn->def->kind != DEF_SOLVER)) {
            if (solve.kind != V_BAD) diag_error(b->cx, E_SOLVER, problem_option_span(b, p, "solve", 0), "solve of '%s' is a solver such as fista(unfold: 2), found %s", p->name, v_text(b, solve));
        } else if (modes) {
            p->keep_loops |= p->outer && p->outer->keep_loops;
            Val *start = ARENA_ARRAY(b->a, Val, p->n);
            bool ok = read_updates(b, p, solve.fn);
            for (int i = 0; i < p->n && ok; i++) ok = start_value(b, p, p->chain ? i + 1 : 0, &start[i]);
            if (ok) v = run_solver(b, p, solve.fn, start);
            if (p->chain && v.kind == V_LIST && (int)v.list->item.len == p->n) {
                Val all = v_list(b, NULL, 0);
                for (int i = 0; i < p->n; i++) vec_push(b->a, &all.list->item, finish_code(b, p, v.list->item.at[i], mode[i], i + 1, at));
                v = all;
                v.code = p;
                for (int i = 0; i < p->n; i++)
                    if (all.list->item.at[i].kind == V_BAD) v = v_bad();
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
