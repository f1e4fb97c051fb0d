/* One entry: its graph node by node, where its results go, its memory. */
#include "sched/internal.h"

void remark(Ent *e, Span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    SchedRemark r = {arena_vprintf(e->a, fmt, ap), at};
    va_end(ap);
    vec_push(e->a, &e->s->r->remarks, r);
}

Gx *gx_new(Ent *e, const Graph *g, const View *args, const Groups *q) {
    Gx *x = ARENA_NEW(e->a, Gx);
    *x = (Gx){.e = e, .a = e->a, .g = g, .args = args};
    if (q && q->nparts) {
        x->groups = q, x->sum = q->sum, x->minus = q->minus;
        x->in_lanes = ARENA_ARRAY(e->a, bool, g->nodes.len + 1), x->in_place = ARENA_ARRAY(e->a, bool, g->nodes.len + 1);
    }
    x->val = ARENA_ARRAY(e->a, Val, g->nodes.len + 1);
    x->uses = graph_uses(e->a, g);
    x->fits = ARENA_ARRAY(e->a, bool, g->nodes.len + 1);
    x->aside = ARENA_ARRAY(e->a, bool, g->nodes.len + 1);
    fuse_decide(x);
    return x;
}

bool is_view_op(OpKind op) {
    return op == OP_stop || op == OP_expand || op == OP_permute || op == OP_slice || op == OP_per_sample ||
           op == OP_proj || op == OP_fixed_point || op == OP_reshape;
}

/* Is the value one number everywhere? */
static bool constant(const Gx *x, NodeId id, double *v) {
    const Node *n = graph_at(x->g, id);
    if (n->op == OP_constant) {
        *v = n->a.value;
        return true;
    }
    return is_view_op(n->op) && n->op != OP_proj && constant(x, n->in[0], v);
}

static bool made_by_kernel(const Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    double v;
    return !op_is_leaf(n->op) && !is_view_op(n->op) && n->op != OP_loop && (!x->fits[id] || x->aside[id]) &&
           !constant(x, id, &v);
}

void gx_target(Gx *x, NodeId id, const View *v) {
    Val *w = &x->val[id];
    const Node *n = graph_at(x->g, id);
    View from;
    if (n->op == OP_reshape && !x->fits[id]) { /* a view of what then is to be made there */
        if (view_reshape(v, graph_shape(x->g, n->in[0]), &from)) gx_target(x, n->in[0], &from);
        return;
    }
    if (n->op == OP_permute && !x->fits[id]) {
        int32_t back[RANK_MAX];
        for (int i = 0; i < n->shape.rank; i++) back[n->a.list[i]] = i;
        from = view_permute(v, back);
        gx_target(x, n->in[0], &from);
        return;
    }
    if (w->has_target || !made_by_kernel(x, id) || v->batched != graph_batched(x->g, id)) return;
    w->has_target = true;
    w->view = *v;
}

/* From the first sample of the call to the first of the group. */
static const Lx *from_first(Ent *e, int64_t sample) {
    return lx_i2(e->a, LX_IMUL, lx_var(e->a, e->first_var), lx_int(e->a, sample));
}

/* Memory for node id in the layout of its kind: of a group's samples, or of all of them where others need it
 * later. */
static View new_view(Gx *x, NodeId id, View (*make)(Ent *, Shape, bool, Name, Span)) {
    const Node *n = graph_at(x->g, id);
    Ent *e = x->e;
    double c;
    bool whole = n->batched && x->whole && (x->whole[id] || constant(x, id, &c));
    int64_t group = e->group;
    if (whole) e->group = 0;
    View v = make(e, n->shape, n->batched, n->name, n->span);
    e->group = group;
    if (whole) v.plus = from_first(e, v.sample);
    return v;
}

View gx_result(Gx *x, NodeId id) {
    Val *w = &x->val[id];
    const Node *n = graph_at(x->g, id);
    if (!w->has_target) w->view = new_view(x, id, view_new);
    Buf *b = &x->e->bufs.at[w->view.buf];
    if (!b->what)
        b->what =
            arena_printf(x->a, "%s %s", n->name ? n->name : op_info[n->op].name, shape_text(x->a, n->shape));
    w->kind = VAL_STORED;
    return w->view;
}

View gx_view(Gx *x, NodeId id) {
    Val *w = &x->val[id];
    if (w->kind == VAL_STORED) return w->view;
    double c;
    if (!constant(x, id, &c)) BUG("value %u of %s has no place", id, op_info[graph_at(x->g, id)->op].name);
    View v = gx_result(x, id);
    lower_fill(x->e, c, &v);
    return v;
}

