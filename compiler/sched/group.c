/* Samples in groups: what an entry computes before, for each group of samples, and after; and how many make a
   group. Sums over the samples (gradients of parameters, losses) are added up over the groups. Where
   something made for one sample depends on such a sum (batch statistics), the whole batch is one group, as if
   there were none. */
#include "op/loops.h"
#include "sched/internal.h"
#include <string.h>

typedef struct Body { /* one graph: which of its values the batch has a say in */
    Arena *a;
    const Graph *g;
    bool *sums;  /* made of sums over the samples (not batched) */
    bool *same;  /* result of a loop over samples that is the same for each group */
    bool *whole; /* result of such a loop that is right for the whole batch only */
    uint32_t *uses;
    bool wait; /* SchedTarget.wait */
} Body;

static bool sees_batch(const Node *n) { /* a loop: does anything in it differ from sample to sample? */
    const Graph *g = n->a.loop->body;
    for (size_t i = 0; i < g->nodes.len; i++)
        if (g->nodes.at[i].batched || (g->nodes.at[i].op == OP_loop && sees_batch(&g->nodes.at[i])))
            return true;
    return false;
}

/* A sum over the samples: with twice the samples it is the sum of both halves. */
static bool crosses(const Body *b, const Node *n) {
    for (uint32_t k = 0; k < n->nin && !n->batched && n->op != OP_loop && n->op != OP_proj; k++)
        if (graph_batched(b->g, n->in[k])) return true;
    return false;
}

static bool by_sample(const Body *b, const Node *n) { /* computed sample by sample */
    return n->batched || crosses(b, n) || (n->op == OP_loop && sees_batch(n));
}

static bool is_zero(const Graph *g, NodeId id) {
    const Node *n = graph_at(g, id);
    return n->op == OP_constant ? n->a.value == 0 : n->op == OP_expand && is_zero(g, n->in[0]);
}

static bool adds_up(const Body *b, NodeId id, NodeId start);

static bool loop_adds_up(const Body *b, const Node *proj);

/* Is the value a sum over the samples, or `start` (NO_NODE: none) plus one? */
static bool adds_up(const Body *b, NodeId id, NodeId start) {
    const Node *n = graph_at(b->g, id);
    if (id == start) return b->uses[id] == 1;
    if (n->batched) return false;
    if (crosses(b, n)) return true;
    if (n->op == OP_proj) return loop_adds_up(b, n);
    if (!b->sums[id]) return is_zero(b->g, id);
    if (n->op == OP_add || n->op == OP_concat) {
        for (uint32_t k = 0; k < n->nin; k++) {
            if (!adds_up(b, n->in[k], n->op == OP_add ? start : NO_NODE)) return false;
            for (uint32_t q = 0; q < k; q++) /* start once at most */
                if (n->in[q] == n->in[k] && n->in[k] == start) return false;
        }
        return true;
    }
    if (n->op == OP_sub) return adds_up(b, n->in[0], NO_NODE) && adds_up(b, n->in[1], NO_NODE);
    uint32_t from = NO_NODE; /* the one input that is a sum */
    for (uint32_t k = 0; k < n->nin; k++)
        if (b->sums[n->in[k]]) {
            if (from != NO_NODE) return false;
            from = k;
        }
    return from != NO_NODE && (op_info[n->op].linear >> from & 1) && adds_up(b, n->in[from], NO_NODE);
}

static Body *body_new(Arena *a, const Graph *g);

/* Which arguments of the body are made of sums, when a turn is followed by another. */
static Body *loop_body(Arena *a, const LoopAttr *l) {
    Body *b = body_new(a, l->body);
    bool *arg = ARENA_ARRAY(a, bool, loop_args(l) + 1);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < l->body->nodes.len; i++) {
            const Node *n = &l->body->nodes.at[i];
            if (n->batched) continue;
            b->sums[i] = n->op == OP_arg ? arg[n->a.index] : b->sums[i] || crosses(b, n);
            for (uint32_t k = 0; k < n->nin; k++) b->sums[i] |= b->sums[n->in[k]];
        }
        for (uint32_t i = 0; i < l->ncarry; i++)
            if (b->sums[l->body->outs.at[i].node] && !arg[i]) arg[i] = more = true;
    }
    return b;
}

