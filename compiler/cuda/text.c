/* Writes block kernels as text. Registers are names; loops that number them are written out. */
#include "cuda/text.h"
#include "base/trouble.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE_GROUPS = 80 }; /* numbers that each thread of a kernel of groups of warps has in registers: from here on it may take more of them */

#define F(...) arena_printf(t->a, __VA_ARGS__)

static void line(Text *t, const char *s) { fprintf(t->out, "%*s%s\n", 4 * t->depth, "", s); }

/* ---- a statement and the names it needs ---- */
static void begin(Text *t) {
    t->uses.turn++;
    t->memo.turn++;
    t->lets.len = 0;
    t->names = 0;
}

/* True: a brace was opened for the names. */
static bool open_lets(Text *t) {
    if (!t->lets.len) return false;
    line(t, "{");
    t->depth++;
    for (size_t i = 0; i < t->lets.len; i++) line(t, t->lets.at[i]);
    return true;
}

static void close_lets(Text *t, bool opened) {
    if (!opened) return;
    t->depth--;
    line(t, "}");
}

static void simple(Text *t, const char *s) { /* a statement of one line */
    bool opened = open_lets(t);
    line(t, s);
    close_lets(t, opened);
}

static void write_list(Text *t, const Ls *s);
static void write_for(Text *t, const Ls *s, const char *how);

static void write_body(Text *t, const Ls *s) {
    t->depth++;
    write_list(t, s);
    t->depth--;
}

/* ---- loops and branches ---- */
static bool reaches(Text *t, const Lx *x, int32_t var, bool registers) { /* is var in x, or in the number of a register there? */
    if (!x) return false;
    if (x->kind == LX_VAR) return !registers && x->i == var;
    if (x->kind == LX_REG) return reaches(t, x->a, var, false);
    LxCell *c = lx_map_cell(t->a, &t->memo, x);
    if (c->turn == t->memo.turn) return false; /* looked at */
    c->turn = t->memo.turn;
    if (reaches(t, x->a, var, registers) || reaches(t, x->b, var, registers) || reaches(t, x->c, var, registers)) return true;
    for (int i = 0; i < lx_list_len(x); i++)
        if (reaches(t, x->list[i], var, registers)) return true;
    return false;
}

static bool mentions(Text *t, const Lx *x, int32_t var, bool registers) {
    t->memo.turn++;
    return reaches(t, x, var, registers);
}

/* Must the body be written for each value of var: where it numbers registers, bounds an unrolled loop, or stands by a break of a loop around? */
static bool must_write_out(Text *t, const Ls *s, int32_t var, bool in_loop) {
    for (; s; s = s->next) {
        bool bounds = s->kind == LS_FOR && s->unroll && (mentions(t, s->lo, var, false) || mentions(t, s->hi, var, false));
        const Lx *x[] = {s->lo, s->hi, s->cond, s->index, s->value, s->count, s->stride};
        if (bounds || mentions(t, s->reg_at, var, false) || (s->kind == LS_BREAK_IF && !in_loop)) return true;
        for (size_t i = 0; i < sizeof x / sizeof *x; i++)
            if (mentions(t, x[i], var, true)) return true;
        bool loop = in_loop || (s->kind == LS_FOR && !s->unroll);
        if (must_write_out(t, s->body, var, loop) || must_write_out(t, s->orelse, var, loop)) return true;
    }
    return false;
}

/* NVRTC would unroll a loop of a dozen steps of a product, keep all their addresses, and spill. */
static bool holds_threads(const Ls *s) {
    for (; s; s = s->next)
        if (s->kind == LS_THREADS || holds_threads(s->body) || holds_threads(s->orelse)) return true;
    return false;
}

static void write_unrolled(Text *t, const Ls *s) {
    int64_t lo, hi;
    if (!must_write_out(t, s->body, s->var, false)) {
        write_for(t, s, "CSC_UNROLL");
        return;
    }
    MUST(loop_fold(s->lo, &t->known, &lo) && loop_fold(s->hi, &t->known, &hi));
    for (int64_t i = lo; i < hi; i += s->step->i) {
        t->known.known[s->var] = true;
        t->known.value[s->var] = i;
        write_list(t, s->body);
    }
    t->known.known[s->var] = false;
}

