/* Parameters, tunables and states: their names, shapes, starts, and their values in the graph at hand. */
#include "base/trouble.h"
#include "build/value.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

Name scope_name(Build *b, Name local) {
    Frame *f = b->frame;
    const char *s = *f->path ? arena_printf(b->a, "%s.%s", f->path, local) : local;
    const char *turns = "";
    for (size_t i = 0; i < f->turns.len; i++) turns = arena_printf(b->a, "%s.%lld", turns, (long long)f->turns.at[i]);
    build_step(b, 1 + (int64_t)f->used.len / 256, (Span){0}); /* what the search costs */
    for (int k = 1;; k++) { /* a second of one name is pair_2 */
        Name n = k == 1 ? name_fmt(b->cx, "%s%s", s, turns) : name_fmt(b->cx, "%s_%d%s", s, k, turns);
        bool taken = false;
        for (size_t i = 0; i < f->used.len; i++) taken |= f->used.at[i] == n;
        if (taken) continue;
        vec_push(b->a, &f->used, n);
        return n;
    }
}

/* ---- types ---- */
static bool free_dimension(Build *b, Expr *e, int64_t *out) {
    for (size_t i = 0; i < b->o->nset; i++)
        if (!strcmp(b->o->set[i].name, e->name)) {
            char *end;
            long long v = strtoll(b->o->set[i].value, &end, 10);
            if (*end || v < 1 || v > SIZE_MOST) {
                diag_error(b->cx, E_SET, e->span, "%s=%s: a size is a whole number from 1 to %d", e->name, b->o->set[i].value, SIZE_MOST);
                return false;
            }
            *out = v;
            env_bind(b, b->frame->env, e->name, v_int(v), false, e->span);
            return true;
        }
    if (b->o->free_default) {
        *out = 32; /* large enough for kernels, odd in nothing: `check` only wants to see that sizes flow */
        env_bind(b, b->frame->env, e->name, v_int(32), false, e->span);
        return true;
    }
    Diag *d = diag_error(b->cx, E_FREE, e->span, "the size '%s' is not bound", e->name);
    diag_help(b->cx, d, "%s", b->o->free_why ? b->o->free_why : arena_printf(b->a, "give it with --set %s=64", e->name));
    return false;
}

bool type_shape(Build *b, const TypeRef *t, Shape *out) {
    Shape s = {.rank = (int32_t)t->n};
    if (t->n > RANK_MAX) {
        diag_error(b->cx, E_SHAPE, t->span, "a tensor has at most %d axes", RANK_MAX);
        return false;
    }
    int64_t total = 1;
    for (uint32_t i = 0; i < t->n; i++) {
        Expr *e = t->dims[i];
        bool free_dim = e->kind == EX_NAME && b->frame->is_model && !env_find(b->frame->env, e->name);
        if (free_dim ? !free_dimension(b, e, &s.dim[i]) : !eval_int(b, e, "a size", &s.dim[i])) return false;
        bool fits = s.dim[i] >= 1 && s.dim[i] <= SIZE_MOST;
        if (!fits || (total *= s.dim[i]) > SIZE_MOST) {
            if (!fits) diag_error(b->cx, E_VALUE, e->span, "a size is a whole number from 1 to %lld, found %lld", (long long)SIZE_MOST, (long long)s.dim[i]);
            else diag_error(b->cx, E_VALUE, t->span, "this tensor has more than %lld entries", (long long)SIZE_MOST);
            return false;
        }
    }
    *out = s;
    return true;
}

/* ---- leaves in the root graph, and from there inward ---- */
static NodeId root_leaf(Build *b, OpKind k, int32_t index, Shape s, Span span, Name name) {
    NodeIds *list = k == OP_param ? &b->param_leaf : k == OP_state ? &b->state_leaf : &b->tunable_leaf;
    while (list->len <= (size_t)index) vec_push(b->a, list, NO_NODE);
    if (list->at[index] == NO_NODE) list->at[index] = op_leaf(b->root->g, k, index, s, false, span, name);
    return list->at[index];
}

static Shape with_turns(Shape s, int64_t turns) {
    Shape t = {.rank = s.rank + 1, .dim = {turns}};
    for (int i = 0; i < s.rank; i++) t.dim[i + 1] = s.dim[i];
    return t;
}

