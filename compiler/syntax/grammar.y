/* The grammar: LALR(1) without conflicts. Actions are one call each into make.c. The lexer behind it (tokens.c) keeps brackets balanced and
   drops the line ends that do not end a statement; after an error it drops the rest of the statement, so that `error` meets a separator. */
%require "3.8"
%define api.pure full
%define api.prefix {syntax_yy}
%define api.token.prefix {TOK_}
%define api.value.type {Value}
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {Reader *r}

%code requires {
#include "syntax/reader.h"
}
%code {
#define YYMAXDEPTH 5000
/* A rule spans from its first to its last part that is not empty; an empty rule stands behind what came before. */
#define YYLLOC_DEFAULT(cur, rhs, n) ((cur) = (n) ? span_of(&YYRHSLOC(rhs, 1), (n)) : span_behind(YYRHSLOC(rhs, 0)))
static Span span_behind(Span s) { return s.line = s.end_line, s.col = s.end_col, s; }
static bool span_empty(Span s) { return s.line == s.end_line && s.col == s.end_col; }
static Span span_of(const Span *part, int n) {
    int first = 0, last = n - 1;
    while (first < last && span_empty(part[first])) first++;
    while (last > first && span_empty(part[last])) last--;
    return span_join(part[first], part[last]);
}
/* The word in hand is the wrong one, unless it ends the statement: then nothing is to be skipped. */
#define RECOVER do { if (r->stuck > 2 * READER_DEPTH_MOST) YYABORT; yyerrok; if (r->skip >= 0) yyclearin; } while (0)
static int syntax_yylex(Value *v, Span *at, Reader *r) { return syntax_next(v, at, r); }
static void syntax_yyerror(const Span *at, Reader *r, const char *msg) { (void)msg; syntax_report_depth(r, *at); }
}

%token <name> NAME "a name" STRING "a string"
%token <integer> INT "a number"
%token <real> REAL "a real number"
%token NL "the end of the line" DOTDOT ".." EQ "==" NE "!=" LE "<=" GE ">=" AND "&&" OR "||" IDIV "//"
%token <name> IMPORT "import" DICTIONARY "dictionary" PROX "prox" SOLVER "solver" LAYER "layer" FUNCTION "function" MODEL "model"
%token <name> TRAIN "train" INPUT "input" LABEL "label" TARGET "target" OUTPUT "output" PARAM "param" TUNABLE "tunable"
%token <name> VAR "var" LET "let" FOR "for" IN "in" BY "by" REPEAT "repeat" UNTIL "until" IF "if" ELSE "else" RETURN "return"
%token <name> WHERE "where" LASSO "lasso" UNTIED "untied" OF "of" REQUIRE "require"

%right '?' ':'
%nonassoc DOTDOT
%precedence BY
%left OR
%left AND
%nonassoc EQ NE '<' '>' LE GE
%left '+' '-'
%left '*' '/' '%' IDIV
%precedence UMINUS '!'
%right '^'

%type <kind> kind untied port
%type <name> label word tname
%type <named> name dotted
%type <expr> of_opt init_opt expr wexpr post bracket lvalue
%type <type> type type_opt
%type <stmt> stmt ifs over paramdecl tunable wstmt
%type <option> option
%type <arg> arg
%type <param> p
%type <constraint> constraint
%type <list> params paramlist block stmts options oindex oparams constraints names lvalues exprs wbody args arglist list hrow row vrows
%%
file: tops ;
tops: %empty | top | tops sep | tops sep top ;
sep: NL | ';' ;
top: IMPORT dotted                                { make_import(r, @$, $2->name, false); }
   | IMPORT STRING                                { make_import(r, @$, $2, true); }
   | kind NAME '(' params ')' of_opt block        { make_def(r, @$, $1, make_named(r, $2, @2), $4, $6, NULL, $7); }
   | kind NAME '(' params ')' of_opt '=' wexpr    { make_def(r, @$, $1, make_named(r, $2, @2), $4, $6, $8, NULL); }
   | MODEL NAME '(' params ')' block              { make_def(r, @$, DEF_MODEL, make_named(r, $2, @2), $4, NULL, NULL, $6); }
   | MODEL NAME block                             { make_def(r, @$, DEF_MODEL, make_named(r, $2, @2), NULL, NULL, NULL, $3); }
   | TRAIN NAME '{' options '}'                   { make_train(r, @$, $2, @2, $4); }
   | error                                        { RECOVER; } ;
