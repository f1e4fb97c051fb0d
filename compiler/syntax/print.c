/* The tree as text again: reading the print gives the same tree. */
#include "syntax/ast.h"
#include <stdlib.h>
#include <string.h>

typedef struct Printer {
    FILE *out;
    int indent;
} Printer;

/* How tightly an expression binds; a part that binds less than its place asks for stands in brackets. */
enum { AT_WHERE, AT_COND, AT_RANGE, AT_OR, AT_AND, AT_COMPARE, AT_ADD, AT_MUL, AT_UNARY, AT_POW, AT_POST };

static int bin_level(BinOp op) {
    switch (op) {
    case BIN_ADD:
    case BIN_SUB:
        return AT_ADD;
    case BIN_MUL:
    case BIN_DIV:
    case BIN_IDIV:
    case BIN_MOD:
        return AT_MUL;
    case BIN_POW:
        return AT_POW;
    case BIN_EQ:
    case BIN_NE:
    case BIN_LT:
    case BIN_GT:
    case BIN_LE:
    case BIN_GE:
        return AT_COMPARE;
    case BIN_AND:
        return AT_AND;
    case BIN_OR:
        return AT_OR;
    }
    return AT_POST;
}

static int level_of(const Expr *e) {
    switch (e->kind) {
    case EX_WHERE:
        return AT_WHERE;
    case EX_COND:
        return AT_COND;
    case EX_RANGE:
        return AT_RANGE;
    case EX_BINARY:
        return bin_level(e->bin);
    case EX_UNARY:
        return AT_UNARY;
    case EX_NAME:
    case EX_INT:
    case EX_REAL:
    case EX_STRING:
    case EX_CALL:
    case EX_INDEX:
    case EX_FIELD:
    case EX_ADJOINT:
    case EX_LIST:
    case EX_EACH:
    case EX_BLOCKS:
        return AT_POST;
    }
    return AT_POST;
}

static void print_stmt(Printer *p, const Stmt *s);
static void print_expr(Printer *p, const Expr *e, int least);

static void put(Printer *p, const char *s) { fputs(s, p->out); }

static void print_real(Printer *p, double v) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    put(p, text);
    if (!strpbrk(text, ".e")) put(p, ".0");
}

static void print_string(Printer *p, const char *s) {
    fputc('"', p->out);
    for (; *s; s++) {
        if (*s == '\n')
            put(p, "\\n");
        else if (*s == '\t')
            put(p, "\\t");
        else {
            if (*s == '"' || *s == '\\') fputc('\\', p->out);
            fputc(*s, p->out);
        }
    }
    fputc('"', p->out);
}

static void print_list(Printer *p, Expr *const *e, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (i) put(p, ", ");
        print_expr(p, e[i], AT_WHERE);
    }
}

static void print_each(Printer *p, const Expr *e) {
    print_expr(p, e->a, AT_WHERE);
    fprintf(p->out, " for %s in ", e->name);
    print_expr(p, e->b, AT_COND);
}

static void print_args(Printer *p, const Arg *a, uint32_t n) {
    put(p, "(");
    if (n == 1 && !a->label && a->value->kind == EX_EACH)
        print_each(p, a->value);
    else
        for (uint32_t i = 0; i < n; i++) {
            if (i) put(p, ", ");
            if (a[i].label) fprintf(p->out, "%s: ", a[i].label);
            print_expr(p, a[i].value, AT_WHERE);
        }
    put(p, ")");
}

