/* Builtin functions of operators and codes. */
#include "build/builtins.h"
#include <string.h>

/* ---- operators ---- */
static bool weight_arg(Build *b, const BArgs *a, int lo, int hi, const char *what) {
    NodeId n;
    if (!arg_tensor(b, a, 0, &n)) return false;
    int rank = graph_shape(b->ctx->g, n).rank;
    if (rank >= lo && rank <= hi) return true;
    diag_error(b->cx, E_SHAPE, a->span[0], "%s, found %s", what, v_text(b, a->pos[0]));
    return false;
}

Val builtin_conv(Build *b, const BArgs *a) {
    if (!weight_arg(b, a, 3, 4, "conv takes weights [K, C, kh, kw], or [K, C, k] in one dimension")) return v_bad();
    LinOp *op = lin_new(b, L_CONV, a->at);
    op->w = a->pos[0];
    Shape w = val_shape(b, op->w);
    int64_t v = 1;
    const Val *x;
    if ((x = barg(a, "stride"))) {
        if (!arg_int(b, *x, arg_span(a, x), "the stride", 1, 4096, &v)) return v_bad();
        op->stride[0] = op->stride[1] = (int32_t)v;
    }
    if ((x = barg(a, "dilation"))) {
        if (!arg_int(b, *x, arg_span(a, x), "the dilation", 1, 4096, &v)) return v_bad();
        op->dilation[0] = op->dilation[1] = (int32_t)v;
    }
    if ((x = barg(a, "groups"))) {
        if (!arg_int(b, *x, arg_span(a, x), "the number of groups", 1, w.dim[0], &v)) return v_bad();
        if (w.dim[0] % v) {
            diag_error(b->cx, E_SHAPE, a->at, "%lld filters do not fall into %lld equal groups", (long long)w.dim[0], (long long)v);
            return v_bad();
        }
        op->groups = (int32_t)v;
    }
    if ((x = barg(a, "pad"))) {
        const char *s = x->kind == V_STRING ? x->s : "";
        if (!strcmp(s, "same")) op->pad = PAD_SAME;
        else if (!strcmp(s, "full")) op->pad = PAD_FULL;
        else if (!strcmp(s, "valid")) op->pad = PAD_VALID;
        else if (x->kind == V_INT && x->i >= 0 && x->i <= 4096) op->pad = PAD_NUMBER, op->pad_n = (int32_t)x->i;
        else {
            diag_error(b->cx, E_VALUE, arg_span(a, x), "pad is same, full, valid or a number, found %s", v_text(b, *x));
            return v_bad();
        }
    }
    if ((x = barg(a, "boundary"))) {
        const char *s = x->kind == V_STRING ? x->s : "";
        if (!strcmp(s, "zero") || x->kind == V_ZERO) op->edge = EDGE_ZERO;
        else if (!strcmp(s, "circular")) op->edge = EDGE_CIRCULAR;
        else if (!strcmp(s, "reflect")) op->edge = EDGE_REFLECT;
        else {
            diag_error(b->cx, E_VALUE, arg_span(a, x), "boundary is \"zero\", \"circular\" or \"reflect\", found %s", v_text(b, *x));
            return v_bad();
        }
    }
    return v_op(op);
}
static Val leaf_op(Build *b, const BArgs *a, LinKind k) {
    LinOp *op = lin_new(b, k, a->at);
    op->w = a->pos[0];
    return v_op(op);
}
Val builtin_dense(Build *b, const BArgs *a) { return weight_arg(b, a, 2, 2, "dense takes a matrix [m, n]") ? leaf_op(b, a, L_DENSE) : v_bad(); }
Val builtin_diag(Build *b, const BArgs *a) { return weight_arg(b, a, 0, RANK_MAX, "") ? leaf_op(b, a, L_DIAG) : v_bad(); }
Val builtin_mask(Build *b, const BArgs *a) {
    if (!weight_arg(b, a, 0, RANK_MAX, "")) return v_bad();
    Val v = leaf_op(b, a, L_DIAG);
    if (v.op->w.kind == V_TENSOR) v.op->w = apply1(b, OP_stop, v.op->w, a->at);
    return v;
}
Val builtin_shift(Build *b, const BArgs *a) {
    LinOp *op = lin_new(b, L_SHIFT, a->at);
    const Val *axis = barg(a, "axis");
    int64_t k = 0;
    if (!arg_int(b, a->pos[0], a->span[0], "a shift", -((int64_t)1 << 31), (int64_t)1 << 31, &op->by)) return v_bad();
    if (axis && !arg_int(b, *axis, arg_span(a, axis), "an axis", 1, RANK_MAX, &k)) return v_bad();
    op->axis = (int)k;
    return v_op(op);
}