dotted: NAME                                      { $$ = make_named(r, $1, @1); }
      | dotted '.' NAME                           { $$ = make_named(r, name_fmt(r->cx, "%s.%s", $1->name, $3), @$); } ;
kind: DICTIONARY { $$ = DEF_DICTIONARY; } | PROX { $$ = DEF_PROX; } | SOLVER { $$ = DEF_SOLVER; }
    | LAYER { $$ = DEF_LAYER; } | FUNCTION { $$ = DEF_FUNCTION; } ;
of_opt: %empty { $$ = NULL; } | OF expr { $$ = $2; } ;

params: %empty { $$ = make_list(r, NULL); } | paramlist | paramlist ',' ;
paramlist: p { $$ = make_list(r, $1); } | paramlist ',' p { $$ = make_more(r, $1, $3); } ;
p: name                                           { $$ = make_param(r, @1, $1->name, NULL, NULL, NULL); }
 | name ':' type                                  { $$ = make_param(r, @1, $1->name, $3, NULL, NULL); }
 | name '=' expr                                  { $$ = make_param(r, @1, $1->name, NULL, $3, NULL); }
 | name ':' type '=' expr                         { $$ = make_param(r, @1, $1->name, $3, $5, NULL); }
 | name '~' expr                                  { $$ = make_param(r, @1, $1->name, NULL, NULL, $3); } ;
name: NAME { $$ = make_named(r, $1, @1); } | PROX { $$ = make_named(r, $1, @1); } ;
label: NAME | PROX | BY | UNTIL | OF | SOLVER | LAYER | MODEL | TARGET | LABEL | INPUT | OUTPUT | LASSO | DICTIONARY | FUNCTION
     | TRAIN | PARAM | TUNABLE | UNTIED | IN | REPEAT | WHERE | IMPORT | LET | VAR | IF | ELSE | RETURN | REQUIRE ;
word: NAME | PROX | LASSO | SOLVER ;
type: tname                                       { $$ = make_type(r, @$, $1, NULL, NULL); }
    | tname '[' exprs ']'                         { $$ = make_type(r, @$, $1, $3, NULL); }
    | tname '(' args ')'                          { $$ = make_type(r, @$, $1, NULL, $3); } ;
tname: NAME | LASSO | SOLVER | PROX | LAYER | FUNCTION | DICTIONARY ;

block: '{' stmts '}' { $$ = $2; } ;
stmts: %empty { $$ = make_list(r, NULL); } | stmt { $$ = make_list(r, $1); } | stmts sep | stmts sep stmt { $$ = make_more(r, $1, $3); } ;
stmt: DICTIONARY NAME over '=' wexpr              { $$ = make_dictionary(r, @$, $2, @2, $3, $5); }
    | LASSO lvalue ':' expr '~' expr '{' options '}' { $$ = make_lasso(r, @$, $2, $4, $6, $8); }
    | port NAME ':' type                          { $$ = make_port(r, @$, (StmtKind)$1, $2, @2, $4, NULL); }
    | OUTPUT NAME                                 { $$ = make_port(r, @$, ST_OUTPUT, $2, @2, NULL, NULL); }
    | OUTPUT NAME '=' wexpr                       { $$ = make_port(r, @$, ST_OUTPUT, $2, @2, NULL, $4); }
    | paramdecl
    | tunable
    | VAR names '=' exprs                         { $$ = make_names(r, @$, ST_VAR, $2, $4); }
    | LET names '=' exprs                         { $$ = make_names(r, @$, ST_LET, $2, $4); }
    | lvalues '=' exprs                           { $$ = make_assign(r, @$, $1, $3); }
    | FOR NAME IN expr block                      { $$ = make_for(r, @$, $2, @2, $4, $5); }
    | REPEAT expr block                           { $$ = make_repeat(r, @$, $2, NULL, $3); }
    | REPEAT expr UNTIL expr block                { $$ = make_repeat(r, @$, $2, $4, $5); }
    | ifs
    | RETURN exprs                                { $$ = make_return(r, @$, $2); }
    | REQUIRE '(' expr ',' STRING ')'             { $$ = make_require(r, @$, $3, $5); }
    | error                                       { RECOVER; $$ = NULL; } ;
