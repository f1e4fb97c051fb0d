/* The operator graph: appending nodes, shorthands. Checking is check.c. */
#include "op/graph.h"
#include "base/trouble.h"
#include "op/loops.h"
#include <string.h>

Graph *graph_new(Arena *a) {
    Graph *g = ARENA_NEW(a, Graph);
    g->arena = a;
    return g;
}

const Node *graph_at(const Graph *g, NodeId n) {
    if (n >= g->nodes.len) BUG("node %u of a graph of %zu", n, g->nodes.len);
    return &g->nodes.at[n];
}
Shape graph_shape(const Graph *g, NodeId n) { return graph_at(g, n)->shape; }
bool graph_batched(const Graph *g, NodeId n) { return graph_at(g, n)->batched; }

uint32_t *graph_uses(Arena *a, const Graph *g) {
    uint32_t *uses = ARENA_ARRAY(a, uint32_t, g->nodes.len + 1);
    for (size_t i = 0; i < g->outs.len; i++) uses[g->outs.at[i].node]++;
    for (size_t i = g->nodes.len; i-- > 0;)
        for (uint32_t k = 0; uses[i] && k < g->nodes.at[i].nin; k++) uses[g->nodes.at[i].in[k]]++;
    return uses;
}

double graph_product_flops(const Graph *g, const Node *n) {
    if (n->op == OP_conv || n->op == OP_conv_adj || n->op == OP_conv_grad) {
        const ConvGeom *c = n->a.conv;
        return 2.0 * (double)(c->out_ch * c->out[0] * c->out[1] * (c->in_ch / c->groups)) * c->kernel[0] * c->kernel[1];
    }
    if (n->op != OP_dense && n->op != OP_dense_grad) return 0;
    Shape x = graph_shape(g, n->in[1]), y = n->op == OP_dense ? n->shape : graph_shape(g, n->in[0]);
    return 2.0 * (double)shape_size(x) * (double)y.dim[0];
}

/* The small things an attribute points to move into the graph; bodies are shared, tables stay where they are. */
static Attr attr_keep(Arena *a, const Attr *from) {
    Attr t = from ? *from : (Attr){0};
    if (t.list_len) t.list = arena_copy(a, t.list, (size_t)t.list_len * sizeof *t.list);
    if (t.conv) t.conv = arena_copy(a, t.conv, sizeof *t.conv);
    if (t.pool) t.pool = arena_copy(a, t.pool, sizeof *t.pool);
    if (t.loop) t.loop = arena_copy(a, t.loop, sizeof *t.loop);
    return t;
}

bool graph_infer(const Graph *g, const Node *n, Shape *shape, bool *batched, const char **why) {
    SigIn few[8], *in = n->nin <= 8 ? few : ARENA_ARRAY(g->arena, SigIn, n->nin);
    for (uint32_t i = 0; i < n->nin; i++) {
        const Node *x = graph_at(g, n->in[i]);
        in[i] = (SigIn){x->shape, x->batched};
    }
    *shape = (Shape){0};
    *batched = false;
    if (n->op == OP_loop) return loop_check_inputs(g->arena, n->a.loop, in, n->nin, why);
    if (n->op == OP_proj) {
        const Node *l = n->nin == 1 ? graph_at(g, n->in[0]) : NULL;
        if (!l || l->op != OP_loop) {
            *why = "proj reads something that is not a loop";
            return false;
        }
        if (n->a.index < 0 || (uint32_t)n->a.index >= loop_results(l->a.loop)) {
            *why = "proj reads a result that the loop does not have";
            return false;
        }
        SigIn r = loop_result(g, l, (uint32_t)n->a.index);
        *shape = r.shape;
        *batched = r.batched;
        return true;
    }
    if (n->op == OP_fixed_point && !fixed_point_check_inputs(g->arena, n->a.body, in, n->nin, why)) return false;
    return sig_infer(g->arena, n->op, in, (int)n->nin, &n->a, shape, batched, why);
}

