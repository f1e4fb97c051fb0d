/* Reads loop nests as loop_print writes them. */
#include "loop/words.h"
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

typedef struct Reader {
    Cx *cx;
    Arena *a;
    LpModule *m;
    uint32_t file, line, col;
    const char *at, *line_start;
    const char *word; /* the current token: starts here, len bytes; len 0: the end */
    size_t len;
    int depth;
    Vec(const Lx *) let; /* t0, t1, ... of the statement */
    jmp_buf leave;
} Reader;

enum { DEEPEST = 500 };

static _Noreturn __attribute__((format(printf, 2, 3))) void expected(Reader *r, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Span at = {r->file, r->line, r->col, r->line, r->col + (uint32_t)(r->len ? r->len : 1)};
    diag_error(r->cx, E_LOOP_TEXT, at, "%s", arena_vprintf(r->a, fmt, ap));
    va_end(ap);
    longjmp(r->leave, 1);
}

/* ---- tokens ---- words, numbers, "text", signs; `..` and `==` are one sign */
static void step(Reader *r) {
    for (;; r->at++) {
        if (*r->at == '#')
            while (*r->at && *r->at != '\n') r->at++;
        if (*r->at == '\n') {
            r->line++;
            r->line_start = r->at + 1;
        } else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r') break;
    }
    const char *s = r->word = r->at;
    r->col = (uint32_t)(s - r->line_start) + 1;
    if (isalpha((unsigned char)*s) || *s == '_') {
        while (isalnum((unsigned char)*s) || *s == '_') s++;
    } else if (isdigit((unsigned char)*s)) {
        while (isdigit((unsigned char)*s)) s++;
        if (*s == '.' && s[1] != '.') s++;
        while (isalnum((unsigned char)*s) || ((*s == '-' || *s == '+') && (s[-1] == 'e' || s[-1] == 'E'))) s++;
    } else if (*s == '"') {
        for (s++; *s && *s != '"' && *s != '\n'; s++) s += *s == '\\' && s[1] && s[1] != '\n';
        s += *s == '"';
    } else if (*s) s += (s[0] == '.' && s[1] == '.') || (s[0] == '=' && s[1] == '=') ? 2 : 1;
    r->len = (size_t)(s - r->word);
    r->at = s;
}

static bool is(const Reader *r, const char *w) { return strlen(w) == r->len && !memcmp(w, r->word, r->len); }

static bool take(Reader *r, const char *w) {
    if (!is(r, w)) return false;
    step(r);
    return true;
}

static void need(Reader *r, const char *w) {
    if (!take(r, w)) expected(r, "expected %s", w);
}

static int64_t whole(Reader *r) {
    bool minus = take(r, "-");
    if (!r->len || !isdigit((unsigned char)*r->word)) expected(r, "expected a whole number");
    char *end, *text = arena_strndup(r->a, r->word, r->len);
    unsigned long long v = strtoull(text, &end, 10);
    if (*end) expected(r, "expected a whole number");
    step(r);
    return minus ? (int64_t)(0 - v) : (int64_t)v;
}

static int32_t small(Reader *r, int64_t most) {
    int64_t v = whole(r);
    if (v < 0 || v > most) expected(r, "a number from 0 to %lld is needed", (long long)most);
    return (int32_t)v;
}

static const char *text(Reader *r) {
    if (r->len < 2 || *r->word != '"' || r->word[r->len - 1] != '"') expected(r, "expected a \"name\"");
    char *s = arena_alloc(r->a, r->len), *to = s;
    for (size_t i = 1; i + 1 < r->len; i++) {
        if (r->word[i] == '\\' && i + 2 < r->len) i++;
        *to++ = r->word[i];
    }
    step(r);
    return s;
}

static bool numbered(Reader *r, char letter, int32_t *n) { /* v12, p3, r0, t5 */
    if (r->len < 2 || r->len > 10 || *r->word != letter) return false;
    int64_t v = 0;
    for (size_t i = 1; i < r->len; i++) {
        if (!isdigit((unsigned char)r->word[i])) return false;
        v = 10 * v + (r->word[i] - '0');
    }
    if (v > INT32_MAX) return false;
    *n = (int32_t)v;
    step(r);
    return true;
}