static bool holds_groups(const Ls *s) {
    for (; s; s = s->next)
        if ((s->mma && s->mma->group) || holds_groups(s->body) || holds_groups(s->orelse)) return true;
    return false;
}

/* how: CSC_UNROLL, CSC_ROLLED, or NULL: the compiler may choose. */
static void write_for(Text *t, const Ls *s, const char *how) {
    int64_t v, step = s->step->i;
    begin(t);
    text_count(t, s->lo);
    text_count(t, s->hi);
    Range r = range_of(t, s->hi);
    Int lo = text_int(t, s->lo);
    const char *hi = loop_fold(s->hi, &t->known, &v) ? text_int(t, s->hi).s : text_index(t, s->hi);
    bool narrow = range_narrow(t->var[s->var]) && r.hi <= INT32_MAX - step;
    bool opened = open_lets(t);
    if (how) line(t, how);
    line(t, F("for (%s v%d = %s; v%d < %s; v%d += %" PRId64 ") {", narrow ? "int" : t->var[s->var].wild ? "i64" : "csc_int", (int)s->var, lo.s, (int)s->var, hi, (int)s->var, step));
    write_body(t, s->body);
    line(t, "}");
    close_lets(t, opened);
}

static void write_if(Text *t, const Ls *s) {
    int64_t v;
    if (loop_fold(s->cond, &t->known, &v)) {
        write_list(t, v ? s->body : s->orelse);
        return;
    }
    begin(t);
    text_count(t, s->cond);
    const char *cond = text_int(t, s->cond).s;
    bool opened = open_lets(t);
    line(t, F("if (%s) {", cond));
    write_body(t, s->body);
    if (s->orelse) {
        line(t, "} else {");
        write_body(t, s->orelse);
    }
    line(t, "}");
    close_lets(t, opened);
}

/* ---- statements of threads ---- */
static void write_set(Text *t, const Ls *s) {
    int64_t at = 0;
    MUST(!s->reg_at || loop_fold(s->reg_at, &t->known, &at));
    begin(t);
    text_count(t, s->value);
    int n = s->value->width, r = (int)(s->reg + at);
    const char *v[LOOP_MAX_WIDTH];
    for (int i = 0; i < n; i++) v[i] = text_float(t, s->value, i);
    if (n > 1) /* a lane may need the old value of another */
        for (int i = 0; i < n; i++) v[i] = text_let(t, "float", v[i]);
    bool opened = open_lets(t);
    if (n == 1) line(t, F("CSC_R(r%d) = %s;", r, v[0]));
    for (int i = 0; i < n && n > 1; i++) line(t, F("CSC_R(r%d_%d) = %s;", r, i, v[i]));
    close_lets(t, opened);
}

static void write_store(Text *t, const Ls *s) {
    begin(t);
    text_count(t, s->index);
    text_count(t, s->stride);
    text_count(t, s->count);
    text_count(t, s->value);
    int n = s->value->width;
    bool strided = s->kind == LS_STORE_STRIDED && n > 1;
    static const char *const kinds[] = {[LP_BF16] = "_bf16", [LP_F19] = "_tf32"}, *const rounded[] = {[LP_BF16] = "csc_short", [LP_F19] = "csc_cut"};
    LpElem elem = t->k->ptr[s->ptr].elem;
    bool rounds = elem == LP_BF16 || elem == LP_F19;
    const char *p = text_pointer(t, s->ptr), *v[LOOP_MAX_WIDTH];
    const char *at = n > 1 ? text_index(t, s->index) : text_int(t, s->index).s;
    const char *count = !s->count ? NULL : text_index(t, s->count), *stride = strided ? text_index(t, s->stride) : NULL;
    for (int i = 0; i < n; i++) v[i] = text_float(t, s->value, i);
    if (s->aligned && n > 1) {
        const char *all = v[0];
        for (int i = 1; i < n; i++) all = F("%s, %s", all, v[i]);
        simple(t, F("csc_store%d%s(%s + %s, %s);", n, rounds ? kinds[elem] : "", p, at, all));
        return;
    }
    if (n > 1) /* all is read before anything is written */
        for (int i = 0; i < n; i++) v[i] = text_let(t, "float", v[i]);
    bool opened = open_lets(t);
    for (int i = 0; i < n; i++) {
        const char *where = !i ? at : strided ? F("%s + %d * (i64)%s", at, i, stride) : F("%s + %d", at, i);
        const char *test = count ? F("if (%d < %s) ", i, count) : "";
        line(t, rounds ? F("%s%s[%s] = %s(%s);", test, p, where, rounded[elem], v[i]) : F("%s%s[%s] = %s;", test, p, where, v[i]));
    }
    close_lets(t, opened);
}

