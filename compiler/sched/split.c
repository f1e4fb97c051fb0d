/* Before anything is scheduled: values that are joined along their first axis, computed with entry by entry,
   and cut again (the codes of a dictionary [I | F']) are computed part by part instead. The joined tensor is
   then only made where somebody reads it whole. */
#include "op/passes.h"
#include "sched/internal.h"

enum {
    PARTS_MOST = 6,
    PARTS_FIXED = 64
}; /* of what there is one for each sample; of what is made of parameters (one part a turn) */

typedef struct Cuts { /* of a family of values that are computed with together */
    int n;            /* parts; 0: it stays whole */
    int64_t at[PARTS_FIXED + 1];
    bool joins, many, batched;
} Cuts;

typedef struct Split {
    Arena *a;
    const Graph *g;
    Graph *to;
    NodeId *family; /* union-find */
    Cuts **cuts;    /* of the family's root; NULL: none */
    NodeId *whole;  /* in `to`; NO_NODE: not made */
    NodeId **part;
} Split;

static NodeId find(Split *s, NodeId n) {
    while (s->family[n] != n) n = s->family[n] = s->family[s->family[n]];
    return n;
}

static bool joins(const Node *n) {
    return n->shape.rank > 0 && n->a.axis == 0 &&
           (n->op == OP_concat || (n->op == OP_embed && n->a.step == 1));
}
static bool member(const Node *n) { return n->shape.rank > 0 && (op_is_elementwise(n->op) || joins(n)); }

static void cut(Cuts *c, int64_t at) {
    int i = 0;
    while (i <= c->n && c->at[i] < at) i++;
    if (c->at[i] == at || c->many) return;
    if (c->n == (c->batched ? PARTS_MOST : PARTS_FIXED)) {
        c->many = true;
        return;
    }
    for (int k = ++c->n; k > i; k--) c->at[k] = c->at[k - 1];
    c->at[i] = at;
}

static void find_families(Split *s) {
    const Graph *g = s->g;
    for (NodeId i = 0; i < g->nodes.len; i++) {
        const Node *n = graph_at(g, i);
        s->family[i] = i;
        if (!op_is_elementwise(n->op) || n->shape.rank == 0) continue;
        for (uint32_t k = 0; k < n->nin; k++)
            if (member(graph_at(g, n->in[k]))) s->family[find(s, n->in[k])] = find(s, i);
    }
    for (NodeId i = 0; i < g->nodes.len; i++)
        if (find(s, i) == i && member(graph_at(g, i))) {
            s->cuts[i] = ARENA_NEW(s->a, Cuts);
            *s->cuts[i] = (Cuts){.n = 1, .at = {0, graph_at(g, i)->shape.dim[0]}};
        }
    for (NodeId i = 0; i < g->nodes.len; i++)
        if (s->cuts[find(s, i)]) s->cuts[find(s, i)]->batched |= graph_batched(g, i);
    for (NodeId i = 0; i < g->nodes.len; i++) {
        const Node *n = graph_at(g, i);
        bool slice = n->op == OP_slice && n->a.axis == 0 && n->a.step == 1 && member(graph_at(g, n->in[0]));
        if (!slice && (!member(n) || !joins(n))) continue;
        Cuts *c = s->cuts[find(s, slice ? n->in[0] : i)];
        c->joins |= !slice;
        if (n->op == OP_concat) {
            int64_t at = 0;
            for (uint32_t k = 0; k < n->nin; k++) cut(c, at += graph_shape(g, n->in[k]).dim[0]);
        } else {
            cut(c, n->a.start);
            cut(c, n->a.start + (slice ? n->a.size : graph_shape(g, n->in[0]).dim[0]));
        }
    }
    for (NodeId i = 0; i < g->nodes.len; i++)
        if (s->cuts[i] && (!s->cuts[i]->joins || s->cuts[i]->many || s->cuts[i]->n < 2)) s->cuts[i]->n = 0;
}

static NodeId whole(Split *s, NodeId n) {
    if (s->whole[n] != NO_NODE) return s->whole[n];
    Attr join = {0};
    const Node *old = graph_at(s->g, n);
    NodeId w = graph_add(s->to, OP_concat, s->part[n], (uint32_t)s->cuts[find(s, n)]->n, &join, old->span);
    s->to->nodes.at[w].name = old->name;
    return s->whole[n] = w;
}