static int width(Reader *r) {
    need(r, ":");
    int w = small(r, LOOP_MAX_WIDTH);
    if (w < 1) expected(r, "a vector has at least one lane");
    return w;
}

static int32_t pointer(Reader *r) {
    int32_t p;
    if (!numbered(r, 'p', &p)) expected(r, "expected a pointer (p0, p1, ...)");
    return p;
}

/* ---- expressions ---- */
static const Lx *expression(Reader *r);

static const Lx *of_width(Reader *r, int least, int most) { /* an expression of so many lanes; 0, 0: an integer */
    const Lx *x = expression(r);
    if (x->width < least || x->width > most) expected(r, "%s is needed here", most ? least == most ? "a scalar" : "a float" : "an integer");
    return x;
}
static const Lx *integer(Reader *r) { return of_width(r, 0, 0); }
static const Lx *floating(Reader *r) { return of_width(r, 1, LOOP_MAX_WIDTH); }
static const Lx *optional_integer(Reader *r) { return take(r, ",") ? integer(r) : NULL; }

static const Lx *comma_integer(Reader *r) {
    need(r, ",");
    return integer(r);
}

static const Lx *noise(Reader *r, bool normal, int w) {
    const Lx *x[5];
    for (int i = 0; i < 5; i++) x[i] = i ? comma_integer(r) : integer(r);
    return lx_noise(r->a, normal, w, x[0], x[1], x[2], x[3], x[4]);
}

static const Lx *floats(Reader *r, LxKind k, int n) {
    const Lx *x[3];
    for (int i = 0; i < n; i++) {
        if (i) need(r, ",");
        x[i] = floating(r);
        if (x[i]->width != x[0]->width) expected(r, "the operands have different widths");
    }
    return n == 1 ? lx_f1(r->a, k, x[0]) : n == 2 ? lx_f2(r->a, k, x[0], x[1]) : lx_f3(r->a, k, x[0], x[1], x[2]);
}

static const Lx *pack(Reader *r, int w) {
    const Lx *x[LOOP_MAX_WIDTH];
    for (int i = 0; i < w; i++) {
        if (i) need(r, ",");
        x[i] = of_width(r, 1, 1);
    }
    return lx_pack(r->a, x, w);
}

static const Lx *word(Reader *r, const Word *d) {
    bool wide = strchr("mgpcnlak", d->form) != NULL, normal = !strcmp(d->name, "normal");
    int w = wide ? width(r) : 0;
    if (d->form == 'l') return lx_lanes(r->a, w);
    need(r, "(");
    const Lx *x, *y, *z;
    int32_t p;
    switch (d->form) {
    case '1': case '2': case '3': x = floats(r, d->kind, d->form - '0'); break;
    case 'i': y = integer(r), z = comma_integer(r), x = lx_i2(r->a, d->kind, y, z); break;
    case 's': x = integer(r), y = comma_integer(r), z = comma_integer(r), x = lx_iselect(r->a, x, y, z); break;
    case 't': p = pointer(r), x = lx_itab(r->a, p, comma_integer(r)); break;
    case 'f': x = lx_f2i(r->a, of_width(r, 1, 1)); break;
    case 'm': p = pointer(r), y = comma_integer(r), x = lx_load(r->a, p, y, w, optional_integer(r)); break;
    case 'a': p = pointer(r), x = lx_load_aligned(r->a, p, comma_integer(r), w); break;
    case 'e': p = small(r, LOOP_MAX_WIDTH - 1), need(r, ","), x = lx_lane(r->a, of_width(r, p + 1, LOOP_MAX_WIDTH), p); break;
    case 'k': x = pack(r, w); break;
    case 'g': p = pointer(r), y = comma_integer(r), z = comma_integer(r), x = lx_gather(r->a, p, y, z, w, optional_integer(r)); break;
    case 'p': x = lx_splat(r->a, of_width(r, 1, 1), w); break;
    case 'c': x = lx_i2f(r->a, integer(r), w); break;
    default: x = noise(r, normal, w); break;
    }
    need(r, ")");
    return x;
}

