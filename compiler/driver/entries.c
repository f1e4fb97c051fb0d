/* Gradients of the entries that have some, and the face of each entry's call (see Entry in op/program.h). */
#include "driver/entries.h"
#include "ad/ad.h"
#include "base/trouble.h"
#include "driver/passes.h"

const char *entry_name(Cx *cx, EntryKind kind, int32_t stage) {
    static const char *const names[] = {
        [ENTRY_INIT] = "init", [ENTRY_FORWARD] = "forward", [ENTRY_EVAL] = "eval", [ENTRY_STEP] = "step",
        [ENTRY_BACKWARD] = "backward", [ENTRY_SYNTH] = "synth", [ENTRY_PROBE] = "probe",
        [ENTRY_OPERATORS] = "operators",
    };
    return stage ? name_fmt(cx, "%s:%d", names[kind], stage + 1) : name_of(cx, names[kind]);
}

static NodeId find_leaf(const Graph *g, OpKind op, int32_t index) {
    for (size_t i = 0; i < g->nodes.len; i++)
        if (g->nodes.at[i].op == op && g->nodes.at[i].a.index == index) return (NodeId)i;
    return NO_NODE;
}

static bool learns(const Program *p, const Entry *e, int32_t param) {
    if (p->params.at[param].fixed) return false;
    if (e->kind == ENTRY_BACKWARD) return true;
    const Stage *s = &p->stages.at[e->stage];
    for (size_t i = 0; i < s->only.len; i++)
        if (s->only.at[i] == param) return true;
    return s->only.len == 0;
}

/* The gradients of `roots` for every parameter that learns (and, backward, every real input) become outputs. */
static void differentiate(Cx *cx, const Program *p, Entry *e, const NodeId *roots, const NodeId *seeds, uint32_t nroots) {
    Arena *a = cx->keep;
    Graph *g = e->graph;
    size_t most = p->params.len + p->inputs.len;
    NodeId *wrt = ARENA_ARRAY(a, NodeId, most + 1), *grads = ARENA_ARRAY(a, NodeId, most + 1);
    uint32_t n = 0;
    for (size_t i = 0; i < p->params.len; i++) {
        NodeId leaf = learns(p, e, (int32_t)i) ? find_leaf(g, OP_param, (int32_t)i) : NO_NODE;
        if (leaf != NO_NODE) wrt[n++] = leaf;
    }
    uint32_t first_input = n;
    if (e->kind == ENTRY_BACKWARD)
        for (size_t i = 0; i < p->inputs.len; i++) {
            NodeId leaf = p->inputs.at[i].kind == IN_REAL ? find_leaf(g, OP_input, (int32_t)i) : NO_NODE;
            if (leaf != NO_NODE) wrt[n++] = leaf;
        }
    e->graph = ad_reverse(a, g, roots, seeds, nroots, wrt, n, grads);
    Graph *d = e->graph;
    uint32_t k = 0;
    for (size_t i = 0; i < p->params.len; i++) { /* what nothing depends on has a gradient too: zero */
        if (!learns(p, e, (int32_t)i)) continue;
        bool in_graph = k < first_input && g->nodes.at[wrt[k]].a.index == (int32_t)i;
        NodeId grad = in_graph ? grads[k++] : op_const(d, 0, param_stored(&p->params.at[i]));
        graph_out(d, OUT_GRAD, (int32_t)i, grad, p->params.at[i].name);
    }
    if (e->kind != ENTRY_BACKWARD) return;
    for (size_t i = 0; i < p->inputs.len; i++) {
        if (p->inputs.at[i].kind != IN_REAL) continue;
        bool in_graph = k < n && g->nodes.at[wrt[k]].a.index == (int32_t)i;
        NodeId grad = in_graph ? grads[k++] : op_const(d, 0, p->inputs.at[i].shape);
        if (!graph_batched(d, grad)) grad = op1(d, OP_per_sample, grad);
        graph_out(d, OUT_INGRAD, (int32_t)i, grad, p->inputs.at[i].name);
    }
}

