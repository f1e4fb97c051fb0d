/* Loops whose number of turns the device finds out. The device never waits for the host: every kernel of the body first reads whether the loop has
   ended, so turns too many do nothing. After some of the turns the host may leave, when it has come to know. */
#include "sched/internal.h"

static View number(const View *both, int64_t i) {
    View v = *both;
    v.shape = (Shape){0};
    v.offset += i;
    return v;
}

void gpu_turns_start(Ent *e, GpuTurns *t, Span at) {
    t->both = view_new_row_major(e, shape_of(1, (int64_t)3), false, NULL, at);
    t->ended = number(&t->both, 0), t->odd = number(&t->both, 1), t->count = number(&t->both, 2);
    t->outer = e->guard;
    e->guard = NULL;
    View rest = number(&t->both, 1);
    rest.shape = shape_of(1, (int64_t)2), rest.stride[0] = 1;
    lower_fill(e, 0, &rest);
    if (t->outer) lower_copy(e, t->outer, &t->ended);
    else lower_fill(e, 0, &t->ended);
    e->guard = &t->ended;
}

void gpu_turns_from(Ent *e, GpuTurns *t, const Lx *turn, const View *count) {
    Arena *a = e->a;
    e->guard = NULL;
    Kb *k = kb_new(e, "turn", 1);
    k->ints[0] = turn;
    int p = kb_ptr(k, count, false), o = t->outer ? kb_ptr(k, t->outer, false) : 0, q = kb_ptr(k, &t->ended, true);
    kb_samples(k, false);
    const Lx *over = lx_f2(a, LX_LE, lx_load(a, p, INT(0), 1, NULL), lx_i2f(a, IVAR(0), 1));
    kb_store(k, q, INT(0), o ? lx_f2(a, LX_MAX, over, lx_load(a, o, INT(0), 1, NULL)) : over, NULL);
    kb_launch_each(k);
    e->guard = &t->ended;
}

/* One block: are all flags set? */
void gpu_turns_end(Ent *e, GpuTurns *t, const View *stopped) {
    enum { THREADS = 256 };
    Arena *a = e->a;
    e->guard = NULL;
    Kb *k = kb_new(e, "turn end", 0);
    k->threads = THREADS;
    int p = stopped ? kb_ptr(k, stopped, false) : 0, q = kb_ptr(k, &t->both, true), going = kb_reg(k, 1, 1), now = kb_reg(k, 1, 1);
    const Lx *G = lx_reg(a, going, NULL, 1), *N = lx_reg(a, now, NULL, 1), *one = lx_float(a, 1, 1), *me = lx_thread(a);
    int shared = 0;
    if (stopped && stopped->batched) {
        shared = kb_shared(k, LP_F32, THREADS);
        kb_threads(k);
        kb_set(k, going, NULL, lx_float(a, 0, 1));
        const Lx *s = kb_for(k, me, kb_batch(k), THREADS);
        kb_set(k, going, NULL, lx_f2(a, LX_MAX, G, lx_f2(a, LX_SUB, one, lx_load(a, p, MUL(s, INT(stopped->sample)), 1, NULL))));
        kb_end(k);
        kb_store(k, shared, me, G, NULL);
        kb_end(k);
        for (int h = THREADS / 2; h > 0; h /= 2) {
            kb_sync(k);
            kb_threads(k);
            kb_if(k, ILT(me, INT(h)));
            kb_set(k, going, NULL, lx_f2(a, LX_MAX, G, lx_load(a, shared, ADD(me, INT(h)), 1, NULL)));
            kb_store(k, shared, me, G, NULL);
            kb_end(k);
            kb_end(k);
        }
    }
    kb_threads(k);
    kb_if(k, IEQ(me, INT(0)));
    if (!stopped) kb_set(k, going, NULL, one);
    else if (!stopped->batched) kb_set(k, going, NULL, lx_f2(a, LX_SUB, one, lx_load(a, p, INT(0), 1, NULL)));
    kb_set(k, now, NULL, lx_f2(a, LX_SUB, one, lx_load(a, q, INT(0), 1, NULL))); /* 1: this turn counted */
    const Lx *odd = lx_load(a, q, INT(1), 1, NULL), *count = lx_load(a, q, INT(2), 1, NULL);
    kb_store(k, q, INT(1), lx_f3(a, LX_SELECT, N, lx_f2(a, LX_SUB, one, odd), odd), NULL);
    kb_store(k, q, INT(2), lx_f2(a, LX_ADD, count, N), NULL);
    kb_store(k, q, INT(0), lx_f3(a, LX_SELECT, N, lx_f2(a, LX_SUB, one, G), one), NULL);
    kb_end(k);
    kb_end(k);
    kb_launch(k, INT(1));
    e->guard = &t->ended;
}

static void leave_at(Ent *e, const View *flag) {
    code_add(e->a, &e->code, LS_BREAK_IF)->ptrs = plan_pointer(e, flag, ARENA_NEW(e->a, Lptr));
    buf_touch(e, flag->buf);
    e->pos++;
}

/* A backward loop begins with the turns that did not count: they come in eight parts, before each of which the host asks whether it may be left
   out. It waits for the answer (an answer comes with the question after it, so it asks twice). */
int gpu_turns_parts(Ent *e, GpuTurns *t, int64_t count, const View *taken, int32_t var) {
    enum { PARTS = 8, LEAST = 8 };
    Arena *a = e->a;
    int64_t each = (count + PARTS - 1) / PARTS;
    if (each < LEAST) each = LEAST;
    if (count < 2 * LEAST) {
        code_for(a, &e->code, var, INT(0), INT(count), INT(1));
        return 1;
    }
    int32_t part = e->nvar++;
    code_for(a, &e->code, part, INT(0), INT((count + each - 1) / each), INT(1));
    const Lx *first = MUL(IVAR(part), INT(each)), *end = IMIN(ADD(first, INT(each)), INT(count));
    gpu_turns_from(e, t, SUB(INT(count), end), taken);
    code_for(a, &e->code, e->nvar++, INT(0), INT(1), INT(1));
    for (int i = 0; i < 2; i++) leave_at(e, &t->ended);
    code_for(a, &e->code, var, first, end, INT(1));
    return 3;
}

void gpu_turns_leave(Ent *e, GpuTurns *t, const Lx *turn, const Lx *count) {
    enum { EACH = 8 }; /* after 2, 4, 8, 16, 24, ... turns: a question costs as much as a few launches */
    Arena *a = e->a;
    int64_t most;
    if (lx_is_const(count, &most) && most <= 4) return; /* it is known too late */
    const Lx *n = ADD(turn, INT(1)), *asks = lx_i2(a, LX_IOR, IEQ(MOD(n, INT(EACH)), INT(0)), lx_i2(a, LX_IOR, IEQ(n, INT(2)), IEQ(n, INT(4))));
    code_if(a, &e->code, IAND(asks, ILT(n, count)));
    leave_at(e, &t->ended);
    code_end(&e->code);
}