port: INPUT { $$ = ST_INPUT; } | LABEL { $$ = ST_LABEL; } | TARGET { $$ = ST_TARGET; } ;
ifs: IF expr block                                { $$ = make_if(r, @$, $2, $3, NULL); }
   | IF expr block ELSE block                     { $$ = make_if(r, @$, $2, $3, $5); }
   | IF expr block ELSE ifs                       { $$ = make_if(r, @$, $2, $3, make_list(r, $5)); } ;
over: %empty { $$ = NULL; } | '[' NAME IN expr ']' { $$ = make_over(r, $2, @2, $4); } ;
paramdecl: PARAM name over type_opt init_opt constraints { $$ = make_paramdecl(r, @$, $2, $3, $4, $5, $6); } ;
tunable: TUNABLE NAME oindex '=' expr             { $$ = make_tunable(r, @$, $2, @2, $3, $5); } ;
type_opt: %empty { $$ = NULL; } | ':' type { $$ = $2; } ;
init_opt: %empty { $$ = NULL; } | '=' expr { $$ = $2; } ;
constraints: %empty { $$ = make_list(r, NULL); } | constraints ',' constraint { $$ = make_more(r, $1, $3); } ;
constraint: NAME                                  { $$ = make_constraint(r, @$, $1, NULL); }
          | NAME '(' args ')'                     { $$ = make_constraint(r, @$, $1, $3); } ;
names: NAME                                       { $$ = make_list(r, make_named(r, $1, @1)); }
     | names ',' NAME                             { $$ = make_more(r, $1, make_named(r, $3, @3)); } ;
lvalues: lvalue { $$ = make_list(r, $1); } | lvalues ',' lvalue { $$ = make_more(r, $1, $3); } ;
lvalue: NAME                                      { $$ = make_name(r, @1, $1); }
      | lvalue '[' expr ']'                       { $$ = make_index(r, @$, $1, make_list(r, $3)); } ;

options: %empty { $$ = make_list(r, NULL); } | option { $$ = make_list(r, $1); } | options sep
       | options sep option { $$ = make_more(r, $1, $3); } ;
option: untied name oindex oparams '=' wexpr      { $$ = make_option(r, @$, $1, $2, $3, $4, $6); }
      | untied paramdecl                          { $$ = make_option_decl(r, @$, $1, $2); }
      | tunable                                   { $$ = make_option_decl(r, @$, 0, $1); }
      | error                                     { RECOVER; $$ = NULL; } ;
untied: %empty { $$ = 0; } | UNTIED { $$ = 1; } ;
oindex: %empty { $$ = make_list(r, NULL); } | oindex '[' expr ']' { $$ = make_more(r, $1, $3); } ;
oparams: %empty { $$ = make_list(r, NULL); } | '(' names ')' { $$ = $2; } ;

wexpr: expr | expr WHERE '{' wbody '}'            { $$ = make_where(r, @$, $1, $4); } ;
wbody: %empty { $$ = make_list(r, NULL); } | wstmt { $$ = make_list(r, $1); } | wbody sep | wbody sep wstmt { $$ = make_more(r, $1, $3); } ;
wstmt: paramdecl
     | LET names '=' exprs                        { $$ = make_names(r, @$, ST_LET, $2, $4); }
     | error                                      { RECOVER; $$ = NULL; } ;
