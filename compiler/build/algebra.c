/* How operators are made of operators: products, sums, blocks, `like`; and what is computed of them: lipschitz, coherence. */
#include "base/trouble.h"
#include "build/value.h"
#include "op/eval.h"

/* Counts the parts; an operator that grew too large becomes the identity, after an error. */
static LinOp *sized(Build *b, LinOp *op) {
    int64_t n = 1;
    for (int i = 0; i < op->nparts; i++) n += op->part[i]->size;
    op->size = (int)n;
    if (n <= PARTS_MOST) return op;
    diag_error(b->cx, E_TOO_LARGE, op->span, "this operator is made of more than %d parts", PARTS_MOST);
    return lin_new(b, L_ID, op->span);
}

static LinOp *make(Build *b, LinKind k, LinOp *x, LinOp *y, Span at) {
    LinOp *op = lin_new(b, k, at);
    op->nparts = y ? 2 : 1;
    op->part = ARENA_ARRAY(b->a, LinOp *, 2);
    op->part[0] = x;
    op->part[1] = y;
    return sized(b, op);
}

static Val scaled(Build *b, LinOp *x, Val c, Span at) {
    if (c.kind == V_TENSOR && val_shape(b, c).rank) {
        Diag *d = diag_error(b->cx, E_TYPE, at, "an operator is scaled by a number, found %s", v_text(b, c));
        diag_help(b->cx, d, "diag(v) makes an operator of a tensor");
        return v_bad();
    }
    LinOp *op = make(b, L_SCALE, x, NULL, at);
    if (op->kind == L_SCALE) op->w = c;
    return v_op(op);
}

Val lin_binary(Build *b, BinOp o, Val x, Val y, Span at) {
    LinOp *p = as_op(x), *q = as_op(y);
    bool xnum = x.kind == V_INT || x.kind == V_REAL || x.kind == V_TENSOR, ynum = y.kind == V_INT || y.kind == V_REAL || y.kind == V_TENSOR;
    if (o == BIN_MUL && p && q) return v_op(make(b, L_COMPOSE, p, q, at));
    if (o == BIN_MUL && q && xnum) return scaled(b, q, x, at);
    if (o == BIN_MUL && p && y.kind == V_ZERO) return y;
    if (o == BIN_MUL && p && ynum) {
        if (y.kind == V_TENSOR && val_shape(b, y).rank) return operator_apply(b, p, y, at);
        return scaled(b, p, y, at);
    }
    if (o == BIN_DIV && p && ynum) {
        double c;
        return scaled(b, p, v_known_number(y, &c) ? v_real(1 / c) : apply1(b, OP_recip, y, at), at);
    }
    if ((o == BIN_ADD || o == BIN_SUB) && p && q) {
        LinOp *second = o == BIN_SUB ? scaled(b, q, v_real(-1), at).op : q;
        return v_op(make(b, L_SUM, p, second, at));
    }
    if (o == BIN_POW && p && y.kind == V_INT && y.i >= 0 && y.i <= 64) {
        if (y.i == 0) return v_op(lin_new(b, L_ID, at));
        LinOp *r = p;
        for (int64_t i = 1; i < y.i; i++) r = make(b, L_COMPOSE, p, r, at);
        return v_op(r);
    }
    diag_error(b->cx, E_TYPE, at, "'%s' does not go between %s and %s", ast_bin_text(o), v_text(b, x), v_text(b, y));
    return v_bad();
}

/* [a | b ; c | d]: rows of operators; of tensors [x ; y] stacks channels. */
Val lin_blocks(Build *b, Expr *e) {
    LinOp *col = lin_new(b, L_VCAT, e->span);
    col->part = ARENA_ARRAY(b->a, LinOp *, e->nrows);
    Val *tensor = ARENA_ARRAY(b->a, Val, e->n);
    bool tensors = true, bad = false;
    uint32_t k = 0;
    Val *item = ARENA_ARRAY(b->a, Val, e->n);
    for (uint32_t i = 0; i < e->n; i++) {
        item[i] = eval(b, e->items[i]);
        bad |= item[i].kind == V_BAD;
        tensors &= item[i].kind == V_TENSOR;
        tensor[i] = item[i];
    }
    if (bad) return v_bad();
    if (tensors && e->nrows == e->n) return concat_axis(b, tensor, (int)e->n, 0, e->span);
    for (uint32_t r = 0; r < e->nrows; r++) {
        LinOp *row = lin_new(b, L_HCAT, e->span);
        row->part = ARENA_ARRAY(b->a, LinOp *, e->row_len[r]);
        for (uint32_t c = 0; c < e->row_len[r]; c++, k++) {
            if (!as_op(item[k])) {
                Diag *d = diag_error(b->cx, E_TYPE, e->items[k]->span, "blocks are made of operators, found %s", v_text(b, item[k]));
                diag_help(b->cx, d, "[x ; y] stacks tensors, [x, y] is a list");
                return v_bad();
            }
            row->part[row->nparts++] = item[k].op;
        }
        col->part[col->nparts++] = row->nparts == 1 ? row->part[0] : sized(b, row);
    }
    return v_op(col->nparts == 1 ? col->part[0] : sized(b, col));
}