/* Entries from .. to-1 of old node n along the first axis. */
static NodeId stretch(Split *s, NodeId n, int64_t from, int64_t to) {
    const Node *old = graph_at(s->g, n);
    const Cuts *c = s->cuts[find(s, n)];
    Shape small = old->shape;
    small.dim[0] = to - from;
    if (s->part[n])
        for (int i = 0; i < c->n; i++)
            if (c->at[i] == from && c->at[i + 1] == to) return s->part[n][i];
    if (old->op == OP_constant) return op_const(s->to, old->a.value, small);
    if (old->op == OP_expand) {
        Attr a = old->a;
        a.shape = small;
        NodeId in = a.axes & 1 ? whole(s, old->in[0]) : stretch(s, old->in[0], from, to);
        return graph_add(s->to, OP_expand, &in, 1, &a, old->span);
    }
    if (from == 0 && to == old->shape.dim[0]) return whole(s, n);
    return op_slice(s->to, whole(s, n), 0, from, to - from);
}

static NodeId part_of(Split *s, const Node *n, int64_t from, int64_t to) {
    if (n->op == OP_concat) {
        int64_t at = 0;
        for (uint32_t k = 0; k < n->nin; k++) {
            int64_t size = graph_shape(s->g, n->in[k]).dim[0];
            if (from >= at && to <= at + size) return stretch(s, n->in[k], from - at, to - at);
            at += size;
        }
        BUG("a concatenation is cut across its parts");
    }
    if (n->op == OP_embed) {
        int64_t size = graph_shape(s->g, n->in[0]).dim[0], at = n->a.start;
        if (from >= at && to <= at + size) return stretch(s, n->in[0], from - at, to - at);
        Shape small = n->shape;
        small.dim[0] = to - from;
        NodeId zero = op_const(s->to, 0, small);
        return n->batched ? op1(s->to, OP_per_sample, zero) : zero;
    }
    NodeId in[3];
    for (uint32_t k = 0; k < n->nin; k++) in[k] = stretch(s, n->in[k], from, to);
    NodeId r = graph_add(s->to, n->op, in, n->nin, &n->a, n->span);
    s->to->nodes.at[r].name = n->name;
    return r;
}

static NodeId copy_node(Split *s, const Node *n) {
    NodeId *in = ARENA_ARRAY(s->a, NodeId, n->nin + 1);
    for (uint32_t k = 0; k < n->nin; k++) in[k] = whole(s, n->in[k]);
    Attr at = n->a;
    if (n->op == OP_loop) {
        LoopAttr *l = arena_copy(s->a, n->a.loop, sizeof *l);
        l->body = split_joined(s->a, l->body);
        at.loop = l;
    }
    NodeId r = graph_add(s->to, n->op, in, n->nin, &at, n->span);
    s->to->nodes.at[r].name = n->name;
    return r;
}

static bool worth_it(const Graph *g) {
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        if (joins(n) || (n->op == OP_loop && worth_it(n->a.loop->body))) return true;
    }
    return false;
}

const Graph *split_joined(Arena *a, const Graph *g) {
    if (!worth_it(g)) return g;
    size_t n = g->nodes.len + 1;
    Split *s = ARENA_NEW(a, Split);
    *s = (Split){.a = a, .g = g, .to = graph_new(a)};
    s->family = ARENA_ARRAY(a, NodeId, n), s->whole = ARENA_ARRAY(a, NodeId, n);
    s->cuts = ARENA_ARRAY(a, Cuts *, n), s->part = ARENA_ARRAY(a, NodeId *, n);
    find_families(s);
    for (NodeId i = 0; i < g->nodes.len; i++) {
        const Node *old = graph_at(g, i);
        s->whole[i] = NO_NODE;
        const Cuts *c = s->cuts[find(s, i)];
        if (member(old) && c && c->n) {
            s->part[i] = ARENA_ARRAY(a, NodeId, c->n);
            for (int k = 0; k < c->n; k++) s->part[i][k] = part_of(s, old, c->at[k], c->at[k + 1]);
        } else if (old->op == OP_slice && old->a.axis == 0 && old->a.step == 1 && s->part[old->in[0]]) {
            const Cuts *from = s->cuts[find(s, old->in[0])];
            NodeId in[PARTS_FIXED];
            uint32_t k = 0;
            for (int p = 0; p < from->n; p++)
                if (from->at[p] >= old->a.start && from->at[p] < old->a.start + old->a.size)
                    in[k++] = s->part[old->in[0]][p];
            Attr join = {0};
            s->whole[i] = k == 1 ? in[0] : graph_add(s->to, OP_concat, in, k, &join, old->span);
        } else
            s->whole[i] = copy_node(s, old);
    }
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        graph_out(s->to, o->role, o->index, whole(s, o->node), o->name);
    }
    return op_simplify(a, op_rejoin(a, op_simplify(a, s->to)));
}
