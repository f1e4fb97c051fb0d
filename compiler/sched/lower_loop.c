/* Loops stay loops: the entry's own LS_FOR around the launches of the body. Carried values have a place of their own; a new value is copied
   there when the turn ends. */
#include "op/loops.h"
#include "sched/internal.h"

typedef struct Run {
    Gx *x;
    Ent *e;
    const Node *n;
    const LoopAttr *l;
    View *carry, *emit, *args;
    View stopped; /* until: 1 where a sample has stopped */
    Gx *body;
} Run;

static View stack_new(Ent *e, SigIn s, Name name, Span span) {
    Shape one = s.shape;
    one.rank--;
    for (int i = 0; i < one.rank; i++) one.dim[i] = s.shape.dim[i + 1];
    View in = s.batched ? view_channels_last(0, one, true) : view_row_major(0, one, false);
    View v = {.buf = buf_new(e, s.batched, shape_size(s.shape), name, span), .batched = s.batched, .shape = s.shape};
    v.stride[0] = shape_size(one);
    for (int i = 0; i < one.rank; i++) v.stride[i + 1] = in.stride[i];
    v.sample = s.batched ? shape_size(s.shape) : 0;
    return v;
}

static void start(Run *r) {
    const LoopAttr *l = r->l;
    const Node *n = r->n;
    for (uint32_t i = 0; i < l->ncarry; i++) {
        SigIn s = loop_result(r->x->g, n, i);
        r->carry[i] = view_new(r->e, s.shape, s.batched, n->name, n->span);
        Dom d = dom_of(s.shape, s.batched);
        lower_map(r->e, &d, FOLD_NONE, gx_expr(r->x, n->in[i]), &r->carry[i], r->carry[i].stride, "start");
    }
    for (uint32_t i = 0; i < l->nemit; i++) {
        r->emit[i] = stack_new(r->e, loop_result(r->x->g, n, l->ncarry + i), n->name, n->span);
        if (l->until || l->counted) lower_fill(r->e, 0, &r->emit[i]);
    }
    if (l->until) {
        bool batched = graph_batched(l->body, l->body->outs.at[l->ncarry + l->nemit].node);
        r->stopped = view_new(r->e, (Shape){0}, batched, NULL, n->span);
        lower_fill(r->e, 0, &r->stopped);
    }
    for (uint32_t i = 0; i < l->ninvariant + l->nper; i++) r->args[l->ncarry + i] = gx_view(r->x, n->in[l->ncarry + i]);
    for (uint32_t i = 0; i < l->ncarry; i++) r->args[i] = r->carry[i];
}

static void store_number(Ent *e, const Lx *v, const View *to) {
    Kb *k = kb_new(e, "number", 1);
    k->ints[0] = v;
    int p = kb_ptr(k, to, true);
    kb_store(k, p, lx_int(e->a, 0), lx_i2f(e->a, lx_var(e->a, 0), 1), NULL);
    kb_launch(k, lx_int(e->a, 1));
}

static bool reads_turn(const Run *r) {
    int32_t last = (int32_t)loop_args(r->l) - 1;
    for (size_t i = 0; i < r->l->body->nodes.len; i++)
        if (r->l->body->nodes.at[i].op == OP_arg && r->l->body->nodes.at[i].a.index == last) return true;
    return false;
}

/* to = value, or what it was where the sample has stopped */
static void update(Run *r, NodeId value, const View *to, const View *from) {
    Dom d = dom_of(to->shape, to->batched);
    Ex *x = from ? ex_leaf(r->e, from, NULL) : gx_expr(r->body, value);
    if (r->l->until) x = ex_op(r->e, OP_select, ex_leaf(r->e, &r->stopped, NULL), ex_leaf(r->e, to, NULL), x);
    lower_map(r->e, &d, FOLD_NONE, x, to, to->stride, "carry");
}

/* The buffer of which carried value does the new value of i lie in? -1: of none. */
static int lies_in(const Run *r, uint32_t i) {
    const Val *v = &r->body->val[r->l->body->outs.at[i].node];
    if (v->kind != VAL_STORED) return -1;
    for (uint32_t k = 0; k < r->l->ncarry; k++)
        if (r->carry[k].buf == v->view.buf) return (int)k;
    return -1;
}

/* New values may be old values of others: each is copied before what it reads is overwritten; a ring goes through a copy. */
static void carry_over(Run *r) {
    uint32_t n = r->l->ncarry, left = n;
    bool *done = ARENA_ARRAY(r->e->a, bool, n + 1), *parked = ARENA_ARRAY(r->e->a, bool, n + 1);
    View *park = ARENA_ARRAY(r->e->a, View, n + 1);
    while (left) {
        bool moved = false;
        for (uint32_t i = 0; i < n; i++) {
            if (done[i]) continue;
            bool wanted = false;
            for (uint32_t k = 0; k < n; k++) wanted |= !done[k] && !parked[k] && k != i && lies_in(r, k) == (int)i;
            NodeId node = r->l->body->outs.at[i].node;
            const Val *v = &r->body->val[node];
            bool self = !parked[i] && lies_in(r, i) == (int)i;
            if (wanted || (self && !view_same(&v->view, &r->carry[i]))) continue;
            if (!self) update(r, node, &r->carry[i], parked[i] ? &park[i] : NULL);
            done[i] = moved = true;
            left--;
        }
        if (moved || !left) continue;
        uint32_t i = 0;
        while (done[i] || parked[i] || lies_in(r, i) < 0) i++;
        const View *from = &r->body->val[r->l->body->outs.at[i].node].view;
        park[i] = view_new(r->e, from->shape, from->batched, NULL, r->n->span);
        lower_copy(r->e, from, &park[i]);
        parked[i] = true;
    }
}

