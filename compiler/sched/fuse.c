/* Which values are not made by a kernel of their own. An elementwise result is computed inside the first that
   reads it, if that is elementwise too (or a reduction); others that read it later find it stored from there.
   A product (convolution, dense) is held until the elementwise operator that reads it first, and is stored
   through that, from the registers. */
#include "sched/internal.h"
#include <string.h>

enum { LEAVES_MOST = 14, OPS_MOST = 60 }; /* of one fused expression */
enum { PATHS_MOST = 500 }; /* ... where a value that two read is walked through twice */

static bool is_product(const Node *n) {
    return n->op == OP_conv || n->op == OP_conv_adj || n->op == OP_dense ||
           ((n->op == OP_conv_grad || n->op == OP_dense_grad) && !n->batched);
}
static bool is_reduction(OpKind op) { return op == OP_sum || op == OP_amax || op == OP_batch_sum; }

static bool reads_inside(const Gx *x, const Node *user, NodeId u, const Node *n) {
    if (user->op == OP_stop && !x->fits[u]) return false;
    if (is_product(n))
        return op_is_elementwise(user->op) && user->op != OP_stop && user->batched == n->batched;
    if (user->op == OP_batch_sum) return true;
    if (user->batched != n->batched) return false;
    return op_is_elementwise(user->op) || is_reduction(user->op);
}

/* On a GPU what takes one operation on values that lie in memory is computed again in every reduction that reads it, and not stored for it. */
static bool again(const Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    if (!x->e->s->t.gpu || !x->fits[id] || is_product(n)) return false;
    for (uint32_t k = 0; k < n->nin; k++)
        if (x->fits[n->in[k]] && !(is_product(graph_at(x->g, n->in[k])) && x->uses[n->in[k]] > 1)) return false;
    return true;
}

/* Is it one value per entry, changed by values per channel, in an instruction or two? Then each that reads it computes it again from that
   value, and it is not stored. */
static bool is_cheap(const Gx *x, const Node *n) {
    bool one_input = n->op == OP_neg || n->op == OP_abs || n->op == OP_sign || n->op == OP_relu, two = n->op >= OP_add && n->op <= OP_eq && n->op != OP_pow;
    if ((!one_input && !two) || !n->batched) return false;
    bool one = false;
    for (uint32_t k = 0; k < n->nin; k++) {
        if (!graph_batched(x->g, n->in[k])) continue;
        if (one || is_view_op(graph_at(x->g, n->in[k])->op) || (x->fits[n->in[k]] && is_product(graph_at(x->g, n->in[k])))) return false;
        one = true;
    }
    return one;
}

/* The root of a node is the one whose kernel computes it. True: something that was inside no longer is. */
static bool find_roots(Gx *x, NodeId *root, NodeId *first, NodeId *reduced, bool *cheap, bool *several) {
    const Graph *g = x->g;
    bool changed = false;
    for (size_t i = 0; i < g->nodes.len; i++)
        cheap[i] = x->fits[i] && x->groups && !x->e->s->t.gpu && is_cheap(x, &g->nodes.at[i]);
    for (size_t i = 0; i < g->outs.len; i++) cheap[g->outs.at[i].node] = false;
    for (size_t i = 0; i < g->nodes.len; i++) first[i] = reduced[i] = NO_NODE, x->aside[i] = several[i] = false;
    for (size_t i = 0; i < g->outs.len; i++) x->aside[g->outs.at[i].node] = true;
    for (size_t i = g->nodes.len;
         i-- > 0;) { /* all that read node i have been here: first[i] is the earliest of their roots */
        const Node *n = &g->nodes.at[i];
        if (!x->uses[i]) continue;
        if (first[i] == NO_NODE) first[i] = reduced[i]; /* only reductions read it */
        if (x->fits[i] && (first[i] == NO_NODE || (x->aside[i] && is_reduction(graph_at(g, first[i])->op))))
            x->fits[i] = false, changed = true;
        root[i] = x->fits[i] ? first[i] : (NodeId)i;
        for (uint32_t k = 0; k < n->nin; k++) {
            NodeId in = n->in[k];
            if (root[i] != NO_NODE && is_reduction(graph_at(g, root[i])->op) && again(x, in) && reads_inside(x, n, (NodeId)i, graph_at(g, in))) {
                if (root[i] < reduced[in]) reduced[in] = root[i];
                continue;
            }
            bool other = (first[in] != NO_NODE && first[in] != root[i]) || (cheap[i] && several[i]);
            if (other && cheap[in]) several[in] = true;
            if (other && !cheap[in]) x->aside[in] = true;
            if (root[i] < first[in]) first[in] = root[i];
        }
    }
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; x->uses[i] && k < n->nin; k++) {
            NodeId in = n->in[k];
            if (!x->fits[in] || (root[i] != root[in] && !cheap[in])) continue;
            bool apart = x->groups && is_product(graph_at(g, in)) && x->groups->part[in] != x->groups->part[root[i]];
            if (!apart && reads_inside(x, n, (NodeId)i, graph_at(g, in))) continue;
            x->fits[in] = false, changed = true;
        }
    }
    return changed;
}