/* Does what one sample does in the loop depend on sums over all of them? */
static bool mixes(Arena *a, const LoopAttr *l) {
    Body *b = loop_body(a, l);
    for (NodeId k = 0; k < l->body->nodes.len; k++) {
        const Node *n = graph_at(l->body, k);
        if (!b->uses[k] || !by_sample(b, n)) continue;
        if (n->op == OP_loop && mixes(a, n->a.loop)) return true;
        for (uint32_t q = 0; q < n->nin; q++)
            if (b->sums[n->in[q]]) return true;
    }
    return l->until && b->sums[l->body->outs.at[l->ncarry + l->nemit].node];
}

typedef enum Kind { RESULT_SAME, RESULT_SUM, RESULT_WHOLE } Kind;
/* What a result that is not batched is, of a loop over samples. */
static Kind result_kind(Arena *a, const Graph *g, const Node *loop, uint32_t i) {
    const LoopAttr *l = loop->a.loop;
    if (i == l->ncarry + l->nemit) return RESULT_WHOLE;
    Body *b = loop_body(a, l);
    NodeId out = l->body->outs.at[i].node, arg = NO_NODE;
    if (!b->sums[out]) return RESULT_SAME;
    for (NodeId k = 0; k < l->body->nodes.len; k++) {
        const Node *n = graph_at(l->body, k);
        if (n->op == OP_arg && n->a.index == (int32_t)i && i < l->ncarry) arg = k;
    }
    if (i < l->ncarry && !is_zero(g, loop->in[i])) return RESULT_WHOLE;
    return adds_up(b, out, arg) ? RESULT_SUM : RESULT_WHOLE;
}

static bool loop_adds_up(const Body *b, const Node *proj) {
    return sees_batch(graph_at(b->g, proj->in[0])) &&
           result_kind(b->a, b->g, graph_at(b->g, proj->in[0]), (uint32_t)proj->a.index) == RESULT_SUM;
}

static Body *body_new(Arena *a, const Graph *g) {
    Body *b = ARENA_NEW(a, Body);
    size_t n = g->nodes.len + 1;
    *b = (Body){.a = a, .g = g, .sums = ARENA_ARRAY(a, bool, n), .same = ARENA_ARRAY(a, bool, n), .whole = ARENA_ARRAY(a, bool, n), .uses = graph_uses(a, g)};
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *x = &g->nodes.at[i];
        if (x->batched || !b->uses[i]) continue;
        b->sums[i] = crosses(b, x);
        if (x->op == OP_proj && sees_batch(graph_at(g, x->in[0]))) {
            Kind k = result_kind(a, g, graph_at(g, x->in[0]), (uint32_t)x->a.index);
            b->sums[i] = k != RESULT_SAME, b->same[i] = k == RESULT_SAME, b->whole[i] = k == RESULT_WHOLE;
        } else if (x->op != OP_loop || !sees_batch(x)) /* of a loop over samples each result is judged by itself */
            for (uint32_t k = 0; k < x->nin; k++) {
                b->sums[i] |= b->sums[x->in[k]];
                b->same[i] |= b->same[x->in[k]];
            }
    }
    return b;
}

/* The number of turns that a loop took may say how many its reverse takes: group by group, each its own. */
static bool only_counts(const Body *b, NodeId id) {
    const Graph *g = b->g;
    for (size_t i = 0; i < g->outs.len; i++)
        if (g->outs.at[i].node == id) return false;
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; b->uses[i] && k < n->nin; k++)
            if (n->in[k] == id &&
                !(n->op == OP_loop && n->a.loop->counted && k + 1 == n->nin && sees_batch(n)))
                return false;
    }
    return true;
}

static double flops_of(const Graph *g, const Node *n) {
    double product = graph_product_flops(g, n);
    if (product > 0) return product;
    double all = n->op == OP_loop ? 0 : (double)shape_size(n->shape);
    if (n->op == OP_loop)
        for (size_t i = 0; i < n->a.loop->body->nodes.len; i++)
            all += (double)n->a.loop->turns * flops_of(n->a.loop->body, &n->a.loop->body->nodes.at[i]);
    return all;
}

/* Cycles to read the weights of a product once: from the second cache or from beyond. Where a sample has few positions, samples are the
   columns of a tile, and few of them make it wait for its weights. */
static double weights_cost(const Graph *g, const Node *n) {
    enum { NEAR = 256 * 1024, COLUMNS = 16 };
    bool dense = n->op == OP_dense;
    if ((n->op != OP_conv && n->op != OP_conv_adj && !dense) || graph_batched(g, n->in[!dense])) return 0;
    double weights = (double)shape_size(graph_shape(g, n->in[!dense]));
    Shape in = graph_shape(g, n->in[0]);
    bool few = dense || in.dim[1] * in.dim[2] < COLUMNS || n->shape.dim[1] * n->shape.dim[2] < COLUMNS;
    return weights > NEAR || few ? weights : weights / 8;
}