bool lower_product(Gx *x, NodeId id, Ending end) {
    return graph_at(x->g, id)->op == OP_dense || graph_at(x->g, id)->op == OP_dense_grad
               ? lower_dense(x, id, end)
               : lower_conv(x, id, end);
}

static Ex *expr(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    double c;
    if (constant(x, id, &c)) return ex_const(x->e, c);
    if (x->val[id].kind == VAL_HELD && !x->hold) MUST(lower_product(x, id, (Ending){.into = id}));
    if (x->val[id].kind == VAL_STORED) return ex_leaf(x->e, &x->val[id].view, NULL);
    for (size_t i = 0; i < x->inner.len; i++)
        if (x->inner.at[i] == id) return x->inner_ex.at[i];
    Ex *r;
    if (x->val[id].kind == VAL_HELD) {
        MUST(!x->held);
        x->held_node = id;
        r = x->held = ex_op(x->e, n->op, NULL, NULL, NULL);
    } else {
        MUST(x->val[id].kind == VAL_INLINE);
        Ex *in[3] = {0};
        for (uint32_t i = 0; i < n->nin; i++) in[i] = expr(x, n->in[i]);
        r = ex_op(x->e, n->op, in[0], in[1], in[2]);
    }
    if (x->uses[id] > 1 || x->val[id].kind == VAL_HELD) {
        vec_push(x->a, &x->inner, id);
        vec_push(x->a, &x->inner_ex, r);
    }
    return r;
}

Ex *gx_expr(Gx *x, NodeId id) {
    x->inner.len = x->inner_ex.len = 0;
    Ex *r = expr(x, id);
    x->inner.len = x->inner_ex.len = 0;
    return r;
}

/* Those values inside of the expression that others read later get a place, and are stored there by its
 * kernel. */
static void store_aside(Gx *x) {
    for (size_t i = 0; i < x->inner.len; i++) {
        NodeId id = x->inner.at[i];
        if (!x->aside[id]) continue;
        Val *w = &x->val[id];
        ValKind was = w->kind;
        gx_result(x, id);
        w->has_target = true;
        w->kind = was;
        x->inner_ex.at[i]->store = ex_leaf(x->e, &w->view, NULL);
    }
}

static void stored_aside(Gx *x) {
    for (size_t i = 0; i < x->inner.len; i++)
        if (x->aside[x->inner.at[i]]) x->val[x->inner.at[i]].kind = VAL_STORED;
    x->inner.len = x->inner_ex.len = 0;
}

static void store_view(Gx *x, NodeId id, View v) {
    x->val[id].view = v;
    x->val[id].kind = VAL_STORED;
}

static void lower_elementwise(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    Ex *in[3] = {0};
    x->inner.len = x->inner_ex.len = 0;
    x->hold = true, x->held = NULL;
    for (uint32_t i = 0; i < n->nin; i++) in[i] = expr(x, n->in[i]);
    x->hold = false;
    Ex *root = ex_op(x->e, n->op, in[0], in[1], in[2]), *held = x->held;
    store_aside(x);
    if (held && lower_product(x, x->held_node, (Ending){id, root, held})) {
        x->e->fused++;
        stored_aside(x);
        return;
    }
    if (held) {
        const Node *p = graph_at(x->g, x->held_node);
        remark(x->e, p->span,
               "entry %s: %s %s is stored before what reads it: %d operators and %d values do not go into "
               "its tile",
               x->e->out->name, op_info[p->op].name, shape_text(x->a, p->shape), finish_ops(root),
               (int)x->inner.len);
        held->store = NULL;
        MUST(lower_product(x, x->held_node, (Ending){.into = x->held_node}));
        *held = *ex_leaf(x->e, &x->val[x->held_node].view, NULL);
    }
    View out = gx_result(x, id);
    Dom d = dom_of(n->shape, n->batched);
    lower_map(x->e, &d, FOLD_NONE, root, &out, out.stride, "map");
    stored_aside(x);
}