/* The entry of this turn, in `ctx`, of a value with one leading axis for each graph between the root and ctx. */
static NodeId turn_entry(Build *b, GCtx *ctx, NodeId root_value, bool learn_cut) {
    if (!ctx->parent) return root_value;
    NodeId outer = turn_entry(b, ctx->parent, root_value, learn_cut);
    Graph *og = ctx->parent->g;
    for (size_t i = 0; i < ctx->per_turn.len; i++)
        if (ctx->per_turn.at[i].outer == outer) return ctx->per_turn.at[i].arg;
    NodeId all = outer;
    if (ctx->turns < ctx->full_turns) all = op_slice(og, all, 0, 0, ctx->turns);
    if (learn_cut && ctx->live_from > 0) { /* layerwise: earlier turns stay as they are */
        NodeId old = op1(og, OP_stop, op_slice(og, all, 0, 0, ctx->live_from));
        NodeId in[2] = {old, op_slice(og, all, 0, ctx->live_from, ctx->turns - ctx->live_from)};
        all = graph_add(og, OP_concat, in, 2, &(Attr){.axis = 0}, (Span){0});
    }
    for (size_t i = 0; i < ctx->per_turn.len; i++)
        if (ctx->per_turn.at[i].outer == all) return ctx->per_turn.at[i].arg;
    Shape s = graph_shape(og, all), entry = {.rank = s.rank - 1};
    for (int i = 0; i < entry.rank; i++) entry.dim[i] = s.dim[i + 1];
    const Node *n = graph_at(og, all);
    Capture c = {all, op_leaf(ctx->g, OP_arg, 0, entry, n->batched, n->span, n->name)};
    vec_push(b->a, &ctx->per_turn, c);
    return c.arg;
}

static int64_t turns_of(const GCtx *ctx, Shape *axes) { /* product of the turns of all loops around; 0: none */
    int64_t n = 0;
    axes->rank = 0;
    for (; ctx->parent; ctx = ctx->parent) {
        n = !n ? ctx->full_turns : n > SIZE_MOST ? n : n * ctx->full_turns; /* refused by turns_fit before it can overflow */
        for (int i = axes->rank++; i > 0; i--) axes->dim[i] = axes->dim[i - 1];
        axes->dim[0] = ctx->full_turns;
    }
    return n;
}

static bool turns_fit(Build *b, Shape s, int64_t turns, Name name, Span at) {
    if (turns == 0 || size_fits(with_turns(s, turns))) return true;
    diag_error(b->cx, E_TOO_LARGE, at, "'%s', one for each of %lld turns, has more than %d entries", name, (long long)turns, SIZE_MOST);
    return false;
}

static Val value_here(Build *b, GCtx *home, NodeId root_value, Shape shape, Shape axes, bool learn_cut) {
    if (axes.rank > 1) { /* nested loops: [T1 * T2, ...] seen as [T1, T2, ...] */
        Shape s = axes;
        for (int i = 0; i < shape.rank; i++) s.dim[s.rank++] = shape.dim[i];
        root_value = op_reshape(b->root->g, root_value, s);
    }
    return (Val){.kind = V_TENSOR, .ctx = home, .node = turn_entry(b, home, root_value, learn_cut)};
}

/* ---- parameters ---- */
static void read_constraints(Build *b, const Stmt *s, ParamDecl *d) {
    static const struct {
        const char *name;
        ConstraintKind kind;
    } table[] = {{"unit_atoms", CON_UNIT_ATOMS},   {"unit_columns", CON_UNIT_COLUMNS}, {"nonnegative", CON_NONNEGATIVE},
                 {"orthogonal", CON_ORTHOGONAL},   {"sparse_l0", CON_SPARSE_L0},       {"sparse_l1", CON_SPARSE_L1}};
    for (uint32_t i = 0; i < s->nconstraints; i++) {
        const ConstraintRef *c = &s->constraints[i];
        if (!strcmp(c->name, "fixed")) {
            d->fixed = true;
            continue;
        }
        bool known = false;
        for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
            if (strcmp(table[k].name, c->name)) continue;
            known = true;
            Constraint out = {table[k].kind, 0};
            bool wants = out.kind == CON_SPARSE_L0 || out.kind == CON_SPARSE_L1;
            if (wants != (c->n == 1)) {
                diag_error(b->cx, E_PARAM, c->span, wants ? "'%s' takes one number" : "'%s' takes no argument", c->name);
                continue;
            }
            if (wants && (!v_known_number(eval(b, c->args[0].value), &out.value) || !(out.value > 0))) {
                diag_error(b->cx, E_PARAM, c->span, "'%s' takes a number above zero", c->name);
                continue;
            }
            int axes = out.kind == CON_ORTHOGONAL ? 2 : out.kind == CON_NONNEGATIVE || out.kind == CON_SPARSE_L1 ? 0 : 1;
            if (d->shape.rank < axes) {
                diag_error(b->cx, E_PARAM, c->span, "'%s' does not fit %s", c->name, shape_text(b->a, d->shape));
                continue;
            }
            vec_push(b->a, &d->constraints, out);
        }
        if (!known) diag_error(b->cx, E_PARAM, c->span, "there is no constraint '%s'", c->name);
    }
}