static bool costs_nothing(const Node *n) { return n->op == OP_constant || n->op == OP_expand || n->op == OP_slice || n->op == OP_concat; }

static double cost_of_group(const Graph *g, const Node *n) { /* launches, and what they read that is no sample's */
    if (n->op != OP_loop) return costs_nothing(n) ? 0 : 2000 + weights_cost(g, n);
    double all = 0;
    for (size_t i = 0; i < n->a.loop->body->nodes.len; i++) all += cost_of_group(n->a.loop->body, &n->a.loop->body->nodes.at[i]);
    return all * (double)n->a.loop->turns;
}

/* How many samples: as few as keep what each group costs by itself (launches, gradients that are read and
   written again) near a tenth of the work by this estimate, which is a small part of that in time; a power of two, so that with the blocks
   of a sample there are at least 8 grid points. More than GROUP_SOME only where what products make of them is less than VALUES_MOST bytes. */
enum { GROUP_SOME = 16, GROUP_MOST = 32, LANES_MOST = 8, VALUES_MOST = 16 * 1024 * 1024 };
static int64_t choose_size(Groups *q, int32_t part) {
    double each = 0, once = 0, values = 0;
    bool sums = false;
    for (NodeId i = q->begin[part]; i < q->begin[part + 1]; i++) {
        const Node *n = graph_at(q->graph, i);
        if (costs_nothing(n)) continue;
        each += flops_of(q->graph, n) / 40;
        if (n->batched && graph_product_flops(q->graph, n) > 0) values += 4.0 * (double)shape_size(n->shape);
        once += cost_of_group(q->graph, n);
        if (q->sum[i] != NO_NODE) once += 4.0 * (double)shape_size(n->shape), sums = true;
    }
    int64_t n = sums ? 2 : 1;
    q->each_cost = each, q->once = once;
    int64_t most = values * GROUP_MOST > VALUES_MOST ? GROUP_SOME : GROUP_MOST;
    while (n < most && (double)n * each * 0.1 < once) n *= 2;
    return n;
}

static NodeId reader_of_sums(const Body *b) { /* a value per sample that depends on all samples */
    for (NodeId i = 0; i < b->g->nodes.len; i++) {
        const Node *n = graph_at(b->g, i);
        if (!b->uses[i]) continue;
        if (b->whole[i] && !only_counts(b, i)) return i;
        if (!by_sample(b, n)) continue;
        if (n->op == OP_loop && mixes(b->a, n->a.loop)) return i;
        for (uint32_t k = 0; k < n->nin; k++)
            if (b->sums[n->in[k]] && !b->whole[n->in[k]]) return i;
    }
    return NO_NODE;
}

enum { BEFORE, EACH, AFTER };

/* A gradient of weights that is far larger than what it is made of: it is cheaper to keep that for all samples, and to make the gradient
   of them at the end, than to read and write it for each group (and to have a copy for each lane). */
static bool waits_for_all(const Body *b, const Node *n) {
    enum { LARGER = 32 };
    if ((n->op != OP_conv_grad && n->op != OP_dense_grad) || !crosses(b, n)) return false;
    return b->wait || shape_size(n->shape) > LARGER * (shape_size(graph_shape(b->g, n->in[0])) + shape_size(graph_shape(b->g, n->in[1])));
}

static int phase_of(const Body *b, NodeId i) {
    const Node *n = graph_at(b->g, i);
    if (waits_for_all(b, n)) return AFTER;
    if (by_sample(b, n) || b->whole[i] || (n->op == OP_proj && loop_adds_up(b, n))) return EACH;
    return b->sums[i] ? AFTER : b->same[i] ? EACH : BEFORE;
}

/* With values per sample that depend on sums over the samples: each such sum ends a part, what needs it comes
   later. Odd parts are those of each sample. */
static void parts_between_sums(Groups *q, const Body *b) {
    for (NodeId i = 0; i < b->g->nodes.len; i++) {
        const Node *n = graph_at(b->g, i);
        int32_t at = by_sample(b, n);
        for (uint32_t k = 0; k < n->nin; k++) {
            int32_t from = q->part[n->in[k]], least = from;
            if (at % 2)
                least = from % 2 == 0 ? from + 1 : graph_batched(b->g, n->in[k]) ? from : from + 2;
            else if (from % 2)
                least = from + 1;
            if (least > at) at = least;
        }
        q->part[i] = at;
        if (b->uses[i] && at >= q->nparts) q->nparts = at + 1;
    }
}