static void write_copy(Text *t, const Ls *s) {
    const Lx *x = s->value;
    begin(t);
    text_count(t, s->index);
    text_count(t, x->a);
    text_count(t, x->b);
    int size = lp_elem_bytes(t->k->ptr[s->ptr].elem), bytes = size * x->width;
    const char *to = text_int(t, s->index).s, *from = text_int(t, x->a).s, *n = F("%d", bytes);
    if (x->b) { /* where nothing exists, no address is made */
        Int c = text_int(t, x->b);
        const char *all = text_let(t, "int", range_narrow(c.r) ? F("csc_max_i(0, csc_min_i(%d, %s))", (int)x->width, c.s)
                                                                : F("(int)csc_max_l(0, csc_min_l(%d, (i64)%s))", (int)x->width, c.s));
        n = F("%d * %s", size, all);
        from = F("(%s ? %s : 0)", all, from);
    }
    simple(t, F("csc_copy%d(%s + %s, %s + %s, %s);", bytes, text_pointer(t, s->ptr), to, text_pointer(t, x->i), from, n));
}

/* ---- regions ---- */
static void declare(Text *t, const Ls *s, bool *done) { /* the variables that statements set */
    for (; s; s = s->next) {
        if (s->kind == LS_SETVAR && !done[s->var]) {
            done[s->var] = true;
            line(t, F("%s v%d = 0;", range_type(t->var[s->var]), (int)s->var));
        }
        if (s->kind == LS_THREADS) continue;
        declare(t, s->body, done);
        declare(t, s->orelse, done);
    }
}

/* What nothing has set here is 0. */
static void find_set(const Ls *s, bool *set, bool regions) {
    for (; s; s = s->next) {
        if (s->kind == LS_SETVAR || s->kind == LS_FOR) set[s->var] = true;
        if (s->kind == LS_THREADS && !regions) continue;
        find_set(s->body, set, regions);
        find_set(s->orelse, set, regions);
    }
}

static void write_threads(Text *t, const Ls *s) {
    const LpKernel *k = t->k;
    bool *set = ARENA_ARRAY(t->a, bool, k->nvar), *block = ARENA_ARRAY(t->a, bool, k->nvar), *was = arena_copy(t->a, t->known.known, (size_t)k->nvar);
    find_set(s->body, set, true);
    find_set(k->body, block, false);
    for (int32_t i = k->nint + 2; i < k->nvar; i++)
        if (!set[i] && !block[i]) t->known.known[i] = true, t->known.value[i] = 0;
    line(t, F("CSC_THREADS(%d) {", (int)k->threads));
    t->depth++;
    declare(t, s->body, ARENA_ARRAY(t->a, bool, k->nvar));
    write_list(t, s->body);
    t->depth--;
    line(t, "}");
    t->known.known = was;
}

/* ---- matrix units ---- */
static void write_tiles(Text *t, const LsMma *m, int64_t d, bool b) {
    static const char *const kinds[] = {"tf32", "f32", "bf16", "bf16_2", "bf16_8", "bf16_t"};
    int32_t ptr = b ? m->b : m->a, n = b ? m->n : m->m;
    int64_t row = b ? m->b_row : m->a_row, col = b ? m->b_col : m->a_col;
    int64_t along = b ? row : col, across = b ? col : row; /* along the sum: its step */
    Int at = text_int(t, b ? m->b_at : m->a_at);
    int kind = m->precision == LP_TF32 ? 0 : t->k->ptr[ptr].elem == LP_F32 ? 1 : 2;
    if (kind == 2 && along == 1 && across % 2 == 0 && at.r.mul % 2 == 0) kind = across % 8 == 0 && at.r.mul % 8 == 0 ? 4 : 3;
    if (kind == 2 && across == 1 && along % 8 == 0 && at.r.mul % 8 == 0) kind = 5;
    for (int32_t i = 0; i < n; i++) {
        int64_t plus = d * along + i * across * (b ? 8 : 16);
        line(t, F("const csc_%c_tile %c%d = csc_%c_%s(p%d + %s + %" PRId64 ", %" PRId64 ", %" PRId64 ");", "ab"[b], "ab"[b], (int)i, "ab"[b], kinds[kind],
                  (int)ptr, at.s, plus, row, col));
    }
}

