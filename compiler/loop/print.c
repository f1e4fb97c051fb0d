/* Prints loop nests. A node that a statement reaches more than once is named first: t0 = ... */
#include "base/trouble.h"
#include "loop/lxmap.h"
#include "loop/words.h"
#include <inttypes.h>
#include <math.h>

typedef struct Printer {
    Arena *a;
    FILE *out;
    LxMap uses; /* value: 1 once, 2 more often, 3 + n: printed as t<n> */
    int64_t lets;
    int depth;
} Printer;

static void indent(Printer *p) { fprintf(p->out, "%*s", 4 * p->depth, ""); }

static const char *word_of(const Lx *x) {
    if (x->kind == LX_NOISE) return x->f != 0 ? "normal" : "noise";
    if (x->kind == LX_LOAD) return x->f != 0 ? "aligned" : "load";
    for (int i = 0; i < LOOP_WORDS; i++)
        if (loop_words[i].kind == x->kind) return loop_words[i].name;
    return NULL;
}

static const char *sign_of(const Lx *x) {
    for (int i = 0; i < LOOP_SIGNS; i++)
        if (loop_signs[i].kind == x->kind) return loop_signs[i].sign;
    return NULL;
}

static bool leaf(const Lx *x) {
    return x->kind == LX_INT || x->kind == LX_VAR || x->kind == LX_FLOAT || x->kind == LX_LANES || x->kind == LX_THREAD || (x->kind == LX_REG && !x->a);
}

/* ---- names for what is shared ---- */
static void count(Printer *p, const Lx *x) {
    if (!x || leaf(x)) return;
    LxCell *c = lx_map_cell(p->a, &p->uses, x);
    bool again = c->turn == p->uses.turn;
    c->turn = p->uses.turn;
    c->value = (void *)(uintptr_t)(again ? 2 : 1);
    if (again) return;
    count(p, x->a);
    count(p, x->b);
    count(p, x->c);
    for (int i = 0; i < lx_list_len(x); i++) count(p, x->list[i]);
}

static void print_x(Printer *p, const Lx *x);
static void print_node(Printer *p, const Lx *x);

static void let(Printer *p, const Lx *x) { /* innermost first */
    if (!x || leaf(x)) return;
    uintptr_t how = (uintptr_t)lx_map_cell(p->a, &p->uses, x)->value;
    if (how > 2) return;
    let(p, x->a);
    let(p, x->b);
    let(p, x->c);
    for (int i = 0; i < lx_list_len(x); i++) let(p, x->list[i]);
    if (how != 2) return;
    indent(p);
    fprintf(p->out, "t%" PRId64 " = ", p->lets);
    print_node(p, x);
    fputs("\n", p->out);
    lx_map_cell(p->a, &p->uses, x)->value = (void *)(uintptr_t)(3 + p->lets++);
}

/* ---- expressions ---- */
static void print_float(FILE *out, double f, int width) {
    if (isnan(f)) fprintf(out, "nan:%d", width);
    else if (isinf(f)) fprintf(out, "%sinf:%d", f < 0 ? "-" : "", width);
    else fprintf(out, "%.9g:%d", f, width);
}

static void print_node(Printer *p, const Lx *x) {
    FILE *out = p->out;
    const char *sign = sign_of(x);
    if (x->kind == LX_INT) fprintf(out, "%" PRId64, x->i);
    else if (x->kind == LX_VAR) fprintf(out, "v%" PRId64, x->i);
    else if (x->kind == LX_THREAD) fputs("thread", out);
    else if (x->kind == LX_FLOAT) print_float(out, x->f, x->width);
    else if (x->kind == LX_LANES) fprintf(out, "lanes:%d", x->width);
    else if (x->kind == LX_REG && x->a) {
        fprintf(out, "r[%" PRId64 " + ", x->i);
        print_x(p, x->a);
        fprintf(out, "]:%d", x->width);
    } else if (x->kind == LX_REG) fprintf(out, "r%" PRId64 ":%d", x->i, x->width);
    else if (x->kind == LX_INOT) {
        fputs("!", out);
        print_x(p, x->a);
    } else if (sign) {
        fputs("(", out);
        print_x(p, x->a);
        fprintf(out, " %s ", sign);
        print_x(p, x->b);
        fputs(")", out);
    } else {
        const char *comma = "";
        bool wide = x->kind == LX_LOAD || x->kind == LX_GATHER || x->kind == LX_SPLAT || x->kind == LX_I2F || x->kind == LX_NOISE ||
                    x->kind == LX_PACK;
        fputs(word_of(x), out);
        if (wide) fprintf(out, ":%d", x->width);
        fputs("(", out);
        if (x->kind == LX_LOAD || x->kind == LX_GATHER || x->kind == LX_ITAB) fprintf(out, "p%" PRId64, x->i), comma = ", ";
        const Lx *args[] = {x->a, x->b, x->c};
        if (x->kind == LX_LANE) fprintf(out, "%" PRId64, x->i), comma = ", ";
        for (int i = 0; i < (x->list ? lx_list_len(x) : 3); i++) {
            const Lx *y = x->list ? x->list[i] : args[i];
            if (!y) continue;
            fputs(comma, out);
            print_x(p, y);
            comma = ", ";
        }
        fputs(")", out);
    }
}