/* ---- like(D) ---- */
static int count_weights(const LinOp *op) {
    int n = op->kind == L_CONV || op->kind == L_DENSE || op->kind == L_DIAG;
    for (int i = 0; i < op->nparts; i++) n += count_weights(op->part[i]);
    return n;
}

typedef struct Like {
    Name full;
    const Stmt *stmt;
    Span at;
    int next, total;
} Like;

/* op: the structure; init: the same structure times factors (NULL: op's own weights to start from). */
static LinOp *clone_like(Build *b, LinOp *op, LinOp *init, Val factor, bool has_factor, Like *l) {
    while (init && init->kind == L_SCALE && op->kind != L_SCALE) { /* c * D: the factor goes into the weights */
        factor = has_factor ? apply2(b, OP_mul, factor, init->w, l->at) : init->w;
        has_factor = true;
        init = init->part[0];
    }
    if (!init || init->kind != op->kind || init->nparts != op->nparts) {
        diag_error(b->cx, E_LIKE, l->at, "the initial value of '%s' is not built like the operator it is to be like", l->full);
        return NULL;
    }
    LinOp *copy = ARENA_NEW(b->a, LinOp);
    *copy = *op;
    copy->lips.len = copy->lips.cap = 0;
    copy->path = NULL;
    if (op->kind == L_CONV || op->kind == L_DENSE || op->kind == L_DIAG) {
        Shape s = val_shape(b, op->w);
        if (!shape_eq(s, val_shape(b, init->w))) {
            diag_error(b->cx, E_LIKE, l->at, "weights %s cannot start from %s", shape_text(b->a, s), v_text(b, init->w));
            return NULL;
        }
        GCtx *here = enter(b, b->root);
        Val start = has_factor ? apply2(b, OP_mul, init->w, factor, l->at) : init->w;
        enter(b, here);
        Name name = l->total == 1 ? l->full : name_fmt(b->cx, "%s.%d", l->full, ++l->next);
        copy->w = param_value(b, name, s, (Init){.kind = INIT_EXPR}, &start, false, l->stmt, l->at);
        return copy;
    }
    copy->part = ARENA_ARRAY(b->a, LinOp *, op->nparts);
    for (int i = 0; i < op->nparts; i++) {
        bool here = has_factor && (op->kind != L_COMPOSE || i == 0); /* a product is scaled once */
        copy->part[i] = clone_like(b, op->part[i], init->part[i], factor, here, l);
        if (!copy->part[i]) return NULL;
    }
    return copy;
}

LinOp *lin_like(Build *b, LinOp *D, LinOp *init, Name full, const Stmt *s, Span at) {
    Like l = {full, s, at, 0, count_weights(D)};
    if (!l.total) {
        diag_error(b->cx, E_LIKE, at, "the operator has no weights that could be parameters");
        return NULL;
    }
    return clone_like(b, D, init ? init : D, v_real(1), false, &l);
}