/* An elementwise operator on one batched value and values per channel: which input is the batched one; -1: it is no such. */
static int changes_one(const Graph *g, NodeId i) {
    const Node *n = graph_at(g, i);
    int one = -1;
    for (uint32_t k = 0; k < n->nin && op_is_elementwise(n->op) && n->batched; k++) {
        if (graph_batched(g, n->in[k]) && one >= 0) return -1;
        if (graph_batched(g, n->in[k])) one = (int)k;
    }
    return one;
}

/* The value that such operators, one after the other, made i of; NO_NODE: they are many, or none. */
static NodeId made_of(const Graph *g, NodeId i) {
    enum { OPS_MOST = 8 };
    NodeId from = i;
    for (int ops = 0, k; ops <= OPS_MOST; ops++, from = graph_at(g, from)->in[k])
        if ((k = changes_one(g, from)) < 0) return from == i ? NO_NODE : from;
    return NO_NODE;
}

/* The last part in which value i is read, by itself or through such operators, but not through `but`. */
static int32_t last_read(const Groups *q, const Body *b, NodeId i, NodeId but) {
    bool *seen = ARENA_ARRAY(b->a, bool, b->g->nodes.len);
    int32_t last = -1;
    seen[i] = true;
    for (NodeId u = i + 1; u < b->g->nodes.len; u++) {
        const Node *n = graph_at(b->g, u);
        for (uint32_t k = 0; b->uses[u] && u != but && k < n->nin; k++) {
            if (!seen[n->in[k]]) continue;
            if (q->part[u] > last) last = q->part[u];
            seen[u] = changes_one(b->g, u) >= 0;
        }
    }
    return last;
}

/* Would the value be kept for a product of a later part, though a few operations make it of one that is kept as well (the result of a normalised
   convolution, after its ReLU)? Then each part makes it again, and it is not kept. */
static bool made_again(const Groups *q, const Body *b, NodeId i) {
    NodeId from = q->part[i] % 2 && b->uses[i] ? made_of(b->g, i) : NO_NODE;
    int32_t last = -1;
    bool product = false;
    for (NodeId u = i + 1; from != NO_NODE && u < b->g->nodes.len; u++) {
        const Node *n = graph_at(b->g, u);
        for (uint32_t k = 0; b->uses[u] && k < n->nin; k++) {
            if (n->in[k] != i || q->part[u] == q->part[i]) continue;
            if (q->part[u] % 2 == 0) return false;
            product |= !op_is_elementwise(n->op) && !is_view_op(n->op);
            if (q->part[u] > last) last = q->part[u];
        }
    }
    for (size_t o = 0; o < b->g->outs.len; o++) product &= b->g->outs.at[o].node != i;
    return product && (op_is_leaf(graph_at(b->g, from)->op) || last_read(q, b, from, i) >= last);
}

typedef struct Order { /* the graph being put in order */
    const Body *b;
    Graph *to;
    Vec(int32_t) in_part; /* [node of `to`] */
    NodeId *map, *copy;   /* [node] in `to`; what the part `copied` made again */
    int32_t *copied, part;
} Order;

static NodeId put_node(Order *o, NodeId i, const NodeId *in) {
    Node n = *graph_at(o->b->g, i);
    n.in = in;
    vec_push(o->b->a, &o->in_part, o->part);
    vec_push(o->b->a, &o->to->nodes, n);
    return (NodeId)o->to->nodes.len - 1;
}

static NodeId put_again(Order *o, NodeId i) {
    const Node *n = graph_at(o->b->g, i);
    int one = changes_one(o->b->g, i);
    if (one < 0) return o->map[i];
    if (o->copied[i] == o->part) return o->copy[i];
    NodeId *in = ARENA_ARRAY(o->b->a, NodeId, n->nin + 1);
    for (int k = 0; k < (int)n->nin; k++) in[k] = k == one ? put_again(o, n->in[k]) : o->map[n->in[k]];
    o->copied[i] = o->part;
    return o->copy[i] = put_node(o, i, in);
}

