/* Expressions: numbers and lists are computed while compiling, tensors become nodes, operators become operators. */
#include "base/trouble.h"
#include "build/value.h"
#include <math.h>
#include <string.h>

/* ---- names ---- */
static bool word_value(Build *b, Name n, Val *out) {
    static const char *const words[] = {"none", "same", "full", "valid", "unrolled", "recompute", "implicit", "stopped",
                                        "normal", "uniform", "he_normal", "he_uniform", "chain"};
    if (!strcmp(n, "zero")) return *out = (Val){.kind = V_ZERO}, true;
    if (!strcmp(n, "true") || !strcmp(n, "false")) return *out = v_bool(n[0] == 't'), true;
    if (!strcmp(n, "inf")) return *out = v_real(INFINITY), true;
    if (!strcmp(n, "pi")) return *out = v_real(M_PI), true;
    if (!strcmp(n, "training")) return *out = v_bool(b->mode == ENTRY_STEP || b->mode == ENTRY_PROBE), true;
    if (!strcmp(n, "I")) return *out = v_op(lin_new(b, L_ID, (Span){0})), true;
    if (!strcmp(n, "dct")) return *out = v_op(lin_new(b, L_DCT, (Span){0})), true;
    if (!strcmp(n, "haar")) return *out = v_op(lin_new(b, L_HAAR, (Span){0})), true;
    if (!strcmp(n, "codes")) {
        Val l = v_list(b, NULL, 0);
        for (size_t i = 0; i < b->codes.len; i++) vec_push(b->a, &l.list->item, b->codes.at[i]->solution);
        return *out = l, true;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(n, words[i])) return *out = v_string(n), true;
    return false;
}

static Val fn_value(Build *b, FnKind k, const Def *def, int builtin, Name name) {
    Fn *f = ARENA_NEW(b->a, Fn);
    f->kind = k;
    f->def = def;
    f->builtin = builtin;
    f->name = name;
    return (Val){.kind = V_FN, .fn = f};
}

Val lookup(Build *b, Name n, Span at, bool quiet) {
    Binding *x = env_find(b->frame->env, n);
    if (x) return x->value;
    bool found = false;
    if (b->frame->problem) {
        Val v = problem_name(b, b->frame->problem, n, at, &found);
        if (found) return v;
    }
    const Def *d = ast_find(b->cx, b->ast, at.file ? at.file : b->frame->source, n);
    if (d) return fn_value(b, FN_DEF, d, 0, n);
    int k = builtin_find(n);
    if (k >= 0) return fn_value(b, FN_BUILTIN, NULL, k, n);
    Val v;
    if (word_value(b, n, &v)) return v;
    if (!quiet) diag_error(b->cx, E_UNKNOWN_NAME, at, "nothing is named '%s' here", n);
    return v_bad();
}

/* ---- arithmetic of known numbers ---- */
static Val known_binary(Build *b, BinOp op, Val x, Val y, Span at) {
    double p = 0, q = 0;
    bool ints = x.kind == V_INT && y.kind == V_INT;
    v_known_number(x, &p);
    v_known_number(y, &q);
    int64_t i = x.i, j = y.i, r = 0;
    switch (op) {
    case BIN_ADD: if (ints && !__builtin_add_overflow(i, j, &r)) return v_int(r); return v_real(p + q);
    case BIN_SUB: if (ints && !__builtin_sub_overflow(i, j, &r)) return v_int(r); return v_real(p - q);
    case BIN_MUL: if (ints && !__builtin_mul_overflow(i, j, &r)) return v_int(r); return v_real(p * q);
    case BIN_DIV: return v_real(p / q);
    case BIN_IDIV: case BIN_MOD:
        if (!ints) {
            diag_error(b->cx, E_TYPE, at, "'%s' goes between whole numbers, found %s and %s", ast_bin_text(op), v_text(b, x), v_text(b, y));
            return v_bad();
        }
        if (j == 0) {
            diag_error(b->cx, E_ZERO_DIVISION, at, "division of %lld by zero", (long long)i);
            return v_bad();
        }
        if (j == -1) return v_int(op == BIN_MOD ? 0 : i == INT64_MIN ? i : -i);
        r = i / j; /* toward minus infinity, so that a remainder has the divisor's sign */
        if (i % j && (i < 0) != (j < 0)) r--;
        return v_int(op == BIN_IDIV ? r : i - r * j);
    case BIN_POW:
        if (ints && j >= 0) {
            bool over = false;
            r = 1;
            for (int64_t k = 0; k < j && !over && r != 0 && (r != 1 || i != 1); k++) {
                over = __builtin_mul_overflow(r, i, &r);
                if (k > 64 && (i == -1)) { r = j % 2 ? -1 : 1; break; }
            }
            if (!over) return v_int(r);
        }
        return v_real(pow(p, q));
    case BIN_EQ: return v_bool(ints ? i == j : p == q);
    case BIN_NE: return v_bool(ints ? i != j : p != q);
    case BIN_LT: return v_bool(ints ? i < j : p < q);
    case BIN_GT: return v_bool(ints ? i > j : p > q);
    case BIN_LE: return v_bool(ints ? i <= j : p <= q);
    case BIN_GE: return v_bool(ints ? i >= j : p >= q);
    case BIN_AND: case BIN_OR: break;
    }
    diag_error(b->cx, E_TYPE, at, "'%s' goes between true and false", ast_bin_text(op));
    return v_bad();
}