static void lower_view(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    double c;
    if (constant(x, id, &c)) return;
    if (n->op == OP_proj) {
        store_view(x, id, x->val[n->in[0]].results[n->a.index]);
        return;
    }
    View v = gx_view(x, n->in[0]), r = v;
    switch ((int)n->op) {
    case OP_expand:
        r = view_expand(&v, n->shape, n->a.axes);
        break;
    case OP_permute:
        r = view_permute(&v, n->a.list);
        break;
    case OP_slice:
        r = view_slice(&v, n->a.axis, n->a.start, n->a.step, n->shape.dim[n->a.axis]);
        break;
    case OP_per_sample:
        r = view_per_sample(&v);
        break;
    case OP_reshape:
        if (!view_reshape(&v, n->shape, &r)) {
            View copy = new_view(x, id, view_new_row_major);
            copy.shape = v.shape;
            int64_t sample = copy.sample;
            const Lx *plus = copy.plus;
            copy = view_row_major(copy.buf, v.shape, v.batched);
            copy.sample = sample, copy.plus = plus;
            lower_copy(x->e, &v, &copy);
            MUST(view_reshape(&copy, n->shape, &r));
        }
        break;
    default:
        break;
    }
    store_view(x, id, r);
}

/* Input or output: of the samples of the group. */
static View samples_of(Ent *e, LpSpace space, int32_t which, Shape s, bool batched) {
    View v = view_external(e, space, which, 0, s, batched);
    if (batched && e->grouped) v.plus = from_first(e, v.sample);
    return v;
}

static View leaf(Gx *x, const Node *n) {
    Ent *e = x->e;
    const Program *p = e->s->p;
    int32_t i = n->a.index;
    switch ((int)n->op) {
    case OP_input:
        return samples_of(e, SP_IN, i, n->shape, n->batched);
    case OP_param:
        return view_external(e, SP_PARAM, 0, p->params.at[i].offset, n->shape, n->batched);
    case OP_state:
        return view_external(e, SP_STATE, 0, p->states.at[i].offset, n->shape, n->batched);
    case OP_tunable:
        return view_external(e, SP_TUNABLE, 0, i, n->shape, n->batched);
    case OP_arg:
        return n->batched && !x->args[i].batched ? view_per_sample(&x->args[i]) : x->args[i];
    default:
        BUG("%s is not a leaf", op_info[n->op].name);
    }
}

static View table(Gx *x, const Node *n) {
    LpModule *m = x->e->s->m;
    int64_t len = shape_size(n->shape);
    float *f = ARENA_ARRAY(x->a, float, len);
    for (int64_t i = 0; i < len; i++) f[i] = (float)n->a.data[i];
    vec_push(x->a, &m->tables, ((LpTable){.f = f, .len = len}));
    return view_external(x->e, SP_FTABLE, (int32_t)m->tables.len - 1, 0, n->shape, false);
}

static void lower_node(Gx *x, NodeId id) {
    const Node *n = graph_at(x->g, id);
    if (n->span.file) x->e->at = n->span;
    if (is_view_op(n->op) && !x->fits[id]) {
        lower_view(x, id);
        return;
    }
    if (op_is_elementwise(n->op)) {
        if (x->fits[id])
            x->val[id].kind = VAL_INLINE, x->e->fused++;
        else
            lower_elementwise(x, id);
        return;
    }
    switch ((int)n->op) {
    case OP_constant:
        break;
    case OP_input:
    case OP_param:
    case OP_state:
    case OP_tunable:
    case OP_arg:
        store_view(x, id, leaf(x, n));
        break;
    case OP_table:
        store_view(x, id, table(x, n));
        break;
    case OP_sum:
    case OP_amax:
    case OP_batch_sum:
        lower_reduce(x, id, NULL);
        break;
    case OP_dense:
    case OP_dense_grad:
    case OP_conv:
    case OP_conv_adj:
    case OP_conv_grad:
        if (x->fits[id])
            x->val[id].kind = VAL_HELD;
        else
            MUST(lower_product(x, id, (Ending){.into = id}));
        break;
    case OP_sum_pool:
    case OP_sum_pool_adj:
    case OP_max_pool:
    case OP_max_pool_adj:
    case OP_max_pool_at:
        lower_pool(x, id);
        break;
    case OP_solve:
        lower_solve(x, id);
        break;
    case OP_loop:
        lower_loop(x, id);
        break;
    default:
        lower_shape(x, id);
    }
}

/* The parts of a concatenation are written in place where they are made for it. Outer concatenations first.
 */