/* The same graph with its nodes in the order of the parts. */
static void put_in_order(Groups *q, const Body *b) {
    const Graph *g = b->g;
    Arena *a = b->a;
    size_t len = g->nodes.len + 1;
    Order o = {.b = b, .to = graph_new(a), .map = ARENA_ARRAY(a, NodeId, len), .copy = ARENA_ARRAY(a, NodeId, len), .copied = ARENA_ARRAY(a, int32_t, len)};
    bool *again = ARENA_ARRAY(a, bool, len);
    for (NodeId i = 0; i < g->nodes.len && q->nparts > 3; i++) { /* what is made of such a value (the mask of a ReLU) goes along */
        int one = changes_one(g, i);
        again[i] = made_again(q, b, i) || (one >= 0 && again[graph_at(g, i)->in[one]]);
    }
    q->begin = ARENA_ARRAY(a, NodeId, q->nparts + 1);
    for (; o.part < q->nparts; o.part++) {
        q->begin[o.part] = (NodeId)o.to->nodes.len;
        for (NodeId i = 0; i < g->nodes.len; i++) {
            if (!b->uses[i] || q->part[i] != o.part) continue;
            const Node *n = graph_at(g, i);
            NodeId *in = ARENA_ARRAY(a, NodeId, n->nin + 1);
            for (uint32_t k = 0; k < n->nin; k++) in[k] = again[n->in[k]] && q->part[n->in[k]] != o.part ? put_again(&o, n->in[k]) : o.map[n->in[k]];
            o.map[i] = put_node(&o, i, in);
        }
    }
    q->begin[q->nparts] = (NodeId)o.to->nodes.len;
    for (size_t i = 0; i < g->outs.len; i++) {
        GraphOut out = g->outs.at[i];
        out.node = o.map[out.node];
        vec_push(a, &o.to->outs, out);
    }
    q->graph = o.to, q->part = o.in_part.at;
}

/* Sums and differences of sums that nobody else reads are one: its parts are added to it as they are made. */
static void join_sums(Groups *q, Arena *a) {
    const Graph *g = q->graph;
    Body *b = body_new(a, g);
    bool between = q->nparts > 3;
    q->sum = ARENA_ARRAY(a, NodeId, g->nodes.len + 1);
    for (NodeId i = 0; i < g->nodes.len; i++) {
        const Node *n = graph_at(g, i);
        bool is_sum = between ? crosses(b, n) : b->sums[i] && !b->whole[i];
        q->sum[i] = q->part[i] % 2 && is_sum ? i : NO_NODE;
        if (q->part[i] < 2 || q->part[i] % 2 || (n->op != OP_add && n->op != OP_sub) || n->in[0] == n->in[1]) continue;
        bool parts = true;
        for (int k = 0; k < 2; k++) parts &= q->sum[n->in[k]] != NO_NODE && b->uses[n->in[k]] == 1;
        if (parts) q->sum[i] = i;
    }
    q->minus = ARENA_ARRAY(a, bool, g->nodes.len + 1);
    for (NodeId i = (NodeId)g->nodes.len; i-- > 0;)
        for (uint32_t k = 0; q->part[i] % 2 == 0 && q->sum[i] != NO_NODE && k < 2; k++) {
            NodeId part = graph_at(g, i)->in[k];
            q->sum[part] = q->sum[i];
            q->minus[part] = q->minus[i] != (k == 1 && graph_at(g, i)->op == OP_sub);
        }
}

/* A value that is the same for each group and is read after them: it must be made by one group after the other. */
static bool leaves_part(const Groups *q, int32_t part) {
    const Graph *g = q->graph;
    for (size_t i = 0; i < g->nodes.len; i++)
        for (uint32_t k = 0; q->part[i] != part && k < g->nodes.at[i].nin; k++) {
            NodeId from = g->nodes.at[i].in[k];
            const Node *n = graph_at(g, from);
            if (q->part[from] == part && !n->batched && q->sum[from] == NO_NODE && !op_is_leaf(n->op) && n->op != OP_constant) return true;
        }
    for (size_t i = 0; i < g->outs.len; i++) {
        NodeId n = g->outs.at[i].node;
        if (q->part[n] == part && !graph_batched(g, n) && q->sum[n] == NO_NODE) return true;
    }
    return false;
}

/* Into how many lanes: each has its own sums, which are added when all have run. So the number belongs to the model, not to the machine;
   it is small where the sums (gradients of the weights) are large. Where there are no sums, each group is a lane. */