static Val tensor_binary(Build *b, BinOp op, Val x, Val y, Span at) {
    switch (op) {
    case BIN_ADD: return apply2(b, OP_add, x, y, at);
    case BIN_SUB: return apply2(b, OP_sub, x, y, at);
    case BIN_MUL: return apply2(b, OP_mul, x, y, at);
    case BIN_DIV: return apply2(b, OP_div, x, y, at);
    case BIN_POW:
        if (y.kind == V_INT && y.i == 2) return apply2(b, OP_mul, x, x, at);
        if (y.kind == V_INT && y.i == 1) return x;
        return apply2(b, OP_pow, x, y, at);
    case BIN_EQ: return apply2(b, OP_eq, x, y, at);
    case BIN_NE: return apply2(b, OP_sub, v_real(1), apply2(b, OP_eq, x, y, at), at);
    case BIN_LT: return apply2(b, OP_lt, x, y, at);
    case BIN_GT: return apply2(b, OP_lt, y, x, at);
    case BIN_LE: return apply2(b, OP_le, x, y, at);
    case BIN_GE: return apply2(b, OP_le, y, x, at);
    case BIN_AND: return apply2(b, OP_mul, x, y, at);
    case BIN_OR: return apply2(b, OP_max, x, y, at);
    case BIN_IDIV: return apply1(b, OP_floor, apply2(b, OP_div, x, y, at), at);
    case BIN_MOD: return apply2(b, OP_sub, x, apply2(b, OP_mul, y, apply1(b, OP_floor, apply2(b, OP_div, x, y, at), at), at), at);
    }
    return v_bad();
}

static bool is_compare(BinOp op) { return op >= BIN_EQ && op <= BIN_GE; }

static Val zero_binary(Build *b, BinOp op, Val x, Val y, Span at) {
    bool xz = x.kind == V_ZERO, yz = y.kind == V_ZERO;
    if (op == BIN_ADD) return xz ? y : x;
    if (op == BIN_SUB && yz) return x;
    if (op == BIN_MUL || (op == BIN_DIV && xz)) return (Val){.kind = V_ZERO};
    if (xz) x = v_real(0);
    if (yz) y = v_real(0);
    double p, q;
    if (v_known_number(x, &p) && v_known_number(y, &q)) return known_binary(b, op, x, y, at);
    return tensor_binary(b, op, x, y, at);
}

static Val binary(Build *b, BinOp op, Val x, Val y, Span at) {
    if (x.kind == V_BAD || y.kind == V_BAD) return v_bad();
    if (x.kind == V_ABSENT || y.kind == V_ABSENT) {
        if (is_compare(op)) return v_bool(false);
        diag_error(b->cx, E_OPTION_MISSING, at, "an option that the lasso does not give is used here");
        return v_bad();
    }
    if (x.kind == V_OP || y.kind == V_OP) return lin_binary(b, op, x, y, at);
    if (x.kind == V_BOOL && y.kind == V_BOOL && (op == BIN_EQ || op == BIN_NE)) return v_bool((x.i == y.i) == (op == BIN_EQ));
    if (x.kind == V_STRING && y.kind == V_STRING && (op == BIN_EQ || op == BIN_NE)) return v_bool((x.s == y.s) == (op == BIN_EQ));
    if (x.kind == V_LIST && y.kind == V_LIST && op == BIN_ADD) {
        size_t n = x.list->item.len + y.list->item.len;
        if (n > LIST_MOST) diag_error(b->cx, E_TOO_LARGE, at, "a list of more than %d items", LIST_MOST);
        if (n > LIST_MOST || !build_step(b, (int64_t)n, at)) return v_bad();
        Val l = v_list(b, x.list->item.at, x.list->item.len);
        for (size_t i = 0; i < y.list->item.len; i++) vec_push(b->a, &l.list->item, y.list->item.at[i]);
        return l;
    }
    bool xn = x.kind == V_INT || x.kind == V_REAL, yn = y.kind == V_INT || y.kind == V_REAL;
    if (xn && yn) return known_binary(b, op, x, y, at);
    bool xt = xn || x.kind == V_TENSOR || x.kind == V_ZERO, yt = yn || y.kind == V_TENSOR || y.kind == V_ZERO;
    if (xt && yt) return x.kind == V_ZERO || y.kind == V_ZERO ? zero_binary(b, op, x, y, at) : tensor_binary(b, op, x, y, at);
    diag_error(b->cx, E_TYPE, at, "'%s' does not go between %s and %s", ast_bin_text(op), v_text(b, x), v_text(b, y));
    return v_bad();
}