static void print_x(Printer *p, const Lx *x) {
    uintptr_t how = leaf(x) ? 0 : (uintptr_t)lx_map_cell(p->a, &p->uses, x)->value;
    if (how > 2) fprintf(p->out, "t%d", (int)(how - 3));
    else print_node(p, x);
}

/* ---- statements ---- */

typedef struct Need { /* the expressions of a statement */
    const Lx *x[12];
    int32_t nptr, nint;
} Need;

static Need needs(const Ls *s, const LpModule *m) {
    Need n = {.x = {s->lo, s->hi, s->cond, s->index, s->value, s->count, s->stride, s->reg_at, s->grid, s->other}};
    if (s->mma) {
        n.x[10] = s->mma->a_at;
        n.x[11] = s->mma->b_at;
    }
    if (s->kind == LS_LAUNCH) {
        n.nptr = lp_launch_ptrs(&m->kernels.at[s->kernel]);
        n.nint = m->kernels.at[s->kernel].nint;
    } else if (s->ptrs) n.nptr = 1;
    return n;
}

static void name_shared(Printer *p, const Ls *s, const Need *n) {
    p->uses.turn++;
    p->lets = 0;
    for (int pass = 0; pass < 2; pass++) {
        void (*each)(Printer *, const Lx *) = pass ? let : count;
        for (size_t i = 0; i < sizeof n->x / sizeof *n->x; i++) each(p, n->x[i]);
        for (int32_t i = 0; i < n->nptr; i++) each(p, s->ptrs[i].plus);
        for (int32_t i = 0; i < n->nint; i++) each(p, s->ints[i]);
    }
}

static void print_lptr(Printer *p, const Lptr *t) {
    fputs(loop_spaces[t->space], p->out);
    if (t->space == SP_IN || t->space == SP_OUT || t->space == SP_TABLE || t->space == SP_FTABLE) fprintf(p->out, ".%d", (int)t->which);
    fprintf(p->out, "[%" PRId64, t->offset);
    if (t->plus) {
        fputs(", ", p->out);
        print_x(p, t->plus);
    }
    fputs("]", p->out);
}

static void print_args(Printer *p, const Lx *const *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!x[i]) continue;
        fputs(", ", p->out);
        print_x(p, x[i]);
    }
}

static void print_operand(Printer *p, int32_t ptr, const Lx *at, int64_t row, int64_t col, bool across) {
    fprintf(p->out, " p%d[", (int)ptr);
    print_x(p, at);
    fprintf(p->out, ", %" PRId64 ", %" PRId64 "]%s", row, col, across ? " across" : "");
}

static void print_mma(Printer *p, const Ls *s) {
    const LsMma *m = s->mma;
    fprintf(p->out, "mma %s%s r%d %d %d %d", m->group ? "group " : "", m->precision == LP_TF32 ? "tf32" : "bf16", (int)s->reg, (int)m->m, (int)m->n, (int)m->depth);
    print_operand(p, m->a, m->a_at, m->a_row, m->a_col, m->a_across);
    print_operand(p, m->b, m->b_at, m->b_row, m->b_col, m->b_across);
}

static void print_body(Printer *p, const Ls *s, const LpModule *m);