static void place_parts(Gx *x) {
    for (size_t i = x->g->nodes.len; i-- > 0;) {
        const Node *n = &x->g->nodes.at[i];
        if (n->op != OP_concat || !x->uses[i]) continue;
        Val *w = &x->val[i];
        if (!w->has_target)
            w->view = new_view(x, (NodeId)i, view_new), w->has_target = true;
        int64_t start = 0;
        for (uint32_t k = 0; k < n->nin; k++) {
            int64_t size = graph_shape(x->g, n->in[k]).dim[n->a.axis];
            View part = view_slice(&w->view, n->a.axis, start, 1, size);
            gx_target(x, n->in[k], &part);
            start += size;
        }
    }
}

static void run_nodes(Gx *x, NodeId from, NodeId end) {
    for (NodeId i = from; i < end; i++) {
        if (!x->uses[i]) continue;
        if (!x->sum || x->sum[i] == NO_NODE)
            lower_node(x, i);
        else
            group_add(x, i, x->sum[i]);
    }
}

void gx_run(Gx *x) {
    place_parts(x);
    run_nodes(x, 0, (NodeId)x->g->nodes.len);
}

/* ---- results ---- */
typedef struct Result {
    View to;
    int32_t part; /* written group by group in this one, late ones after it; -1: at the end */
    bool late;    /* its memory may be that of something the entry still reads, */
    NodeId after; /* this one at last */
    bool done;
} Result;

/* The part after which nobody reads state i any more and its new value, node, is there; -1: the last. *after: the last that reads it. */
static int32_t state_part(const Gx *x, int32_t i, NodeId node, NodeId *after) {
    const Groups *q = x->groups;
    if (!q) return -1;
    int32_t last = x->made[node];
    bool *seen = ARENA_ARRAY(x->a, bool, x->g->nodes.len); /* the state, and what may be computed where it is read */
    for (NodeId u = 0; u < x->g->nodes.len; u++) {
        const Node *n = graph_at(x->g, u);
        seen[u] = n->op == OP_state && n->a.index == i;
        for (uint32_t k = 0; x->uses[u] && k < n->nin; k++) {
            if (!seen[n->in[k]]) continue;
            if (q->part[u] > last) last = q->part[u];
            seen[u] |= is_view_op(n->op) || op_is_elementwise(n->op) || x->fits[u];
            *after = u;
        }
    }
    for (size_t o = 0; o < x->g->outs.len; o++) {
        const Node *n = graph_at(x->g, x->g->outs.at[o].node);
        if (seen[x->g->outs.at[o].node] && (op_is_leaf(n->op) || is_view_op(n->op))) return -1; /* it is copied out itself */
    }
    last += last % 2;
    return last < q->nparts - 1 ? last : -1;
}

static Result result_of(Gx *x, const GraphOut *o, int32_t *nout) {
    Ent *e = x->e;
    const Node *n = graph_at(x->g, o->node);
    int32_t part = x->groups && x->sum[o->node] == NO_NODE ? x->made[o->node] : -1;
    const Program *p = e->s->p;
    switch (o->role) {
    case OUT_VALUE:
    case OUT_INGRAD:
        if (part % 2 == 1) return (Result){.to = samples_of(e, SP_OUT, (*nout)++, n->shape, true), .part = part};
        return (Result){.to = view_external(e, SP_OUT, (*nout)++, 0, n->shape, true), .part = -1};
    case OUT_LOSS:
    case OUT_METRIC:
    case OUT_PARAM:
        return (Result){.to = view_external(e, SP_OUT, (*nout)++, 0, n->shape, false), .part = -1};
    case OUT_GRAD:
        return (Result){.to = view_external(e, SP_GRAD, 0, p->params.at[o->index].offset, n->shape, false), .part = -1};
    case OUT_STATE: {
        NodeId after = o->node;
        View to = view_external(e, SP_STATE_OUT, 0, p->states.at[o->index].offset, n->shape, false);
        int32_t last = state_part(x, o->index, o->node, &after);
        return (Result){.to = to, .part = last, .late = true, .after = after};
    }
    }
    BUG("an output without a role");
}

static void copy_out(Gx *x, NodeId n, const View *to) {
    Dom d = dom_of(to->shape, to->batched);
    lower_map(x->e, &d, FOLD_NONE, gx_expr(x, n), to, to->stride, "out");
}

static void copy_results(Gx *x, const Result *r, int32_t part) {
    for (size_t i = 0; i < x->g->outs.len; i++) {
        NodeId node = x->g->outs.at[i].node;
        if (r[i].late || r[i].part != part) continue;
        if (x->val[node].kind != VAL_STORED || !view_same(&x->val[node].view, &r[i].to))
            copy_out(x, node, &r[i].to);
    }
}