static void step_gradients(Cx *cx, const Program *p, Entry *e) {
    NodeId loss = NO_NODE;
    for (size_t i = 0; i < e->graph->outs.len; i++)
        if (e->graph->outs.at[i].role == OUT_LOSS) loss = e->graph->outs.at[i].node;
    MUST(loss != NO_NODE);
    differentiate(cx, p, e, &loss, NULL, 1);
}

/* One cotangent per output comes in as a further input; the outputs themselves are not computed for their own sake. */
static void backward_gradients(Cx *cx, const Program *p, Entry *e) {
    Graph *g = e->graph;
    size_t n = p->outputs.len;
    NodeId *roots = ARENA_ARRAY(cx->keep, NodeId, n + 1), *seeds = ARENA_ARRAY(cx->keep, NodeId, n + 1);
    uint32_t k = 0;
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *out = &g->outs.at[i];
        if (out->role != OUT_VALUE) continue;
        NodeId root = out->node;
        if (!graph_batched(g, root)) root = op1(g, OP_per_sample, root);
        int32_t index = (int32_t)p->inputs.len + out->index;
        roots[k] = root;
        seeds[k++] = op_leaf(g, OP_input, index, graph_shape(g, root), true, (Span){0}, name_fmt(cx, "d_%s", out->name ? out->name : "out"));
    }
    g->outs.len = 0;
    differentiate(cx, p, e, roots, seeds, k);
}

/* ---- the face of the call ---- */
static int out_rank(OutRole r) {
    switch (r) {
    case OUT_LOSS: return 0;
    case OUT_METRIC: return 1;
    case OUT_VALUE: return 2;
    case OUT_INGRAD: return 3;
    case OUT_PARAM: return 4;
    case OUT_GRAD: return 5;
    case OUT_STATE: return 6;
    }
    return 7;
}

static bool before(const GraphOut *x, const GraphOut *y) {
    int a = out_rank(x->role), b = out_rank(y->role);
    return a != b ? a < b : x->index < y->index;
}

static void sort_outputs(Graph *g) { /* few, and nearly in order */
    for (size_t i = 1; i < g->outs.len; i++) {
        GraphOut x = g->outs.at[i];
        size_t k = i;
        for (; k > 0 && before(&x, &g->outs.at[k - 1]); k--) g->outs.at[k] = g->outs.at[k - 1];
        g->outs.at[k] = x;
    }
}

static void number_inputs(Cx *cx, const Program *p, Entry *e) {
    size_t models = p->inputs.len, all = models + p->outputs.len;
    int32_t *to = ARENA_ARRAY(cx->keep, int32_t, all + 1);
    InputDecl *in = ARENA_ARRAY(cx->keep, InputDecl, all + 1);
    int32_t n = 0;
    for (size_t i = 0; i < all; i++) {
        bool takes = false;
        if (i >= models) takes = e->kind == ENTRY_BACKWARD;
        else if (e->kind == ENTRY_FORWARD || e->kind == ENTRY_BACKWARD) takes = p->inputs.at[i].kind == IN_REAL;
        else if (e->kind == ENTRY_SYNTH) takes = find_leaf(e->graph, OP_input, (int32_t)i) != NO_NODE;
        else takes = e->kind != ENTRY_INIT;
        to[i] = -1;
        if (!takes) continue;
        if (i < models) in[n] = p->inputs.at[i];
        else in[n] = (InputDecl){.name = name_fmt(cx, "d_%s", p->outputs.at[i - models].name), .shape = p->outputs.at[i - models].shape};
        to[i] = n++;
    }
    for (size_t i = 0; i < e->graph->nodes.len; i++) {
        Node *x = &e->graph->nodes.at[i];
        if (x->op != OP_input) continue;
        MUST((size_t)x->a.index < all && to[x->a.index] >= 0);
        x->a.index = to[x->a.index];
    }
    e->in = in;
    e->nin = n;
}

void entry_finish(Cx *cx, const Program *p, Entry *e) {
    e->name = entry_name(cx, e->kind, e->stage);
    if (e->kind == ENTRY_STEP) step_gradients(cx, p, e);
    if (e->kind == ENTRY_BACKWARD) backward_gradients(cx, p, e);
    number_inputs(cx, p, e);
    sort_outputs(e->graph);
}