static const Lx *number(Reader *r, bool minus) {
    char *end, *s = arena_strndup(r->a, r->word, r->len);
    if (*r->at == ':') {
        double f = is(r, "inf") ? INFINITY : is(r, "nan") ? NAN : strtod(s, &end);
        step(r);
        return lx_float(r->a, minus ? -f : f, width(r));
    }
    int64_t v = whole(r);
    return lx_int(r->a, minus ? (int64_t)(0 - (uint64_t)v) : v);
}

static const Lx *reg_rest(Reader *r, int32_t *reg) { /* r[3 + expression], after `r` */
    need(r, "[");
    *reg = small(r, INT32_MAX);
    need(r, "+");
    const Lx *at = integer(r);
    need(r, "]");
    return at;
}

static const Lx *primary(Reader *r) {
    int32_t n;
    if (take(r, "(")) {
        const Lx *x = integer(r);
        for (int i = 0; i < LOOP_SIGNS; i++) {
            if (!take(r, loop_signs[i].sign)) continue;
            x = lx_i2(r->a, loop_signs[i].kind, x, integer(r));
            need(r, ")");
            return x;
        }
        expected(r, "expected an operation on integers");
    }
    if (take(r, "thread")) return lx_thread(r->a);
    if (take(r, "!")) return lx_i2(r->a, LX_INOT, integer(r), NULL);
    if (take(r, "-")) return number(r, true);
    if (r->len && (isdigit((unsigned char)*r->word) || is(r, "inf") || is(r, "nan"))) return number(r, false);
    if (numbered(r, 'v', &n)) return lx_var(r->a, n);
    if (numbered(r, 'r', &n)) return lx_reg(r->a, n, NULL, width(r));
    if (numbered(r, 't', &n)) {
        if ((size_t)n >= r->let.len) expected(r, "t%d is not defined here", (int)n);
        return r->let.at[n];
    }
    if (take(r, "r")) {
        const Lx *at = reg_rest(r, &n);
        return lx_reg(r->a, n, at, width(r));
    }
    for (int i = 0; i < LOOP_WORDS; i++)
        if (take(r, loop_words[i].name)) return word(r, &loop_words[i]);
    expected(r, "expected an expression");
}

static const Lx *expression(Reader *r) {
    if (++r->depth > DEEPEST) expected(r, "expressions are nested too deeply");
    const Lx *x = primary(r);
    r->depth--;
    return x;
}

/* ---- statements ---- */
static const Ls *list(Reader *r);

static Lptr place(Reader *r) {
    Lptr p = {0};
    while (p.space < SP_KINDS && !take(r, loop_spaces[p.space])) p.space++;
    if (p.space == SP_KINDS) expected(r, "expected memory (fixed, batch, in, out, param, ...)");
    if (take(r, ".")) p.which = small(r, INT32_MAX);
    need(r, "[");
    p.offset = whole(r);
    p.plus = optional_integer(r);
    need(r, "]");
    return p;
}

static Ls *launch(Reader *r) {
    Vec(Lptr) ptrs = {0};
    Vec(const Lx *) ints = {0};
    int32_t kernel = small(r, INT32_MAX);
    if ((size_t)kernel >= r->m->kernels.len) expected(r, "there is no kernel %d before this entry", (int)kernel);
    const LpKernel *k = &r->m->kernels.at[kernel];
    need(r, "(");
    const Lx *grid = integer(r);
    for (int32_t i = 0; i < lp_launch_ptrs(k); i++) {
        need(r, i ? "," : ";");
        Lptr p = place(r);
        vec_push(r->a, &ptrs, p);
    }
    for (int32_t i = 0; i < k->nint; i++) {
        need(r, i ? "," : ";");
        const Lx *x = integer(r);
        vec_push(r->a, &ints, x);
    }
    need(r, ")");
    return ls_launch(r->a, kernel, grid, ptrs.at, ptrs.len, ints.at, ints.len);
}