/* Copies to the states come when nobody reads them any more, and from the workspace: a state may be written where it was read. */
static void copy_late(Gx *x, const Result *r, int32_t part) {
    Ent *e = x->e;
    size_t n = x->g->outs.len;
    View *tmp = ARENA_ARRAY(x->a, View, n + 1);
    for (size_t i = 0; i < n; i++) {
        double c;
        NodeId node = x->g->outs.at[i].node;
        if (!r[i].late || r[i].done || r[i].part != part || constant(x, node, &c)) continue;
        tmp[i] = gx_view(x, node);
        LpSpace s = e->bufs.at[tmp[i].buf].space;
        if (s == SP_FIXED || s == SP_BATCH) continue;
        View from = tmp[i];
        tmp[i] = view_new(e, from.shape, false, NULL, (Span){0});
        lower_copy(e, &from, &tmp[i]);
    }
    View *from = ARENA_ARRAY(x->a, View, n + 1), *to = ARENA_ARRAY(x->a, View, n + 1);
    size_t many = 0;
    for (size_t i = 0; i < n; i++) {
        double c;
        if (!r[i].late || r[i].done || r[i].part != part) continue;
        if (constant(x, x->g->outs.at[i].node, &c))
            lower_fill(e, c, &r[i].to);
        else if (e->s->t.gpu && view_is_row_major(&tmp[i]))
            from[many] = tmp[i], to[many++] = r[i].to;
        else
            lower_copy(e, &tmp[i], &r[i].to);
    }
    gpu_copies(e, from, to, many);
}

/* The nodes of a part that runs once; new states go out as soon as the old ones have been read, where their own values lie in the workspace. */
static void run_once(Gx *x, Result *r, int32_t part, NodeId from, NodeId end) {
    for (NodeId node = from; node < end; node++) {
        run_nodes(x, node, node + 1);
        for (size_t i = 0; i < x->g->outs.len && !x->e->s->t.gpu; i++) {
            const Val *w = &x->val[x->g->outs.at[i].node];
            if (!r[i].late || r[i].done || r[i].part != part || node < r[i].after || w->kind != VAL_STORED || x->e->bufs.at[w->view.buf].space != SP_FIXED) continue;
            lower_copy(x->e, &w->view, &r[i].to);
            r[i].done = true;
        }
    }
}

static void describe(Ent *e, const Entry *y, const Result *r, int32_t nout) {
    LpEntry *o = e->out;
    LpArg *out = ARENA_ARRAY(e->a, LpArg, nout + 1), *in = NULL;
    for (size_t i = 0, k = 0; i < y->graph->outs.len; i++)
        if (e->bufs.at[r[i].to.buf].space == SP_OUT)
            out[k++] = (LpArg){shape_size(r[i].to.shape), r[i].to.batched};
    in = ARENA_ARRAY(e->a, LpArg, y->nin + 1);
    for (int32_t i = 0; i < y->nin; i++) in[i] = (LpArg){shape_size(y->in[i].shape), true};
    o->nin = y->nin;
    o->in = in, o->out = out, o->nout = nout;
}

void set_blocks(Ent *e, const Lx *alone) {
    Arena *a = e->a;
    code_setvar(a, &e->code, e->blocks_var, lx_iselect(a, alone, INT(1), IMAX(INT(1), DIV(INT(8), IVAR(LP_VAR_BATCH)))));
}

