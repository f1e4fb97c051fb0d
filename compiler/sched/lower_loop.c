/* Loops stay loops: the entry's own LS_FOR around the launches of the body. A carried value has two places; a
   turn reads one and writes the other, so nothing is copied and no value is overwritten while another still
   needs it. */
#include "op/loops.h"
#include "sched/internal.h"

typedef struct Run {
    Gx *x;
    Ent *e;
    const Node *n;
    const LoopAttr *l;
    const Graph *g;     /* the body; with `until`, made to keep the values of samples that have stopped */
    View *carry, *next; /* where a turn reads and writes */
    View *emit, *args;
    View stopped; /* until: 1 where a sample has stopped */
    bool open;    /* on a GPU: it runs to its bound, whatever the device finds out about its end */
    GpuTurns turns;
    int32_t side; /* variable: which of the two places holds the values */
    Gx *body;
} Run;

/* Does the body give the carried value back as it is? */
static bool kept(const Run *r, uint32_t i) {
    const Node *n = graph_at(r->l->body, r->l->body->outs.at[i].node);
    return n->op == OP_arg && n->a.index == (int32_t)i;
}

/* The first carried value that starts and goes on as value i does: both are one. */
static uint32_t twin(const Run *r, uint32_t i) {
    const LoopAttr *l = r->l;
    for (uint32_t k = 0; k < i; k++)
        if (r->n->in[k] == r->n->in[i] && l->body->outs.at[k].node == l->body->outs.at[i].node) return k;
    return i;
}

static bool written(const Run *r, uint32_t i) { return !kept(r, i) && twin(r, i) == i; }

static void place_carry(Run *r, uint32_t i, SigIn s) {
    Arena *a = r->e->a;
    if (twin(r, i) != i) {
        r->carry[i] = r->carry[twin(r, i)];
        return;
    }
    View v = view_new(r->e, s.shape, s.batched, r->n->name, r->n->span);
    Buf *b = &r->e->bufs.at[v.buf];
    r->carry[i] = r->next[i] = v;
    if (!kept(r, i)) {
        int64_t half = (b->floats + 15) / 16 * 16;
        b->floats = 2 * half;
        const Lx *size = b->space == SP_BATCH ? MUL(IVAR(LP_VAR_BATCH), INT(half)) : INT(half);
        r->carry[i].plus = MUL(IVAR(r->side), size);
        r->next[i].plus = MUL(SUB(INT(1), IVAR(r->side)), size);
    }
    Dom d = dom_of(s.shape, s.batched);
    Ex *first = gx_expr(r->x, r->n->in[i]);
    lower_map(r->e, &d, FOLD_NONE, first, &r->carry[i], r->carry[i].stride, "start");
    if (r->open && r->l->reverse && !kept(r, i)) lower_copy(r->e, &r->carry[i], &r->next[i]); /* whichever turn is the first */
}

/* The body for samples that stop: where the last argument is nonzero, carried values stay what they were and
   nothing is emitted. What is computed from a carried value's new value may use the one that stayed: of such
   a sample nothing counts any more. */
