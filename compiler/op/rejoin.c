/* Parts that lie side by side in a joined tensor and are computed alike, from parts of tensors that are there whole, are one value again.
   (Codes of [I | F'] are computed part by part; their residuals are not worth it, and a product whose sums several parts read could
   not carry them through.) */
#include "op/passes.h"
#include "op/rewrite.h"

enum { DEPTH_MOST = 14 }; /* of what is computed together: about as much as an ending takes */

typedef struct Rejoin {
    Arena *a;
    const Graph *g;
    Graph *to;
    NodeId *map;   /* of old nodes, in `to` */
    NodeId *first; /* the first living node that reads each */
    uint32_t *uses;
    Vec(NodeId) joined; /* concatenations along the first axis so far */
} Rejoin;

static bool is_join(const Node *n) { return n->op == OP_concat && n->a.axis == 0; }

static int64_t length_of(const Rejoin *r, const NodeId *p, uint32_t n) {
    int64_t all = 0;
    for (uint32_t i = 0; i < n; i++) all += graph_shape(r->g, p[i]).dim[0];
    return all;
}

/* Entries from .. of what `whole` became, as many as the parts have. */
static NodeId stretch_of(Rejoin *r, NodeId whole, int64_t from, int64_t size) {
    NodeId w = r->map[whole];
    return size == graph_shape(r->g, whole).dim[0] ? w : op_slice(r->to, w, 0, from, size);
}

static NodeId from_slices(Rejoin *r, const NodeId *p, uint32_t n) {
    const Node *f = graph_at(r->g, p[0]);
    int64_t at = f->a.start;
    for (uint32_t i = 0; i < n; i++) {
        const Node *s = graph_at(r->g, p[i]);
        if (s->op != OP_slice || s->a.axis != 0 || s->a.step != 1 || s->in[0] != f->in[0] || s->a.start != at) return NO_NODE;
        at += s->shape.dim[0];
    }
    return stretch_of(r, f->in[0], f->a.start, at - f->a.start);
}

static NodeId from_join(Rejoin *r, const NodeId *p, uint32_t n) {
    for (size_t c = r->joined.len; c-- > 0;) {
        const Node *w = graph_at(r->g, r->joined.at[c]);
        int64_t at = 0;
        for (uint32_t k = 0; k + n <= w->nin; at += graph_shape(r->g, w->in[k++]).dim[0]) {
            uint32_t same = 0;
            while (same < n && w->in[k + same] == p[same]) same++;
            if (same == n) return stretch_of(r, r->joined.at[c], at, length_of(r, p, n));
        }
    }
    return NO_NODE;
}

static NodeId merged(Rejoin *r, const NodeId *p, uint32_t n, int depth);

/* Input k of all of them. */
static NodeId merged_input(Rejoin *r, const NodeId *p, uint32_t n, uint32_t k, int depth) {
    NodeId *in = ARENA_ARRAY(r->a, NodeId, n);
    for (uint32_t i = 0; i < n; i++) in[i] = graph_at(r->g, p[i])->in[k];
    return merged(r, in, n, depth + 1);
}

static bool repeats_free(OpKind op) { return op == OP_constant || op == OP_expand || op == OP_per_sample; }

static NodeId from_alike(Rejoin *r, const NodeId *p, uint32_t n, int depth) {
    const Node *f = graph_at(r->g, p[0]);
    Attr a = f->a;
    Shape whole = f->shape;
    whole.dim[0] = length_of(r, p, n);
    bool outer = f->op == OP_expand && f->a.axes & 1; /* all parts are the same */
    for (uint32_t i = 0; i < n; i++) {
        const Node *o = graph_at(r->g, p[i]);
        if (o->op != f->op || o->batched != f->batched || o->a.axes != f->a.axes || (outer && o->in[0] != f->in[0])) return NO_NODE;
        if (!repeats_free(f->op) && (!attr_equal(&o->a, &f->a) || (depth && r->uses[p[i]] > 1))) return NO_NODE;
        if (f->op == OP_constant && o->a.value != f->a.value) return NO_NODE;
    }
    if (f->op == OP_constant) return op_const(r->to, f->a.value, whole);
    if (!repeats_free(f->op) && !op_is_elementwise(f->op)) return NO_NODE;
    NodeId in[3];
    for (uint32_t k = 0; k < f->nin; k++)
        if ((in[k] = outer ? r->map[f->in[k]] : merged_input(r, p, n, k, depth)) == NO_NODE) return NO_NODE;
    if (f->op == OP_expand) a.shape = whole;
    return graph_add(r->to, f->op, in, f->nin, &a, f->span);
}

