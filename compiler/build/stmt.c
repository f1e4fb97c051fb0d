/* Statements. */
#include "base/trouble.h"
#include "build/value.h"
#include <string.h>

static void name_node(Build *b, Name name, Val v) { /* for messages: who was NaN, what was fused */
    if (v.kind != V_TENSOR) return;
    Node *n = &v.ctx->g->nodes.at[v.node];
    if (!n->name) n->name = name;
    if (v.ctx != b->root) return;
    for (size_t i = 0; i < b->named.len; i++)
        if (b->named.at[i].node == v.node) return;
    GraphOut o = {OUT_VALUE, (int32_t)b->named.len, v.node, name};
    vec_push(b->a, &b->named, o);
}

static void bind_values(Build *b, const Stmt *s, bool var) {
    Val *v = ARENA_ARRAY(b->a, Val, s->nnames + s->nvalues + 1);
    bool spread = s->nnames > 1 && s->nvalues == 1; /* let a, b = f(x) */
    if (!spread && s->nnames != s->nvalues) {
        diag_error(b->cx, E_ARGS, s->span, "%u names and %u values", s->nnames, s->nvalues);
        return;
    }
    for (uint32_t i = 0; i < s->nvalues; i++) v[i] = eval_named(b, s->values[i], spread ? NULL : s->names[i]);
    if (spread && v[0].kind == V_LIST && v[0].list->item.len == s->nnames) {
        Val all = v[0];
        for (uint32_t i = 0; i < s->nnames; i++) v[i] = all.list->item.at[i];
    } else if (spread) {
        if (v[0].kind != V_BAD) diag_error(b->cx, E_TYPE, s->values[0]->span, "%u names need as many values, found %s", s->nnames, v_text(b, v[0]));
        for (uint32_t i = 0; i < s->nnames; i++) v[i] = v_bad();
    }
    for (uint32_t i = 0; i < s->nnames; i++) {
        name_node(b, s->names[i], v[i]);
        env_bind(b, b->frame->env, s->names[i], v[i], var, s->name_spans[i]);
    }
}

/* Sets an item of a list inside a list...; lists are values, so those on the way are copied. */
static bool set_item(Build *b, Val *list, Expr **path, int n, Val v, Span at) {
    if (list->kind != V_LIST) {
        if (list->kind != V_BAD) diag_error(b->cx, E_ASSIGN, at, "only items of a list can be assigned, this is %s", v_text(b, *list));
        return false;
    }
    int64_t i;
    if (!eval_int(b, path[n - 1], "the number of an item", &i)) return false;
    size_t len = list->list->item.len;
    if (i < 1 || (size_t)i > len + 1) {
        diag_error(b->cx, E_INDEX, path[n - 1]->span, "the list has %zu item%s, there is no item %lld", len, len == 1 ? "" : "s", (long long)i);
        return false;
    }
    if (len >= LIST_MOST) {
        diag_error(b->cx, E_TOO_LARGE, at, "a list of more than %d items", LIST_MOST);
        return false;
    }
    if (!build_step(b, (int64_t)len / 8, at)) return false;
    Problem *code = list->code;
    *list = v_list(b, list->list->item.at, len);
    list->code = code;
    if ((size_t)i == len + 1) vec_push(b->a, &list->list->item, v_bad());
    if (n == 1) return list->list->item.at[i - 1] = v, true;
    return set_item(b, &list->list->item.at[i - 1], path, n - 1, v, at);
}

bool assign_to(Build *b, Expr *target, Val v) {
    Expr *path[32], *base = target;
    int n = 0;
    for (; base->kind == EX_INDEX; base = base->a) {
        for (uint32_t k = base->n; k-- > 0;) {
            if (n == 32) return false;
            path[n++] = base->items[k];
        }
    }
    if (base->kind != EX_NAME) {
        diag_error(b->cx, E_ASSIGN, target->span, "this cannot be assigned to");
        return false;
    }
    Binding *x = env_find(b->frame->env, base->name);
    if (!x) {
        Diag *d = diag_error(b->cx, E_UNKNOWN_NAME, base->span, "nothing is named '%s' here", base->name);
        diag_help(b->cx, d, "`var %s = ...` makes a variable", base->name);
        return false;
    }
    if (!x->var) {
        Diag *d = diag_error(b->cx, E_ASSIGN, target->span, "'%s' is not a variable", base->name);
        if (x->span.file) diag_note(b->cx, d, x->span, "it was defined here; `var` would make it one");
        return false;
    }
    if (n == 0) return x->value = v, true;
    Val list = x->value;
    if (!set_item(b, &list, path, n, v, target->span)) return false;
    env_find(b->frame->env, base->name)->value = list;
    return true;
}

