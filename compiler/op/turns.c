/* Numbers that a loop makes of constants and of its turns' number alone (a momentum, a step that decays) are known before it runs: they become a
   table with an entry for each turn. Nothing of theirs is carried then, and turns wait for no number. */
#include "op/passes.h"
#include "op/eval.h"
#include "op/loops.h"

enum { TURNS_MOST = 4096 };

typedef struct Known {
    Arena *a;
    const Graph *g; /* around the loop */
    const LoopAttr *l;
    const Graph *body;
    const NodeId *in; /* initial values */
    bool *carry, *node; /* known: carried values, nodes of the body */
    uint32_t turn; /* the argument that is the turn's number */
} Known;

static bool is_arg(const Node *n, uint32_t index) { return n->op == OP_arg && (uint32_t)n->a.index == index; }
static bool made_of_numbers(const Node *n) { return !n->shape.rank && (n->op == OP_per_sample || op_is_elementwise(n->op)); }

/* Made of constants alone? */
static bool constant(const Graph *g, NodeId x) {
    const Node *n = graph_at(g, x);
    bool r = n->op == OP_constant || made_of_numbers(n);
    for (uint32_t k = 0; k < n->nin && r; k++) r = constant(g, n->in[k]);
    return r && !n->shape.rank;
}

static void find_nodes(Known *w) {
    for (size_t i = 0; i < w->body->nodes.len; i++) {
        const Node *n = &w->body->nodes.at[i];
        bool r = n->op == OP_arg ? is_arg(n, w->turn) || ((uint32_t)n->a.index < w->l->ncarry && w->carry[n->a.index])
                                 : (n->op == OP_constant && !n->shape.rank) || made_of_numbers(n);
        for (uint32_t k = 0; k < n->nin; k++) r &= w->node[n->in[k]];
        w->node[i] = r;
    }
}

static void find(Known *w) {
    for (uint32_t i = 0; i < w->l->ncarry; i++) w->carry[i] = constant(w->g, w->in[i]);
    for (bool again = true; again;) {
        again = false;
        find_nodes(w);
        for (uint32_t i = 0; i < w->l->ncarry; i++)
            if (w->carry[i] && !w->node[w->body->outs.at[i].node]) w->carry[i] = false, again = true;
    }
}

/* What the rest of the body reads of it. */
static uint32_t edge(const Known *w, NodeId *list) {
    size_t len = w->body->nodes.len;
    bool *read = ARENA_ARRAY(w->a, bool, len);
    uint32_t n = 0;
    for (size_t i = 0; i < len; i++)
        for (uint32_t k = 0; k < w->body->nodes.at[i].nin; k++) read[w->body->nodes.at[i].in[k]] |= !w->node[i];
    for (uint32_t i = w->l->ncarry; i < w->body->outs.len; i++) read[w->body->outs.at[i].node] = true;
    for (size_t i = 0; i < len; i++)
        if (read[i] && w->node[i] && w->body->nodes.at[i].op != OP_constant) list[n++] = (NodeId)i;
    return n;
}

static NodeId copy(Graph *to, const Graph *from, NodeId x, NodeId *map) {
    if (map[x] != NO_NODE) return map[x];
    const Node *n = graph_at(from, x);
    NodeId in[3];
    for (uint32_t k = 0; k < n->nin; k++) in[k] = copy(to, from, n->in[k], map);
    return map[x] = n->op == OP_per_sample ? in[0] : n->op == OP_constant ? op_const(to, n->a.value, n->shape) : graph_add(to, n->op, in, n->nin, &n->a, n->span);
}

static NodeId *no_nodes(Arena *a, const Graph *g) {
    NodeId *map = ARENA_ARRAY(a, NodeId, g->nodes.len);
    for (size_t i = 0; i < g->nodes.len; i++) map[i] = NO_NODE;
    return map;
}