static void print_inner(Printer *p, const Expr *e) {
    switch (e->kind) {
    case EX_NAME:
        put(p, e->name);
        break;
    case EX_INT:
        fprintf(p->out, "%lld", (long long)e->integer);
        break;
    case EX_REAL:
        print_real(p, e->real);
        break;
    case EX_STRING:
        print_string(p, e->name);
        break;
    case EX_UNARY:
        put(p, e->un == UN_NEG ? "-" : "!");
        print_expr(p, e->a, AT_UNARY);
        break;
    case EX_BINARY: {
        int at =
            bin_level(e->bin); /* ^ groups to the right, comparisons do not group, the others to the left */
        print_expr(p, e->a, at == AT_POW || at == AT_COMPARE ? at + 1 : at);
        fprintf(p->out, e->bin == BIN_POW ? "%s" : " %s ", ast_bin_text(e->bin));
        print_expr(p, e->b, at == AT_POW ? at : at + 1);
        break;
    }
    case EX_COND:
        print_expr(p, e->a, AT_RANGE);
        put(p, " ? ");
        print_expr(p, e->b, AT_COND);
        put(p, " : ");
        print_expr(p, e->c, AT_COND);
        break;
    case EX_RANGE:
        print_expr(p, e->a, AT_OR);
        put(p, "..");
        print_expr(p, e->b, AT_OR);
        if (e->c) {
            put(p, " by ");
            print_expr(p, e->c, AT_OR);
        }
        break;
    case EX_CALL:
        print_expr(p, e->a, AT_POST);
        print_args(p, e->args, e->n);
        break;
    case EX_INDEX:
        print_expr(p, e->a, AT_POST);
        put(p, "[");
        print_list(p, e->items, e->n);
        put(p, "]");
        break;
    case EX_FIELD:
        print_expr(p, e->a, AT_POST);
        fprintf(p->out, ".%s", e->name);
        break;
    case EX_ADJOINT:
        print_expr(p, e->a, AT_POST);
        put(p, "'");
        break;
    case EX_LIST:
        put(p, "[");
        print_list(p, e->items, e->n);
        put(p, "]");
        break;
    case EX_EACH:
        put(p, "[");
        print_each(p, e);
        put(p, "]");
        break;
    case EX_BLOCKS: {
        uint32_t k = 0;
        put(p, "[");
        for (uint32_t i = 0; i < e->nrows; i++) {
            if (i) put(p, " ; ");
            for (uint32_t j = 0; j < e->row_len[i]; j++) {
                if (j) put(p, " | ");
                print_expr(p, e->items[k++], AT_WHERE);
            }
        }
        put(p, "]");
        break;
    }
    case EX_WHERE:
        print_expr(p, e->a, AT_COND);
        put(p, " where { ");
        for (uint32_t i = 0; i < e->n; i++) {
            if (i) put(p, "; ");
            print_stmt(p, e->stmts[i]);
        }
        put(p, " }");
        break;
    }
}

static void print_expr(Printer *p, const Expr *e, int least) {
    bool brackets = level_of(e) < least;
    if (brackets) put(p, "(");
    print_inner(p, e);
    if (brackets) put(p, ")");
}

static void print_type(Printer *p, const TypeRef *t) {
    put(p, t->name);
    if (t->n) {
        put(p, "[");
        print_list(p, t->dims, t->n);
        put(p, "]");
    }
    if (t->nargs) print_args(p, t->args, t->nargs);
}

static void new_line(Printer *p) { fprintf(p->out, "\n%*s", 4 * p->indent, ""); }

static void print_block(Printer *p, Stmt *const *s, uint32_t n) {
    put(p, " {");
    p->indent++;
    for (uint32_t i = 0; i < n; i++) {
        new_line(p);
        print_stmt(p, s[i]);
    }
    p->indent--;
    new_line(p);
    put(p, "}");
}

static void print_index(Printer *p, Expr *const *e, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        put(p, "[");
        print_expr(p, e[i], AT_COND);
        put(p, "]");
    }
}

static void print_options(Printer *p, Option *const *o, uint32_t n) {
    put(p, " {");
    p->indent++;
    for (uint32_t i = 0; i < n; i++) {
        new_line(p);
        if (o[i]->untied) put(p, "untied ");
        if (o[i]->decl) {
            print_stmt(p, o[i]->decl);
            continue;
        }
        put(p, o[i]->name);
        print_index(p, o[i]->index, o[i]->nindex);
        for (uint32_t k = 0; k < o[i]->nparams; k++) fprintf(p->out, "%s%s", k ? ", " : "(", o[i]->params[k]);
        put(p, o[i]->nparams ? ") = " : " = ");
        print_expr(p, o[i]->value, AT_WHERE);
    }
    p->indent--;
    new_line(p);
    put(p, "}");
}

static void print_over(Printer *p, const Stmt *s) {
    if (!s->over) return;
    fprintf(p->out, "[%s in ", s->over_name);
    print_expr(p, s->over, AT_COND);
    put(p, "]");
}

static void print_names(Printer *p, const Name *names, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) fprintf(p->out, "%s%s", i ? ", " : "", names[i]);
}

static void print_value(Printer *p, const Expr *e, int least) {
    if (!e) return;
    put(p, " = ");
    print_expr(p, e, least);
}