static const Graph *stopping(Run *r, bool flags_batched) {
    const LoopAttr *l = r->l;
    const Graph *b = l->body;
    Graph *g = graph_new(r->e->a);
    NodeId *map = ARENA_ARRAY(r->e->a, NodeId, b->nodes.len + 1);
    NodeId flag = op_leaf(g, OP_arg, (int32_t)loop_args(l), (Shape){0}, flags_batched, r->n->span, NULL);
    for (NodeId k = 0; k < b->nodes.len; k++) {
        const Node *n = graph_at(b, k);
        NodeId *in = ARENA_ARRAY(r->e->a, NodeId, n->nin + 1);
        for (uint32_t q = 0; q < n->nin; q++) in[q] = map[n->in[q]];
        map[k] = graph_add(g, n->op, in, n->nin, &n->a, n->span);
        g->nodes.at[map[k]].name = n->name;
        for (uint32_t i = 0; i < l->ncarry; i++) {
            if (b->outs.at[i].node != k || !written(r, i) || n->op == OP_arg) continue;
            SigIn s = loop_result(r->x->g, r->n, i);
            NodeId was = op_leaf(g, OP_arg, (int32_t)i, s.shape, s.batched, r->n->span, NULL);
            map[k] = op3(g, OP_select, op_expand(g, flag, s.shape), was, map[k]);
            break;
        }
    }
    for (uint32_t i = 0; i < l->ncarry + l->nemit; i++) {
        NodeId now = map[b->outs.at[i].node];
        Shape s = graph_shape(g, now);
        const Node *n = graph_at(b, b->outs.at[i].node);
        if (i >= l->ncarry)
            now = op3(g, OP_select, op_expand(g, flag, s), op_const(g, 0, s), now);
        else if (written(r, i)) { /* not by the loop above: an argument, or a node that is the new value of
                                     another too */
            bool first = true;
            for (uint32_t k = 0; k < i; k++)
                first &= !written(r, k) || b->outs.at[k].node != b->outs.at[i].node;
            NodeId was =
                op_leaf(g, OP_arg, (int32_t)i, s, loop_result(r->x->g, r->n, i).batched, r->n->span, NULL);
            if (n->op == OP_arg || !first) now = op3(g, OP_select, op_expand(g, flag, s), was, now);
        }
        graph_out(g, OUT_VALUE, (int32_t)i, now, NULL);
    }
    graph_out(g, OUT_VALUE, (int32_t)(l->ncarry + l->nemit), map[b->outs.at[l->ncarry + l->nemit].node],
              NULL);
    return g;
}

static View stack_new(Ent *e, SigIn s, Name name, Span span) {
    Shape one = s.shape;
    one.rank--;
    for (int i = 0; i < one.rank; i++) one.dim[i] = s.shape.dim[i + 1];
    View in = s.batched ? view_channels_last(0, one, true) : view_row_major(0, one, false);
    View v = {.buf = buf_new(e, s.batched, shape_size(s.shape), name, span),
              .batched = s.batched,
              .shape = s.shape};
    v.stride[0] = shape_size(one);
    for (int i = 0; i < one.rank; i++) v.stride[i + 1] = in.stride[i];
    v.sample = s.batched ? shape_size(s.shape) : 0;
    return v;
}

static void start(Run *r) {
    const LoopAttr *l = r->l;
    const Node *n = r->n;
    for (uint32_t i = 0; i < l->ncarry; i++) place_carry(r, i, loop_result(r->x->g, n, i));
    for (uint32_t i = 0; i < l->nemit; i++) {
        r->emit[i] = stack_new(r->e, loop_result(r->x->g, n, l->ncarry + i), n->name, n->span);
        if (l->until || l->counted) lower_fill(r->e, 0, &r->emit[i]);
    }
    if (l->until) {
        bool batched = graph_batched(l->body, l->body->outs.at[l->ncarry + l->nemit].node);
        r->stopped = view_new(r->e, (Shape){0}, batched, NULL, n->span);
        r->g = stopping(r, batched);
        lower_fill(r->e, 0, &r->stopped);
    }
    for (uint32_t i = 0; i < l->ninvariant + l->nper; i++)
        r->args[l->ncarry + i] = gx_view(r->x, n->in[l->ncarry + i]);
    for (uint32_t i = 0; i < l->ncarry; i++) r->args[i] = r->carry[i];
}

void store_number(Ent *e, const Lx *v, const View *to) {
    Kb *k = kb_new(e, "number", 1);
    k->ints[0] = v;
    int p = kb_ptr(k, to, true);
    kb_samples(k, false);
    kb_store(k, p, lx_int(e->a, 0), lx_i2f(e->a, lx_var(e->a, 0), 1), NULL);
    kb_launch_each(k);
}

static bool reads_turn(const Run *r) {
    int32_t last = (int32_t)loop_args(r->l) - 1;
    for (size_t i = 0; i < r->g->nodes.len; i++)
        if (r->g->nodes.at[i].op == OP_arg && r->g->nodes.at[i].a.index == last && r->body->uses[i])
            return true;
    return false;
}

/* Results that were not written where they are wanted. */
static void copy_to(Run *r, uint32_t out, const View *to) {
    NodeId node = r->g->outs.at[out].node;
    const Val *v = &r->body->val[node];
    if (v->kind == VAL_STORED && view_same(&v->view, to)) return;
    Dom d = dom_of(to->shape, to->batched);
    lower_map(r->e, &d, FOLD_NONE, gx_expr(r->body, node), to, to->stride, "carry");
}