static Val logic(Build *b, Expr *e) { /* && and || look at the second only when the first, known, leaves it open */
    Val x = eval(b, e->a);
    if (x.kind == V_BOOL) {
        if ((e->bin == BIN_AND) != (x.i != 0)) return x;
        Val y = eval(b, e->b);
        if (y.kind == V_BOOL || y.kind == V_TENSOR || y.kind == V_BAD) return y;
        diag_error(b->cx, E_TYPE, e->b->span, "expected true or false, found %s", v_text(b, y));
        return v_bad();
    }
    if (x.kind == V_TENSOR) {
        Val y = eval(b, e->b);
        if (y.kind == V_BOOL) y = v_int(y.i);
        return binary(b, e->bin, x, y, e->span);
    }
    if (x.kind != V_BAD) diag_error(b->cx, E_TYPE, e->a->span, "expected true or false, found %s", v_text(b, x));
    return v_bad();
}

static Val unary(Build *b, Expr *e) {
    Val x = eval(b, e->a);
    if (x.kind == V_BAD) return x;
    if (e->un == UN_NOT) {
        if (x.kind == V_BOOL) return v_bool(!x.i);
        if (x.kind == V_TENSOR) return apply2(b, OP_eq, x, v_real(0), e->span);
    } else {
        if (x.kind == V_INT) return x.i == INT64_MIN ? v_real(-(double)x.i) : v_int(-x.i);
        if (x.kind == V_REAL) return v_real(-x.r);
        if (x.kind == V_ZERO) return x;
        if (x.kind == V_TENSOR) return apply1(b, OP_neg, x, e->span);
        if (x.kind == V_OP) return lin_binary(b, BIN_MUL, v_real(-1), x, e->span);
    }
    diag_error(b->cx, E_TYPE, e->span, "'%s' does not go before %s", e->un == UN_NOT ? "!" : "-", v_text(b, x));
    return v_bad();
}

static Val conditional(Build *b, Expr *e) {
    Name pending = b->frame->pending;
    b->frame->pending = NULL;
    Val c = eval(b, e->a);
    b->frame->pending = pending;
    if (c.kind == V_BAD) return c;
    if (c.kind == V_BOOL) return eval(b, c.i ? e->b : e->c);
    if (c.kind == V_TENSOR) {
        b->frame->pending = NULL;
        Val x = eval(b, e->b), y = eval(b, e->c);
        if (x.kind == V_ZERO) x = v_real(0);
        if (y.kind == V_ZERO) y = v_real(0);
        return apply_select(b, c, x, y, e->span);
    }
    diag_error(b->cx, E_TYPE, e->a->span, "expected a condition, found %s", v_text(b, c));
    return v_bad();
}

bool eval_int(Build *b, Expr *e, const char *what, int64_t *out) {
    Val v = eval(b, e);
    if (v.kind == V_INT) return *out = v.i, true;
    if (v.kind == V_REAL && fabs(v.r) < 9e15 && v.r == floor(v.r)) return *out = (int64_t)v.r, true;
    if (v.kind == V_TENSOR) diag_error(b->cx, E_KNOWN, e->span, "%s must be known while compiling, this depends on data or parameters", what);
    else if (v.kind != V_BAD) diag_error(b->cx, E_TYPE, e->span, "%s is a whole number, found %s", what, v_text(b, v));
    return false;
}