/* ---- lipschitz ---- */
/* Rounds of v <- D'D v / |D'D v| until |v_new - v|^2 <= tol. Results: v, |D'D v|. `start`: node of the current graph. */
static void power_loop(Build *b, LinOp *D, Shape code, NodeId start, int64_t rounds, double tol, Span at, Val *v, Val *L) {
    bool batched = false;
    lin_home(b, D, &batched);
    GCtx *outer = b->ctx, *body = body_open(b);
    bool vb = batched || graph_batched(outer->g, start);
    NodeId arg = op_leaf(body->g, OP_arg, 0, code, vb, at, NULL);
    op_leaf(body->g, OP_arg, 1, shape_of(0), vb, at, NULL);
    Val x = v_tensor(b, arg), u = lin_apply(b, D, lin_apply(b, D, x, false, at), true, at);
    if (u.kind == V_BAD) {
        enter(b, outer);
        *v = *L = v_bad();
        return;
    }
    Val norm = apply1(b, OP_sqrt, sum_entries(b, apply2(b, OP_mul, u, u, at), at), at);
    Val next = apply2(b, OP_div, u, apply2(b, OP_max, norm, v_real(1e-30), at), at);
    Val moved = apply2(b, OP_sub, next, x, at);
    Val stop = apply2(b, OP_le, sum_entries(b, apply2(b, OP_mul, moved, moved, at), at), v_real(tol), at);
    NodeId zero = op_const(outer->g, 0, shape_of(0));
    if (vb) {
        if (!graph_batched(outer->g, start)) start = op1(outer->g, OP_per_sample, start);
        zero = op1(outer->g, OP_per_sample, zero);
    }
    NodeId init[2] = {start, zero}, out[2] = {next.node, norm.node};
    NodeId loop = body_loop(b, body, init, out, 2, stop.node, rounds, true, at);
    *v = v_tensor(b, op_proj(b->ctx->g, loop, 0));
    *L = apply1(b, OP_stop, v_tensor(b, op_proj(b->ctx->g, loop, 1)), at);
}

/* A start that no operator is blind to: fixed numbers, uniform in -0.5 .. 0.5, of norm 1. */
static NodeId start_vector(Build *b, Shape s, Span at) {
    int64_t n = shape_size(s);
    if (!table_fits(b, n, at)) return op_const(b->ctx->g, 0, s);
    double *d = ARENA_ARRAY(b->a, double, n), sum = 0;
    for (int64_t i = 0; i < n; i++) d[i] = noise_uniform(1, 0, 0, 0, (uint64_t)i) - 0.5, sum += d[i] * d[i];
    for (int64_t i = 0; i < n; i++) d[i] /= __builtin_sqrt(sum);
    Attr a = {.shape = s, .data = d};
    return graph_add(b->ctx->g, OP_table, NULL, 0, &a, at);
}

Val lin_lipschitz(Build *b, LinOp *D, Span at) {
    if (!D->has_signal) {
        int64_t n = lin_channels(b, D, true);
        bool flat = n >= 0;
        for (const LinOp *o = D; flat && o; o = o->nparts ? o->part[0] : NULL) flat = o->kind != L_CONV && o->kind != L_HCAT && o->kind != L_VCAT;
        Shape code; /* a matrix has its size in itself */
        if (!flat || !lin_meet(b, D, shape_of(1, n), at, &code)) {
            diag_error(b->cx, E_SIZE, at, "lipschitz needs the size of the signals: this operator has not met one yet");
            return v_bad();
        }
    }
    for (size_t i = 0; i < D->lips.len; i++)
        if (shape_eq(D->lips.at[i].signal, D->signal)) return D->lips.at[i].value;
    Shape code, signal = D->signal;
    if (!lin_meet(b, D, signal, at, &code)) return v_bad();
    bool batched = false;
    GCtx *home = lin_home(b, D, &batched), *here = enter(b, home);
    Val v, L;
    if (home != b->root || batched) {
        NodeId start = start_vector(b, code, at);
        power_loop(b, D, code, start, 200, 1e-8, at, &v, &L);
    } else {
        Name name = D->path ? name_fmt(b->cx, "%s.lipschitz", D->path) : scope_name(b, name_of(b->cx, "lipschitz"));
        if (D->lips.len) name = name_fmt(b->cx, "%s_%zu", name, D->lips.len + 1); /* another size */
        int32_t sv = state_new(b, name_fmt(b->cx, "%s.v", name), code, (Init){INIT_NORMAL, 0, 1});
        int32_t sl = state_new(b, name, shape_of(0), (Init){INIT_CONST, 1, 0});
        b->p->states.at[sv].computed = b->p->states.at[sl].computed = true;
        bool learn = b->mode == ENTRY_STEP || b->mode == ENTRY_PROBE, init = b->mode == ENTRY_INIT;
        if (learn || init) {
            Val s = state_value(b, sv);
            power_loop(b, D, code, s.node, init ? 200 : 50, init ? 1e-7 : 1e-5, at, &v, &L);
            if (v.kind != V_BAD) {
                NodeId keep = op1(b->ctx->g, OP_stop, v.node);
                GraphOut a = {OUT_STATE, sv, keep, name}, c = {OUT_STATE, sl, L.node, name};
                vec_push(b->a, &b->state_outs, a);
                vec_push(b->a, &b->state_outs, c);
            }
        } else L = state_value(b, sl);
    }
    enter(b, here);
    LipCache c = {signal, L};
    vec_push(b->a, &D->lips, c);
    return L;
}

