/* What integers of a kernel can be: those that fit 32 bits are computed in 32 bits, several times as fast on a GPU. */
#include "cuda/text.h"

enum { PASSES = 4 };
static const Range anything = {INT64_MIN, INT64_MAX, 1, true};

bool range_narrow(Range r) { return r.lo >= INT32_MIN && r.hi <= INT32_MAX; }
const char *range_type(Range r) { return range_narrow(r) ? "int" : r.wild ? "i64" : "csc_int"; }

static int64_t clamp(__int128 v) { return v < INT64_MIN ? INT64_MIN : v > INT64_MAX ? INT64_MAX : (int64_t)v; }
static int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }
static int64_t most(int64_t x, int64_t y) { return x > y ? x : y; }

static int64_t times(int64_t x, int64_t y) { return x > INT32_MAX || y > INT32_MAX ? 1 : x * y; }

static Range constant(int64_t v) { return (Range){v, v, v == INT64_MIN ? 1 : v < 0 ? -v : v, v < INT32_MIN || v > INT32_MAX}; }
static Range join(Range x, Range y) { return (Range){least(x.lo, y.lo), most(x.hi, y.hi), loop_gcd(x.mul, y.mul), x.wild || y.wild}; }

static Range product(Range x, Range y) {
    int64_t p[] = {clamp((__int128)x.lo * y.lo), clamp((__int128)x.lo * y.hi), clamp((__int128)x.hi * y.lo), clamp((__int128)x.hi * y.hi)};
    Range r = {p[0], p[0], times(x.mul, y.mul), false};
    for (int i = 1; i < 4; i++) r = (Range){least(r.lo, p[i]), most(r.hi, p[i]), r.mul, false};
    return r;
}

/* Of an operation on operands with these ranges. Operands of a division are 0 or more, as the noun says. */
static Range bounds(LxKind k, Range x, Range y) {
    switch ((int)k) {
    case LX_IADD: return (Range){clamp((__int128)x.lo + y.lo), clamp((__int128)x.hi + y.hi), loop_gcd(x.mul, y.mul), false};
    case LX_ISUB: return (Range){clamp((__int128)x.lo - y.hi), clamp((__int128)x.hi - y.lo), loop_gcd(x.mul, y.mul), false};
    case LX_IMUL: return product(x, y);
    case LX_IDIV: return (Range){most(x.lo, 0) / most(y.hi, 1), most(x.hi, 0) / most(y.lo, 1), 1, false};
    case LX_IMOD: return (Range){0, least(most(x.hi, 0), most(y.hi, 1) - 1), loop_gcd(x.mul, y.mul), false};
    case LX_IMIN: return (Range){least(x.lo, y.lo), least(x.hi, y.hi), loop_gcd(x.mul, y.mul), false};
    case LX_IMAX: return (Range){most(x.lo, y.lo), most(x.hi, y.hi), loop_gcd(x.mul, y.mul), false};
    default: return (Range){0, 1, 1, false};
    }
}

static Range combine(LxKind k, Range x, Range y) {
    Range r = bounds(k, x, y);
    r.wild = !range_narrow(r) && (x.wild || y.wild);
    return r;
}

Range range_of(Text *t, const Lx *x) {
    int64_t v;
    if (loop_fold(x, &t->known, &v)) return constant(v);
    switch ((int)x->kind) {
    case LX_VAR: return t->var[x->i];
    case LX_THREAD: return (Range){0, t->k->threads - (t->together ? t->together : 1), t->together ? t->together : 1, false};
    case LX_ITAB: return (Range){INT32_MIN, INT32_MAX, 1, false};
    case LX_F2I: return anything;
    case LX_ISELECT: return join(range_of(t, x->b), range_of(t, x->c));
    default: return combine(x->kind, range_of(t, x->a), x->b ? range_of(t, x->b) : (Range){0, 0, 0, false});
    }
}

/* A variable is 0 and whatever the loops and assignments give it. */
static bool widen(Text *t, int32_t var, Range r, bool last) {
    Range old = t->var[var], now = join(old, r);
    if (now.lo == old.lo && now.hi == old.hi && now.mul == old.mul) return false;
    t->var[var] = last ? (Range){INT64_MIN, INT64_MAX, 1, now.wild} : now;
    return true;
}

static bool visit(Text *t, const Ls *s, bool last) {
    bool changed = false;
    for (; s; s = s->next) {
        if (s->kind == LS_FOR) {
            Range lo = range_of(t, s->lo), hi = range_of(t, s->hi);
            if (hi.hi > lo.lo) changed |= widen(t, s->var, (Range){lo.lo, hi.hi - 1, loop_gcd(lo.mul, s->step->i), lo.wild || hi.wild}, last);
        } else if (s->kind == LS_SETVAR) changed |= widen(t, s->var, range_of(t, s->cond), last);
        changed |= visit(t, s->body, last);
        changed |= visit(t, s->orelse, last);
    }
    return changed;
}

void range_vars(Text *t) {
    const LpKernel *k = t->k;
    t->var = ARENA_ARRAY(t->a, Range, k->nvar);
    for (int32_t i = 0; i < k->nint; i++) t->var[i] = anything;
    t->var[lp_grid_var(k)] = (Range){0, INT32_MAX, 1, false};
    t->var[lp_batch_var(k)] = (Range){0, INT32_MAX, 1, false};
    for (int pass = 0; visit(t, k->body, pass >= PASSES); pass++) continue;
}