static void exec_assign(Build *b, const Stmt *s) {
    Val *v = ARENA_ARRAY(b->a, Val, s->ntargets + s->nvalues + 1);
    bool spread = s->ntargets > 1 && s->nvalues == 1;
    if (!spread && s->ntargets != s->nvalues) {
        diag_error(b->cx, E_ARGS, s->span, "%u targets and %u values", s->ntargets, s->nvalues);
        return;
    }
    for (uint32_t i = 0; i < s->nvalues; i++) v[i] = eval(b, s->values[i]); /* all before any is stored: last, m = g, m_next */
    if (spread) {
        if (v[0].kind != V_LIST || v[0].list->item.len != s->ntargets) {
            if (v[0].kind != V_BAD) diag_error(b->cx, E_TYPE, s->values[0]->span, "%u targets need as many values, found %s", s->ntargets, v_text(b, v[0]));
            return;
        }
        Val all = v[0];
        for (uint32_t i = 0; i < s->ntargets; i++) v[i] = all.list->item.at[i];
    }
    for (uint32_t i = 0; i < s->ntargets; i++) {
        if (s->targets[i]->kind == EX_NAME) name_node(b, s->targets[i]->name, v[i]);
        assign_to(b, s->targets[i], v[i]);
    }
}

static void exec_dictionary(Build *b, const Stmt *s) {
    Val v;
    if (s->over) {
        Val range = eval(b, s->over);
        if (range.kind != V_LIST) {
            if (range.kind != V_BAD) diag_error(b->cx, E_TYPE, s->over->span, "expected a range or a list, found %s", v_text(b, range));
            env_bind(b, b->frame->env, s->name, v_bad(), false, s->name_span);
            return;
        }
        v = v_list(b, NULL, 0);
        Env *env = b->frame->env;
        for (size_t i = 0; i < range.list->item.len; i++) {
            b->frame->env = env_new(b, env);
            env_bind(b, b->frame->env, s->over_name, range.list->item.at[i], false, s->over_span);
            vec_push(b->a, &v.list->item, eval_named(b, s->value, name_fmt(b->cx, "%s.%zu", s->name, i + 1)));
            b->frame->env = env;
        }
    } else v = eval_named(b, s->value, s->name);
    bool ok = v.kind == V_OP || v.kind == V_LIST || v.kind == V_BAD;
    for (size_t i = 0; v.kind == V_LIST && i < v.list->item.len; i++) {
        Val *d = &v.list->item.at[i];
        ok &= d->kind == V_OP || d->kind == V_BAD;
        if (d->kind == V_OP && !d->op->path) d->op->path = scope_name(b, name_fmt(b->cx, "%s.%zu", s->name, i + 1));
    }
    if (!ok) {
        diag_error(b->cx, E_TYPE, s->value->span, "a dictionary is a linear operator (or a list of them), found %s", v_text(b, v));
        v = v_bad();
    }
    if (v.kind == V_OP && !v.op->path) v.op->path = scope_name(b, s->name);
    env_bind(b, b->frame->env, s->name, v, false, s->name_span);
}