static Val range(Build *b, Expr *e) {
    int64_t lo, hi, by = 1;
    if (!eval_int(b, e->a, "a bound of a range", &lo) || !eval_int(b, e->b, "a bound of a range", &hi)) return v_bad();
    if (e->c && !eval_int(b, e->c, "the step of a range", &by)) return v_bad();
    if (by == 0) {
        diag_error(b->cx, E_VALUE, e->span, "a range cannot go by 0");
        return v_bad();
    }
    Val l = v_list(b, NULL, 0);
    double count = by > 0 ? ((double)hi - (double)lo) / (double)by : ((double)lo - (double)hi) / -(double)by;
    if (count < 0) return l;
    if (count >= LIST_MOST) {
        diag_error(b->cx, E_TOO_LARGE, e->span, "a range of more than %d numbers", LIST_MOST);
        return v_bad();
    }
    if (!build_step(b, (int64_t)count + 1, e->span)) return v_bad();
    for (int64_t k = 0; k <= (int64_t)count; k++) vec_push(b->a, &l.list->item, v_int(lo + k * by));
    return l;
}

/* ---- indexing ---- */
static Val tensor_index(Build *b, Val v, Val ix, Span at) {
    Shape s = val_shape(b, v);
    int64_t first = ix.i, last = ix.i;
    if (ix.kind == V_LIST && ix.list->item.len) {
        size_t n = ix.list->item.len;
        int32_t *list = ARENA_ARRAY(b->a, int32_t, n);
        for (size_t i = 0; i < n; i++) {
            Val k = ix.list->item.at[i];
            if (k.kind != V_INT || s.rank == 0 || k.i < 1 || k.i > s.dim[0]) {
                diag_error(b->cx, E_INDEX, at, "%s has no entry %s along its first axis", shape_text(b->a, s), v_text(b, k));
                return v_bad();
            }
            list[i] = (int32_t)(k.i - 1);
        }
        first = list[0] + 1, last = list[n - 1] + 1;
        if (last - first == (int64_t)n - 1) return slice_axis(b, v, 0, first - 1, (int64_t)n, at);
        NodeId in;
        if (!to_node(b, v, at, &in)) return v_bad();
        return v_tensor(b, graph_add(b->ctx->g, OP_gather, &in, 1, &(Attr){.axis = 0, .list = list, .list_len = (int64_t)n}, at));
    }
    if (ix.kind != V_INT || s.rank == 0 || first < 1 || first > s.dim[0]) {
        diag_error(b->cx, E_INDEX, at, "%s has no entry %s along its first axis", shape_text(b->a, s), v_text(b, ix));
        return v_bad();
    }
    Shape out = {.rank = s.rank - 1};
    for (int i = 0; i < out.rank; i++) out.dim[i] = s.dim[i + 1];
    Val one = slice_axis(b, v, 0, first - 1, 1, at);
    return v_tensor(b, op_reshape(b->ctx->g, one.node, out));
}

Val index_value(Build *b, Val v, Val ix, Span at) {
    if (v.kind == V_BAD || ix.kind == V_BAD) return v_bad();
    if (v.kind == V_TENSOR) return tensor_index(b, v, ix, at);
    if (v.kind == V_LAYERS) {
        if (ix.kind == V_INT && ix.i >= 1 && ix.i <= v.code->n) return problem_value(b, v.code, v.s, (int)ix.i, at);
        diag_error(b->cx, E_INDEX, at, "the chain has %d layers, there is no %s[%s]", v.code->n, v.s, v_text(b, ix));
        return v_bad();
    }
    if (v.kind != V_LIST) {
        diag_error(b->cx, E_TYPE, at, "only lists and tensors have items, found %s", v_text(b, v));
        return v_bad();
    }
    if (ix.kind == V_LIST) {
        Val out = v_list(b, NULL, 0);
        for (size_t i = 0; i < ix.list->item.len; i++) vec_push(b->a, &out.list->item, index_value(b, v, ix.list->item.at[i], at));
        return out;
    }
    if (ix.kind != V_INT || ix.i < 1 || (size_t)ix.i > v.list->item.len) {
        diag_error(b->cx, E_INDEX, at, "the list has %zu item%s, there is no item %s", v.list->item.len, v.list->item.len == 1 ? "" : "s", v_text(b, ix));
        return v_bad();
    }
    return v.list->item.at[ix.i - 1];
}

static Val index_expr(Build *b, Expr *e) {
    Val v = eval(b, e->a);
    for (uint32_t i = 0; i < e->n; i++) v = index_value(b, v, eval(b, e->items[i]), e->span);
    return v;
}

/* ---- lists ---- */
/* An item of a list that gets a name is named by its place: D.3 */
static Val item_value(Build *b, Expr *e, Name pending, int64_t place) {
    Frame *f = b->frame;
    if (!pending) return eval(b, e);
    f->pending = name_fmt(b->cx, "%s.%lld", pending, (long long)place);
    Val v = eval(b, e);
    f->pending = NULL;
    return v;
}

