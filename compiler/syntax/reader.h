/* What the lexer, the grammar, its constructors and its error messages share while one source is read.
 * Private to syntax. */
#ifndef CSC_SYNTAX_READER_H
#define CSC_SYNTAX_READER_H
#include "syntax/ast.h"

typedef struct List { /* of anything, while it grows */
    Vec(void *) of;
} List;
typedef struct Named {
    Name name;
    Span span;
} Named;
typedef union Value {
    Name name; /* also the text of a STRING */
    int64_t integer;
    double real;
    int kind;
    Expr *expr;
    Stmt *stmt;
    TypeRef *type;
    Option *option;
    Arg *arg;
    Param *param;
    ConstraintRef *constraint;
    Named *named;
    List *list;
} Value;

typedef struct Token {
    int kind;
    Span span;
    Value value;
    bool broken; /* a string that does not end: what it was to stand in ends with the line */
    bool made;   /* inserted by us where a closing bracket is missing; nothing is reported there again */
} Token;
typedef struct Opening {
    int kind;
    Span span;
    uint32_t indent; /* column of the first word of its line */
} Opening;

enum { READER_DEPTH_MOST = 100 };
typedef struct Reader {
    Cx *cx;
    uint32_t source;
    void *flex;
    /* raw words */
    uint32_t line, col, indent;
    int raw_prev;
    Token ahead[4];
    int nahead;
    bool stop; /* a limit was passed: the rest is not read */
    /* brackets and line ends */
    Opening open[READER_DEPTH_MOST];
    int depth;
    int close_to; /* closing brackets are inserted until the depth is this; -1: none */
    Span close_at;
    Span crooked;               /* an opening whose closing stood further left */
    Token prev, now;            /* the last two given to the parser */
    int before_prev;            /* kind of the one before prev */
    bool fresh_now, fresh_prev; /* does it begin a statement? */
    int skip;                   /* >= 0: words are dropped up to the end of the statement at this depth */
    int stuck, stuck_kind;      /* how often the parser failed at this very word */
    Span stuck_at;
    bool broken_line;
    bool told_height;
    List *imports, *defs, *trains;
} Reader;

/* lex.l: one raw word; 0 at the end */
int syntax_raw_word(Reader *r, Token *t);
void syntax_raw_open(Reader *r, const char *text, size_t len);
void syntax_raw_close(Reader *r);

/* words.c: what the lexer's actions need */
int syntax_word_kind(const char *text, size_t len); /* keyword or TOK_NAME */
const char *syntax_keyword(int kind);               /* its text, or NULL */
const char *const *syntax_keywords(size_t *n);
bool syntax_ends_value(int kind); /* may an expression end with this word? */
int syntax_take_name(Reader *r, const char *text, size_t len, Span at, Value *v);
int syntax_take_int(Reader *r, const char *text, Span at, Value *v);
int syntax_take_real(Reader *r, const char *text, Span at, Value *v);
int syntax_take_string(Reader *r, const char *text, size_t len, Span at, Value *v); /* with its quotes */
int syntax_take_sign(Reader *r, const char *text, Span at); /* one that the language lacks */

/* tokens.c: the parser's lexer */
int syntax_next(Value *v, Span *at, Reader *r);

/* explain.c */
void syntax_report(Reader *r,
                   const bool *expected); /* by token kind - 256 .. and by character: see explain.c */
void syntax_report_depth(Reader *r, Span at);

/* make.c: constructors, one call an action */
List *make_list(Reader *r, void *first); /* first NULL: empty */
List *make_more(Reader *r, List *l, void *x);
Named *make_named(Reader *r, Name name, Span at);
Expr *make_name(Reader *r, Span at, Name name);
Expr *make_int(Reader *r, Span at, int64_t v);
Expr *make_real(Reader *r, Span at, double v);
Expr *make_string(Reader *r, Span at, Name text);
Expr *make_unary(Reader *r, Span at, UnOp op, Expr *a);
Expr *make_binary(Reader *r, Span at, BinOp op, Expr *a, Expr *b);
Expr *make_cond(Reader *r, Span at, Expr *a, Expr *b, Expr *c);
Expr *make_range(Reader *r, Span at, Expr *a, Expr *b, Expr *by);
Expr *make_call(Reader *r, Span at, Expr *f, List *args);
Expr *make_index(Reader *r, Span at, Expr *a, List *items);
Expr *make_field(Reader *r, Span at, Expr *a, Name name, Span name_at);
Expr *make_adjoint(Reader *r, Span at, Expr *a);
Expr *make_items(Reader *r, Span at, List *items);
Expr *make_each(Reader *r, Span at, Expr *a, Name name, Span name_at, Expr *in);
Expr *make_blocks(Reader *r, Span at, List *rows); /* of List of Expr */
Expr *make_where(Reader *r, Span at, Expr *a, List *stmts);
Arg *make_arg(Reader *r, Name label, Span label_at, Expr *value);
TypeRef *make_type(Reader *r, Span at, Name name, List *dims, List *args);
ConstraintRef *make_constraint(Reader *r, Span at, Name name, List *args);
Param *make_param(Reader *r, Span at, Name name, TypeRef *type, Expr *init, Expr *problem);

Stmt *make_over(Reader *r, Name name, Span name_at,
                Expr *over); /* a carrier of `[i in list]` for the next two */
Stmt *make_dictionary(Reader *r, Span at, Name name, Span name_at, const Stmt *over, Expr *value);
Stmt *make_paramdecl(Reader *r, Span at, Named *name, const Stmt *over, TypeRef *type, Expr *init,
                     List *constraints);
Stmt *make_lasso(Reader *r, Span at, Expr *target, Expr *signal, Expr *dict, List *options);
Stmt *make_port(Reader *r, Span at, StmtKind kind, Name name, Span name_at, TypeRef *type, Expr *value);
Stmt *make_tunable(Reader *r, Span at, Name name, Span name_at, List *index, Expr *value);
Stmt *make_names(Reader *r, Span at, StmtKind kind, List *names, List *values);
Stmt *make_assign(Reader *r, Span at, List *targets, List *values);
Stmt *make_for(Reader *r, Span at, Name name, Span name_at, Expr *in, List *body);
Stmt *make_repeat(Reader *r, Span at, Expr *count, Expr *until, List *body);
Stmt *make_if(Reader *r, Span at, Expr *cond, List *body, List *orelse);
Stmt *make_return(Reader *r, Span at, List *values);
Stmt *make_require(Reader *r, Span at, Expr *cond, Name text);
Option *make_option(Reader *r, Span at, int untied, Named *name, List *index, List *params, Expr *value);
Option *make_option_decl(Reader *r, Span at, int untied, Stmt *decl);

void make_import(Reader *r, Span at, Name path, bool is_file);
void make_def(Reader *r, Span at, int kind, Named *name, List *params, Expr *of, Expr *value, List *body);
void make_train(Reader *r, Span at, Name model, Span model_at, List *options);
#endif