static int32_t variable(Reader *r) {
    int32_t n;
    if (!numbered(r, 'v', &n)) expected(r, "expected a variable (v0, v1, ...)");
    return n;
}

static Ls *for_loop(Reader *r) {
    int32_t var = variable(r);
    need(r, "=");
    const Lx *lo = integer(r);
    need(r, "..");
    const Lx *hi = integer(r);
    int64_t by = take(r, "step") ? whole(r) : 1;
    bool unroll = take(r, "unroll");
    return ls_for(r->a, var, lo, hi, by, unroll, list(r));
}

static Ls *lanes(Reader *r) {
    int32_t var = variable(r);
    need(r, "alone");
    int32_t alone = variable(r);
    need(r, "..");
    const Lx *n = integer(r);
    return ls_lanes(r->a, var, alone, n, list(r));
}

static Ls *store(Reader *r, bool strided) {
    bool aligned = !strided && take(r, "aligned");
    need(r, "(");
    int32_t p = pointer(r);
    const Lx *index = comma_integer(r), *stride = strided ? comma_integer(r) : NULL;
    need(r, ",");
    const Lx *value = floating(r), *count = optional_integer(r);
    need(r, ")");
    if (aligned && count) expected(r, "an aligned store has no count");
    if (aligned) return ls_store_aligned(r->a, p, index, value);
    return strided ? ls_store_strided(r->a, p, index, stride, value, count) : ls_store(r->a, p, index, value, count);
}

static Ls *set_reg(Reader *r, int32_t reg, const Lx *at) {
    need(r, "=");
    return ls_set(r->a, reg, at, floating(r));
}

static int32_t reg_number(Reader *r) {
    int32_t n;
    if (!numbered(r, 'r', &n)) expected(r, "expected a register (r0, r1, ...)");
    return n;
}

static Ls *copy(Reader *r) {
    need(r, "(");
    int32_t p = pointer(r);
    const Lx *index = comma_integer(r);
    need(r, ",");
    const Lx *load = floating(r);
    need(r, ")");
    return ls_copy(r->a, p, index, load);
}

static Ls *pairs(Reader *r) {
    need(r, "(");
    int32_t p = pointer(r);
    const Lx *index = comma_integer(r);
    need(r, ",");
    const Lx *value = floating(r);
    need(r, ",");
    const Lx *other = floating(r);
    need(r, ")");
    return ls_store_pairs(r->a, p, index, value, other);
}

static Ls *tile(Reader *r) {
    if (take(r, "clear")) return ls_tile_clear(r->a, small(r, 1000));
    if (take(r, "dot")) {
        int32_t to = small(r, 1000), a = small(r, 1000);
        return ls_tile_dot(r->a, to, a, small(r, 1000));
    }
    bool store = take(r, "store");
    if (!store) need(r, "load");
    int32_t number = small(r, 1000);
    need(r, "(");
    int32_t p = pointer(r);
    const Lx *index = comma_integer(r), *stride = comma_integer(r);
    need(r, ")");
    return store ? ls_tile_store(r->a, number, p, index, stride) : ls_tile_load(r->a, number, p, index, stride);
}

static const Lx *operand(Reader *r, int32_t *ptr, int64_t *row, int64_t *col) {
    *ptr = pointer(r);
    need(r, "[");
    const Lx *at = integer(r);
    need(r, ",");
    *row = whole(r);
    need(r, ",");
    *col = whole(r);
    need(r, "]");
    return at;
}

static Ls *mma(Reader *r) {
    if (take(r, "wait")) return ls_mma_wait(r->a, small(r, 1000));
    bool group = take(r, "group");
    LsMma m = {.group = group, .precision = take(r, "tf32") ? LP_TF32 : LP_BFLOAT16};
    if (m.precision == LP_BFLOAT16) need(r, "bf16");
    int32_t reg = reg_number(r);
    m.m = small(r, 1000), m.n = small(r, 1000), m.depth = small(r, 100000);
    m.a_at = operand(r, &m.a, &m.a_row, &m.a_col);
    m.a_across = take(r, "across");
    m.b_at = operand(r, &m.b, &m.b_row, &m.b_col);
    m.b_across = take(r, "across");
    return ls_mma(r->a, reg, m);
}