bool param_start(Build *b, int32_t index, NodeId *out) {
    const ParamDecl *d = &b->p->params.at[index];
    GCtx *here = enter(b, b->root);
    bool ok = to_node(b, b->param_init.at[index], d->span, out);
    enter(b, here);
    if (!ok) return false;
    *out = op_expand(b->root->g, *out, d->shape);
    if (d->turns) *out = graph_add(b->root->g, OP_expand, out, 1, &(Attr){.axes = 1, .shape = with_turns(d->shape, d->turns)}, d->span);
    return true;
}

Val param_value(Build *b, Name full, Shape shape, Init init, const Val *init_value, bool fixed, const Stmt *s, Span span) {
    Shape axes;
    int64_t turns = turns_of(b->home, &axes);
    if (axes.rank + shape.rank > RANK_MAX) {
        diag_error(b->cx, E_PARAM, span, "'%s' has more than %d axes, counting the loops around it", full, RANK_MAX);
        return v_bad();
    }
    if (!turns_fit(b, shape, turns, full, span)) return v_bad();
    int32_t index = -1;
    for (size_t i = 0; i < b->p->params.len; i++)
        if (b->p->params.at[i].name == full) index = (int32_t)i; /* shared: called again, or the body of a loop built again */
    if (index < 0 && b->p->params.len >= PARAMS_MOST) {
        if (!b->stopped) diag_error(b->cx, E_TOO_LARGE, span, "the model has more than %d parameters", PARAMS_MOST);
        b->stopped = true;
        return v_bad();
    }
    if (index < 0) {
        ParamDecl d = {.name = full, .shape = shape, .turns = turns, .init = init, .fixed = fixed, .span = span};
        if (s) read_constraints(b, s, &d);
        index = (int32_t)b->p->params.len;
        vec_push(b->a, &b->p->params, d);
    } else if (!shape_eq(b->p->params.at[index].shape, shape) || b->p->params.at[index].turns != turns) {
        diag_error(b->cx, E_PARAM, span, "the parameter '%s' is shared, but was %s before and is %s here", full,
                   shape_text(b->a, b->p->params.at[index].shape), shape_text(b->a, shape));
        return v_bad();
    }
    while (b->param_init.len <= (size_t)index) vec_push(b->a, &b->param_init, v_bad());
    if (init_value) b->param_init.at[index] = *init_value;
    Shape stored = turns ? with_turns(shape, turns) : shape;
    NodeId leaf;
    if (b->mode == ENTRY_INIT && b->p->params.at[index].init.kind == INIT_EXPR) { /* not there yet: its start is */
        if (!param_start(b, index, &leaf)) return v_bad();
    } else leaf = root_leaf(b, OP_param, index, stored, span, full);
    return value_here(b, b->home, leaf, shape, axes, true);
}

static bool he_spread(Build *b, Shape s, Span at, double *fan_in) {
    if (s.rank < 2) {
        diag_error(b->cx, E_PARAM, at, "he_normal and he_uniform need a weight with a fan-in, not %s", shape_text(b->a, s));
        return false;
    }
    *fan_in = (double)shape_size(s) / (double)s.dim[0];
    return true;
}

static bool known_arg(Build *b, Expr *e, double *out) {
    Val v = eval(b, e);
    if (v.kind == V_BAD) return false;
    if (v_known_number(v, out)) return true;
    diag_error(b->cx, E_KNOWN, e->span, "the spread of a random start must be known while compiling, found %s", v_text(b, v));
    return false;
}

