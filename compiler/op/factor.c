/* Products with the same operator are joined: A x + c A y becomes A (x + c y), one product instead of two,
   where nobody else reads the parts and c is one number (for each sample, or for all). */
#include "op/loops.h"
#include "op/passes.h"
#include "op/rewrite.h"

typedef struct Term { /* sign * scale * product */
    const Node *product;
    NodeId scale; /* the expanded number; NO_NODE: 1 */
    bool negative;
} Term;

typedef struct Factor {
    const Graph *g;
    Graph *to;
    uint32_t *uses;
    NodeId *map;
} Factor;

static bool is_product(OpKind op) { return op == OP_conv || op == OP_conv_adj || op == OP_dense; }
static uint32_t data_input(OpKind op) { return op == OP_dense; } /* the other is the operator */

static bool one_number(const Graph *g, NodeId id) {
    const Node *n = graph_at(g, id);
    if (n->op == OP_constant) return true;
    return n->op == OP_expand && shape_size(graph_shape(g, n->in[0])) == 1;
}

/* x as a term whose product only it reads. */
static bool term(const Factor *f, NodeId x, Term *t) {
    *t = (Term){.scale = NO_NODE};
    for (;;) {
        const Node *n = graph_at(f->g, x);
        if (f->uses[x] != 1) return false;
        if (is_product(n->op)) {
            t->product = n;
            return n->batched && !graph_batched(f->g, n->in[1 - data_input(n->op)]);
        }
        if (n->op == OP_neg) {
            t->negative = !t->negative;
            x = n->in[0];
        } else if (n->op == OP_mul && t->scale == NO_NODE &&
                   (one_number(f->g, n->in[0]) || one_number(f->g, n->in[1]))) {
            uint32_t k = one_number(f->g, n->in[0]) ? 0 : 1;
            t->scale = n->in[k];
            x = n->in[1 - k];
        } else
            return false;
    }
}

static NodeId scaled(Factor *f, const Term *t) {
    const Node *n = t->product;
    NodeId x = f->map[n->in[data_input(n->op)]];
    if (t->scale == NO_NODE) return x;
    const Node *c = graph_at(f->g, t->scale);
    Shape s = graph_shape(f->to, x);
    NodeId by = c->op == OP_constant ? op_const(f->to, c->a.value, s)
                                     : op_expand(f->to, op_reshape(f->to, f->map[c->in[0]], (Shape){0}), s);
    return op2(f->to, OP_mul, by, x);
}

static NodeId joined(Factor *f, const Node *n) {
    Term p, q;
    if ((n->op != OP_add && n->op != OP_sub) || !term(f, n->in[0], &p) || !term(f, n->in[1], &q))
        return NO_NODE;
    OpKind op = p.product->op;
    uint32_t data = data_input(op);
    if (op != q.product->op || p.product == q.product || p.product->in[1 - data] != q.product->in[1 - data] ||
        !attr_equal(&p.product->a, &q.product->a) ||
        !shape_eq(graph_shape(f->g, p.product->in[data]), graph_shape(f->g, q.product->in[data])))
        return NO_NODE;
    bool minus = q.negative != (n->op == OP_sub);
    NodeId x = scaled(f, &p), y = scaled(f, &q);
    if (p.negative) x = op1(f->to, OP_neg, x);
    NodeId in[2];
    in[data] = op2(f->to, minus ? OP_sub : OP_add, x, y);
    in[1 - data] = f->map[p.product->in[1 - data]];
    return graph_add(f->to, op, in, 2, &p.product->a, n->span);
}

Graph *op_factor(Arena *a, const Graph *g) {
    size_t n = g->nodes.len + 1;
    Factor f = {g, graph_new(a), graph_uses(a, g), ARENA_ARRAY(a, NodeId, n)};
    for (NodeId i = 0; i < g->nodes.len; i++) {
        const Node *x = graph_at(g, i);
        if (!f.uses[i]) continue;
        NodeId *in = ARENA_ARRAY(a, NodeId, x->nin + 1);
        for (uint32_t k = 0; k < x->nin; k++) in[k] = f.map[x->in[k]];
        f.map[i] = joined(&f, x);
        if (f.map[i] == NO_NODE) f.map[i] = graph_add(f.to, x->op, in, x->nin, &x->a, x->span);
        f.to->nodes.at[f.map[i]].name = x->name;
    }
    for (size_t i = 0; i < g->outs.len; i++)
        graph_out(f.to, g->outs.at[i].role, g->outs.at[i].index, f.map[g->outs.at[i].node],
                  g->outs.at[i].name);
    return f.to;
}