static Ls *statement(Reader *r) {
    int32_t n;
    r->let.len = 0;
    while (numbered(r, 't', &n)) {
        if ((size_t)n != r->let.len) expected(r, "expected t%d", (int)r->let.len);
        need(r, "=");
        const Lx *x = expression(r);
        vec_push(r->a, &r->let, x);
    }
    if (take(r, "for")) return for_loop(r);
    if (take(r, "lanes")) return lanes(r);
    if (take(r, "prepare")) return ls_prepare(r->a, list(r));
    if (take(r, "if")) {
        const Lx *c = integer(r);
        const Ls *yes = list(r), *no = take(r, "else") ? list(r) : NULL;
        return ls_if(r->a, c, yes, no);
    }
    if (take(r, "threads")) return ls_threads(r->a, list(r));
    if (take(r, "last")) return ls_last(r->a, list(r));
    if (take(r, "sync")) return ls_sync(r->a);
    if (take(r, "group")) return ls_group(r->a);
    if (take(r, "wait")) return ls_wait(r->a, small(r, 1000));
    if (take(r, "mma")) return mma(r);
    if (take(r, "warp")) {
        LxKind op = take(r, "add") ? LX_ADD : LX_MAX;
        if (op == LX_MAX) need(r, "max");
        return ls_warp(r->a, op, reg_number(r));
    }
    if (take(r, "copy")) return copy(r);
    if (take(r, "break")) {
        need(r, "if");
        if (take(r, "@")) return ls_break_if_at(r->a, place(r));
        return ls_break_if(r->a, integer(r));
    }
    if (take(r, "store")) return store(r, false);
    if (take(r, "scatter")) return store(r, true);
    if (take(r, "prefetch")) {
        bool near = take(r, "near");
        need(r, "(");
        int32_t ptr = pointer(r);
        const Lx *at = comma_integer(r);
        need(r, ")");
        return ls_prefetch(r->a, ptr, at, near);
    }
    if (take(r, "tile")) return tile(r);
    if (take(r, "pairs")) return pairs(r);
    if (take(r, "launch")) return launch(r);
    if (numbered(r, 'v', &n)) {
        need(r, "=");
        if (take(r, "@")) return ls_f2var(r->a, n, place(r));
        return ls_setvar(r->a, n, integer(r));
    }
    if (numbered(r, 'r', &n)) return set_reg(r, n, NULL);
    if (take(r, "r")) {
        const Lx *at = reg_rest(r, &n);
        return set_reg(r, n, at);
    }
    expected(r, "expected a statement");
}

static const Ls *list(Reader *r) {
    LsList l = {0};
    if (++r->depth > DEEPEST) expected(r, "statements are nested too deeply");
    need(r, "{");
    while (!take(r, "}")) {
        if (!r->len) expected(r, "expected }");
        ls_add(&l, statement(r));
    }
    r->depth--;
    return l.first;
}

/* ---- the module ---- */
static LpTable table(Reader *r, bool is_int) {
    LpTable t = {.is_int = is_int};
    Vec(int32_t) i = {0};
    Vec(float) f = {0};
    int64_t len = whole(r);
    need(r, "{");
    while (!take(r, "}")) {
        const Lx *x = primary(r);
        if (x->kind != (is_int ? LX_INT : LX_FLOAT)) expected(r, "expected a constant");
        if (is_int) vec_push(r->a, &i, (int32_t)x->i);
        else vec_push(r->a, &f, (float)x->f);
        t.len++;
    }
    if (t.len != len) expected(r, "the table has %lld entries, not %lld", (long long)t.len, (long long)len);
    t.i = i.at;
    t.f = f.at;
    return t;
}