/* Which samples have stopped; the result is nonzero when all have. */
static View stop_some(Run *r) {
    Ent *e = r->e;
    NodeId test = r->g->outs.at[r->l->ncarry + r->l->nemit].node;
    Dom d = dom_of((Shape){0}, r->stopped.batched), all = {.fold_batch = true};
    int64_t none[DOM_MAX] = {0};
    Ex *one = ex_const(e, 1), *zero = ex_const(e, 0), *was = ex_leaf(e, &r->stopped, NULL);
    Ex *now = ex_op(e, OP_sub, one, ex_op(e, OP_eq, gx_expr(r->body, test), zero, NULL), NULL);
    lower_map(e, &d, FOLD_NONE, ex_op(e, OP_max, was, now, NULL), &r->stopped, none, "stop");
    if (r->open) return r->stopped;
    View end = r->stopped;
    if (r->stopped.batched) {
        View running = view_new(e, (Shape){0}, false, NULL, r->n->span);
        end = view_new(e, (Shape){0}, false, NULL, r->n->span);
        lower_map(e, &all, FOLD_SUM, ex_op(e, OP_sub, one, ex_leaf(e, &r->stopped, NULL), NULL), &running,
                  none, "running");
        all.fold_batch = false;
        lower_map(e, &all, FOLD_NONE, ex_op(e, OP_eq, ex_leaf(e, &running, NULL), zero, NULL), &end, none,
                  "end");
    }
    return end;
}

static const Lx *turns(Run *r) {
    Ent *e = r->e;
    Arena *a = e->a;
    if (!r->l->counted || r->open) return INT(r->l->turns);
    View v = gx_view(r->x, r->n->in[r->n->nin - 1]);
    Ls *s = code_add(a, &e->code, LS_F2VAR);
    s->var = e->nvar++;
    s->ptrs = plan_pointer(e, &v, ARENA_NEW(a, Lptr));
    buf_touch(e, v.buf);
    e->pos++;
    return IMAX(INT(0), IMIN(IVAR(s->var), INT(r->l->turns)));
}

static void set_changing(Run *r, bool on) {
    Buf *b = r->e->bufs.at;
    for (uint32_t i = 0; i < r->l->ncarry; i++) b[r->carry[i].buf].changes = on;
    for (uint32_t i = 0; i < r->l->nemit; i++) b[r->emit[i].buf].changes = on;
    if (r->l->until) b[r->stopped.buf].changes = on;
}

/* The values after the last turn that counted lie where its number says. */
static void take_sides(Run *r) {
    Ent *e = r->e;
    Arena *a = e->a;
    for (uint32_t i = 0; i < r->l->ncarry; i++) {
        if (!written(r, i)) {
            r->carry[i] = r->carry[twin(r, i)];
            continue;
        }
        SigIn s = loop_result(r->x->g, r->n, i);
        View even = r->carry[i], odd = even, to = view_new(e, s.shape, s.batched, r->n->name, r->n->span);
        const Buf *b = &e->bufs.at[even.buf];
        even.plus = NULL;
        odd.plus = b->space == SP_BATCH ? MUL(IVAR(LP_VAR_BATCH), INT(b->floats / 2)) : INT(b->floats / 2);
        View flag = view_expand(&r->turns.odd, s.shape, (1u << s.shape.rank) - 1);
        Dom d = dom_of(s.shape, s.batched);
        Ex *one = ex_op(e, OP_select, ex_leaf(e, &flag, NULL), ex_leaf(e, &odd, NULL), ex_leaf(e, &even, NULL));
        lower_map(e, &d, FOLD_NONE, one, &to, to.stride, "last");
        r->carry[i] = to;
    }
}

