/* Syntax errors in the reader's words: what was expected, what was found, and what was probably meant. */
#include "syntax/reader.h"
#include "grammar.h"
#include <string.h>

static const char *source_text(const Reader *r, Span s, int *len) {
    const Source *src = &r->cx->sources.at[r->source];
    const char *p = src->text, *end = src->text + src->len;
    for (uint32_t l = 1; l < s.line && p < end; l++) {
        const char *q = memchr(p, '\n', (size_t)(end - p));
        p = q ? q + 1 : end;
    }
    p += s.col - 1;
    *len = s.end_line == s.line ? (int)(s.end_col - s.col) : 1;
    if (p + *len > end) *len = 0;
    if (*len > 40) {
        *len = 40;
        while (*len && ((unsigned char)p[*len] & 0xC0) == 0x80) --*len; /* between characters */
    }
    return p;
}

/* A word as a reader would call it: 'let', 'foo', '3', a string. */
static const char *describe(Reader *r, const Token *t) {
    int len;
    const char *p;
    if (t->kind == 0) return "the end of the file";
    if (t->kind == TOK_NL) return "the end of the line";
    if (t->kind == TOK_STRING) return "a string";
    p = source_text(r, t->span, &len);
    return arena_printf(r->cx->keep, "'%.*s'", len, p);
}

/* ---- slips from other languages and from haste ---- */
typedef struct Slip {
    const char *word, *help;
} Slip;
static const Slip between[] = {
    /* a name where an operator should be */
    {"and", "both conditions: 'a && b'"},
    {"or", "one of two conditions: 'a || b'"},
    {"is", "'a == b' asks whether two values are equal"},
    {"to", "a range is written '1..n'"},
    {"then", "a block follows its condition in '{ }'"},
    {"mod", "the remainder is 'a % b'"},
    {"do", "a block stands in '{ }'"},
};
static const Slip at_start[] = {
    /* a name that begins a statement */
    {"def", "definitions begin with 'layer', 'function', 'prox', 'solver' or 'dictionary'"},
    {"fn", "definitions begin with 'layer', 'function', 'prox', 'solver' or 'dictionary'"},
    {"func", "definitions begin with 'layer', 'function', 'prox', 'solver' or 'dictionary'"},
    {"class", "a network is a 'model'; its parts are 'layer', 'solver', 'dictionary'"},
    {"network", "a network is a 'model'"},
    {"while", "iteration is written 'repeat n until condition { ... }'"},
    {"loop", "iteration is written 'repeat n { ... }'"},
    {"elif", "write 'else if'"},
    {"elseif", "write 'else if'"},
    {"const", "a value that never changes is a 'let'"},
    {"val", "a value that never changes is a 'let'"},
    {"int", "write 'let n = 3'; types are known"},
    {"real", "write 'let x = 0.5'; types are known"},
    {"float", "write 'let x = 0.5'; types are known"},
    {"parameter", "a learned tensor is a 'param'"},
    {"optimize", "the problem of a code is a 'lasso'; training is described by 'train MODEL { ... }'"},
    {"from", "write 'import std.networks' or 'import \"file.csc\"'"},
    {"include", "write 'import std.networks' or 'import \"file.csc\"'"},
    {"use", "write 'import std.networks' or 'import \"file.csc\"'"},
    {"assert", "write 'require(condition, \"what to say\")'"},
    {"print", "nothing is printed by a model; 'report' in its train block lists what to show"},
};
static const char *find_slip(const Slip *list, size_t n, Name word) {
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(list[i].word, word) == 0) return list[i].help;
    return NULL;
}
#define FIND(list, word) find_slip(list, sizeof list / sizeof *list, word)

static bool begins_inside(int k) { /* statements, not definitions */
    switch (k) {
    case TOK_LET:
    case TOK_VAR:
    case TOK_PARAM:
    case TOK_TUNABLE:
    case TOK_LASSO:
    case TOK_INPUT:
    case TOK_LABEL:
    case TOK_TARGET:
    case TOK_OUTPUT:
    case TOK_FOR:
    case TOK_IF:
    case TOK_REPEAT:
    case TOK_RETURN:
    case TOK_REQUIRE:
        return true;
    default:
        return false;
    }
}

static bool is_operator(int k) {
    switch (k) {
    case TOK_EQ:
    case TOK_NE:
    case TOK_LE:
    case TOK_GE:
    case TOK_AND:
    case TOK_OR:
    case TOK_IDIV:
    case TOK_DOTDOT:
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '^':
    case '<':
    case '>':
    case '?':
    case '|':
        return true;
    default:
        return false;
    }
}