/* What the expression that ends in a node reads and computes; a value counts once, however many in it read it. */
typedef struct Size {
    Gx *x;
    const NodeId *root;
    const bool *cheap;
    int32_t *seen, turn; /* [node] the turn in which it was counted */
    int32_t leaves, ops;
    int32_t *paths; /* [node] operations, a value counted as often as it is read */
} Size;

static bool is_inside(const Size *s, NodeId user, NodeId in) {
    return s->x->fits[in] && (s->root[in] == s->root[user] || s->cheap[in]);
}

static int32_t reads(const Size *s, NodeId in) { /* of a value that is not inside */
    return again(s->x, in) ? (int32_t)graph_at(s->x->g, in)->nin : 1;
}

static void add_size(Size *s, NodeId id) {
    if (s->seen[id] == s->turn || s->ops > OPS_MOST) return;
    const Node *n = graph_at(s->x->g, id);
    s->seen[id] = s->turn;
    s->leaves += s->x->aside[id], s->ops++;
    for (uint32_t k = 0; !is_product(n) && k < n->nin; k++)
        if (is_inside(s, id, n->in[k]))
            add_size(s, n->in[k]);
        else
            s->leaves += reads(s, n->in[k]);
}

/* Expressions that read too much or compute too much are cut, and those with two products in them. */
static bool limit(Gx *x, Size s, NodeId *held) {
    const Graph *g = x->g;
    bool changed = false;
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        held[i] = 0, s.paths[i] = 1;
        if (is_product(n)) {
            held[i] = (NodeId)i + 1;
            continue;
        }
        s.leaves = x->aside[i], s.ops = 1, s.turn++;
        NodeId from = NO_NODE; /* the input that holds held[i] */
        for (uint32_t k = 0; x->uses[i] && k < n->nin; k++) {
            NodeId in = n->in[k];
            bool inside = is_inside(&s, (NodeId)i, in);
            int32_t leaves = s.leaves, ops = s.ops;
            if (inside) add_size(&s, in);
            if (inside && (s.leaves > LEAVES_MOST || s.ops > OPS_MOST || s.paths[i] + s.paths[in] > PATHS_MOST)) {
                x->fits[in] = inside = false;
                changed = true;
                s.leaves = leaves, s.ops = ops;
            }
            if (inside)
                s.paths[i] += s.paths[in];
            else
                s.leaves += reads(&s, in);
            if (!inside || !held[in] || held[in] == held[i]) continue;
            if (held[i]) { /* two products: what leads to the earlier is cut off, and stored through it */
                x->fits[held[i] < held[in] ? from : in] = false;
                changed = true;
            }
            if (held[in] > held[i]) held[i] = held[in], from = in;
        }
    }
    return changed;
}

void fuse_decide(Gx *x) {
    const Graph *g = x->g;
    size_t n = g->nodes.len + 1;
    NodeId *root = ARENA_ARRAY(x->a, NodeId, n), *first = ARENA_ARRAY(x->a, NodeId, n),
           *held = ARENA_ARRAY(x->a, NodeId, n), *reduced = ARENA_ARRAY(x->a, NodeId, n);
    bool *several = ARENA_ARRAY(x->a, bool, n);
    for (size_t i = 0; i < g->nodes.len; i++)
        x->fits[i] = x->uses[i] && (!x->sum || x->sum[i] == NO_NODE) &&
                     (op_is_elementwise(g->nodes.at[i].op) || is_product(&g->nodes.at[i]));
    bool changed = true, *cheap = ARENA_ARRAY(x->a, bool, n);
    Size size = {.x = x, .root = root, .cheap = cheap, .seen = ARENA_ARRAY(x->a, int32_t, n), .paths = ARENA_ARRAY(x->a, int32_t, n)};
    while (changed) { /* what fits only becomes less */
        changed = find_roots(x, root, first, reduced, cheap, several);
        if (!changed) {
            memset(size.seen, 0, n * sizeof *size.seen);
            changed = limit(x, size, held);
        }
    }
    if (x->groups) group_mark_whole(x, x->groups, root, cheap);
}
