/* Expressions as text. What a statement reaches more than once gets a name first; vectors are written lane by lane. */
#include "base/trouble.h"
#include "cuda/text.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define F(...) arena_printf(t->a, __VA_ARGS__)

/* ---- names ---- */
static bool leaf(const Lx *x) {
    return x->kind == LX_INT || x->kind == LX_VAR || x->kind == LX_THREAD || x->kind == LX_FLOAT || x->kind == LX_LANES || x->kind == LX_REG;
}

void text_count(Text *t, const Lx *x) {
    if (!x || leaf(x)) return;
    LxCell *c = lx_map_cell(t->a, &t->uses, x);
    bool again = c->turn == t->uses.turn;
    c->turn = t->uses.turn;
    c->value = (void *)(uintptr_t)(again ? 2 : 1);
    if (again) return;
    text_count(t, x->a);
    text_count(t, x->b);
    text_count(t, x->c);
    for (int i = 0; i < lx_list_len(x); i++) text_count(t, x->list[i]);
}

static bool several(Text *t, const Lx *x) {
    LxCell *c = lx_map_cell(t->a, &t->uses, x);
    return c->turn == t->uses.turn && (uintptr_t)c->value > 1;
}

const char *text_let(Text *t, const char *type, const char *value) {
    const char *name = F("t%d", t->names++), *line = F("const %s %s = %s;", type, name, value);
    vec_push(t->a, &t->lets, line);
    return name;
}

/* ---- integers ---- */
static const char *number(Text *t, int64_t v) {
    if (v == INT64_MIN) return "(-0x7fffffffffffffffLL - 1)";
    bool wide = v < -INT32_MAX || v > INT32_MAX;
    return F(v < 0 ? "(%" PRId64 "%s)" : "%" PRId64 "%s", v, wide ? "LL" : "");
}

static bool is_i64(Range r) { return r.wild && !range_narrow(r); }

/* A value of type `have` as one of range r. */
static const char *as(Text *t, Range r, Range have, const char *s) {
    return !strcmp(range_type(r), range_type(have)) ? s : F("(%s)%s", range_type(r), s);
}

static Range wider(Range x, Range y) { return is_i64(x) || (!is_i64(y) && !range_narrow(x)) ? x : y; }

/* Computed in the type that holds operands and result; wrapping, should an i64 know no end. */
static const char *arithmetic(Text *t, LxKind k, Int x, Int y, Range r) {
    const char *sign = k == LX_IADD ? "+" : k == LX_ISUB ? "-" : "*";
    Range in = wider(wider(x.r, y.r), r);
    if (is_i64(in) && (in.lo == INT64_MIN || in.hi == INT64_MAX)) {
        const char *how = k == LX_IADD ? "ADD" : k == LX_ISUB ? "SUB" : "MUL";
        return as(t, r, in, F("CSC_%s64(%s, %s)", how, x.s, y.s));
    }
    bool cast = !range_narrow(in) && range_narrow(x.r) && range_narrow(y.r);
    return as(t, r, in, cast ? F("((%s)%s %s %s)", range_type(in), x.s, sign, y.s) : F("(%s %s %s)", x.s, sign, y.s));
}

static const char *division(Text *t, LxKind k, Int x, Int y, Range r) {
    Range in = wider(x.r, y.r);
    const char *sign = k == LX_IDIV ? "/" : "%", *type = range_narrow(in) ? "unsigned" : is_i64(in) ? "unsigned long long" : "csc_unsigned";
    return F("(%s)((%s)%s %s (%s)%s)", range_type(r), type, x.s, sign, type, y.s);
}

static const char *operation(Text *t, const Lx *x, Range r) {
    if (x->kind == LX_ITAB) return F("%s[%s]", text_pointer(t, x->i), text_int(t, x->a).s);
    if (x->kind == LX_F2I) return F("csc_f2i(%s)", text_float(t, x->a, 0));
    Int p = text_int(t, x->a), q = x->b ? text_int(t, x->b) : p;
    Range in = wider(p.r, q.r);
    switch ((int)x->kind) {
    case LX_IADD: case LX_ISUB: case LX_IMUL: return arithmetic(t, x->kind, p, q, r);
    case LX_IDIV: case LX_IMOD: return division(t, x->kind, p, q, r);
    case LX_IMIN: case LX_IMAX: {
        const char *s = F("csc_%s_%c(%s, %s)", x->kind == LX_IMIN ? "min" : "max", range_narrow(in) ? 'i' : is_i64(in) ? 'l' : 'x', p.s, q.s);
        return as(t, r, in, s);
    }
    case LX_ILT: return F("(%s < %s)", p.s, q.s);
    case LX_IEQ: return F("(%s == %s)", p.s, q.s);
    case LX_IAND: return F("(%s != 0 && %s != 0)", p.s, q.s);
    case LX_IOR: return F("(%s != 0 || %s != 0)", p.s, q.s);
    case LX_INOT: return F("(%s == 0)", p.s);
    case LX_ISELECT: {
        Int c = text_int(t, x->c);
        return F("(%s != 0 ? %s : %s)", p.s, as(t, r, q.r, q.s), as(t, r, c.r, c.s));
    }
    default: BUG("integer expression of kind %d", (int)x->kind);
    }
}

