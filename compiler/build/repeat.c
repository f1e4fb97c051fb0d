/* Iteration: `repeat` becomes one loop node. Its body is a graph; what it changes is carried, what it reads is captured. */
#include "base/trouble.h"
#include "build/value.h"

GCtx *body_open(Build *b) {
    GCtx *c = gctx_new(b, b->ctx);
    enter(b, c);
    return c;
}

void body_number(Build *b, GCtx *body, uint32_t ncarry, NodeId *inputs) {
    (void)b;
    int32_t k = (int32_t)ncarry;
    for (size_t i = 0; i < body->captures.len; i++, k++) {
        body->g->nodes.at[body->captures.at[i].arg].a.index = k;
        inputs[k] = body->captures.at[i].outer;
    }
    for (size_t i = 0; i < body->per_turn.len; i++, k++) {
        body->g->nodes.at[body->per_turn.at[i].arg].a.index = k;
        inputs[k] = body->per_turn.at[i].outer;
    }
    if (body->turn != NO_NODE) body->g->nodes.at[body->turn].a.index = k;
}

NodeId body_loop(Build *b, GCtx *body, const NodeId *init, const NodeId *next, uint32_t ncarry, NodeId until, int64_t turns, bool keep, Span at) {
    uint32_t nin = ncarry + (uint32_t)(body->captures.len + body->per_turn.len);
    NodeId *in = ARENA_ARRAY(b->a, NodeId, nin + 1);
    for (uint32_t i = 0; i < ncarry; i++) in[i] = init[i];
    body_number(b, body, ncarry, in);
    int32_t k = 0;
    for (uint32_t i = 0; i < ncarry; i++) graph_out(body->g, OUT_VALUE, k++, next[i], NULL);
    for (size_t i = 0; i < body->emits.len; i++) graph_out(body->g, OUT_VALUE, k++, body->emits.at[i].node, NULL);
    if (until != NO_NODE) graph_out(body->g, OUT_VALUE, k++, until, NULL);
    LoopAttr l = {.body = body->g, .turns = turns, .ncarry = ncarry, .ninvariant = (uint32_t)body->captures.len, .nper = (uint32_t)body->per_turn.len,
                  .nemit = (uint32_t)body->emits.len, .until = until != NO_NODE, .keep = keep};
    enter(b, body->parent);
    return op_loop(body->parent->g, &l, in, nin, at);
}

/* ---- which variables a block assigns ---- */
typedef struct Assigned {
    Binding **at;
    size_t n;
} Assigned;

static void note_assigned(Build *b, Assigned *list, const Expr *target) {
    while (target->kind == EX_INDEX) target = target->a;
    Binding *x = env_find(b->frame->env, target->name);
    if (!x || !x->var) return; /* a name of the body's own, or an error said when it is assigned */
    for (size_t i = 0; i < list->n; i++)
        if (list->at[i] == x) return;
    list->at = arena_grow(b->a, list->at, list->n * sizeof *list->at, (list->n + 1) * sizeof *list->at);
    list->at[list->n++] = x;
}

static void find_assigned(Build *b, Assigned *list, Stmt **s, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < s[i]->ntargets; k++) note_assigned(b, list, s[i]->targets[k]);
        find_assigned(b, list, s[i]->body, s[i]->nbody);
        find_assigned(b, list, s[i]->orelse, s[i]->norelse);
    }
}

/* ---- carried values: the tensors inside the assigned variables, lists opened ---- */
typedef struct Carry {
    NodeId init;  /* outer graph */
    Shape shape;
    bool batched; /* its argument is one per sample */
    NodeId next;
} Carry;
typedef Vec(Carry) Carries;

enum { NEST_MOST = 32 }; /* lists in lists */

static bool collect(Build *b, Val v, Span at, Name name, int depth, Carries *c) {
    if (v.kind == V_BAD) return false;
    if (v.kind == V_LIST) {
        bool ok = depth < NEST_MOST && build_step(b, 1, at);
        if (depth == NEST_MOST) diag_error(b->cx, E_TOO_LARGE, at, "'%s' is a list of lists, %d deep", name, NEST_MOST);
        for (size_t i = 0; ok && i < v.list->item.len; i++) ok = collect(b, v.list->item.at[i], at, name, depth + 1, c);
        return ok;
    }
    if (c->len >= LIST_MOST) {
        diag_error(b->cx, E_TOO_LARGE, at, "this `repeat` changes more than %d values", LIST_MOST);
        return false;
    }
    double x;
    if (v.kind != V_TENSOR && !v_known_number(v, &x) && v.kind != V_ZERO) {
        diag_error(b->cx, E_LOOP_USE, at, "'%s' changes in this `repeat`, but it is %s; only tensors and numbers can", name, v_text(b, v));
        return false;
    }
    Carry one = {0};
    if (!to_node(b, v, at, &one.init)) return false;
    one.shape = graph_shape(b->ctx->g, one.init);
    one.batched = graph_batched(b->ctx->g, one.init) || one.shape.rank > 0; /* a code is; if not, the second attempt knows */
    vec_push(b->a, c, one);
    return true;
}