static Val list_expr(Build *b, Expr *e) {
    Name pending = b->frame->pending;
    b->frame->pending = NULL;
    Val l = v_list(b, NULL, 0);
    for (uint32_t i = 0; i < e->n; i++) vec_push(b->a, &l.list->item, item_value(b, e->items[i], pending, i + 1));
    return l;
}

static Val each_expr(Build *b, Expr *e) {
    Name pending = b->frame->pending;
    b->frame->pending = NULL;
    Val over = eval(b, e->b), l = v_list(b, NULL, 0);
    if (over.kind == V_BAD) return over;
    if (over.kind != V_LIST) {
        diag_error(b->cx, E_TYPE, e->b->span, "expected a range or a list, found %s", v_text(b, over));
        return v_bad();
    }
    Env *env = b->frame->env;
    for (size_t i = 0; i < over.list->item.len; i++) {
        b->frame->env = env_new(b, env);
        env_bind(b, b->frame->env, e->name, over.list->item.at[i], false, e->name_span);
        vec_push(b->a, &l.list->item, item_value(b, e->a, pending, (int64_t)i + 1));
        b->frame->env = env;
    }
    return l;
}

/* expr where { params, lets }: the names are the value's own: z.A.W */
static Val where_expr(Build *b, Expr *e) {
    Frame *f = b->frame, scope = *f;
    Name pending = f->pending;
    f->pending = NULL;
    if (pending) { /* a scope named like the value */
        scope.path = scope_name(b, pending);
        scope.turns.len = scope.turns.cap = 0;
        scope.turns.at = NULL;
        scope.used.len = scope.used.cap = 0;
        scope.used.at = NULL;
    }
    scope.pending = NULL;
    scope.env = env_new(b, f->env);
    b->frame = &scope;
    exec_block(b, e->stmts, e->n);
    Val v = eval(b, e->a);
    b->frame = f;
    if (!pending) f->used = scope.used;
    if (v.kind == V_OP && pending) v.op->path = scope.path;
    return v;
}

Val eval_named(Build *b, Expr *e, Name name) {
    Name was = b->frame->pending;
    b->frame->pending = name;
    Val v = eval(b, e);
    b->frame->pending = was;
    return v;
}

Val eval(Build *b, Expr *e) {
    if (!build_step(b, 1, e->span)) return v_bad();
    Name pending = b->frame->pending;
    bool keeps = e->kind == EX_CALL || e->kind == EX_LIST || e->kind == EX_EACH || e->kind == EX_WHERE || e->kind == EX_COND || e->kind == EX_ADJOINT;
    if (!keeps) b->frame->pending = NULL; /* only the outermost of these is what the statement names */
    Val v = v_bad();
    switch (e->kind) {
    case EX_NAME: v = lookup(b, e->name, e->span, false); break;
    case EX_INT: v = v_int(e->integer); break;
    case EX_REAL: v = v_real(e->real); break;
    case EX_STRING: v = v_string(e->name); break;
    case EX_UNARY: v = unary(b, e); break;
    case EX_BINARY:
        if (e->bin == BIN_AND || e->bin == BIN_OR) v = logic(b, e);
        else {
            Val x = eval(b, e->a), y = eval(b, e->b);
            v = binary(b, e->bin, x, y, e->span);
        }
        break;
    case EX_COND: v = conditional(b, e); break;
    case EX_RANGE: v = range(b, e); break;
    case EX_CALL: v = eval_call(b, e); break;
    case EX_INDEX: v = index_expr(b, e); break;
    case EX_FIELD:
        diag_error(b->cx, E_TYPE, e->span, "there is no '.%s' of this value", e->name);
        break;
    case EX_ADJOINT:
        v = eval(b, e->a);
        if (v.kind == V_OP) v = lin_adjoint(b, v.op, e->span);
        else if (v.kind != V_BAD) {
            Diag *d = diag_error(b->cx, E_TYPE, e->span, "' is the adjoint of an operator, found %s", v_text(b, v));
            if (v.kind == V_TENSOR) diag_help(b->cx, d, "dense(W)' makes one of a matrix");
            v = v_bad();
        }
        break;
    case EX_LIST: v = list_expr(b, e); break;
    case EX_EACH: v = each_expr(b, e); break;
    case EX_BLOCKS: v = lin_blocks(b, e); break;
    case EX_WHERE: v = where_expr(b, e); break;
    }
    b->frame->pending = pending;
    return v;
}