static void print_one(Printer *p, const Ls *s, const LpModule *m) {
    FILE *out = p->out;
    Need n = needs(s, m);
    name_shared(p, s, &n);
    indent(p);
    switch (s->kind) {
    case LS_FOR:
        fprintf(out, "for v%d = ", (int)s->var);
        print_x(p, s->lo);
        fputs(" .. ", out);
        print_x(p, s->hi);
        if (s->step->i != 1) fprintf(out, " step %" PRId64, s->step->i);
        if (s->unroll) fputs(" unroll", out);
        print_body(p, s->body, m);
        break;
    case LS_IF:
        fputs("if ", out);
        print_x(p, s->cond);
        print_body(p, s->body, m);
        if (!s->orelse) break;
        fputs(" else", out);
        print_body(p, s->orelse, m);
        break;
    case LS_SETVAR:
        fprintf(out, "v%d = ", (int)s->var);
        print_x(p, s->cond);
        break;
    case LS_LANES:
        fprintf(out, "lanes v%d alone v%d .. ", (int)s->var, (int)s->alone);
        print_x(p, s->hi);
        print_body(p, s->body, m);
        break;
    case LS_PREPARE:
        fputs("prepare", out);
        print_body(p, s->body, m);
        break;
    case LS_F2VAR:
        fprintf(out, "v%d = @", (int)s->var);
        print_lptr(p, s->ptrs);
        break;
    case LS_BREAK_IF:
        fputs("break if ", out);
        if (s->cond) print_x(p, s->cond);
        else {
            fputs("@", out);
            print_lptr(p, s->ptrs);
        }
        break;
    case LS_SET:
        if (s->reg_at) {
            fprintf(out, "r[%d + ", (int)s->reg);
            print_x(p, s->reg_at);
            fputs("]", out);
        } else fprintf(out, "r%d", (int)s->reg);
        fputs(" = ", out);
        print_x(p, s->value);
        break;
    case LS_STORE:
        fprintf(out, "%s(p%d", s->aligned ? "store aligned" : "store", (int)s->ptr);
        print_args(p, (const Lx *const[]){s->index, s->value, s->count}, 3);
        fputs(")", out);
        break;
    case LS_PREFETCH:
        fprintf(out, "prefetch%s(p%d", s->near ? " near" : "", (int)s->ptr);
        print_args(p, (const Lx *const[]){s->index}, 1);
        fputs(")", out);
        break;
    case LS_TILE_CLEAR: fprintf(out, "tile clear %d", (int)s->reg); break;
    case LS_TILE_DOT: fprintf(out, "tile dot %d %d %d", (int)s->reg, (int)s->tile_a, (int)s->tile_b); break;
    case LS_TILE_LOAD: case LS_TILE_STORE:
        fprintf(out, "tile %s %d (p%d", s->kind == LS_TILE_LOAD ? "load" : "store", (int)s->reg, (int)s->ptr);
        print_args(p, (const Lx *const[]){s->index, s->stride}, 2);
        fputs(")", out);
        break;
    case LS_STORE_PAIRS:
        fprintf(out, "pairs(p%d", (int)s->ptr);
        print_args(p, (const Lx *const[]){s->index, s->value, s->other}, 3);
        fputs(")", out);
        break;
    case LS_STORE_STRIDED:
        fprintf(out, "scatter(p%d", (int)s->ptr);
        print_args(p, (const Lx *const[]){s->index, s->stride, s->value, s->count}, 4);
        fputs(")", out);
        break;
    case LS_LAUNCH:
        fprintf(out, "launch %d (", (int)s->kernel);
        print_x(p, s->grid);
        for (int32_t i = 0; i < n.nptr; i++) {
            fputs(i ? ", " : "; ", out);
            print_lptr(p, &s->ptrs[i]);
        }
        for (int32_t i = 0; i < n.nint; i++) {
            fputs(i ? ", " : "; ", out);
            print_x(p, s->ints[i]);
        }
        fprintf(out, ") # %s", m->kernels.at[s->kernel].name ? m->kernels.at[s->kernel].name : "");
        break;
    case LS_THREADS:
        fputs("threads", out);
        print_body(p, s->body, m);
        break;
    case LS_LAST:
        fputs("last", out);
        print_body(p, s->body, m);
        break;
    case LS_SYNC: fputs("sync", out); break;
    case LS_GROUP: fputs("group", out); break;
    case LS_WAIT: fprintf(out, "wait %" PRId64, s->cond->i); break;
    case LS_WARP: fprintf(out, "warp %s r%d", s->op == LX_ADD ? "add" : "max", (int)s->reg); break;
    case LS_COPY:
        fprintf(out, "copy(p%d", (int)s->ptr);
        print_args(p, (const Lx *const[]){s->index, s->value}, 2);
        fputs(")", out);
        break;
    case LS_MMA: print_mma(p, s); break;
    case LS_MMA_WAIT: fprintf(out, "mma wait %" PRId64, s->cond->i); break;
    case LS_KINDS: BUG("statement of kind %d", (int)s->kind);
    }
}