exprs: wexpr { $$ = make_list(r, $1); } | exprs ',' wexpr { $$ = make_more(r, $1, $3); } ;
expr: expr '?' expr ':' expr                      { $$ = make_cond(r, @$, $1, $3, $5); }
    | expr DOTDOT expr                            { $$ = make_range(r, @$, $1, $3, NULL); }
    | expr DOTDOT expr BY expr                    { $$ = make_range(r, @$, $1, $3, $5); }
    | expr OR expr                                { $$ = make_binary(r, @$, BIN_OR, $1, $3); }
    | expr AND expr                               { $$ = make_binary(r, @$, BIN_AND, $1, $3); }
    | expr EQ expr                                { $$ = make_binary(r, @$, BIN_EQ, $1, $3); }
    | expr NE expr                                { $$ = make_binary(r, @$, BIN_NE, $1, $3); }
    | expr '<' expr                               { $$ = make_binary(r, @$, BIN_LT, $1, $3); }
    | expr '>' expr                               { $$ = make_binary(r, @$, BIN_GT, $1, $3); }
    | expr LE expr                                { $$ = make_binary(r, @$, BIN_LE, $1, $3); }
    | expr GE expr                                { $$ = make_binary(r, @$, BIN_GE, $1, $3); }
    | expr '+' expr                               { $$ = make_binary(r, @$, BIN_ADD, $1, $3); }
    | expr '-' expr                               { $$ = make_binary(r, @$, BIN_SUB, $1, $3); }
    | expr '*' expr                               { $$ = make_binary(r, @$, BIN_MUL, $1, $3); }
    | expr '/' expr                               { $$ = make_binary(r, @$, BIN_DIV, $1, $3); }
    | expr '%' expr                               { $$ = make_binary(r, @$, BIN_MOD, $1, $3); }
    | expr IDIV expr                              { $$ = make_binary(r, @$, BIN_IDIV, $1, $3); }
    | '-' expr %prec UMINUS                       { $$ = make_unary(r, @$, UN_NEG, $2); }
    | '!' expr                                    { $$ = make_unary(r, @$, UN_NOT, $2); }
    | expr '^' expr                               { $$ = make_binary(r, @$, BIN_POW, $1, $3); }
    | post ;
post: name                                        { $$ = make_name(r, @1, $1->name); }
    | INT                                         { $$ = make_int(r, @1, $1); }
    | REAL                                        { $$ = make_real(r, @1, $1); }
    | STRING                                      { $$ = make_string(r, @1, $1); }
    | '(' wexpr ')'                               { $$ = $2; }
    | bracket
    | post '\''                                   { $$ = make_adjoint(r, @$, $1); }
    | post '.' word                               { $$ = make_field(r, @$, $1, $3, @3); }
    | post '(' args ')'                           { $$ = make_call(r, @$, $1, $3); }
    | post '[' exprs ']'                          { $$ = make_index(r, @$, $1, $3); } ;
args: %empty { $$ = make_list(r, NULL); } | arglist | arglist ','
    | wexpr FOR NAME IN expr                      { $$ = make_list(r, make_arg(r, NULL, @1, make_each(r, @$, $1, $3, @3, $5))); } ;
arglist: arg { $$ = make_list(r, $1); } | arglist ',' arg { $$ = make_more(r, $1, $3); } ;
arg: wexpr { $$ = make_arg(r, NULL, @1, $1); } | label ':' wexpr { $$ = make_arg(r, $1, @1, $3); } ;
bracket: '[' ']'                                  { $$ = make_items(r, @$, make_list(r, NULL)); }
       | '[' list ']'                             { $$ = make_items(r, @$, $2); }
       | '[' list ',' ']'                         { $$ = make_items(r, @$, $2); }
       | '[' wexpr FOR NAME IN expr ']'           { $$ = make_each(r, @$, $2, $4, @4, $6); }
       | '[' hrow ']'                             { $$ = make_blocks(r, @$, make_list(r, $2)); }
       | '[' vrows ']'                            { $$ = make_blocks(r, @$, $2); } ;
list: wexpr { $$ = make_list(r, $1); } | list ',' wexpr { $$ = make_more(r, $1, $3); } ;
hrow: wexpr '|' wexpr { $$ = make_more(r, make_list(r, $1), $3); } | hrow '|' wexpr { $$ = make_more(r, $1, $3); } ;
row: wexpr { $$ = make_list(r, $1); } | hrow ;
vrows: row ';' row { $$ = make_more(r, make_list(r, $1), $3); } | vrows ';' row { $$ = make_more(r, $1, $3); } ;
%%
/* Which words could stand here: expected[c] for a sign, expected[kind] for a word. */
static int yyreport_syntax_error(const yypcontext_t *ctx, Reader *r) {
    static const int limit = YYNTOKENS;
    yysymbol_kind_t list[YYNTOKENS];
    bool expected[512] = {false};
    int n = yypcontext_expected_tokens(ctx, list, limit);
    for (int t = 1; t < 512; t++)
        for (int i = 0; i < n; i++)
            if (YYTRANSLATE(t) == list[i] && list[i] != YYSYMBOL_YYUNDEF) expected[t] = true;
    for (int i = 0; i < n; i++)
        if (list[i] == YYSYMBOL_YYEOF) expected[0] = true;
    syntax_report(r, expected);
    return 0;
}