/* The old nodes p, one behind the other along the first axis, as one new node; NO_NODE: they are not. */
static NodeId merged(Rejoin *r, const NodeId *p, uint32_t n, int depth) {
    if (depth > DEPTH_MOST || graph_shape(r->g, p[0]).rank == 0) return NO_NODE;
    NodeId whole = from_slices(r, p, n);
    if (whole == NO_NODE) whole = from_join(r, p, n);
    return whole != NO_NODE ? whole : from_alike(r, p, n, depth);
}

/* Nobody read a part before: it can be a piece of the whole for all who do. */
static uint32_t not_read_before(const Rejoin *r, const NodeId *p, uint32_t n, NodeId by) {
    uint32_t k = 0;
    while (k < n && r->first[p[k]] == by && op_is_elementwise(graph_at(r->g, p[k])->op)) k++;
    return k;
}

static NodeId join(Rejoin *r, NodeId id) {
    const Node *n = graph_at(r->g, id);
    NodeId *in = ARENA_ARRAY(r->a, NodeId, n->nin);
    uint32_t many = 0;
    for (uint32_t i = 0, step; i < n->nin; i += step) {
        NodeId w = NO_NODE;
        for (step = not_read_before(r, n->in + i, n->nin - i, id); step > 1; step--)
            if ((w = from_alike(r, n->in + i, step, 0)) != NO_NODE) break;
        in[many++] = w != NO_NODE ? w : r->map[n->in[i]];
        if (w == NO_NODE) step = 1;
        int64_t at = 0;
        for (uint32_t k = i; w != NO_NODE && k < i + step; k++) {
            int64_t size = graph_shape(r->g, n->in[k]).dim[0];
            r->map[n->in[k]] = op_slice(r->to, w, 0, at, size);
            at += size;
        }
    }
    if (many == 1) return in[0];
    return graph_add(r->to, OP_concat, in, many, &n->a, n->span);
}

Graph *op_rejoin(Arena *a, const Graph *g) {
    size_t len = g->nodes.len + 1;
    Rejoin *r = ARENA_NEW(a, Rejoin);
    *r = (Rejoin){.a = a, .g = g, .to = graph_new(a), .map = ARENA_ARRAY(a, NodeId, len), .first = ARENA_ARRAY(a, NodeId, len), .uses = graph_uses(a, g)};
    for (NodeId i = (NodeId)g->nodes.len; i-- > 0;)
        for (uint32_t k = 0; r->uses[i] && k < graph_at(g, i)->nin; k++) r->first[graph_at(g, i)->in[k]] = i;
    for (NodeId i = 0; i < g->nodes.len; i++) {
        const Node *n = graph_at(g, i);
        if (!r->uses[i]) continue;
        if (is_join(n)) {
            r->map[i] = join(r, i);
            vec_push(a, &r->joined, i);
        } else {
            NodeId *in = ARENA_ARRAY(a, NodeId, n->nin + 1);
            for (uint32_t k = 0; k < n->nin; k++) in[k] = r->map[n->in[k]];
            r->map[i] = graph_add(r->to, n->op, in, n->nin, &n->a, n->span);
        }
        if (!r->to->nodes.at[r->map[i]].name) r->to->nodes.at[r->map[i]].name = n->name;
    }
    for (size_t i = 0; i < g->outs.len; i++) graph_out(r->to, g->outs.at[i].role, g->outs.at[i].index, r->map[g->outs.at[i].node], g->outs.at[i].name);
    return r->to;
}