static void stop_some(Run *r, int32_t done_var) {
    Ent *e = r->e;
    Arena *a = e->a;
    NodeId test = r->l->body->outs.at[r->l->ncarry + r->l->nemit].node;
    Dom d = dom_of((Shape){0}, r->stopped.batched), all = {.fold_batch = true};
    int64_t none[DOM_MAX] = {0};
    Ex *one = ex_const(e, 1), *zero = ex_const(e, 0), *was = ex_leaf(e, &r->stopped, NULL);
    Ex *now = ex_op(e, OP_sub, one, ex_op(e, OP_eq, gx_expr(r->body, test), zero, NULL), NULL);
    lower_map(e, &d, FOLD_NONE, ex_op(e, OP_max, was, now, NULL), &r->stopped, none, "stop");
    View end = r->stopped;
    if (r->stopped.batched) {
        View running = view_new(e, (Shape){0}, false, NULL, r->n->span);
        end = view_new(e, (Shape){0}, false, NULL, r->n->span);
        lower_map(e, &all, FOLD_SUM, ex_op(e, OP_sub, one, ex_leaf(e, &r->stopped, NULL), NULL), &running, none, "running");
        all.fold_batch = false;
        lower_map(e, &all, FOLD_NONE, ex_op(e, OP_eq, ex_leaf(e, &running, NULL), zero, NULL), &end, none, "end");
    }
    Ls *count = code_add(a, &e->code, LS_SETVAR);
    count->var = done_var;
    count->cond = ADD(IVAR(done_var), INT(1));
    Ls *leave = code_add(a, &e->code, LS_BREAK_IF);
    leave->ptrs = plan_pointer(e, &end, ARENA_NEW(a, Lptr));
    buf_touch(e, end.buf);
    e->pos++;
}

static const Lx *turns(Run *r) {
    Ent *e = r->e;
    Arena *a = e->a;
    if (!r->l->counted) return INT(r->l->turns);
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

void lower_loop(Gx *x, NodeId id) {
    Ent *e = x->e;
    Arena *a = e->a;
    const Node *n = graph_at(x->g, id);
    const LoopAttr *l = n->a.loop;
    Run *r = ARENA_NEW(a, Run);
    *r = (Run){.x = x, .e = e, .n = n, .l = l};
    r->carry = ARENA_ARRAY(a, View, l->ncarry + 1);
    r->emit = ARENA_ARRAY(a, View, l->nemit + 1);
    r->args = ARENA_ARRAY(a, View, loop_args(l) + 1);
    start(r);
    const Lx *count = turns(r);
    View number = view_new(e, (Shape){0}, false, NULL, n->span);
    int32_t done = e->nvar++;
    Ls *zero = code_add(a, &e->code, LS_SETVAR);
    zero->var = done, zero->cond = INT(0);
    for (uint32_t i = 0; i < l->nemit; i++) buf_touch(e, r->emit[i].buf);
    set_changing(r, true);
    e->pos += 2; /* the position before the loop is for what is moved out of it */
    int32_t begin = e->pos, var = e->nvar++;
    vec_push(a, &e->loops, ((Around){zero, begin}));

    code_for(a, &e->code, var, INT(0), count, INT(1));
    const Lx *turn = l->reverse ? SUB(SUB(count, INT(1)), IVAR(var)) : IVAR(var);
    for (uint32_t i = l->ncarry + l->ninvariant; i < l->ncarry + l->ninvariant + l->nper; i++)
        r->args[i] = view_turn(e, &r->args[i], turn);
    r->args[loop_args(l) - 1] = number;
    if (reads_turn(r)) store_number(e, turn, &number);
    r->body = gx_new(e, l->body, r->args);
    View *stack = ARENA_ARRAY(a, View, l->nemit + 1);
    for (uint32_t i = 0; i < l->nemit; i++) {
        stack[i] = view_turn(e, &r->emit[i], turn);
        if (!l->until) gx_target(r->body, l->body->outs.at[l->ncarry + i].node, &stack[i]);
    }
    gx_run(r->body);
    for (uint32_t i = 0; i < l->nemit; i++) {
        NodeId node = l->body->outs.at[l->ncarry + i].node;
        const Val *v = &r->body->val[node];
        if (v->kind != VAL_STORED || !view_same(&v->view, &stack[i])) update(r, node, &stack[i], NULL);
    }
    carry_over(r);
    if (l->until) stop_some(r, done);
    code_end(&e->code);
    plan_loop_end(e, begin);
    e->loops.len--;
    pack_forget(e);
    set_changing(r, false);

    Val *w = &x->val[id];
    w->kind = VAL_LOOP;
    w->results = ARENA_ARRAY(a, View, loop_results(l) + 1);
    for (uint32_t i = 0; i < l->ncarry; i++) w->results[i] = r->carry[i];
    for (uint32_t i = 0; i < l->nemit; i++) w->results[l->ncarry + i] = r->emit[i];
    if (l->until) {
        View runs = view_new(e, (Shape){0}, false, NULL, n->span);
        store_number(e, IVAR(done), &runs);
        w->results[l->ncarry + l->nemit] = runs;
    }
}
