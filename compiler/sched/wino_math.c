/* Winograd's transforms along one axis, then the other, as expressions over registers. */
#include "sched/wino.h"

static const double a1 = 2.0 / 3, b1 = 1.5, a2 = 4.0 / 9, b2 = 2.25; /* the points and their squares; a1 * b1 = 1 */
static const double na = 8.0 / 9 * (4.0 / 9 - 9.0 / 4), nb = 9.0 / 2 * (9.0 / 4 - 4.0 / 9); /* products of their distances to the others */

int wino_in(WinoKind what, int m) { return what == WINO_WEIGHTS ? 3 : what == WINO_SPREAD ? m : m + 2; }
int wino_out(WinoKind what, int m) { return what == WINO_OUTPUT ? m : what == WINO_GATHER ? 3 : m + 2; }

typedef struct Writer {
    const WinoPlane *l;
    Arena *a;
    int used;
} Writer;

static const Lx *keep(Writer *w, const Lx *v) {
    int reg = w->l->reg + w->used++;
    kb_set(w->l->k, reg, NULL, v);
    return lx_reg(w->a, reg, NULL, w->l->width);
}
static const Lx *plus(Writer *w, const Lx *x, const Lx *y) { return lx_f2(w->a, LX_ADD, x, y); }
static const Lx *less(Writer *w, const Lx *x, const Lx *y) { return lx_f2(w->a, LX_SUB, x, y); }

static int constants(double *c) {
    const double all[] = {a1, -a1, b1, -b1, a2, -a2, b2, -b2, -(a2 + b2), b1 * b2, a1 * a2, 1 / na, 1 / nb, a1 / na, b1 / nb, a2 / na, b2 / nb};
    for (int i = 0; i < (int)(sizeof all / sizeof *all); i++) c[i] = all[i];
    return (int)(sizeof all / sizeof *all);
}

int wino_between(Kb *k) {
    Arena *a = k->a;
    int L = k->e->s->t.lanes, at = WINO_MOST * WINO_MOST * L, between = kb_scratch(k, at + WINO_CONSTANTS);
    double c[WINO_CONSTANTS];
    for (int i = constants(c); i-- > 0;) kb_store(k, between, INT(at + i), lx_float(a, c[i], 1), NULL);
    return between;
}

static const Lx *constant(Writer *w, double c) {
    Arena *a = w->a;
    double all[WINO_CONSTANTS];
    for (int i = constants(all); i-- > 0;)
        if (all[i] == c) return lx_splat(a, lx_load(a, w->l->between, INT(WINO_MOST * WINO_MOST * w->l->width + i), 1, NULL), w->l->width);
    return lx_float(a, c, w->l->width);
}

static const Lx *times(Writer *w, double c, const Lx *x) { return lx_f2(w->a, LX_MUL, constant(w, c), x); }
static const Lx *more(Writer *w, double c, const Lx *x, const Lx *y) { /* c * x + y */
    return lx_f3(w->a, LX_FMA, constant(w, c), x, y);
}

/* e + c * o and e - c * o */
static void pair(Writer *w, const Lx *e, double c, const Lx *o, const Lx **out) {
    e = keep(w, e), o = keep(w, o);
    out[0] = more(w, c, o, e), out[1] = more(w, -c, o, e);
}

static void input(Writer *w, const Lx *const *d, const Lx **out) {
    if (w->l->m == 2) {
        out[0] = less(w, d[0], d[2]), out[1] = plus(w, d[1], d[2]), out[2] = less(w, d[2], d[1]), out[3] = less(w, d[1], d[3]);
        return;
    }
    out[0] = more(w, -(a2 + b2), d[2], plus(w, d[0], d[4]));
    pair(w, more(w, -b2, d[2], d[4]), a1, more(w, -b2, d[1], d[3]), out + 1);
    pair(w, more(w, -a2, d[2], d[4]), b1, more(w, -a2, d[1], d[3]), out + 3);
    out[5] = more(w, -(a2 + b2), d[3], plus(w, d[1], d[5]));
}

static void weights(Writer *w, const Lx *const *g, const Lx **out) {
    out[0] = g[0];
    if (w->l->m == 2) {
        pair(w, times(w, 0.5, plus(w, g[0], g[2])), 0.5, g[1], out + 1);
        out[3] = g[2];
        return;
    }
    pair(w, more(w, a2 / na, g[2], times(w, 1 / na, g[0])), a1 / na, g[1], out + 1);
    pair(w, more(w, b2 / nb, g[2], times(w, 1 / nb, g[0])), b1 / nb, g[1], out + 3);
    out[5] = g[2];
}