static int choose_lanes(Arena *a, const Groups *q, int32_t part) {
    enum { EIGHT = 32 * 1024, FOUR = 512 * 1024, TWO = 1024 * 1024 }; /* floats of the sums */
    int64_t floats = 0;
    bool *seen = ARENA_ARRAY(a, bool, q->graph->nodes.len);
    for (NodeId i = q->begin[part]; i < q->begin[part + 1]; i++)
        if (q->sum[i] != NO_NODE && !seen[q->sum[i]]) floats += shape_size(graph_shape(q->graph, i)), seen[q->sum[i]] = true;
    if (leaves_part(q, part) || floats > TWO) return 1;
    return !floats ? 0 : floats > FOUR ? 2 : floats > EIGHT ? 4 : LANES_MOST;
}

Groups *groups_of(Arena *a, const Graph *g, int64_t wanted, bool wait) {
    Groups *q = ARENA_NEW(a, Groups);
    Body *b = body_new(a, g);
    *q = (Groups){.graph = g, .reader = NO_NODE};
    bool any = false, loops = false;
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        any |= b->uses[i] && n->batched;
        loops |= b->uses[i] && n->op == OP_loop && by_sample(b, n);
    }
    if (wanted < 0 || !any) return q;
    q->reader = reader_of_sums(b);
    if (q->reader != NO_NODE && loops) return q;
    q->part = ARENA_ARRAY(a, int32_t, g->nodes.len + 1);
    if (q->reader == NO_NODE) {
        q->nparts = 3, b->wait = wait;
        for (NodeId i = 0; i < g->nodes.len; i++) {
            q->part[i] = phase_of(b, i);
            q->waits |= b->uses[i] && waits_for_all(b, graph_at(g, i));
        }
    } else
        parts_between_sums(q, b);
    put_in_order(q, b);
    join_sums(q, a);
    q->size = ARENA_ARRAY(a, int64_t, q->nparts + 1);
    q->lanes = ARENA_ARRAY(a, int, q->nparts + 1);
    for (int32_t p = 1; p < q->nparts; p += 2) q->size[p] = wanted ? wanted : choose_size(q, p), q->lanes[p] = choose_lanes(a, q, p);
    return q;
}

typedef struct Span2 { /* the first and the last part */
    int32_t lo, hi;
} Span2;
static void widen(Span2 *s, Span2 by) {
    if (by.lo < s->lo) s->lo = by.lo;
    if (by.hi > s->hi) s->hi = by.hi;
}

/* What is written in one part and read in another is kept for all samples; the rest for those of a group. */
void group_mark_whole(Gx *x, const Groups *q, const NodeId *root, const bool *again) {
    const Graph *g = x->g;
    size_t n = g->nodes.len;
    x->made = ARENA_ARRAY(x->a, int32_t, n + 1);
    if (q->nparts > 3 || q->waits) x->whole = ARENA_ARRAY(x->a, bool, n + 1);
    Span2 *at = ARENA_ARRAY(x->a, Span2, n + 1), *reads = ARENA_ARRAY(x->a, Span2, n + 1);
    for (size_t i = 0; i < n; i++) reads[i] = (Span2){INT32_MAX, -1};
    for (size_t i = n; i-- > 0;) { /* at: where it is computed; reads: where its memory is read */
        const Node *u = &g->nodes.at[i];
        bool view = is_view_op(u->op) && !x->fits[i];
        int32_t own = q->part[x->fits[i] ? root[i] : i];
        at[i] = again[i] ? reads[i] : (Span2){own, own};
        if (view) widen(&at[i], reads[i]);
        x->made[i] = own;
        for (uint32_t k = 0; x->uses[i] && k < u->nin; k++) widen(&reads[u->in[k]], at[i]);
        if (x->whole) x->whole[i] = u->op == OP_concat || (reads[i].hi >= 0 && (reads[i].lo < own || reads[i].hi > own));
    }
    for (size_t i = 0; i < n; i++) { /* a view is there when what it shows is */
        const Node *u = &g->nodes.at[i];
        if (is_view_op(u->op) && !x->fits[i] && u->nin && x->made[u->in[0]] > x->made[i]) x->made[i] = x->made[u->in[0]];
    }
}

/* Sums of several lanes lie one after the other. */
static int64_t apart(Shape s) { return (shape_size(s) + 15) / 16 * 16; }

static View sums_of_lanes(Ent *e, const Node *n, int lanes) {
    View v = view_new_row_major(e, shape_of(2, lanes, apart(n->shape)), false, n->name, n->span);
    lower_fill(e, 0, &v);
    return view_row_major(v.buf, n->shape, false);
}