static void print_body(Printer *p, const Ls *s, const LpModule *m) {
    fputs(" {\n", p->out);
    p->depth++;
    for (; s; s = s->next) {
        print_one(p, s, m);
        fputs("\n", p->out);
    }
    p->depth--;
    indent(p);
    fputs("}", p->out);
}

/* ---- the module ---- */
static void print_text(FILE *out, const char *s) {
    fputs("\"", out);
    for (; s && *s; s++) {
        if (*s == '"' || *s == '\\') fputc('\\', out);
        fputc(*s == '\n' ? ' ' : *s, out);
    }
    fputs("\"", out);
}

static void print_kernel(Printer *p, const LpModule *m, size_t number) {
    const LpKernel *k = &m->kernels.at[number];
    FILE *out = p->out;
    fprintf(out, "# %d\nkernel ", (int)number);
    print_text(out, k->name);
    fprintf(out, " ints %d vars %d", (int)k->nint, (int)k->nvar);
    if (k->threads) fprintf(out, " threads %d", (int)k->threads);
    if (k->remark) {
        fputs(" remark ", out);
        print_text(out, k->remark);
    }
    if (k->where) {
        fputs(" at ", out);
        print_text(out, k->where);
    }
    fputs("\n", out);
    for (int32_t i = 0; i < k->nptr; i++) {
        const LpParam *q = &k->ptr[i];
        fprintf(out, "  ptr p%d ", (int)i);
        print_text(out, q->name);
        static const char *const elems[] = {[LP_F32] = "", [LP_BF16] = " bf16", [LP_I32] = " int", [LP_F19] = " tf32"};
        fputs(elems[q->elem], out);
        if (q->writes) fputs(" writes", out);
        if (q->thread || q->shared) fprintf(out, " %s %" PRId64, q->thread ? "thread" : "shared", q->bytes);
        if (q->extent) {
            Printer plain = {.a = p->a, .out = out, .uses.turn = 1};
            count(&plain, q->extent);
            fputs(" extent ", out);
            print_x(&plain, q->extent);
        }
        fputs("\n", out);
    }
    for (int32_t i = 0, j; i < k->nreg; i = j) {
        for (j = i; j < k->nreg && k->reg_width[j] == k->reg_width[i]; j++) continue;
        fprintf(out, "  regs %d : %d\n", (int)(j - i), (int)k->reg_width[i]);
    }
    print_body(p, k->body, m);
    fputs("\n\n", out);
}

static void print_entry(Printer *p, const LpModule *m, const LpEntry *e) {
    FILE *out = p->out;
    fputs("entry ", out);
    print_text(out, e->name);
    fprintf(out, " kind %d stage %d nin %d nout %d vars %d", (int)e->kind, (int)e->stage, (int)e->nin, (int)e->nout, (int)e->nvar);
    fprintf(out, " fixed %" PRId64 " batch %" PRId64 " lane %" PRId64 " prepared %" PRId64 " thread %" PRId64 "\n", e->fixed_floats, e->batch_floats, e->lane_floats,
            e->prepared_floats, e->thread_bytes);
    for (int32_t i = 0; e->in && i < e->nin; i++)
        fprintf(out, "  in %" PRId64 "%s\n", e->in[i].floats, e->in[i].batched ? " batched" : "");
    for (int32_t i = 0; e->out && i < e->nout; i++)
        fprintf(out, "  out %" PRId64 "%s\n", e->out[i].floats, e->out[i].batched ? " batched" : "");
    print_body(p, e->body, m);
    fputs("\n\n", out);
}

static void print_table(FILE *out, const LpTable *t, size_t number) {
    fprintf(out, "# %d\n%s %" PRId64 " {", (int)number, t->is_int ? "table" : "ftable", t->len);
    for (int64_t i = 0; i < t->len; i++) {
        fputs(i % 16 ? " " : "\n    ", out);
        if (t->is_int) fprintf(out, "%d", (int)t->i[i]);
        else print_float(out, t->f[i], 1);
    }
    fputs("\n}\n\n", out);
}

void loop_print(const LpModule *m, FILE *out) {
    Printer p = {.a = arena_new(), .out = out, .uses.turn = 1};
    fprintf(out, "blocks %" PRId64 " %" PRId64 " %" PRId64 " # parameters, state, tunables\n\n", m->param_floats, m->state_floats, m->tunables);
    for (size_t i = 0; i < m->tables.len; i++) print_table(out, &m->tables.at[i], i);
    for (size_t i = 0; i < m->kernels.len; i++) print_kernel(&p, m, i);
    for (size_t i = 0; i < m->entries.len; i++) print_entry(&p, m, &m->entries.at[i]);
    arena_free(p.a);
}