static LpParam param(Reader *r, int32_t number) {
    LpParam p = {0};
    if (pointer(r) != number) expected(r, "pointers are numbered in order");
    p.name = name_of(r->cx, text(r));
    for (;;) {
        if (take(r, "int")) p.elem = LP_I32;
        else if (take(r, "bf16")) p.elem = LP_BF16;
        else if (take(r, "tf32")) p.elem = LP_F19;
        else if (take(r, "shared")) p.shared = true, p.bytes = whole(r);
        else if (take(r, "writes")) p.writes = true;
        else if (take(r, "thread")) p.thread = true, p.bytes = whole(r);
        else if (take(r, "extent")) p.extent = integer(r);
        else return p;
    }
}

static void kernel(Reader *r) {
    LpKernel k = {.name = name_of(r->cx, text(r))};
    Vec(LpParam) ptr = {0};
    Vec(int32_t) regs = {0};
    need(r, "ints");
    k.nint = small(r, 1000);
    need(r, "vars");
    k.nvar = small(r, 1000000);
    if (take(r, "threads")) k.threads = small(r, 1024);
    if (take(r, "remark")) k.remark = text(r);
    if (take(r, "at")) k.where = text(r);
    while (take(r, "ptr")) {
        LpParam p = param(r, (int32_t)ptr.len);
        vec_push(r->a, &ptr, p);
    }
    while (take(r, "regs")) {
        int32_t n = small(r, 1000000), w = width(r);
        for (int32_t i = 0; i < n; i++) vec_push(r->a, &regs, w);
    }
    k.ptr = ptr.at;
    k.nptr = (int32_t)ptr.len;
    k.reg_width = regs.at;
    k.nreg = (int32_t)regs.len;
    k.body = list(r);
    vec_push(r->a, &r->m->kernels, k);
}

static const LpArg *args(Reader *r, const char *how, int32_t n) {
    if (!is(r, how)) return NULL;
    LpArg *a = ARENA_ARRAY(r->a, LpArg, n);
    for (int32_t i = 0; i < n; i++) {
        need(r, how);
        a[i].floats = whole(r);
        a[i].batched = take(r, "batched");
    }
    return a;
}

static void entry(Reader *r) {
    LpEntry e = {.name = name_of(r->cx, text(r))};
    need(r, "kind"), e.kind = small(r, 1000);
    need(r, "stage"), e.stage = small(r, 1000000);
    need(r, "nin"), e.nin = small(r, 1000000);
    need(r, "nout"), e.nout = small(r, 1000000);
    need(r, "vars"), e.nvar = small(r, 1000000);
    need(r, "fixed"), e.fixed_floats = whole(r);
    need(r, "batch"), e.batch_floats = whole(r);
    need(r, "lane"), e.lane_floats = whole(r);
    need(r, "prepared"), e.prepared_floats = whole(r);
    need(r, "thread"), e.thread_bytes = whole(r);
    e.in = args(r, "in", e.nin);
    e.out = args(r, "out", e.nout);
    e.body = list(r);
    vec_push(r->a, &r->m->entries, e);
}

static void module(Reader *r) {
    need(r, "blocks");
    r->m->param_floats = whole(r);
    r->m->state_floats = whole(r);
    r->m->tunables = whole(r);
    while (r->len) {
        bool is_int = is(r, "table");
        if (take(r, "table") || take(r, "ftable")) {
            LpTable t = table(r, is_int);
            vec_push(r->a, &r->m->tables, t);
        } else if (take(r, "kernel")) kernel(r);
        else if (take(r, "entry")) entry(r);
        else expected(r, "expected a table, a kernel or an entry");
    }
    const char *why;
    if (!loop_check(r->a, r->m, &why)) expected(r, "%s", why);
}

LpModule *loop_read(Cx *cx, Arena *a, uint32_t file) {
    Reader *r = ARENA_NEW(a, Reader);
    *r = (Reader){.cx = cx, .a = a, .file = file, .line = 1, .at = cx->sources.at[file].text};
    r->line_start = r->at;
    r->m = ARENA_NEW(a, LpModule);
    r->m->arena = a;
    if (setjmp(r->leave)) return NULL;
    step(r);
    module(r);
    return r->m;
}