/* The places of both operands, named; the brace of the statement is open. */
static void open_product(Text *t, const LsMma *m, const char *collective, int together) {
    line(t, F("%s(%d) {", collective, (int)t->k->threads));
    t->depth++;
    begin(t);
    t->together = together;
    for (int i = 0; i < 2; i++) { /* twice: they are named */
        text_count(t, m->a_at);
        text_count(t, m->b_at);
    }
    text_int(t, m->a_at);
    text_int(t, m->b_at);
    for (size_t i = 0; i < t->lets.len; i++) line(t, t->lets.at[i]);
}

static const char *in_list(Text *t, int32_t reg) { /* 32 registers as one argument */
    const char *all = F("(r%d", (int)reg);
    for (int i = 1; i < 32; i++) all = F("%s, r%d", all, (int)reg + i);
    return F("%s)", all);
}

static void hold(Text *t) {
    for (int32_t i = 0; i < t->accs; i += 32) line(t, F("CSC_WGMMA_HOLD%s", in_list(t, t->acc + i)));
}

static void write_group_mma(Text *t, const Ls *s) {
    const LsMma *m = s->mma;
    bool tf32 = m->precision == LP_TF32;
    int bytes = tf32 ? 4 : 2;
    int64_t each = tf32 ? 8 : 16;
    t->acc = s->reg, t->accs = 4 * m->m * m->n;
    open_product(t, m, "CSC_GROUPS", 128);
    line(t, F("const csc_cores a = CSC_CORES(p%d, %s, %d, %d), b = CSC_CORES(p%d, %s, %d, %d);", (int)m->a, text_int(t, m->a_at).s, (int)m->a_col * bytes,
              (int)m->a_row * bytes, (int)m->b, text_int(t, m->b_at).s, (int)m->b_row * bytes, (int)m->b_col * bytes));
    hold(t); /* what sets them before is done before */
    line(t, "CSC_WGMMA_BEGIN();");
    for (int64_t d = 0; d < m->depth; d += each)
        for (int32_t i = 0; i < m->m; i++) { /* 64 rows; two core matrices along the sum */
            int64_t a = (8 * i * m->a_row + d / each * 2 * m->a_col) * bytes, b = d / each * 2 * m->b_row * bytes;
            const char *regs = in_list(t, s->reg + 4 * i * m->n);
            if (m->n == 16) regs = F("%s, %s", regs, in_list(t, s->reg + 4 * i * m->n + 32));
            const char *turned = tf32 ? "" : F("%d, %d, ", m->a_across, m->b_across);
            line(t, F("CSC_WGMMA_%s_%d(%sa + %d, b + %d, p%d, p%d, %s)", tf32 ? "TF32" : "BF16", 8 * (int)m->n, turned, (int)(a / 16), (int)(b / 16), (int)m->a, (int)m->b, regs));
        }
    line(t, "CSC_WGMMA_END();");
    t->together = 0;
    t->depth--;
    line(t, "}");
}

static void write_mma_wait(Text *t, int under_way) {
    line(t, F("CSC_WGMMA_WAIT(%d);", under_way));
    if (!under_way) hold(t);
}

