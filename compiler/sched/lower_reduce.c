/* Sums and maxima over axes and over the batch; products with a matrix in their plain form. */
#include "sched/internal.h"

void lower_reduce(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id), *from = graph_at(x->g, n->in[0]);
    View out = gx_result(x, id);
    Dom d = dom_of(from->shape, n->batched);
    int64_t stride[DOM_MAX] = {0};
    int kept = 0;
    d.fold_batch = n->op == OP_batch_sum;
    for (int i = 0; i < d.rank; i++) {
        d.fold[i] = n->op != OP_batch_sum && (n->a.axes >> i & 1);
        if (!d.fold[i]) stride[i] = out.stride[kept++];
    }
    lower_map(x->e, &d, n->op == OP_amax ? FOLD_MAX : FOLD_SUM, gx_expr(x, n->in[0]), &out, stride, op_info[n->op].id);
}

/* dense: axes n (folded), m, rest. dense_grad: axes m, n, rest (folded). */
void lower_dense(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Ent *e = x->e;
    View p = gx_view(x, n->in[0]), q = gx_view(x, n->in[1]), out = gx_result(x, id);
    bool grad = n->op == OP_dense_grad;
    int rest = (grad ? p.shape.rank : q.shape.rank) - 1, pa[RANK_MAX], qa[RANK_MAX];
    Dom d = {.rank = rest + 2, .batched = n->batched};
    int64_t stride[DOM_MAX] = {0};
    d.dim[0] = grad ? p.shape.dim[0] : q.shape.dim[0];
    d.dim[1] = grad ? q.shape.dim[0] : n->shape.dim[0];
    for (int i = 0; i < rest; i++) {
        d.dim[i + 2] = q.shape.dim[i + 1];
        d.fold[i + 2] = grad;
        qa[i + 1] = pa[i + 1] = i + 2;
        if (!grad) stride[i + 2] = out.stride[i + 1];
    }
    if (grad) {
        pa[0] = 0, qa[0] = 1;
        stride[0] = out.stride[0], stride[1] = out.stride[1];
        d.fold_batch = n->a.flag && (p.batched || q.batched);
    } else {
        d.fold[0] = true;
        qa[0] = 0;
        pa[0] = n->a.flag ? 0 : 1, pa[1] = n->a.flag ? 1 : 0;
        stride[1] = out.stride[0];
    }
    lower_map(e, &d, FOLD_SUM, ex_op(e, OP_mul, ex_leaf(e, &p, pa), ex_leaf(e, &q, qa), NULL), &out, stride, op_info[n->op].id);
}