/* A loop of nothing else, run by the evaluator: the values of `list` in each turn. */
static const Value *run(const Known *w, const NodeId *list, uint32_t n) {
    Graph *g = graph_new(w->a), *b = graph_new(w->a);
    LoopAttr l = {.body = b, .turns = w->l->turns, .nemit = n, .reverse = w->l->reverse};
    NodeId *outside = no_nodes(w->a, w->g), *map = no_nodes(w->a, w->body), *in = ARENA_ARRAY(w->a, NodeId, w->l->ncarry + 1);
    for (uint32_t i = 0; i < w->l->ncarry; i++)
        if (w->carry[i]) in[l.ncarry++] = copy(g, w->g, w->in[i], outside);
    for (size_t i = 0; i < w->body->nodes.len; i++) {
        const Node *x = &w->body->nodes.at[i];
        int32_t index = 0;
        if (x->op != OP_arg || !w->node[i]) continue;
        for (uint32_t k = 0; k < w->l->ncarry && k < (uint32_t)x->a.index; k++) index += w->carry[k];
        map[i] = op_leaf(b, OP_arg, index, (Shape){0}, false, x->span, x->name);
    }
    for (uint32_t i = 0; i < w->l->ncarry; i++)
        if (w->carry[i]) graph_out(b, OUT_VALUE, (int32_t)b->outs.len, copy(b, w->body, w->body->outs.at[i].node, map), NULL);
    for (uint32_t i = 0; i < n; i++) graph_out(b, OUT_VALUE, (int32_t)b->outs.len, copy(b, w->body, list[i], map), NULL);
    NodeId loop = op_loop(g, &l, in, l.ncarry, (Span){0}), first = NO_NODE;
    for (uint32_t i = 0; i < n; i++) {
        NodeId p = op_proj(g, loop, (int32_t)(l.ncarry + i));
        graph_out(g, OUT_VALUE, (int32_t)i, p, NULL);
        if (!i) first = p;
    }
    return eval_graph(w->a, g, &(EvalEnv){.batch = 1}) + first;
}

/* The loop again, with tables as further values per turn. What is carried for nobody goes with the next simplification. */
static NodeId with_tables(const Known *w, Graph *to, const Node *n, const NodeId *list, uint32_t tables) {
    LoopAttr l = *w->l;
    const Value *v = run(w, list, tables);
    Graph *b = graph_new(to->arena);
    NodeId *map = no_nodes(w->a, w->body), *in = ARENA_ARRAY(w->a, NodeId, n->nin + tables);
    uint32_t nin = 0;
    for (uint32_t i = 0; i < w->turn; i++) in[nin++] = w->in[i];
    for (uint32_t i = 0; i < tables; i++) {
        const Node *x = graph_at(w->body, list[i]);
        NodeId entry = op_leaf(b, OP_arg, (int32_t)nin, (Shape){0}, false, x->span, x->name);
        map[list[i]] = x->batched ? op1(b, OP_per_sample, entry) : entry;
        in[nin++] = graph_add(to, OP_table, NULL, 0, &(Attr){.shape = v[i].shape, .data = v[i].at}, n->span);
    }
    if (l.counted) in[nin++] = w->in[n->nin - 1];
    l.nper += tables;
    for (size_t i = 0; i < w->body->nodes.len; i++) {
        const Node *x = &w->body->nodes.at[i];
        if (map[i] == NO_NODE && is_arg(x, w->turn)) map[i] = op_leaf(b, OP_arg, (int32_t)(w->turn + tables), x->shape, false, x->span, x->name);
    }
    graph_inline(b, w->body, map);
    for (size_t i = 0; i < w->body->outs.len; i++) graph_out(b, OUT_VALUE, (int32_t)i, map[w->body->outs.at[i].node], w->body->outs.at[i].name);
    l.body = b;
    return op_loop(to, &l, in, nin, n->span);
}

static NodeId loop_of(Graph *to, const Node *n, const NodeId *in) {
    Arena *a = to->arena;
    LoopAttr l = *n->a.loop;
    l.body = op_turns(a, l.body);
    size_t len = l.body->nodes.len;
    Known w = {.a = a, .g = to, .l = &l, .body = l.body, .in = in, .carry = ARENA_ARRAY(a, bool, l.ncarry + 1), .node = ARENA_ARRAY(a, bool, len), .turn = loop_args(&l) - 1};
    NodeId *list = ARENA_ARRAY(a, NodeId, len);
    uint32_t tables = 0;
    if (l.turns <= TURNS_MOST && !(l.reverse && l.counted)) { /* else the first turn is not known */
        find(&w);
        tables = edge(&w, list);
    }
    return tables ? with_tables(&w, to, n, list, tables) : op_loop(to, &l, in, n->nin, n->span);
}

Graph *op_turns(Arena *a, const Graph *g) {
    Graph *to = graph_new(a);
    NodeId *map = ARENA_ARRAY(a, NodeId, g->nodes.len + 1);
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        NodeId *in = ARENA_ARRAY(a, NodeId, n->nin + 1);
        for (uint32_t k = 0; k < n->nin; k++) in[k] = map[n->in[k]];
        if (n->op == OP_loop) map[i] = loop_of(to, n, in);
        else {
            Attr attr = n->a;
            if (n->op == OP_fixed_point) attr.body = op_turns(a, attr.body);
            map[i] = graph_add(to, n->op, in, n->nin, &attr, n->span);
        }
        to->nodes.at[map[i]].name = n->name;
    }
    for (size_t i = 0; i < g->outs.len; i++) graph_out(to, g->outs.at[i].role, g->outs.at[i].index, map[g->outs.at[i].node], g->outs.at[i].name);
    return to;
}