static void lower_entry(Sched *s, const Entry *y) {
    Arena *a = s->a;
    Ent *e = ARENA_NEW(a, Ent);
    LpEntry out = {.name = y->name, .kind = (int32_t)y->kind, .stage = y->stage};
    *e = (Ent){.s = s, .a = a, .out = &out, .nvar = LP_VARS};
    e->prepares = !s->t.gpu && (y->kind == ENTRY_FORWARD || y->kind == ENTRY_EVAL);
    e->blocks_var = e->nvar++, e->whole_var = e->nvar++, e->first_var = e->nvar++;
    code_setvar(a, &e->code, e->whole_var, IVAR(LP_VAR_BATCH));
    code_setvar(a, &e->code, e->first_var, INT(0));
    set_blocks(e, INT(0));

    const Groups *q = groups_of(a, split_joined(a, y->graph), s->t.gpu ? -1 : s->t.group, s->t.wait);
    const Graph *g = q->graph;
    e->grouped = q->nparts > 0;
    e->packs_near = q->nparts == 3 && !e->prepares;
    group_describe(e, q);
    Gx *x = gx_new(e, g, NULL, q);
    size_t n = g->outs.len;
    Result *r = ARENA_ARRAY(a, Result, n + 1);
    int32_t nout = 0;
    for (size_t i = 0; i < n; i++) {
        const GraphOut *o = &g->outs.at[i];
        r[i] = result_of(x, o, &nout);
        bool own = x->uses[o->node] == 1 || r[i].to.shape.rank <= 1 || o->role == OUT_GRAD;
        if (own && !r[i].late) gx_target(x, o->node, &r[i].to);
    }
    if (q->nparts == 3) e->group = q->size[1];
    place_parts(x);
    if (!q->nparts) run_nodes(x, 0, (NodeId)g->nodes.len);
    for (int32_t i = 0; i < q->nparts; i++) {
        if (i % 2)
            group_open(x, q, i);
        else if (i)
            e->group = 0; /* all samples */
        if (i % 2)
            run_nodes(x, q->begin[i], q->begin[i + 1]);
        else
            run_once(x, r, i, q->begin[i], q->begin[i + 1]);
        if (i % 2)
            copy_results(x, r, i), group_close(x, q, i);
        else
            copy_late(x, r, i);
    }
    copy_results(x, r, -1);
    copy_late(x, r, -1);
    if (e->prepares) prepare_split(e);
    out.body = s->t.gpu && !s->t.apart ? gpu_last(e, gpu_beside(e, gpu_merge(e, gpu_chain(e, e->code.head)))) : e->code.head;
    plan_memory(e);
    remark(e, (Span){0},
           "entry %s: %lld launches, %lld operators computed inside others; workspace %.1f KB and %.1f KB "
           "for each sample",
           out.name, (long long)e->launches, (long long)e->fused, (double)out.fixed_floats / 256,
           (double)out.batch_floats / 256);
    if (e->transformed)
        remark(e, (Span){0}, "entry %s: %lld of %lld products with 3x3 taps by Winograd's transforms (--direct: none)", out.name, (long long)e->transformed,
               (long long)e->products);
    plan_describe(e);
    out.nvar = e->nvar;
    out.thread_bytes = e->thread_bytes;
    describe(e, y, r, nout);
    vec_push(a, &s->m->entries, out);
}

/* ---- kernels that nobody launches any more ---- */
static void find_launched(const Ls *s, int32_t *number) {
    for (; s; s = s->next) {
        if (s->kind == LS_LAUNCH) number[s->kernel] = 1;
        find_launched(s->body, number), find_launched(s->orelse, number);
    }
}

static const Ls *renumber(Arena *a, const Ls *s, const int32_t *number) {
    LsList to = {0};
    for (; s; s = s->next) {
        Ls *r = arena_copy(a, s, sizeof *s);
        if (s->kind == LS_LAUNCH) r->kernel = number[s->kernel];
        r->body = renumber(a, s->body, number), r->orelse = renumber(a, s->orelse, number);
        r->next = NULL;
        ls_add(&to, r);
    }
    return to.first;
}

static void leave_out(Arena *a, LpModule *m) {
    int32_t *number = ARENA_ARRAY(a, int32_t, m->kernels.len + 1), n = 0;
    for (size_t i = 0; i < m->entries.len; i++) find_launched(m->entries.at[i].body, number);
    for (size_t i = 0; i < m->kernels.len; i++)
        if (number[i]) m->kernels.at[n] = m->kernels.at[i], number[i] = n++;
    m->kernels.len = (size_t)n;
    for (size_t i = 0; i < m->entries.len; i++) m->entries.at[i].body = renumber(a, m->entries.at[i].body, number);
}

SchedResult *sched_program(Cx *cx, Arena *a, const Program *p, const Entry *entries, size_t nentries,
                           const SchedTarget *t) {
    Sched s = {.cx = cx, .a = a, .p = p, .t = *t};
    s.r = ARENA_NEW(a, SchedResult);
    s.m = s.r->module = ARENA_NEW(a, LpModule);
    s.m->arena = a;
    s.m->param_floats = p->param_floats, s.m->state_floats = p->state_floats,
    s.m->tunables = (int64_t)p->tunables.len;
    for (size_t i = 0; i < nentries; i++) lower_entry(&s, &entries[i]);
    if (t->gpu) leave_out(a, s.m);
    return s.r;
}