static const char *declares(int k) { /* the form of a statement whose first word is k */
    switch (k) {
    case TOK_LET:
        return "let NAME = value";
    case TOK_VAR:
        return "var NAME = value";
    case TOK_INPUT:
        return "input NAME : real[channels, height, width]";
    case TOK_LABEL:
        return "label NAME : class[10]";
    case TOK_TARGET:
        return "target NAME : real[channels, height, width]";
    case TOK_OUTPUT:
        return "output NAME = value";
    case TOK_PARAM:
        return "param NAME : real[sizes] = start";
    case TOK_TUNABLE:
        return "tunable NAME = number";
    case TOK_FOR:
        return "for NAME in 1..n { ... }";
    case TOK_LASSO:
        return "lasso NAME : signal ~ dictionary * NAME { options }";
    case TOK_REQUIRE:
        return "require(condition, \"what to say\")";
    case TOK_MODEL:
        return "model NAME { ... }";
    case TOK_TRAIN:
        return "train MODEL { ... }";
    case TOK_DICTIONARY:
        return "dictionary NAME = operator";
    case TOK_LAYER:
        return "layer NAME(x, options) { ... return value }";
    case TOK_FUNCTION:
        return "function NAME(x) = value";
    case TOK_SOLVER:
        return "solver NAME(X ~ D * g) { ... return g }";
    case TOK_PROX:
        return "prox NAME(z, t) = value";
    default:
        return NULL;
    }
}

/* Help that fits; one at most. */
static const char *find_help(Reader *r, const bool *expected, bool top) {
    const Token *now = &r->now, *prev = &r->prev;
    Name now_name = now->kind == TOK_NAME ? now->value.name : NULL,
         prev_name = prev->kind == TOK_NAME ? prev->value.name : NULL;
    const char *help;
    size_t n;
    const char *const *keywords = syntax_keywords(&n);
    if (now->kind == TOK_EQ && expected['=']) return "'=' gives a value; '==' asks whether two are equal";
    if (now->kind == '=' && expected['~']) return "a problem is written 'signal ~ dictionary * code'";
    if (now->kind == '=' && expected[TOK_IN]) return "it is written 'for NAME in 1..n { ... }'";
    if (now->kind == TOK_SOLVER && expected[TOK_UNTIED]) return "did you mean 'solve'?";
    if (now->kind == TOK_TUNABLE && prev->kind == TOK_UNTIED) return "a tunable cannot be untied";
    if (now->kind == '=' && expected[TOK_EQ])
        return "'==' asks whether two values are equal; '=' gives a value to a name";
    if (!r->fresh_now && (help = FIND(between, now_name))) return help;
    if (!r->fresh_now && prev_name && (help = FIND(between, prev_name))) return help;
    if (prev_name && strcmp(prev_name, "not") == 0) return "'!a' negates a condition";
    if (r->fresh_now && (help = FIND(at_start, now_name))) return help;
    if (r->fresh_prev && (help = FIND(at_start, prev_name))) return help;
    if (now->kind == TOK_IDIV && r->fresh_now) return "a comment begins with '#'";
    if (r->fresh_now && is_operator(now->kind))
        return "a line goes on when it ends with an operator or a comma: put this sign at the end of the "
               "line before";
    if (now->kind == TOK_ELSE) return "'else' stands behind the '}' of an 'if'";
    if (now->kind == '(' && prev_name && r->fresh_prev && !top) {
        return "a call alone does nothing: give its value a name, as in 'let y = f(x)'";
    }
    if (top && r->fresh_now && now_name) {
        help = diag_nearest(now_name, keywords, 8);
        if (help) return arena_printf(r->cx->keep, "did you mean '%s'?", help);
    }
    if (!top && r->fresh_prev && prev_name && (now_name || now->kind == TOK_INT || now->kind == '{')) {
        help = diag_nearest(prev_name, keywords, n);
        if (help) return arena_printf(r->cx->keep, "did you mean '%s'?", help);
    }
    if (top && r->fresh_now && begins_inside(now->kind))
        return "statements stand inside a model or another definition";
    if (!top && r->fresh_now &&
        (now->kind == TOK_LAYER || now->kind == TOK_FUNCTION || now->kind == TOK_SOLVER ||
         now->kind == TOK_MODEL || now->kind == TOK_TRAIN || now->kind == TOK_IMPORT ||
         now->kind == TOK_PROX))
        return "definitions stand at the top of the file, not inside one another";
    if (!now_name && syntax_keyword(now->kind) && expected[TOK_NAME])
        return arena_printf(r->cx->keep, "'%s' is a word of the language and cannot be a name",
                            syntax_keyword(now->kind));
    if (declares(prev->kind) && r->fresh_prev)
        return arena_printf(r->cx->keep, "it is written '%s'", declares(prev->kind));
    if (declares(r->before_prev) && (expected['='] || expected[':']) && !expected['+'])
        return arena_printf(r->cx->keep, "it is written '%s'", declares(r->before_prev));
    if (now->kind == '{' && prev->kind == TOK_NL) return "the '{' stands on the line of what it belongs to";
    return NULL;
}