void lower_loop(Gx *x, NodeId id) {
    Ent *e = x->e;
    Arena *a = e->a;
    const Node *n = graph_at(x->g, id);
    const LoopAttr *l = n->a.loop;
    Run *r = ARENA_NEW(a, Run);
    *r = (Run){.x = x, .e = e, .n = n, .l = l};
    r->g = l->body;
    r->carry = ARENA_ARRAY(a, View, l->ncarry + 1);
    r->next = ARENA_ARRAY(a, View, l->ncarry + 1);
    r->emit = ARENA_ARRAY(a, View, l->nemit + 1);
    r->args = ARENA_ARRAY(a, View, loop_args(l) + 2);
    r->open = e->s->t.gpu && (l->until || l->counted);
    r->side = e->nvar++;
    code_setvar(a, &e->code, r->side, INT(0));
    start(r);
    const Lx *count = turns(r);
    View number = view_new(e, (Shape){0}, false, NULL, n->span);
    int32_t done = e->nvar++;
    Ls *zero = code_setvar(a, &e->code, done, INT(0));
    for (uint32_t i = 0; i < l->nemit; i++) buf_touch(e, r->emit[i].buf);
    View taken;
    if (r->open && l->counted) taken = gx_view(x, n->in[n->nin - 1]);
    if (r->open) gpu_turns_start(e, &r->turns, n->span);
    set_changing(r, true);
    e->pos += 2; /* the position before the loop is for what is moved out of it */
    int32_t begin = e->pos, var = e->nvar++;
    vec_push(a, &e->loops, ((Around){zero, begin}));

    int opened = 1;
    if (r->open && l->reverse) opened = gpu_turns_parts(e, &r->turns, l->turns, &taken, var);
    else code_for(a, &e->code, var, INT(0), count, INT(1));
    const Lx *turn = l->reverse ? SUB(SUB(count, INT(1)), IVAR(var)) : IVAR(var);
    for (uint32_t i = l->ncarry + l->ninvariant; i < l->ncarry + l->ninvariant + l->nper; i++)
        r->args[i] = view_turn(e, &r->args[i], turn);
    if (r->open && l->counted) gpu_turns_from(e, &r->turns, turn, &taken);
    r->args[loop_args(l) - 1] = number;
    r->args[loop_args(l)] = r->stopped;
    r->body = gx_new(e, r->g, r->args, NULL);
    if (reads_turn(r)) store_number(e, turn, &number);
    for (uint32_t i = 0; i < l->ncarry; i++)
        if (written(r, i)) gx_target(r->body, r->g->outs.at[i].node, &r->next[i]);
    View *stack = ARENA_ARRAY(a, View, l->nemit + 1);
    for (uint32_t i = 0; i < l->nemit; i++) {
        stack[i] = view_turn(e, &r->emit[i], turn);
        gx_target(r->body, r->g->outs.at[l->ncarry + i].node, &stack[i]);
    }
    gx_run(r->body);
    for (uint32_t i = 0; i < l->nemit; i++) copy_to(r, l->ncarry + i, &stack[i]);
    for (uint32_t i = 0; i < l->ncarry; i++)
        if (written(r, i)) copy_to(r, i, &r->next[i]);
    View end;
    if (l->until) end = stop_some(r);
    if (r->open && !l->reverse) gpu_turns_end(e, &r->turns, l->until ? &end : NULL);
    code_setvar(a, &e->code, r->side, SUB(INT(1), IVAR(r->side)));
    if (r->open && !l->reverse) gpu_turns_leave(e, &r->turns, turn, count);
    if (l->until && !r->open) {
        code_setvar(a, &e->code, done, ADD(IVAR(done), INT(1)));
        Ls *leave = code_add(a, &e->code, LS_BREAK_IF);
        leave->ptrs = plan_pointer(e, &end, ARENA_NEW(a, Lptr));
        buf_touch(e, end.buf);
        e->pos++;
    }
    while (opened--) code_end(&e->code);
    plan_loop_end(e, begin);
    e->loops.len--;
    pack_forget(e);
    set_changing(r, false);
    if (r->open) e->guard = r->turns.outer;
    if (r->open && !l->reverse) take_sides(r);

    Val *w = &x->val[id];
    w->kind = VAL_LOOP;
    w->results = ARENA_ARRAY(a, View, loop_results(l) + 1);
    for (uint32_t i = 0; i < l->ncarry; i++) w->results[i] = r->carry[i];
    for (uint32_t i = 0; i < l->nemit; i++) w->results[l->ncarry + i] = r->emit[i];
    if (l->until && r->open) w->results[l->ncarry + l->nemit] = r->turns.count;
    if (l->until && !r->open) {
        View runs = view_new(e, (Shape){0}, false, NULL, n->span);
        store_number(e, IVAR(done), &runs);
        w->results[l->ncarry + l->nemit] = runs;
    }
}