/* The same structure with each tensor replaced, in order. */
static Val replace(Build *b, Val v, const Carries *c, size_t *k, GCtx *ctx, const NodeId *nodes) {
    if (v.kind == V_LIST) {
        Val l = v_list(b, v.list->item.at, v.list->item.len);
        for (size_t i = 0; i < l.list->item.len; i++) l.list->item.at[i] = replace(b, l.list->item.at[i], c, k, ctx, nodes);
        return l;
    }
    return (Val){.kind = V_TENSOR, .ctx = ctx, .node = nodes[(*k)++]};
}

static bool gather_next(Build *b, Val v, Span at, Name name, int depth, Carries *c, size_t *k) {
    if (v.kind == V_BAD) return false;
    if (v.kind == V_LIST) {
        bool ok = depth < NEST_MOST && build_step(b, 1, at);
        if (depth == NEST_MOST) diag_error(b->cx, E_TOO_LARGE, at, "'%s' becomes a list of lists, %d deep", name, NEST_MOST);
        for (size_t i = 0; ok && i < v.list->item.len; i++) ok = gather_next(b, v.list->item.at[i], at, name, depth + 1, c, k);
        return ok;
    }
    if (*k >= c->len) {
        diag_error(b->cx, E_LOOP_SHAPE, at, "the list '%s' grows in this `repeat`", name);
        return false;
    }
    Carry *one = &c->at[(*k)++];
    if (!to_node(b, v, at, &one->next)) return false;
    Shape s = graph_shape(b->ctx->g, one->next);
    if (s.rank == 0 && one->shape.rank) one->next = op_expand(b->ctx->g, one->next, s = one->shape);
    if (!shape_eq(s, one->shape)) {
        diag_error(b->cx, E_LOOP_SHAPE, at, "'%s' is %s when this `repeat` begins and %s after a turn", name, shape_text(b->a, one->shape), shape_text(b->a, s));
        return false;
    }
    return true;
}

typedef struct RepeatState { /* what an attempt changes besides graphs */
    size_t noises, used;
} RepeatState;

