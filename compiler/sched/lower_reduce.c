/* Sums and maxima over axes and over the batch. */
#include "sched/internal.h"

void lower_reduce(Gx *x, NodeId id, const View *more) {
    const Node *n = graph_at(x->g, id), *from = graph_at(x->g, n->in[0]);
    View out = more ? *more : gx_result(x, id);
    Dom d = dom_of(from->shape, n->batched);
    int64_t stride[DOM_MAX] = {0};
    int kept = 0;
    d.fold_batch = n->op == OP_batch_sum, d.more = more != NULL;
    for (int i = 0; i < d.rank; i++) {
        d.fold[i] = n->op != OP_batch_sum && (n->a.axes >> i & 1);
        if (!d.fold[i]) stride[i] = out.stride[kept++];
    }
    lower_map(x->e, &d, n->op == OP_amax ? FOLD_MAX : FOLD_SUM, gx_expr(x, n->in[0]), &out, stride,
              op_info[n->op].id);
}