NodeId graph_add(Graph *g, OpKind op, const NodeId *in, uint32_t nin, const Attr *attr, Span span) {
    if (g->nodes.len >= NO_NODE) BUG("a graph of 2^32 nodes");
    Node n = {.op = op, .nin = nin, .in = arena_copy(g->arena, in, nin * sizeof *in), .a = attr_keep(g->arena, attr), .span = span};
    const char *why = "";
    if (!graph_infer(g, &n, &n.shape, &n.batched, &why)) BUG("%s: %s", op < OP_COUNT ? op_info[op].name : "?", why);
    vec_push(g->arena, &g->nodes, n);
    return (NodeId)(g->nodes.len - 1);
}

void graph_out(Graph *g, OutRole role, int32_t index, NodeId node, Name name) {
    graph_at(g, node);
    GraphOut o = {role, index, node, name};
    vec_push(g->arena, &g->outs, o);
}

NodeId op_const(Graph *g, double v, Shape s) { return graph_add(g, OP_constant, NULL, 0, &(Attr){.value = v, .shape = s}, (Span){0}); }

NodeId op_leaf(Graph *g, OpKind k, int32_t index, Shape s, bool batched, Span span, Name name) {
    NodeId n = graph_add(g, k, NULL, 0, &(Attr){.index = index, .shape = s, .batched = k == OP_arg && batched}, span);
    g->nodes.at[n].name = name;
    return n;
}

static NodeId with(Graph *g, OpKind k, NodeId x, Attr a) { return graph_add(g, k, &x, 1, &a, graph_at(g, x)->span); }

NodeId op1(Graph *g, OpKind k, NodeId x) { return with(g, k, x, (Attr){0}); }
NodeId op2(Graph *g, OpKind k, NodeId x, NodeId y) { return graph_add(g, k, (NodeId[]){x, y}, 2, NULL, graph_at(g, x)->span); }
NodeId op3(Graph *g, OpKind k, NodeId x, NodeId y, NodeId z) {
    return graph_add(g, k, (NodeId[]){x, y, z}, 3, NULL, graph_at(g, x)->span);
}
NodeId op_scale(Graph *g, double c, NodeId x) {
    NodeId k = op_const(g, c, graph_shape(g, x));
    return graph_add(g, OP_mul, (NodeId[]){k, x}, 2, NULL, graph_at(g, x)->span);
}
NodeId op_expand(Graph *g, NodeId x, Shape to) {
    Shape s = graph_shape(g, x);
    if (!shape_is_prefix(s, to)) BUG("%s is not the beginning of %s", shape_text(g->arena, s), shape_text(g->arena, to));
    uint32_t axes = ((1u << to.rank) - 1) & ~((1u << s.rank) - 1);
    return axes ? with(g, OP_expand, x, (Attr){.axes = axes, .shape = to}) : x;
}
NodeId op_sum(Graph *g, NodeId x, uint32_t axes) { return axes ? with(g, OP_sum, x, (Attr){.axes = axes}) : x; }
NodeId op_sum_all(Graph *g, NodeId x) { return op_sum(g, x, (1u << graph_shape(g, x).rank) - 1); }
NodeId op_reshape(Graph *g, NodeId x, Shape s) {
    return shape_eq(graph_shape(g, x), s) ? x : with(g, OP_reshape, x, (Attr){.shape = s});
}
NodeId op_slice(Graph *g, NodeId x, int axis, int64_t start, int64_t size) {
    return with(g, OP_slice, x, (Attr){.axis = axis, .start = start, .step = 1, .size = size});
}
NodeId op_proj(Graph *g, NodeId loop, int32_t index) { return with(g, OP_proj, loop, (Attr){.index = index}); }
NodeId op_loop(Graph *g, const LoopAttr *l, const NodeId *in, uint32_t nin, Span span) {
    return graph_add(g, OP_loop, in, nin, &(Attr){.loop = l}, span);
}