static void print_stmt(Printer *p, const Stmt *s) {
    switch (s->kind) {
    case ST_DICTIONARY:
        fprintf(p->out, "dictionary %s", s->name);
        print_over(p, s);
        print_value(p, s->value, AT_WHERE);
        break;
    case ST_LASSO:
        put(p, "lasso ");
        print_expr(p, s->targets[0], AT_POST);
        put(p, " : ");
        print_expr(p, s->signal, AT_COND);
        put(p, " ~ ");
        print_expr(p, s->dict, AT_COND);
        print_options(p, s->options, s->noptions);
        break;
    case ST_INPUT:
    case ST_LABEL:
    case ST_TARGET:
        fprintf(p->out, "%s %s : ",
                s->kind == ST_INPUT   ? "input"
                : s->kind == ST_LABEL ? "label"
                                      : "target",
                s->name);
        print_type(p, s->type);
        break;
    case ST_OUTPUT:
        fprintf(p->out, "output %s", s->name);
        print_value(p, s->value, AT_WHERE);
        break;
    case ST_PARAM:
        fprintf(p->out, "param %s", s->name);
        print_over(p, s);
        if (s->type) {
            put(p, " : ");
            print_type(p, s->type);
        }
        print_value(p, s->value, AT_COND);
        for (uint32_t i = 0; i < s->nconstraints; i++) {
            fprintf(p->out, ", %s", s->constraints[i].name);
            if (s->constraints[i].n) print_args(p, s->constraints[i].args, s->constraints[i].n);
        }
        break;
    case ST_TUNABLE:
        fprintf(p->out, "tunable %s", s->name);
        print_index(p, s->index, s->nindex);
        print_value(p, s->value, AT_COND);
        break;
    case ST_VAR:
    case ST_LET:
        put(p, s->kind == ST_VAR ? "var " : "let ");
        print_names(p, s->names, s->nnames);
        put(p, " = ");
        print_list(p, s->values, s->nvalues);
        break;
    case ST_ASSIGN:
        print_list(p, s->targets, s->ntargets);
        put(p, " = ");
        print_list(p, s->values, s->nvalues);
        break;
    case ST_FOR:
        fprintf(p->out, "for %s in ", s->name);
        print_expr(p, s->value, AT_COND);
        print_block(p, s->body, s->nbody);
        break;
    case ST_REPEAT:
        put(p, "repeat ");
        print_expr(p, s->value, AT_COND);
        if (s->cond) {
            put(p, " until ");
            print_expr(p, s->cond, AT_COND);
        }
        print_block(p, s->body, s->nbody);
        break;
    case ST_IF:
        put(p, "if ");
        print_expr(p, s->cond, AT_COND);
        print_block(p, s->body, s->nbody);
        if (s->norelse == 1 && s->orelse[0]->kind == ST_IF) {
            put(p, " else ");
            print_stmt(p, s->orelse[0]);
        } else if (s->norelse) {
            put(p, " else");
            print_block(p, s->orelse, s->norelse);
        }
        break;
    case ST_RETURN:
        put(p, "return ");
        print_list(p, s->values, s->nvalues);
        break;
    case ST_REQUIRE:
        put(p, "require(");
        print_expr(p, s->cond, AT_COND);
        put(p, ", ");
        print_string(p, s->text);
        put(p, ")");
        break;
    }
}

static void print_def(Printer *p, const Def *d) {
    fprintf(p->out, "%s %s", ast_def_text(d->kind), d->name);
    if (d->kind != DEF_MODEL || d->nparams) {
        put(p, "(");
        for (uint32_t i = 0; i < d->nparams; i++) {
            const Param *q = &d->params[i];
            fprintf(p->out, "%s%s", i ? ", " : "", q->name);
            if (q->problem) {
                put(p, " ~ ");
                print_expr(p, q->problem, AT_COND);
            }
            if (q->type) {
                put(p, ": ");
                print_type(p, q->type);
            }
            print_value(p, q->init, AT_COND);
        }
        put(p, ")");
    }
    if (d->of) {
        put(p, " of ");
        print_expr(p, d->of, AT_COND);
    }
    if (d->value)
        print_value(p, d->value, AT_WHERE);
    else
        print_block(p, d->body, d->nbody);
    put(p, "\n");
}

void syntax_print(const File *f, FILE *out) {
    Printer p = {out, 0};
    for (uint32_t i = 0; i < f->nimports; i++) {
        put(&p, "import ");
        if (f->imports[i]->is_file)
            print_string(&p, f->imports[i]->path);
        else
            put(&p, f->imports[i]->path);
        put(&p, "\n");
    }
    for (uint32_t i = 0; i < f->ndefs; i++) print_def(&p, f->defs[i]);
    for (uint32_t i = 0; i < f->ntrains; i++) {
        fprintf(out, "train %s", f->trains[i]->model);
        print_options(&p, f->trains[i]->options, f->trains[i]->noptions);
        put(&p, "\n");
    }
}