static void write_mma(Text *t, const Ls *s) {
    const LsMma *m = s->mma;
    int64_t each = m->precision == LP_TF32 ? 8 : 16;
    open_product(t, m, "CSC_WARPS", 32);
    for (int64_t d = 0; d < m->depth; d += each) {
        line(t, "{");
        t->depth++;
        write_tiles(t, m, d, false);
        write_tiles(t, m, d, true);
        for (int32_t i = 0; i < m->m; i++)
            for (int32_t j = 0; j < m->n; j++) {
                int r = s->reg + 4 * (i * m->n + j);
                line(t, F("CSC_MMA_%s(r%d, r%d, r%d, r%d, a%d, b%d)", each == 8 ? "TF32" : "BF16", r, r + 1, r + 2, r + 3, (int)i, (int)j));
            }
        t->depth--;
        line(t, "}");
    }
    t->together = 0;
    t->depth--;
    line(t, "}");
}

/* ---- lists ---- */
static const char *arrived(Text *t) { return F("%s_arrived", t->name); } /* how many blocks of the launch */

static void write_one(Text *t, const Ls *s) {
    switch (s->kind) {
    case LS_FOR:
        if (s->unroll) write_unrolled(t, s);
        else write_for(t, s, holds_threads(s->body) ? "CSC_ROLLED" : NULL);
        return;
    case LS_IF: write_if(t, s); return;
    case LS_SETVAR:
        begin(t);
        text_count(t, s->cond);
        simple(t, F("v%d = %s;", (int)s->var, text_int(t, s->cond).s));
        return;
    case LS_BREAK_IF:
        begin(t);
        text_count(t, s->cond);
        simple(t, F("if (%s) break;", text_int(t, s->cond).s));
        return;
    case LS_SET: write_set(t, s); return;
    case LS_STORE: case LS_STORE_STRIDED: write_store(t, s); return;
    case LS_THREADS: write_threads(t, s); return;
    case LS_LAST:
        line(t, F("if (CSC_LAST(%s)) {", arrived(t)));
        t->depth++;
        write_list(t, s->body);
        t->depth--;
        line(t, "}");
        return;
    case LS_SYNC: line(t, t->groups ? "CSC_WGMMA_SYNC();" : "CSC_SYNC();"); return;
    case LS_MMA:
        if (s->mma->group) write_group_mma(t, s);
        else write_mma(t, s);
        return;
    case LS_MMA_WAIT: write_mma_wait(t, (int)s->cond->i); return;
    case LS_WARP: line(t, F("CSC_WARP_%s(%d, r%d)", s->op == LX_ADD ? "ADD" : "MAX", (int)t->k->threads, (int)s->reg)); return;
    case LS_COPY: write_copy(t, s); return;
    case LS_GROUP: line(t, "CSC_GROUP();"); return;
    case LS_WAIT: line(t, F("CSC_WAIT(%d);", (int)s->cond->i)); return;
    case LS_LAUNCH: case LS_F2VAR: case LS_LANES: case LS_PREPARE: case LS_PREFETCH: case LS_TILE_CLEAR: case LS_TILE_LOAD: case LS_TILE_DOT: case LS_TILE_STORE:
    case LS_STORE_PAIRS: case LS_KINDS: break;
    }
    BUG("statement of kind %d in a kernel", (int)s->kind);
}

static void write_list(Text *t, const Ls *s) {
    for (; s; s = s->next) write_one(t, s);
}

/* ---- the kernel ---- */
static const char *type_of(const LpParam *p) { return p->elem == LP_I32 ? "int" : p->elem == LP_BF16 ? "csc_bf16" : "float"; }
static const char *constness(const LpParam *p) { return p->writes ? "" : "const "; }

static void write_head(Text *t, const char *name) {
    const LpKernel *k = t->k;
    int32_t nptr = lp_launch_ptrs(k);
    const char *args = F("CSC_HEAD const i64 grid, const i64 v%d", (int)lp_batch_var(k));
    for (int32_t i = 0; i < nptr; i++) args = F("%s, %s%s *p%d", args, constness(&k->ptr[i]), type_of(&k->ptr[i]), (int)i);
    for (int32_t i = 0; i < k->nint; i++) args = F("%s, const i64 v%d", args, (int)i);
    if (k->remark) {
        char *remark = arena_strndup(t->a, k->remark, strlen(k->remark));
        for (char *c = remark; *c; c++)
            if (*c == '*' || *c == '\n' || *c == '\\' || *c == '?') *c = ' ';
        line(t, F("/* %s */", remark));
    }
    const Ls *end = k->body;
    while (end && end->next) end = end->next;
    if (end && end->kind == LS_LAST) line(t, F("CSC_ARRIVED(%s)", arrived(t)));
    int32_t numbers = 0;
    for (int32_t i = 0; i < k->nreg; i++) numbers += k->reg_width[i];
    line(t, F("CSC_KERNEL%s(%d) %s(%s) {", !t->groups ? "" : numbers > LARGE_GROUPS ? "_OF_LARGE_GROUPS" : "_OF_GROUPS", (int)k->threads, name, args));
}