/* What could stand there, by the names a reader knows. NULL when that would be a long list. */
static const char *list_expected(Reader *r, const bool *expected, bool top) {
    const char *item[8];
    int n = 0;
    if (expected[TOK_NAME] && expected[TOK_LASSO] && expected[TOK_DICTIONARY] && !expected[TOK_LET] &&
        !expected[TOK_MODEL])
        return "a type";
    bool value = expected[TOK_NAME] && expected[TOK_INT] && expected['('];
    if (value) {
        if (!expected[')'] && !expected[']']) return "an expression";
        item[n++] = "an expression";
        item[n++] = expected[')'] ? "')'" : "']'";
    } else if (top && expected[TOK_MODEL]) {
        return "a definition ('model', 'layer', 'dictionary', ...), 'train' or 'import'";
    } else if (expected[TOK_LET] && expected[TOK_FOR]) {
        return expected['}'] ? "a statement or '}'" : "a statement";
    } else if (expected[TOK_UNTIED]) {
        return "an option as 'name = value', or '}'";
    } else {
        const struct {
            int kind;
            const char *name;
        } order[] = {{TOK_NAME, "a name"},
                     {TOK_STRING, expected[TOK_NAME] ? "a file name in quotes" : "a string in quotes"},
                     {'=', "'='"},
                     {':', "':'"},
                     {'~', "'~'"},
                     {TOK_IN, "'in'"},
                     {',', "','"},
                     {')', "')'"},
                     {']', "']'"},
                     {'{', "'{'"},
                     {TOK_LET, "'let'"},
                     {TOK_PARAM, "'param'"},
                     {TOK_NL, "the end of the line"},
                     {'}', "'}'"},
                     {'(', "'('"},
                     {'[', "'['"}};
        for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
            int k = order[i].kind;
            if (!expected[k] || n == 6) continue;
            if ((k == '(' || k == '[') && (expected['+'] || expected['=']))
                continue; /* an expression, a name may go on with these */
            if (k == '}' && expected[TOK_NL]) continue;
            if (k == ':' && expected['+'] && (expected[TOK_NL] || expected[')'])) continue;
            item[n++] = order[i].name;
        }
        if (n == 0 || n > 5) return NULL;
    }
    const char *text = item[0];
    for (int i = 1; i < n; i++)
        text = arena_printf(r->cx->keep, i == n - 1 ? "%s or %s" : "%s, %s", text, item[i]);
    return text;
}

void syntax_report(Reader *r, const bool *expected) {
    const Token *now = &r->now, *prev = &r->prev;
    int level = r->depth - (now->kind == '{' || now->kind == '(' || now->kind == '[');
    while (level > 0 && r->open[level - 1].kind != '{') level--;
    bool top = level == 0;
    bool at_end = (now->kind == TOK_NL || now->kind == ';') && r->depth == level;
    if (!at_end && now->kind != 0 && now->kind != '}') r->skip = level;
    r->stuck =
        now->span.line == r->stuck_at.line && now->span.col == r->stuck_at.col && now->kind == r->stuck_kind
            ? r->stuck + 1
            : 0;
    r->stuck_at = now->span;
    r->stuck_kind = now->kind;
    if (now->made || r->stop || now->kind == TOK_SYNTAX_YYUNDEF) return;

    Span at = now->span;
    bool after = prev->kind && prev->kind != TOK_NL && prev->kind != ';' && prev->kind != '{' && !prev->made;
    if (now->kind == TOK_NL || now->kind == 0) /* point behind the last word, not at the next line */
        at = after ? (Span){at.file, prev->span.end_line, prev->span.end_col, prev->span.end_line,
                            prev->span.end_col + 1}
                   : (Span){at.file, at.line, at.col, at.line, at.col + 1};
    const char *found = describe(r, now), *want = list_expected(r, expected, top);
    Diag *d;
    if (after && declares(prev->kind) && expected[TOK_NAME] && !expected[TOK_INT] && !expected[':'] &&
        !expected['='])
        d = diag_error(r->cx, E_SYNTAX, at, "%s needs a name, found %s", describe(r, prev), found);
    else if (expected[TOK_NL] && after && (r->now.kind == TOK_NAME || syntax_keyword(now->kind)) &&
             !expected['='])
        d = diag_error(r->cx, E_SYNTAX, at,
                       "%s cannot follow %s here; statements are separated by line ends or ';'", found,
                       describe(r, prev));
    else if (want && after)
        d = diag_error(r->cx, E_SYNTAX, at, "expected %s after %s, found %s", want, describe(r, prev), found);
    else if (want)
        d = diag_error(r->cx, E_SYNTAX, at, "expected %s, found %s", want, found);
    else if (after)
        d = diag_error(r->cx, E_SYNTAX, at, "%s cannot follow %s here", found, describe(r, prev));
    else
        d = diag_error(r->cx, E_SYNTAX, at, "%s cannot stand here", found);
    const char *help = find_help(r, expected, top);
    if (help) diag_help(r->cx, d, "%s", help);
}

void syntax_report_depth(Reader *r, Span at) {
    Diag *d = diag_error(r->cx, E_LIMIT, at, "this is nested more than %d deep", AST_HEIGHT_MOST);
    diag_help(r->cx, d, "give parts of it a name with 'let', or use 'sum(... for i in ...)'");
}