/* normal(s), uniform(a, b), he_normal, he_uniform, a number, or any expression. 1: done; 0: an expression; -1: an error */
static int random_init(Build *b, Expr *e, Shape s, Init *out) {
    Expr *head = e->kind == EX_CALL ? e->a : e;
    if (head->kind != EX_NAME || env_find(b->frame->env, head->name)) return 0;
    const char *n = head->name;
    double fan, x, y;
    uint32_t nargs = e->kind == EX_CALL ? e->n : 0;
    if (!strcmp(n, "he_normal") && nargs == 0) {
        if (!he_spread(b, s, e->span, &fan)) return -1;
        *out = (Init){INIT_NORMAL, 0, sqrt(2 / fan)};
        return 1;
    }
    if (!strcmp(n, "he_uniform") && nargs == 0) {
        if (!he_spread(b, s, e->span, &fan)) return -1;
        *out = (Init){INIT_UNIFORM, -sqrt(6 / fan), sqrt(6 / fan)};
        return 1;
    }
    if (!strcmp(n, "normal") || !strcmp(n, "uniform")) {
        bool normal = n[0] == 'n';
        if (nargs != (normal ? 1 : 2) && !(normal && nargs == 2)) {
            diag_error(b->cx, E_ARGS, e->span, normal ? "normal takes a deviation: normal(0.1)" : "uniform takes two bounds: uniform(-1, 1)");
            return -1;
        }
        if (!known_arg(b, e->args[0].value, &x)) return -1;
        if (nargs == 2 && !known_arg(b, e->args[1].value, &y)) return -1;
        *out = !normal ? (Init){INIT_UNIFORM, x, y} : nargs == 2 ? (Init){INIT_NORMAL, x, y} : (Init){INIT_NORMAL, 0, x};
        if (normal ? out->b < 0 : x > y) {
            diag_error(b->cx, E_VALUE, e->span, "a random start needs a spread that is not negative");
            return -1;
        }
        return 1;
    }
    return 0;
}

static Val one_param(Build *b, const Stmt *s, Name full) {
    if (s->type && !strcmp(s->type->name, "like")) {
        if (s->type->nargs != 1) {
            diag_error(b->cx, E_ARGS, s->type->span, "like takes one operator: like(D)");
            return v_bad();
        }
        Val d = eval(b, s->type->args[0].value);
        if (d.kind == V_BAD) return d;
        if (!as_op(d)) {
            diag_error(b->cx, E_TYPE, s->type->span, "like takes an operator, found %s", v_text(b, d));
            return v_bad();
        }
        GCtx *here = enter(b, b->root); /* all turns start alike */
        Val start = s->value ? eval(b, s->value) : d;
        enter(b, here);
        if (start.kind == V_BAD) return start;
        if (!as_op(start)) {
            diag_error(b->cx, E_LIKE, s->value->span, "'%s' starts from an operator, found %s", s->name, v_text(b, start));
            return v_bad();
        }
        LinOp *op = lin_like(b, d.op, start.op, full, s, s->span);
        return op ? v_op(op) : v_bad();
    }
    Shape shape = {0};
    if (s->type && strcmp(s->type->name, "real")) {
        diag_error(b->cx, E_PARAM, s->type->span, "a parameter is real, not '%s'", s->type->name);
        return v_bad();
    }
    if (s->type && !type_shape(b, s->type, &shape)) return v_bad();
    Init init = {INIT_CONST, 0, 0};
    Val start = v_bad();
    if (s->value) {
        int r = random_init(b, s->value, shape, &init);
        if (r < 0) return v_bad();
        if (r == 0) {
            GCtx *here = enter(b, b->root);
            start = eval(b, s->value);
            enter(b, here);
            double x;
            if (start.kind == V_BAD) return start;
            if (v_known_number(start, &x)) init = (Init){INIT_CONST, x, 0};
            else if (start.kind == V_ZERO) init = (Init){INIT_CONST, 0, 0};
            else if (start.kind == V_TENSOR && start.ctx != b->root) {
                diag_error(b->cx, E_LOOP_USE, s->value->span, "'%s' cannot start from a value of one turn: the parameters of all turns are made before the first", s->name);
                return v_bad();
            } else if (start.kind == V_TENSOR) {
                if (!s->type) shape = val_shape(b, start);
                if (!shape_is_prefix(val_shape(b, start), shape) || val_node(start)->batched) {
                    diag_error(b->cx, E_PARAM, s->value->span, "'%s' is %s and cannot start from %s%s", s->name, shape_text(b->a, shape),
                               v_text(b, start), val_node(start)->batched ? " that differs from sample to sample" : "");
                    return v_bad();
                }
                init = (Init){INIT_EXPR, 0, 0};
            } else {
                diag_error(b->cx, E_PARAM, s->value->span, "'%s' cannot start from %s", s->name, v_text(b, start));
                return v_bad();
            }
        }
    }
    return param_value(b, full, shape, init, init.kind == INIT_EXPR ? &start : NULL, false, s, s->span);
}