static void output(Writer *w, const Lx *const *p, const Lx **out) {
    if (w->l->m == 2) {
        out[0] = plus(w, plus(w, p[0], p[1]), p[2]), out[1] = less(w, less(w, p[1], p[2]), p[3]);
        return;
    }
    const Lx *ea = keep(w, plus(w, p[1], p[2])), *oa = keep(w, less(w, p[1], p[2]));
    const Lx *eb = keep(w, plus(w, p[3], p[4])), *ob = keep(w, less(w, p[3], p[4]));
    out[0] = plus(w, plus(w, p[0], ea), eb);
    out[1] = more(w, b1, ob, times(w, a1, oa));
    out[2] = more(w, b2, eb, times(w, a2, ea));
    out[3] = more(w, b1 * b2, ob, more(w, a1 * a2, oa, p[5]));
}

static void spread(Writer *w, const Lx *const *y, const Lx **out) {
    out[0] = y[0];
    if (w->l->m == 2) {
        out[1] = plus(w, y[0], y[1]), out[2] = less(w, y[0], y[1]), out[3] = lx_f1(w->a, LX_NEG, y[1]);
        return;
    }
    pair(w, more(w, a2, y[2], y[0]), a1, more(w, a2, y[3], y[1]), out + 1);
    pair(w, more(w, b2, y[2], y[0]), b1, more(w, b2, y[3], y[1]), out + 3);
    out[5] = y[3];
}

static void gather(Writer *w, const Lx *const *p, const Lx **out) {
    const Lx *e = keep(w, plus(w, p[1], p[2])), *o = keep(w, less(w, p[1], p[2]));
    if (w->l->m == 2) {
        out[0] = more(w, 0.5, e, p[0]), out[1] = times(w, 0.5, o), out[2] = more(w, 0.5, e, p[3]);
        return;
    }
    const Lx *eb = keep(w, plus(w, p[3], p[4])), *ob = keep(w, less(w, p[3], p[4]));
    out[0] = more(w, 1 / nb, eb, more(w, 1 / na, e, p[0]));
    out[1] = more(w, b1 / nb, ob, times(w, a1 / na, o));
    out[2] = more(w, b2 / nb, eb, more(w, a2 / na, e, p[5]));
}

/* `in` may be anything; what comes out is good until the next call. */
static void line(const WinoPlane *l, const Lx *const *in, const Lx **out) {
    Writer w = {.l = l, .a = l->k->a};
    const Lx *x[WINO_MOST];
    for (int i = 0; i < wino_in(l->what, l->m); i++) x[i] = in[i]->kind == LX_REG ? in[i] : keep(&w, in[i]);
    if (l->what == WINO_INPUT)
        input(&w, x, out);
    else if (l->what == WINO_WEIGHTS)
        weights(&w, x, out);
    else if (l->what == WINO_OUTPUT)
        output(&w, x, out);
    else if (l->what == WINO_SPREAD)
        spread(&w, x, out);
    else
        gather(&w, x, out);
}

static const Lx *between(const WinoPlane *l, const Lx *i, const Lx *j) {
    Arena *a = l->k->a;
    return MUL(ADD(MUL(i, INT(wino_in(l->what, l->m))), j), INT(l->width));
}

void wino_columns(const WinoPlane *l, const Lx *(*get)(void *how, int i, const Lx *j), void *how) {
    Arena *a = l->k->a;
    int n = wino_in(l->what, l->m);
    const Lx *in[WINO_MOST], *out[WINO_MOST], *j = kb_for(l->k, INT(0), INT(n), 1);
    for (int i = 0; i < n; i++) in[i] = get(how, i, j);
    line(l, in, out);
    for (int i = 0; i < wino_out(l->what, l->m); i++) kb_store(l->k, l->between, between(l, INT(i), j), out[i], NULL);
    kb_end(l->k);
}

void wino_rows(const WinoPlane *l, const Lx *n, void (*put)(void *how, const Lx *i, int j, const Lx *v), void *how) {
    Arena *a = l->k->a;
    const Lx *in[WINO_MOST], *out[WINO_MOST], *i = kb_for(l->k, INT(0), n ? n : INT(wino_out(l->what, l->m)), 1);
    for (int j = 0; j < wino_in(l->what, l->m); j++) in[j] = lx_load(a, l->between, between(l, i, INT(j)), l->width, NULL);
    line(l, in, out);
    for (int j = 0; j < wino_out(l->what, l->m); j++) put(how, i, j, out[j]);
    kb_end(l->k);
}