/* A large sum of products alone is lane 0's where it is wanted in the end, so that there is a copy less. Its kernels are launched in either of two places. */
static bool is_in_place(const Gx *x, const Groups *q, int32_t part, NodeId sum) {
    enum { LARGE = 16 * 1024 }; /* floats */
    for (NodeId i = q->begin[part]; i < q->begin[part + 1]; i++) {
        OpKind op = graph_at(x->g, i)->op;
        if (q->sum[i] == sum && op != OP_conv_grad && op != OP_dense_grad && op != OP_add && op != OP_sub) return false;
    }
    return q->lanes[part] > 1 && shape_size(graph_shape(x->g, sum)) >= LARGE;
}

static void open_sums(Gx *x, const Groups *q, int32_t part, int32_t lane) {
    Ent *e = x->e;
    Arena *a = e->a;
    x->before = ARENA_ARRAY(a, Val, x->g->nodes.len + 1);
    for (NodeId i = q->begin[part]; i < q->begin[part + 1]; i++) {
        NodeId sum = q->sum[i];
        if (sum == NO_NODE || !x->uses[sum] || x->in_lanes[sum]) continue;
        Val *w = &x->val[sum];
        x->in_lanes[sum] = q->lanes[part] > 1;
        bool place = x->in_place[sum] = is_in_place(x, q, part, sum);
        if ((place || q->lanes[part] == 1) && w->kind != VAL_STORED) {
            View v = gx_result(x, sum);
            lower_fill(e, 0, &v);
        }
        if (q->lanes[part] > 1) {
            x->before[sum] = *w;
            w->view = sums_of_lanes(e, graph_at(x->g, sum), q->lanes[part] - place);
            w->view.plus = MUL(SUB(IVAR(lane), INT(place)), INT(apart(w->view.shape)));
            w->kind = VAL_STORED;
        }
        w->has_target = true;
    }
}

/* In an order of its own, whichever lane was done first. */
static void close_sum(Gx *x, NodeId sum, int lanes) {
    Ent *e = x->e;
    View first = x->val[sum].view;
    first.plus = NULL;
    bool place = x->in_place[sum];
    Ex *all = ex_sum(e, place ? &x->before[sum].view : NULL, first, apart(first.shape), lanes);
    x->val[sum] = x->before[sum];
    if (x->val[sum].kind == VAL_STORED && !place) all = ex_op(e, OP_add, ex_leaf(e, &x->val[sum].view, NULL), all, NULL);
    View to = gx_result(x, sum);
    x->val[sum].has_target = true;
    Dom d = dom_of(to.shape, false);
    lower_map(e, &d, FOLD_NONE, all, &to, to.stride, "sum of lanes");
}

void group_open(Gx *x, const Groups *q, int32_t part) {
    Ent *e = x->e;
    Arena *a = e->a;
    int lanes = q->lanes[part];
    const Lx *size = INT(q->size[part]), *whole = IVAR(e->whole_var);
    int32_t lane = e->nvar++, alone = e->nvar++;
    e->group = q->size[part];
    x->lane = IVAR(lane);
    open_sums(x, q, part, lane);
    Ls *start = code_setvar(a, &e->code, e->nvar++, IVAR(LP_VAR_FIRST_SAMPLE));
    e->first_sample = start->var;
    e->pos += 2; /* the position before the loop is for what is moved out of it */
    vec_push(a, &e->loops, ((Around){start, e->pos}));
    const Lx *groups = DIV(ADD(whole, INT(q->size[part] - 1)), size), *n = lanes ? IMIN(INT(lanes), groups) : groups, *end = whole;
    code_lanes(a, &e->code, lane, alone, n);
    if (lanes) {
        int32_t turn = e->nvar++;
        end = DIV(MUL(ADD(IVAR(lane), INT(1)), whole), n);
        code_for(a, &e->code, turn, DIV(MUL(IVAR(lane), whole), n), end, size);
        code_setvar(a, &e->code, e->first_var, IVAR(turn));
    } else
        code_setvar(a, &e->code, e->first_var, MUL(IVAR(lane), size));
    code_setvar(a, &e->code, LP_VAR_BATCH, IMIN(size, SUB(end, IVAR(e->first_var))));
    code_setvar(a, &e->code, LP_VAR_FIRST_SAMPLE, ADD(IVAR(e->first_sample), IVAR(e->first_var)));
    e->alone = IVAR(alone);
    set_blocks(e, e->alone);
}