static void exec_input(Build *b, const Stmt *s) {
    InputDecl d = {.name = s->name, .span = s->name_span, .kind = s->kind == ST_INPUT ? IN_REAL : s->kind == ST_LABEL ? IN_LABEL : IN_TARGET};
    bool cls = !strcmp(s->type->name, "class");
    if ((d.kind == IN_LABEL) != cls || (!cls && strcmp(s->type->name, "real"))) {
        Diag *e = diag_error(b->cx, E_TYPE, s->type->span, "%s '%s' cannot be of type %s", d.kind == IN_LABEL ? "label" : d.kind == IN_REAL ? "input" : "target", s->name,
                             s->type->name);
        diag_help(b->cx, e, d.kind == IN_LABEL ? "a label is class[10]" : "it is real[3, 32, 32], say");
    } else if (type_shape(b, s->type, &d.shape)) {
        if (cls) {
            if (d.shape.rank == 0) {
                diag_error(b->cx, E_TYPE, s->type->span, "a label says how many classes there are: class[10]");
                return;
            }
            d.classes = d.shape.dim[0];
            d.shape.rank--;
            for (int i = 0; i < d.shape.rank; i++) d.shape.dim[i] = d.shape.dim[i + 1];
        }
        vec_push(b->a, &b->p->inputs, d);
        NodeId n = op_leaf(b->root->g, OP_input, (int32_t)b->p->inputs.len - 1, d.shape, true, s->name_span, s->name);
        env_bind(b, b->frame->env, s->name, (Val){.kind = V_TENSOR, .ctx = b->root, .node = n}, false, s->name_span);
        return;
    }
    env_bind(b, b->frame->env, s->name, v_bad(), false, s->name_span);
}

/* A label or target that a value is made of, or NULL: they are not there when the model runs. */
static const InputDecl *label_of(Build *b, const Graph *g, NodeId n) {
    bool *seen = ARENA_ARRAY(b->a, bool, g->nodes.len);
    Vec(NodeId) open = {0};
    vec_push(b->a, &open, n);
    while (open.len) {
        NodeId k = open.at[--open.len];
        if (seen[k]) continue;
        seen[k] = true;
        const Node *x = graph_at(g, k);
        if (x->op == OP_input && b->p->inputs.at[x->a.index].kind != IN_REAL) return &b->p->inputs.at[x->a.index];
        for (uint32_t i = 0; i < x->nin; i++) vec_push(b->a, &open, x->in[i]);
    }
    return NULL;
}

static void exec_output(Build *b, const Stmt *s) {
    Val v = s->value ? eval_named(b, s->value, s->name) : lookup(b, s->name, s->name_span, false);
    if (s->value) {
        name_node(b, s->name, v);
        env_bind(b, b->frame->env, s->name, v, false, s->name_span);
    }
    NodeId n;
    if (!to_node(b, v, s->value ? s->value->span : s->name_span, &n)) return;
    const InputDecl *label = label_of(b, b->root->g, n);
    if (label) {
        Diag *e = diag_error(b->cx, E_TYPE, s->name_span, "the output '%s' is made of the %s '%s', which is not there when the model runs", s->name,
                             label->kind == IN_LABEL ? "label" : "target", label->name);
        diag_help(b->cx, e, "labels and targets are for `minimize` and `report`");
        return;
    }
    OutputDecl d = {s->name, graph_shape(b->root->g, n)};
    vec_push(b->a, &b->p->outputs, d);
    if (!graph_batched(b->root->g, n)) n = op1(b->root->g, OP_per_sample, n);
    graph_out(b->root->g, OUT_VALUE, (int32_t)b->p->outputs.len - 1, n, s->name);
}

static void exec_for(Build *b, const Stmt *s) {
    Val over = eval(b, s->value);
    if (over.kind == V_BAD) return;
    if (over.kind != V_LIST) {
        diag_error(b->cx, E_TYPE, s->value->span, "`for` runs over a range or a list, found %s", v_text(b, over));
        return;
    }
    Frame *f = b->frame;
    Env *env = f->env;
    for (size_t i = 0; i < over.list->item.len && !f->has_returned && b->cx->errors < DIAG_MOST; i++) {
        vec_push(b->a, &f->turns, (int64_t)i + 1);
        f->env = env_new(b, env);
        env_bind(b, f->env, s->name, over.list->item.at[i], false, s->name_span);
        exec_block(b, s->body, s->nbody);
        f->env = env;
        f->turns.len--;
    }
}

static void exec_if(Build *b, const Stmt *s) {
    Val c = eval(b, s->cond);
    if (c.kind == V_BAD) return;
    if (c.kind != V_BOOL) {
        Diag *d = diag_error(b->cx, c.kind == V_TENSOR ? E_KNOWN : E_TYPE, s->cond->span, "`if` needs a condition that is known while compiling, found %s", v_text(b, c));
        if (c.kind == V_TENSOR) diag_help(b->cx, d, "c ? a : b chooses entry by entry");
        return;
    }
    Env *env = b->frame->env;
    b->frame->env = env_new(b, env);
    if (c.i) exec_block(b, s->body, s->nbody);
    else exec_block(b, s->orelse, s->norelse);
    b->frame->env = env;
}

