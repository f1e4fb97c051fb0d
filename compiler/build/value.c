/* Values, environments, and how a message names a value. */
#include "build/value.h"

Val v_int(int64_t i) { return (Val){.kind = V_INT, .i = i}; }
Val v_bool(bool x) { return (Val){.kind = V_BOOL, .i = x}; }
Val v_real(double r) { return (Val){.kind = V_REAL, .r = r}; }
Val v_string(Name s) { return (Val){.kind = V_STRING, .s = s}; }
Val v_bad(void) { return (Val){.kind = V_BAD}; }
Val v_op(LinOp *op) { return (Val){.kind = V_OP, .op = op}; }
Val v_tensor(Build *b, NodeId n) {
    const Node *x = graph_at(b->ctx->g, n);
    if (!size_fits(x->shape)) {
        diag_error(b->cx, E_TOO_LARGE, x->span, "this makes a tensor %s, of more than %d entries", shape_text(b->a, x->shape), SIZE_MOST);
        return v_bad();
    }
    return (Val){.kind = V_TENSOR, .ctx = b->ctx, .node = n};
}

bool size_fits(Shape s) {
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++)
        if (s.dim[i] < 0 || s.dim[i] > SIZE_MOST || (n *= s.dim[i]) > SIZE_MOST) return false;
    return true;
}

bool build_step(Build *b, int64_t n, Span at) {
    if (b->stopped) return false;
    b->steps += n;
    bool nodes = b->ctx->g->nodes.len > NODES_MOST;
    if (b->steps <= STEPS_MOST && !nodes) return true;
    b->stopped = true;
    Diag *d = diag_error(b->cx, E_TOO_LARGE, at, nodes ? "the model has more than %d operations" : "more than %d steps to build this model", nodes ? NODES_MOST : STEPS_MOST);
    diag_help(b->cx, d, "`repeat` is one loop in the compiled code, however many turns; `for` writes each turn out");
    return false;
}

Val v_list(Build *b, const Val *item, size_t n) {
    List *l = ARENA_NEW(b->a, List);
    for (size_t i = 0; i < n; i++) vec_push(b->a, &l->item, item[i]);
    return (Val){.kind = V_LIST, .list = l};
}

bool v_known_number(Val v, double *out) {
    if (v.kind == V_INT) *out = (double)v.i;
    else if (v.kind == V_REAL) *out = v.r;
    else return false;
    return true;
}

const char *v_text(Build *b, Val v) {
    switch (v.kind) {
    case V_BAD: return "an error";
    case V_ABSENT: return "an option that is not given";
    case V_INT: return arena_printf(b->a, "%lld", (long long)v.i);
    case V_BOOL: return v.i ? "true" : "false";
    case V_REAL: return arena_printf(b->a, "%g", v.r);
    case V_STRING: return arena_printf(b->a, "\"%s\"", v.s);
    case V_LIST: return arena_printf(b->a, "a list of %zu", v.list->item.len);
    case V_TENSOR: return shape_text(b->a, val_node(v)->shape);
    case V_OP: return "a linear operator";
    case V_FN: return v.fn->name ? arena_printf(b->a, "the function '%s'", v.fn->name) : "a function";
    case V_ZERO: return "zero";
    case V_LAYERS: return arena_printf(b->a, "the option '%s' of a chain", v.s);
    }
    return "?";
}

Binding *env_find(Env *e, Name n) {
    for (; e; e = e->parent)
        for (size_t i = e->b.len; i-- > 0;)
            if (e->b.at[i].name == n) return &e->b.at[i];
    return NULL;
}

Env *env_new(Build *b, Env *parent) {
    Env *e = ARENA_NEW(b->a, Env);
    e->parent = parent;
    return e;
}

void env_bind(Build *b, Env *e, Name n, Val v, bool var, Span span) {
    Binding x = {n, v, var, span};
    vec_push(b->a, &e->b, x);
}