/* ---- coherence ---- */
/* For each atom at the middle of the map: its image a = D e, |a|^2, and D'a, the products with all atoms at all shifts. */
Val lin_coherence(Build *b, LinOp *D, Span at) {
    Shape code;
    if (!D->has_signal) {
        int64_t n = lin_channels(b, D, true);
        if (n < 0 || D->kind != L_DENSE || !lin_meet(b, D, shape_of(1, n), at, &code)) {
            diag_error(b->cx, E_SIZE, at, "coherence needs the size of the signals: this operator has not met one yet");
            return v_bad();
        }
    }
    if (!lin_meet(b, D, D->signal, at, &code)) return v_bad();
    int64_t K = code.dim[0], pixels = shape_size(code) / K, middle = 0;
    for (int i = 1; i < code.rank; i++) middle = middle * code.dim[i] + code.dim[i] / 2;
    if (!table_fits(b, shape_size(code), at) || !table_fits(b, K * K, at)) return v_bad();
    double *here = ARENA_ARRAY(b->a, double, shape_size(code)), *number = ARENA_ARRAY(b->a, double, K);
    for (int64_t k = 0; k < K; k++) here[k * pixels + middle] = 1, number[k] = (double)k;
    GCtx *home_was = enter(b, b->ctx), *body = body_open(b);
    Attr ah = {.shape = code, .data = here}, an = {.shape = shape_of(1, K), .data = number};
    NodeId turn = body->turn = op_leaf(body->g, OP_arg, 0, shape_of(0), false, at, NULL);
    NodeId mid = graph_add(body->g, OP_table, NULL, 0, &ah, at), num = graph_add(body->g, OP_table, NULL, 0, &an, at);
    Val is = apply2(b, OP_eq, v_tensor(b, num), v_tensor(b, turn), at); /* [K]: this atom */
    Val e = apply2(b, OP_mul, v_tensor(b, mid), is, at);
    Val a = lin_apply(b, D, e, false, at), c = lin_apply(b, D, a, true, at);
    if (c.kind == V_BAD) {
        enter(b, home_was);
        return c;
    }
    Val c_self = apply2(b, OP_mul, c, e, at);
    Val norm2 = sum_entries(b, c_self, at), others = apply2(b, OP_sub, c, c_self, at);
    Val best = apply1(b, OP_abs, others, at); /* [K, ...]: then the largest over the shifts */
    if (code.rank > 1) {
        Attr ax = {.axes = ((1u << code.rank) - 1) & ~1u};
        best = v_tensor(b, graph_add(body->g, OP_amax, &best.node, 1, &ax, at));
    }
    Emit e1 = {best.node, -1}, e2 = {norm2.node, -1};
    vec_push(b->a, &body->emits, e1);
    vec_push(b->a, &body->emits, e2);
    NodeId loop = body_loop(b, body, NULL, NULL, 0, NO_NODE, K, true, at);
    Val G = v_tensor(b, op_proj(b->ctx->g, loop, 0)), n2 = v_tensor(b, op_proj(b->ctx->g, loop, 1)); /* [K, K], [K] */
    Val n = apply1(b, OP_sqrt, n2, at);
    Val rows = expand_axis(b, n, 1, K, at), cols = expand_axis(b, n, 0, K, at);
    Val mu = apply2(b, OP_div, G, apply2(b, OP_mul, rows, cols, at), at);
    Attr all = {.axes = 3};
    return v_tensor(b, graph_add(b->ctx->g, OP_amax, &mu.node, 1, &all, at));
}

/* Also of an adjoint: x itself learns the sizes that x' is used with. */
Val lin_adjoint(Build *b, LinOp *x, Span at) { return v_op(make(b, L_ADJ, x, NULL, at)); }