static void exec_return(Build *b, const Stmt *s) {
    Val v = v_bad();
    if (s->nvalues == 1) v = eval(b, s->values[0]);
    else {
        v = v_list(b, NULL, 0);
        for (uint32_t i = 0; i < s->nvalues; i++) vec_push(b->a, &v.list->item, eval(b, s->values[i]));
    }
    b->frame->returned = v;
    b->frame->has_returned = true;
}

/* Where the caller says one of the arguments that a condition names; file 0: nowhere. Says what they are, for the note. */
static Span blamed(Build *b, const Expr *e, const char **values) {
    const Frame *f = b->frame;
    Span at = {0};
    if (!e) return at;
    if (e->kind == EX_NAME) {
        const Binding *x = env_find(f->env, e->name);
        if (x && (x->value.kind == V_INT || x->value.kind == V_REAL || x->value.kind == V_STRING || x->value.kind == V_BOOL) && !strstr(*values, name_fmt(b->cx, "'%s'", e->name)))
            *values = arena_printf(b->a, "%s%s '%s' is %s", *values, **values ? "," : "; here", e->name, v_text(b, x->value));
        for (uint32_t i = 0; f->given && i < f->def->nparams; i++)
            if (f->def->params[i].name == e->name) return f->given[i];
        return at;
    }
    const Expr *part[] = {e->a, e->b, e->c};
    for (int i = 0; i < 3; i++) {
        Span s = blamed(b, part[i], values);
        if (!at.file) at = s;
    }
    for (uint32_t i = 0; i < e->n && (e->args || e->items); i++) {
        Span s = blamed(b, e->args ? e->args[i].value : e->items[i], values);
        if (!at.file) at = s;
    }
    return at;
}

/* What is refused is said at the call, in the words of who wrote the definition; nothing more of it is evaluated. */
static void exec_require(Build *b, const Stmt *s) {
    Val c = eval(b, s->cond);
    if (c.kind == V_BOOL && c.i) return;
    b->frame->returned = v_bad();
    b->frame->has_returned = true;
    if (c.kind == V_BAD) return;
    if (c.kind != V_BOOL) {
        diag_error(b->cx, c.kind == V_TENSOR ? E_KNOWN : E_TYPE, s->cond->span, "`require` needs a condition that is known while compiling, found %s", v_text(b, c));
        return;
    }
    const char *values = "";
    Span at = blamed(b, s->cond, &values);
    if (!at.file) at = b->frame->at;
    Diag *d = diag_error(b->cx, E_REQUIRE, at.file ? at : s->span, "%s", s->text);
    diag_note(b->cx, d, s->span, "'%s' requires it%s", b->frame->def->name, values);
}

void exec_block(Build *b, Stmt **list, uint32_t n) {
    for (uint32_t i = 0; i < n && !b->frame->has_returned && b->cx->errors < DIAG_MOST && build_step(b, 1, list[i]->span); i++) {
        const Stmt *s = list[i];
        b->frame->pending = NULL;
        switch (s->kind) {
        case ST_DICTIONARY: exec_dictionary(b, s); break;
        case ST_LASSO: exec_lasso(b, s); break;
        case ST_INPUT: case ST_LABEL: case ST_TARGET: exec_input(b, s); break;
        case ST_OUTPUT: exec_output(b, s); break;
        case ST_PARAM: exec_param(b, s); break;
        case ST_TUNABLE: exec_tunable(b, s); break;
        case ST_VAR: bind_values(b, s, true); break;
        case ST_LET: bind_values(b, s, false); break;
        case ST_ASSIGN: exec_assign(b, s); break;
        case ST_FOR: exec_for(b, s); break;
        case ST_REPEAT: exec_repeat(b, s); break;
        case ST_IF: exec_if(b, s); break;
        case ST_RETURN: exec_return(b, s); break;
        case ST_REQUIRE: exec_require(b, s); break;
        }
    }
}