Int text_int(Text *t, const Lx *x) {
    Range r = range_of(t, x);
    int64_t v;
    if (loop_fold(x, &t->known, &v)) return (Int){number(t, v), r};
    if (x->kind == LX_VAR) return (Int){F("v%d", (int)x->i), r};
    if (x->kind == LX_THREAD) return (Int){t->together == 32 ? "CSC_WARP_T" : t->together ? "CSC_GROUP_T" : "CSC_T", r};
    LxCell *c = lx_map_cell(t->a, &t->memo, x);
    if (c->turn == t->memo.turn) return (Int){c->value, r};
    const char *s = operation(t, x, r);
    if (several(t, x)) {
        s = text_let(t, range_type(r), s);
        c = lx_map_cell(t->a, &t->memo, x);
        c->turn = t->memo.turn;
        c->value = (void *)(uintptr_t)s;
    }
    return (Int){s, r};
}

const char *text_index(Text *t, const Lx *index) {
    Int i = text_int(t, index);
    if (leaf(index) || strlen(i.s) < 8) return i.s;
    return text_let(t, range_type(i.r), i.s);
}

/* ---- memory ---- */
const char *text_pointer(const Text *t, int64_t ptr) {
    return arena_printf(t->a, t->k->ptr[ptr].thread ? "CSC_OWN(p%d)" : "p%d", (int)ptr);
}

static const char *element(Text *t, int64_t ptr, const char *at) {
    const char *s = F("%s[%s]", text_pointer(t, ptr), at);
    return t->k->ptr[ptr].elem == LP_BF16 ? F("csc_wide(%s)", s) : s;
}

static const char *plus(Text *t, const char *at, int64_t n) { return n ? F("%s + %" PRId64, at, n) : at; }

static void load_lanes(Text *t, const Lx *x, const char **lane) {
    bool strided = x->kind == LX_GATHER;
    const Lx *count = strided ? x->c : x->b;
    const char *at = x->width > 1 ? text_index(t, x->a) : text_int(t, x->a).s;
    const char *n = !count ? NULL : x->width > 1 ? text_index(t, count) : text_int(t, count).s;
    if (!strided && x->f != 0 && x->width > 1) {
        const char *bf16 = t->k->ptr[x->i].elem == LP_BF16 ? "_bf16" : "";
        const char *v = text_let(t, F("csc_f%d", x->width), F("csc_load%d%s(%s + %s)", x->width, bf16, text_pointer(t, x->i), at));
        for (int i = 0; i < x->width; i++) lane[i] = F("%s.%c", v, "xyzw"[i]);
        return;
    }
    const char *step = strided ? text_index(t, x->b) : NULL;
    for (int i = 0; i < x->width; i++) {
        const char *s = element(t, x->i, strided && i ? F("%s + %d * (i64)%s", at, i, step) : plus(t, at, strided ? 0 : i));
        lane[i] = n ? F("(%d < %s ? %s : 0.0f)", i, n, s) : s;
    }
}

/* ---- floats ---- */
static const char *constant(Text *t, double f) {
    if (isnan(f)) return "CSC_NAN";
    if (isinf(f)) return f < 0 ? "(-CSC_INF)" : "CSC_INF";
    return F(signbit(f) ? "(%af)" : "%af", f);
}

static const char *condition(Text *t, const Lx *x, int lane) {
    const char *sign = x->kind == LX_LT ? "<" : x->kind == LX_LE ? "<=" : x->kind == LX_EQ ? "==" : NULL;
    if (sign && !several(t, x)) return F("%s %s %s", text_float(t, x->a, lane), sign, text_float(t, x->b, lane));
    return F("%s != 0.0f", text_float(t, x, lane));
}

static const char *extreme(Text *t, const Lx *x, int lane) {
    const char *p = text_float(t, x->a, lane), *q = text_float(t, x->b, lane);
    return F("csc_%s(%s, %s)", x->kind == LX_MAX ? "max" : "min", p, q);
}