void exec_param(Build *b, const Stmt *s) {
    if (!s->over) {
        env_bind(b, b->frame->env, s->name, one_param(b, s, scope_name(b, s->name)), false, s->name_span);
        return;
    }
    Val range = eval(b, s->over);
    if (range.kind != V_LIST) {
        if (range.kind != V_BAD) diag_error(b->cx, E_TYPE, s->over->span, "expected a range or a list, found %s", v_text(b, range));
        env_bind(b, b->frame->env, s->name, v_bad(), false, s->name_span);
        return;
    }
    Name full = scope_name(b, s->name);
    Val all = v_list(b, NULL, 0);
    Env *env = b->frame->env;
    for (size_t i = 0; i < range.list->item.len; i++) {
        b->frame->env = env_new(b, env);
        env_bind(b, b->frame->env, s->over_name, range.list->item.at[i], false, s->over_span);
        vec_push(b->a, &all.list->item, one_param(b, s, name_fmt(b->cx, "%s.%zu", full, i + 1)));
        b->frame->env = env;
    }
    env_bind(b, env, s->name, all, false, s->name_span);
}

bool tune_hits(const char *tune, const char *name) {
    size_t n = strlen(name), k = strlen(tune);
    return k <= n && !strcmp(name + n - k, tune) && (k == n || name[n - k - 1] == '.');
}

void exec_tunable(Build *b, const Stmt *s) {
    Val v = eval(b, s->value);
    TunableDecl t = {.span = s->name_span};
    if (!v_known_number(v, &t.value)) {
        if (v.kind != V_BAD) diag_error(b->cx, E_KNOWN, s->value->span, "a tunable starts from a number, found %s", v_text(b, v));
        env_bind(b, b->frame->env, s->name, v_bad(), false, s->name_span);
        return;
    }
    t.name = scope_name(b, s->name);
    int32_t index = -1;
    for (size_t i = 0; i < b->p->tunables.len; i++)
        if (b->p->tunables.at[i].name == t.name) index = (int32_t)i;
    if (index < 0) {
        for (size_t i = 0; i < b->o->ntune; i++) { /* all of that name, or the one with that path */
            if (tune_hits(b->o->tune[i].name, t.name)) t.value = strtod(b->o->tune[i].value, NULL);
        }
        index = (int32_t)b->p->tunables.len;
        vec_push(b->a, &b->p->tunables, t);
    }
    NodeId n = root_leaf(b, OP_tunable, index, shape_of(0), s->name_span, t.name);
    env_bind(b, b->frame->env, s->name, (Val){.kind = V_TENSOR, .ctx = b->root, .node = n}, false, s->name_span);
}

/* ---- states ---- */
int32_t state_new(Build *b, Name full, Shape shape, Init init) {
    for (size_t i = 0; i < b->p->states.len; i++)
        if (b->p->states.at[i].name == full) return (int32_t)i;
    StateDecl d = {.name = full, .shape = shape, .init = init};
    vec_push(b->a, &b->p->states, d);
    return (int32_t)b->p->states.len - 1;
}

Val state_value(Build *b, int32_t state) {
    const StateDecl *d = &b->p->states.at[state];
    return (Val){.kind = V_TENSOR, .ctx = b->root, .node = root_leaf(b, OP_state, state, d->shape, (Span){0}, d->name)};
}

Val state_here(Build *b, Name full, Shape shape, Init init, int32_t *state, Span at) {
    Shape axes;
    int64_t turns = turns_of(b->ctx, &axes);
    if (axes.rank + shape.rank > RANK_MAX) {
        diag_error(b->cx, E_PARAM, at, "'%s' has more than %d axes, counting the loops around it", full, RANK_MAX);
        return v_bad();
    }
    if (!turns_fit(b, shape, turns, full, at)) return v_bad();
    Shape stored = turns ? with_turns(shape, turns) : shape;
    *state = state_new(b, full, stored, init);
    for (int k = 2; !shape_eq(b->p->states.at[*state].shape, stored); k++) /* a shared layer, here in other loops: statistics of its own */
        *state = state_new(b, name_fmt(b->cx, "%s_%d", full, k), stored, init);
    b->p->states.at[*state].turns = turns;
    return value_here(b, b->ctx, state_value(b, *state).node, shape, axes, false);
}

Val state_keep(Build *b, int32_t state, Val now, Span at) {
    NodeId n;
    if (!to_node(b, now, at, &n)) return v_bad();
    n = op1(b->ctx->g, OP_stop, n);
    if (b->ctx == b->root) {
        GraphOut o = {OUT_STATE, state, n, b->p->states.at[state].name};
        vec_push(b->a, &b->state_outs, o);
    } else {
        Emit e = {n, state};
        vec_push(b->a, &b->ctx->emits, e);
    }
    return now;
}