void exec_repeat(Build *b, const Stmt *s) {
    Problem *p = b->frame->problem;
    int64_t turns, full;
    if (!eval_int(b, s->value, "the number of turns", &turns)) return;
    full = turns;
    if (p && s->value->kind == EX_NAME && s->value->name == name_of(b->cx, "updates")) full = p->updates;
    if (turns < 0 || full > TURNS_MOST) {
        diag_error(b->cx, E_VALUE, s->value->span, "`repeat` takes from 0 to %d turns, found %lld", TURNS_MOST, (long long)turns);
        return;
    }
    if (turns == 0) return;

    Assigned vars = {0};
    find_assigned(b, &vars, s->body, s->nbody);
    Name *var_name = ARENA_ARRAY(b->a, Name, vars.n + 1); /* bindings move when environments grow: keep names and values */
    Val *var_value = ARENA_ARRAY(b->a, Val, vars.n + 1);
    Carries c = {0};
    for (size_t i = 0; i < vars.n; i++) {
        var_name[i] = vars.at[i]->name;
        var_value[i] = vars.at[i]->value;
        if (!collect(b, var_value[i], s->span, var_name[i], 0, &c)) return;
    }
    Env *outer_env = b->frame->env;
    GCtx *outer = b->ctx;
    RepeatState was = {(size_t)b->noises, b->frame->used.len};
    NodeId *nodes = ARENA_ARRAY(b->a, NodeId, c.len + 1);
    Span at = s->span;
    at.end_line = s->value->span.end_line, at.end_col = s->value->span.end_col;

    for (int attempt = 0;; attempt++) {
        GCtx *body = body_open(b);
        body->turns = turns;
        body->full_turns = full;
        body->live_from = p && p->only_last ? turns - 1 : 0;
        for (size_t i = 0; i < c.len; i++) nodes[i] = op_leaf(body->g, OP_arg, (int32_t)i, c.at[i].shape, c.at[i].batched, at, NULL);
        size_t k = 0;
        for (size_t i = 0; i < vars.n; i++) {
            Binding *x = env_find(outer_env, var_name[i]);
            x->value = replace(b, var_value[i], &c, &k, body, nodes);
            StartVal start = {var_name[i], x->value};
            vec_push(b->a, &body->starts, start);
        }
        b->frame->env = env_new(b, outer_env);
        size_t errors = b->cx->errors;
        GCtx *home_was = b->home;
        b->home = body;
        exec_block(b, s->body, s->nbody);
        NodeId until = NO_NODE;
        if (b->cx->errors == errors && s->cond) {
            Val test = eval(b, s->cond);
            if (test.kind == V_TENSOR && val_shape(b, test).rank == 0) to_node(b, test, s->cond->span, &until);
            else if (test.kind == V_TENSOR || (test.kind != V_BOOL && test.kind != V_BAD))
                diag_error(b->cx, E_TYPE, s->cond->span, "`until` takes a comparison of numbers, found %s", v_text(b, test));
            else if (test.kind == V_BOOL && test.i) until = op_const(body->g, 1, shape_of(0));
        }
        b->home = home_was;
        k = 0;
        bool ok = b->cx->errors == errors;
        for (size_t i = 0; ok && i < vars.n; i++) ok = gather_next(b, env_find(outer_env, var_name[i])->value, s->span, var_name[i], 0, &c, &k);
        b->frame->env = outer_env;
        if (!ok || b->frame->has_returned) {
            if (ok) diag_error(b->cx, E_LOOP_USE, s->span, "`return` cannot stand in a `repeat`");
            enter(b, outer);
            for (size_t i = 0; i < vars.n; i++) env_find(outer_env, var_name[i])->value = v_bad();
            return;
        }
        /* a carried value is one per sample when its start, its next value or `until` is: its argument must say just that */
        bool settled = true;
        bool until_batched = until != NO_NODE && graph_batched(body->g, until);
        for (size_t i = 0; i < c.len; i++) {
            bool must = graph_batched(body->g, c.at[i].next) || until_batched || graph_batched(outer->g, c.at[i].init);
            if (must && !c.at[i].batched) c.at[i].batched = true, settled = false;
            else if (!must && c.at[i].batched && attempt == 0) c.at[i].batched = false, settled = false;
        }
        if (!settled && attempt < 8) {
            enter(b, outer);
            b->noises = (int32_t)was.noises;
            b->frame->used.len = was.used;
            continue;
        }
        if (until_batched && body->emits.len) {
            Diag *d = diag_error(b->cx, E_LOOP_USE, s->cond->span, "this `repeat` stops each sample by itself, but a layer in it keeps statistics of the whole batch");
            diag_help(b->cx, d, "leave out `until`, or batch_norm");
            enter(b, outer);
            for (size_t i = 0; i < vars.n; i++) env_find(outer_env, var_name[i])->value = v_bad();
            return;
        }
        NodeId *init = ARENA_ARRAY(b->a, NodeId, c.len + 1), *next = ARENA_ARRAY(b->a, NodeId, c.len + 1);
        for (size_t i = 0; i < c.len; i++) {
            init[i] = c.at[i].init;
            next[i] = c.at[i].next;
            if (c.at[i].batched && !graph_batched(outer->g, init[i]) && !graph_batched(body->g, next[i]) && !until_batched)
                init[i] = op1(outer->g, OP_per_sample, init[i]);
        }
        NodeId loop = body_loop(b, body, init, next, (uint32_t)c.len, until, turns, p && p->keep_loops, at);
        for (size_t i = 0; i < c.len; i++) nodes[i] = op_proj(outer->g, loop, (int32_t)i);
        k = 0;
        for (size_t i = 0; i < vars.n; i++) {
            Binding *x = env_find(outer_env, var_name[i]);
            x->value = replace(b, x->value, &c, &k, outer, nodes);
        }
        for (size_t i = 0; i < body->emits.len; i++) { /* state updates of each turn: stacks outside */
            if (body->emits.at[i].state < 0) continue;
            Val stack = v_tensor(b, op_proj(outer->g, loop, (int32_t)(c.len + i)));
            if (outer == b->root) {
                Shape whole = b->p->states.at[body->emits.at[i].state].shape;
                if (turns < full) { /* turns that do not run keep what they have */
                    Val parts[2] = {stack, slice_axis(b, state_value(b, body->emits.at[i].state), 0, turns, full - turns, at)};
                    stack = concat_axis(b, parts, 2, 0, at);
                }
                stack = v_tensor(b, op_reshape(outer->g, stack.node, whole)); /* nested loops: [T1, T2, ...] as [T1 * T2, ...] */
            }
            state_keep(b, body->emits.at[i].state, stack, at);
        }
        return;
    }
}