static LinOp *op_arg(Build *b, const BArgs *a) {
    if (a->pos[0].kind == V_OP) return a->pos[0].op;
    if (a->pos[0].kind != V_BAD) diag_error(b->cx, E_TYPE, a->span[0], "expected an operator, found %s", v_text(b, a->pos[0]));
    return NULL;
}
Val builtin_lipschitz(Build *b, const BArgs *a) {
    LinOp *op = op_arg(b, a);
    return op ? lin_lipschitz(b, op, a->at) : v_bad();
}
Val builtin_coherence(Build *b, const BArgs *a) {
    LinOp *op = op_arg(b, a);
    return op ? lin_coherence(b, op, a->at) : v_bad();
}
Val builtin_atoms(Build *b, const BArgs *a) {
    LinOp *op = op_arg(b, a);
    if (!op) return v_bad();
    int64_t n = lin_atoms(b, op);
    if (n >= 0) return v_int(n);
    diag_error(b->cx, E_SIZE, a->at, "how many atoms this operator has depends on the signal");
    return v_bad();
}
Val builtin_lambda_max(Build *b, const BArgs *a) {
    LinOp *op = op_arg(b, a);
    if (!op) return v_bad();
    Val z = lin_apply(b, op, a->pos[1], true, a->at);
    return z.kind == V_BAD ? z : largest_entry(b, a, apply1(b, OP_abs, z, a->at), true, 0);
}

/* ---- codes ---- */
static bool want_code(Build *b, const BArgs *a) {
    if (a->pos[0].code && (a->pos[0].kind == V_TENSOR || a->pos[0].kind == V_LIST)) return true;
    if (a->pos[0].kind != V_BAD) {
        Diag *d = diag_error(b->cx, E_NOT_A_CODE, a->span[0], "expected the code of a lasso, found %s", v_text(b, a->pos[0]));
        if (a->pos[0].kind == V_TENSOR) diag_note(b->cx, d, (Span){0}, "a code remembers its problem through names, lists and `return`, not through arithmetic");
    }
    return false;
}
Val builtin_residual(Build *b, const BArgs *a) {
    if (!want_code(b, a)) return v_bad();
    Val v = a->pos[0];
    if (v.kind == V_LIST) v = v.list->item.at[v.list->item.len - 1];
    Val r = code_residual(b, v, a->at);
    return apply1(b, OP_sqrt, sum_entries(b, apply2(b, OP_mul, r, r, a->at), a->at), a->at);
}
Val builtin_objective(Build *b, const BArgs *a) { return want_code(b, a) ? code_objective(b, a->pos[0], a->at) : v_bad(); }
Val builtin_reconstruct(Build *b, const BArgs *a) { return want_code(b, a) ? code_reconstruct(b, a->pos[0], barg(a, "to") != NULL, a->at) : v_bad(); }
Val builtin_change(Build *b, const BArgs *a) {
    diag_error(b->cx, E_LOOP_USE, a->at, "change is called by its name, with the name of a variable");
    return v_bad();
}
Val builtin_sparsity(Build *b, const BArgs *a) { return mean_entries(b, apply2(b, OP_eq, a->pos[0], v_real(0), a->at), a->at); }
Val builtin_density(Build *b, const BArgs *a) {
    return mean_entries(b, apply2(b, OP_lt, v_real(1e-6), apply1(b, OP_abs, a->pos[0], a->at), a->at), a->at);
}
