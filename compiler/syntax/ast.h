/* The syntax tree: what the text says, nothing more. Made by the parser, frozen by sema. All lists are arrays in the tree's arena. */
#ifndef CSC_SYNTAX_AST_H
#define CSC_SYNTAX_AST_H
#include "base/diag.h"

enum { AST_HEIGHT_MOST = 300 };
typedef struct Expr Expr;
typedef struct Stmt Stmt;
typedef struct TypeRef TypeRef;

typedef enum ExprKind {
    EX_NAME,     /* name */
    EX_INT,      /* integer */
    EX_REAL,     /* real */
    EX_STRING,   /* name holds the text, escapes resolved */
    EX_UNARY,    /* un, a */
    EX_BINARY,   /* bin, a, b */
    EX_COND,     /* a ? b : c */
    EX_RANGE,    /* a .. b [by c] */
    EX_CALL,     /* a(args) */
    EX_INDEX,    /* a[items] */
    EX_FIELD,    /* a.name */
    EX_ADJOINT,  /* a' */
    EX_LIST,     /* [items] */
    EX_EACH,     /* [a for name in b]; also the single argument of sum(a for i in b) */
    EX_BLOCKS,   /* [a | b ; c | d]: rows of items; rows x cols is in nrows and row_len */
    EX_WHERE,    /* a where { stmts } */
} ExprKind;

typedef enum BinOp { BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_IDIV, BIN_MOD, BIN_POW, BIN_EQ, BIN_NE, BIN_LT, BIN_GT, BIN_LE, BIN_GE, BIN_AND, BIN_OR } BinOp;
typedef enum UnOp { UN_NEG, UN_NOT } UnOp;
const char *ast_bin_text(BinOp op); /* "+", "//", ... */

typedef struct Arg {
    Name label; /* NULL: positional */
    Span label_span;
    Expr *value;
} Arg;

struct Expr {
    ExprKind kind;
    Span span;
    uint32_t height; /* 1 + that of the highest part; never above AST_HEIGHT_MOST, so that walks may recurse */
    Name name;
    Span name_span;  /* EX_FIELD, EX_EACH */
    int64_t integer;
    double real;
    UnOp un;
    BinOp bin;
    Expr *a, *b, *c;
    uint32_t n;      /* items, args, stmts */
    Expr **items;    /* INDEX, LIST, BLOCKS (row after row) */
    Arg *args;       /* CALL */
    uint32_t nrows;  /* BLOCKS */
    uint32_t *row_len;
    Stmt **stmts;    /* WHERE */
};

struct TypeRef { /* real[3, 32, 32], class[10], int, like(D), solver */
    Name name;
    Span span;
    uint32_t n;
    Expr **dims; /* in [ ]; a free dimension is an EX_NAME that nothing defines */
    uint32_t nargs;
    Arg *args;   /* in ( ) */
};

typedef struct Constraint_ { /* unit_atoms, sparse_l0(3) */
    Name name;
    Span span;
    uint32_t n;
    Arg *args;
} ConstraintRef;

typedef struct Option { /* of a lasso or a train block */
    Span span;
    bool untied;
    Name name; /* of the option, or of the param/tunable declared here */
    Span name_span;
    uint32_t nindex; /* prox[i]: index expressions; a bare name that is new binds the layer's number */
    Expr **index;
    uint32_t nparams; /* prox(z, t) = ... */
    Name *params;
    Span *param_spans;
    Expr *value;     /* NULL when decl is set */
    Stmt *decl;      /* ST_PARAM or ST_TUNABLE declared on the spot; index is then the tunable's */
} Option;

typedef enum StmtKind {
    ST_DICTIONARY, /* name [over_name in over] = value */
    ST_LASSO,      /* targets[0] : signal ~ dict { options } */
    ST_INPUT, ST_LABEL, ST_TARGET, /* name : type */
    ST_OUTPUT,     /* name [= value] */
    ST_PARAM,      /* name [over] [: type] [= value] constraints */
    ST_TUNABLE,    /* name index = value */
    ST_VAR,        /* names = values */
    ST_LET,        /* names = values */
    ST_ASSIGN,     /* targets = values */
    ST_FOR,        /* name in value: body */
    ST_REPEAT,     /* value times [until cond]: body */
    ST_IF,         /* cond: body, orelse */
    ST_RETURN,     /* values */
    ST_REQUIRE,    /* cond, else text is said */
} StmtKind;

struct Stmt {
    StmtKind kind;
    Span span;
    uint32_t height; /* as of Expr */
    Name name;
    Span name_span;
    Name over_name; /* dictionary D[i in 1..3] */
    Span over_span;
    Expr *over;
    TypeRef *type;
    Expr *value, *cond, *signal, *dict;
    Name text; /* REQUIRE */
    uint32_t nnames;  /* VAR, LET */
    Name *names;
    Span *name_spans;
    uint32_t ntargets; /* ASSIGN, LASSO */
    Expr **targets;    /* EX_NAME or EX_INDEX of one */
    uint32_t nvalues;
    Expr **values;
    uint32_t nconstraints;
    ConstraintRef *constraints;
    uint32_t nindex;   /* TUNABLE lambda[i] */
    Expr **index;
    uint32_t noptions;
    Option **options;
    uint32_t nbody, norelse;
    Stmt **body, **orelse;
};

typedef enum DefKind { DEF_DICTIONARY, DEF_PROX, DEF_SOLVER, DEF_LAYER, DEF_FUNCTION, DEF_MODEL } DefKind;
const char *ast_def_text(DefKind k);

typedef struct Param { /* of a definition */
    Name name;
    Span span;
    TypeRef *type; /* or NULL */
    Expr *init;    /* default, or NULL */
    Expr *problem; /* solver head: name ~ problem */
} Param;

typedef struct Def {
    DefKind kind;
    Span span;
    Name name;
    Span name_span;
    uint32_t nparams;
    Param *params;
    Expr *of;      /* prox ... of penalty */
    Expr *value;   /* = expr, or NULL: */
    uint32_t nbody;
    Stmt **body;
} Def;

typedef struct Train {
    Span span;
    Name model;
    Span model_span;
    uint32_t noptions;
    Option **options;
} Train;

typedef struct Import {
    Span span;
    Name path; /* "std.networks" or the file's text */
    bool is_file;
} Import;

typedef struct File {
    uint32_t source; /* number in cx->sources */
    uint32_t nimports, ndefs, ntrains;
    Import **imports;
    Def **defs;     /* models among them, in order */
    Train **trains;
} File;

/* All files of a compilation. file[0] is the user's; then imports; the library that needs no import comes last. */
typedef struct Ast {
    uint32_t nfiles;
    File **files;
} Ast;

/* The definition of a name as seen from a source (the span.file of the place that names it), or NULL. Its own file first, then the
   files it can see in the order of the Ast; library code ("<std>/...") sees library code only, so that a user's `soft` is not taken by a
   library solver. Models are no values: see ast_find_model. */
const Def *ast_find(const Cx *cx, const Ast *ast, uint32_t source, Name name);
const Def *ast_find_model(const Ast *ast, Name name); /* NULL name: the only or last model of file[0] */

/* Reads one source. Never NULL; errors are in cx (several: the reader recovers at statements). Everything is in cx->keep. */
File *syntax_read(Cx *cx, uint32_t source);
/* Prints a file so that reading the print gives the same tree (spans aside). */
void syntax_print(const File *f, FILE *out);
#endif