static const char *across(Text *t, const Lx *x) {
    const char *v[LOOP_MAX_WIDTH];
    for (int i = 0; i < x->a->width; i++) v[i] = text_float(t, x->a, i);
    for (int n = x->a->width / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) v[i] = F(x->kind == LX_HSUM ? "(%s + %s)" : "csc_max(%s, %s)", v[i], v[i + n]);
    return v[0];
}

static const char *noise(Text *t, const Lx *x, int lane) {
    const char *v[5];
    for (int i = 0; i < 5; i++) v[i] = text_index(t, x->list[i]);
    return F("%s(%s, %s, %s, %s, %s)", x->f != 0 ? "csc_normal" : "csc_noise", v[0], v[1], v[2], v[3], plus(t, F("(i64)%s", v[4]), lane));
}

static const char *float_op(Text *t, const Lx *x, int lane) {
    static const char *const calls[LX_KINDS] = {[LX_ABS] = "csc_abs", [LX_SQRT] = "csc_sqrt", [LX_FLOOR] = "csc_floor", [LX_EXP] = "poly_exp",
                                                [LX_LOG] = "poly_log", [LX_TANH] = "poly_tanh", [LX_SIN] = "csc_sin", [LX_COS] = "csc_cos"};
    if (calls[x->kind]) return F("%s(%s)", calls[x->kind], text_float(t, x->a, lane));
    switch ((int)x->kind) {
    case LX_LANES: return constant(t, lane);
    case LX_SPLAT: return text_float(t, x->a, 0);
    case LX_LANE: return text_float(t, x->a, (int)x->i);
    case LX_PACK: return text_float(t, x->list[lane], 0);
    case LX_I2F: return F("(float)%s", text_int(t, x->a).s);
    case LX_NEG: return F("(-%s)", text_float(t, x->a, lane));
    case LX_POW: return F("csc_pow(%s, %s)", text_float(t, x->a, lane), text_float(t, x->b, lane));
    case LX_ADD: case LX_SUB: case LX_MUL: case LX_DIV: {
        char sign = x->kind == LX_ADD ? '+' : x->kind == LX_SUB ? '-' : x->kind == LX_MUL ? '*' : '/';
        return F("(%s %c %s)", text_float(t, x->a, lane), sign, text_float(t, x->b, lane));
    }
    case LX_FMA: return F("csc_fma(%s, %s, %s)", text_float(t, x->a, lane), text_float(t, x->b, lane), text_float(t, x->c, lane));
    case LX_MAX: case LX_MIN: return extreme(t, x, lane);
    case LX_LT: case LX_LE: case LX_EQ: {
        const char *sign = x->kind == LX_LT ? "<" : x->kind == LX_LE ? "<=" : "==";
        return F("(%s %s %s ? 1.0f : 0.0f)", text_float(t, x->a, lane), sign, text_float(t, x->b, lane));
    }
    case LX_SELECT: return F("(%s ? %s : %s)", condition(t, x->a, lane), text_float(t, x->b, lane), text_float(t, x->c, lane));
    case LX_HSUM: case LX_HMAX: return across(t, x);
    case LX_NOISE: return noise(t, x, lane);
    default: BUG("expression of kind %d", (int)x->kind);
    }
}

static const char *reg(Text *t, const Lx *x, int lane) {
    int64_t at = 0;
    MUST(!x->a || loop_fold(x->a, &t->known, &at));
    return x->width > 1 ? F("CSC_R(r%d_%d)", (int)(x->i + at), lane) : F("CSC_R(r%d)", (int)(x->i + at));
}

const char *text_float(Text *t, const Lx *x, int lane) {
    if (x->kind == LX_FLOAT) return constant(t, x->f);
    if (x->kind == LX_REG) return reg(t, x, lane);
    LxCell *c = lx_map_cell(t->a, &t->memo, x);
    const char **v = c->turn == t->memo.turn ? c->value : NULL;
    if (v && v[lane]) return v[lane];
    bool memory = x->kind == LX_LOAD || x->kind == LX_GATHER;
    bool named = several(t, x) || (memory && x->width > 1);
    if (!v) {
        v = ARENA_ARRAY(t->a, const char *, x->width);
        if (memory) load_lanes(t, x, v);
        if (memory && named && (x->width == 1 || x->f == 0))
            for (int i = 0; i < x->width; i++) v[i] = text_let(t, "float", v[i]);
    }
    if (!v[lane]) {
        v[lane] = float_op(t, x, lane);
        if (named && x->kind != LX_SPLAT && x->kind != LX_LANE && x->kind != LX_PACK) v[lane] = text_let(t, "float", v[lane]);
    }
    if (named) {
        c = lx_map_cell(t->a, &t->memo, x);
        c->turn = t->memo.turn;
        c->value = v;
    }
    return v[lane];
}