static void write_memory(Text *t) {
    const LpKernel *k = t->k;
    int64_t at = 0;
    if (lp_shared_bytes(k)) line(t, "CSC_SHARED_MEMORY");
    for (int32_t i = 0; i < k->nptr; i++) {
        const LpParam *p = &k->ptr[i];
        int64_t n = p->bytes / lp_elem_bytes(p->elem);
        if (p->shared) {
            line(t, F("CSC_SHARED(%s, p%d, %" PRId64 ", %" PRId64 ")", type_of(p), (int)i, at, n));
            at += (p->bytes + 127) / 128 * 128;
        } else if (p->thread) line(t, F("CSC_SCRATCH(%s, p%d, %" PRId64 ", %d)", type_of(p), (int)i, n, (int)k->threads));
    }
    line(t, "CSC_REGS");
    t->depth++;
    for (int32_t i = 0; i < k->nreg; i++)
        for (int l = 0; l < k->reg_width[i]; l++)
            line(t, k->reg_width[i] > 1 ? F("CSC_REG(r%d_%d)", (int)i, l) : F("CSC_REG(r%d)", (int)i));
    t->depth--;
    line(t, F("CSC_REGS_END(%d)", (int)k->threads));
}

static void write_host(Text *t, const char *name) { /* how the host starts a block */
    const LpKernel *k = t->k;
    int32_t nptr = lp_launch_ptrs(k), at = 0;
    const char *args = "block, CSC_ARG(i64, 0), CSC_ARG(i64, 1)";
    for (at = 2; at < 2 + nptr; at++) args = F("%s, CSC_ARG(%s *, %d)", args, type_of(&k->ptr[at - 2]), (int)at);
    for (int32_t i = 0; i < k->nint; i++, at++) args = F("%s, CSC_ARG(i64, %d)", args, (int)at);
    line(t, "#ifdef CSC_HOST");
    line(t, F("void %s_host(void **args, i64 block);", name));
    line(t, F("void %s_host(void **args, i64 block) { %s(%s); }", name, name, args));
    line(t, "#endif");
}

const char *cuda_text(Arena *a, const LpKernel *k, const char *name) {
    MUST(k->threads > 0);
    char *s = NULL;
    size_t n = 0;
    Text *t = &(Text){.a = arena_new(), .k = k, .name = name, .uses.turn = 1, .memo.turn = 1};
    t->out = open_memstream(&s, &n);
    MUST(t->out);
    t->groups = holds_groups(k->body);
    t->known.known = ARENA_ARRAY(t->a, bool, k->nvar);
    t->known.value = ARENA_ARRAY(t->a, int64_t, k->nvar);
    range_vars(t);
    bool *set = ARENA_ARRAY(t->a, bool, k->nvar);
    find_set(k->body, set, true);
    for (int32_t i = k->nint + 2; i < k->nvar; i++) t->known.known[i] = !set[i];
    write_head(t, name);
    t->depth++;
    line(t, F("const int v%d = CSC_BLOCK;", (int)lp_grid_var(k)));
    line(t, F("(void)grid, (void)v%d, (void)v%d;", (int)lp_grid_var(k), (int)lp_batch_var(k)));
    write_memory(t);
    declare(t, k->body, ARENA_ARRAY(t->a, bool, k->nvar));
    write_list(t, k->body);
    t->depth--;
    line(t, "}");
    write_host(t, name);
    fclose(t->out);
    arena_free(t->a);
    const char *text = arena_strndup(a, s, n);
    free(s);
    return text;
}