void group_close(Gx *x, const Groups *q, int32_t part) {
    Ent *e = x->e;
    int32_t begin = e->loops.at[e->loops.len - 1].begin;
    e->alone = NULL;
    if (q->lanes[part]) code_end(&e->code);
    code_end(&e->code);
    plan_lanes(e, begin);
    if (x->whole) plan_kept(e, begin);
    plan_loop_end(e, begin);
    e->loops.len--;
    pack_forget(e);
    for (NodeId i = 0; i < x->g->nodes.len; i++)
        if (x->in_lanes[i]) close_sum(x, i, q->lanes[part]);
    memset(x->in_lanes, 0, x->g->nodes.len * sizeof *x->in_lanes);
}

static void add_part(Gx *x, NodeId id, NodeId sum) {
    Ent *e = x->e;
    View to = x->val[sum].view;
    if (graph_at(x->g, id)->op == OP_add || graph_at(x->g, id)->op == OP_sub)
        return; /* its parts have been added */
    Ex *was = ex_leaf(e, &to, NULL);
    OpKind op = graph_at(x->g, id)->op, join = x->minus[id] ? OP_sub : OP_add;
    if (op == OP_batch_sum && join == OP_add) {
        lower_reduce(x, id, &to);
        return;
    }
    if (op == OP_conv_grad || op == OP_dense_grad) {
        Ex *acc = ex_op(e, op, NULL, NULL, NULL);
        if (lower_product(x, id, (Ending){sum, ex_op(e, join, was, acc, NULL), acc})) return;
    }
    View part = op == OP_proj ? x->val[graph_at(x->g, id)->in[0]].results[graph_at(x->g, id)->a.index]
                              : view_new(e, to.shape, false, NULL, graph_at(x->g, id)->span);
    if (op != OP_proj) {
        Val had = x->val[id];
        x->val[id].has_target = true, x->val[id].view = part;
        if (op == OP_batch_sum)
            lower_reduce(x, id, NULL);
        else
            MUST(lower_product(x, id, (Ending){.into = id}));
        x->val[id] = had;
    }
    Dom d = dom_of(to.shape, false);
    lower_map(e, &d, FOLD_NONE, ex_op(e, join, was, ex_leaf(e, &part, NULL), NULL), &to, to.stride, "add");
}

/* What group_open made room for: a part of a sum is added to it. */
void group_add(Gx *x, NodeId id, NodeId sum) {
    Ent *e = x->e;
    Arena *a = e->a;
    const Node *n = graph_at(x->g, id);
    if (!x->in_lanes[sum] || !x->in_place[sum] || (n->op != OP_conv_grad && n->op != OP_dense_grad)) {
        add_part(x, id, sum);
        return;
    }
    View own = x->val[sum].view;
    for (uint32_t k = 0; k < n->nin; k++) gx_view(x, n->in[k]); /* made for both */
    code_if(a, &e->code, IEQ(x->lane, INT(0)));
    x->val[sum].view = x->before[sum].view;
    add_part(x, id, sum);
    code_else(&e->code);
    x->val[sum].view = own;
    add_part(x, id, sum);
    code_end(&e->code);
}

void group_describe(Ent *e, const Groups *q) {
    if (q->nparts == 3) {
        remark(e, (Span){0},
               "entry %s: %lld samples at a time, from the first layer to the last%s: a group costs %.2f M "
               "cycles by itself, a sample %.2f M",
               e->out->name, (long long)q->size[1], q->lanes[1] > 1 ? arena_printf(e->a, ", in %d lanes with sums of their own", q->lanes[1]) : "", q->once * 1e-6,
               q->each_cost * 1e-6);
        return;
    }
    if (q->nparts) {
        const char *list = "";
        for (int32_t p = 1; p < q->nparts; p += 2)
            list = arena_printf(e->a, "%s%s%lld", list, p > 1 ? ", " : "", (long long)q->size[p]);
        remark(e, (Span){0}, "entry %s: in %d parts between sums over the samples; samples at a time: %s", e->out->name,
               q->nparts / 2, list);
        return;
    }
    if (q->reader == NO_NODE) return;
    const Node *n = graph_at(q->graph, q->reader);
    remark(e, n->span, "entry %s: the whole batch at a time, since %s %s depends on sums over the samples",
           e->out->name, n->name ? n->name : op_info[n->op].name, shape_text(e->a, n->shape));
}
