/* What the files of sema share while a program is checked. Private to sema. */
#ifndef CSC_SEMA_CHECKER_H
#define CSC_SEMA_CHECKER_H
#include "sema/sema.h"

typedef enum SymKind {
    SYM_ARG, /* of a definition, or of a prox option */
    SYM_LET,
    SYM_VAR,
    SYM_PORT, /* input, label, target */
    SYM_OUTPUT,
    SYM_PARAM,
    SYM_TUNABLE,
    SYM_DICTIONARY,
    SYM_CODE,    /* of a lasso */
    SYM_UNKNOWN, /* of a solver's problem: assignable */
    SYM_TURN,    /* of a loop or an index */
    SYM_SIZE,    /* a free dimension */
    SYM_OPTION,  /* names that a solver or an option sees */
} SymKind;

typedef struct Sym {
    Name name;
    SymKind kind;
    Span span;
    bool *used; /* PARAM: has its name been read? Shared by the copies of this symbol */
} Sym;

typedef struct Missing { /* an unknown name, reported once a definition */
    Name name;
    Diag *diag;
} Missing;

typedef struct Edge { /* definition `from` names definition `to` */
    const Def *from, *to;
    Span at;
} Edge;

typedef struct ModelNames { /* all names of a model, for its train blocks */
    const Def *model;
    Vec(Sym) names;
} ModelNames;

typedef struct Checker {
    Cx *cx;
    const Ast *ast;
    const Def *def;  /* being checked, or NULL: a train block */
    int loops;       /* for and repeat around this statement */
    bool any_name;   /* a train block of an unknown model: names are not checked */
    Vec(Sym) syms;   /* visible, innermost last */
    Vec(Sym) gone;   /* of blocks of this definition that ended */
    Vec(Sym) lifted; /* known in the whole definition */
    Vec(Missing) missing;
    Vec(Sym) params; /* all that were declared */
    Vec(Edge) edges;
    Vec(ModelNames *) models;
} Checker;

/* scope.c */
size_t scope_open(const Checker *c);
void scope_close(Checker *c, size_t mark);
void scope_add(Checker *c, size_t mark, Name name, SymKind kind,
               Span at); /* reports a second of one name since mark */
void scope_add_quietly(Checker *c, Name name, SymKind kind, Span at);
void scope_add_param(Checker *c, size_t mark, Name name, Span at);
const Sym *scope_find(const Checker *c, Name name);
bool scope_use(Checker *c, Name name); /* finds it, and remembers that its value is read */
void params_check(Checker *c);         /* warns of those that nothing reads */
void scope_unknown(Checker *c, Name name, Span at);       /* reports, with the nearest visible name */
bool scope_knows(Checker *c, Name name, uint32_t source); /* a symbol, definition, builtin or constant */

/* calls.c: the arguments in a call's brackets, against what they are for */
typedef struct Form {
    const char *what;        /* "'block'", for messages */
    Span defined;            /* of the definition; file 0: none */
    const char *const *name; /* of the arguments in order */
    const bool *required;
    uint32_t n;
    const char *const *more; /* further labels, ended by NULL; or NULL */
    bool may_wait; /* without positional arguments it is a value to apply: then nothing is missing */
} Form;
void form_check(Checker *c, const Form *f, Span at, const Arg *args, uint32_t n);
void call_check_def(Checker *c, const Def *d, Span at, const Arg *args, uint32_t n);
bool call_check_builtin(Checker *c, Name name, Span at, const Arg *args,
                        uint32_t n); /* false: there is none */
const char *const *builtin_names(size_t *n);

/* expr.c */
void expr_check(Checker *c, const Expr *e); /* NULL is fine */
void exprs_check(Checker *c, Expr *const *e, uint32_t n);
void args_check(Checker *c, const Arg *a, uint32_t n);

/* stmt.c */
void stmts_check(Checker *c, Stmt *const *s, uint32_t n, size_t mark); /* in the scope that began at mark */
void type_check(Checker *c, const TypeRef *t, bool free_sizes);

/* lasso.c, train.c */
void lasso_check(Checker *c, const Stmt *s, size_t mark);
void solver_head_check(Checker *c, const Def *d, size_t mark);
void train_check(Checker *c, const Train *t);
#endif
