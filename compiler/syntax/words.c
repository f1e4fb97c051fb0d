/* Keywords, names, numbers, strings, and the signs that the language lacks. */
#include "syntax/reader.h"
#include "grammar.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    int kind;
} keywords[] = {
    {"import", TOK_IMPORT}, {"dictionary", TOK_DICTIONARY},
    {"prox", TOK_PROX},     {"solver", TOK_SOLVER},
    {"layer", TOK_LAYER},   {"function", TOK_FUNCTION},
    {"model", TOK_MODEL},   {"train", TOK_TRAIN},
    {"input", TOK_INPUT},   {"label", TOK_LABEL},
    {"target", TOK_TARGET}, {"output", TOK_OUTPUT},
    {"param", TOK_PARAM},   {"tunable", TOK_TUNABLE},
    {"var", TOK_VAR},       {"let", TOK_LET},
    {"for", TOK_FOR},       {"in", TOK_IN},
    {"by", TOK_BY},         {"repeat", TOK_REPEAT},
    {"until", TOK_UNTIL},   {"if", TOK_IF},
    {"else", TOK_ELSE},     {"return", TOK_RETURN},
    {"where", TOK_WHERE},   {"lasso", TOK_LASSO},
    {"untied", TOK_UNTIED}, {"of", TOK_OF},
    {"require", TOK_REQUIRE},
};
enum { NKEYWORDS = sizeof keywords / sizeof *keywords };

int syntax_word_kind(const char *text, size_t len) {
    for (int i = 0; i < NKEYWORDS; i++)
        if (strlen(keywords[i].text) == len && memcmp(keywords[i].text, text, len) == 0)
            return keywords[i].kind;
    return TOK_NAME;
}

const char *syntax_keyword(int kind) {
    for (int i = 0; i < NKEYWORDS; i++)
        if (keywords[i].kind == kind) return keywords[i].text;
    return NULL;
}

const char *const *syntax_keywords(size_t *n) {
    static const char *const tops[] = {"import", "dictionary", "prox",  "solver", "layer",  "function",
                                       "model",  "train",      "input", "label",  "target", "output",
                                       "param",  "tunable",    "var",   "let",    "for",    "repeat",
                                       "if",     "return",     "lasso", "require"};
    *n = sizeof tops / sizeof *tops;
    return tops;
}

bool syntax_ends_value(int kind) {
    return kind == TOK_NAME || kind == TOK_PROX || kind == TOK_INT || kind == TOK_REAL ||
           kind == TOK_STRING || kind == ')' || kind == ']' || kind == '}' || kind == '\'';
}

/* ---- signs that look like ours ---- */
static const struct {
    const char *sign;
    int kind;
    const char *ours;
} lookalike[] = {
    {"\u00d7", '*', "*"},         {"\u00b7", '*', "*"},     {"\u2212", '-', "-"},
    {"\u2013", '-', "-"},         {"\u2264", TOK_LE, "<="}, {"\u2265", TOK_GE, ">="},
    {"\u2260", TOK_NE, "!="},     {"\u2032", '\'', "'"},    {"\u2019", '\'', "'"},
    {"\u201c", 0, "\""},          {"\u201d", 0, "\""},      {"\u00a0", 0, "a blank"},
    {"\u2026", TOK_DOTDOT, ".."}, {"\ufeff", 0, "nothing"},
};

/* The first look-alike in a word, or -1. */
static int find_lookalike(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        for (size_t k = 0; k < sizeof lookalike / sizeof *lookalike; k++) {
            size_t n = strlen(lookalike[k].sign);
            if (i + n <= len && memcmp(text + i, lookalike[k].sign, n) == 0) return (int)k;
        }
    return -1;
}

int syntax_take_name(Reader *r, const char *text, size_t len, Span at, Value *v) {
    size_t shown = len > 40 ? 40 : len;
    while (shown < len && shown && ((unsigned char)text[shown] & 0xC0) == 0x80) shown--;
    v->name = name_ofn(r->cx, text, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0x80) {
            int k = find_lookalike(text, len);
            Diag *d = diag_error(r->cx, E_SIGN, at, "'%.*s' has a character that cannot stand here",
                                 (int)shown, text);
            if (k >= 0)
                diag_help(r->cx, d, "'%s' is written '%s'", lookalike[k].sign, lookalike[k].ours);
            else
                diag_help(r->cx, d, "names are made of the letters a to z and A to Z, digits and '_'");
            if (k >= 0 && strlen(lookalike[k].sign) == len && lookalike[k].kind) return lookalike[k].kind;
            return TOK_NAME;
        }
    if (len > 200) diag_error(r->cx, E_LIMIT, at, "this name has %zu characters; 200 are allowed", len);
    return syntax_word_kind(text, len);
}

int syntax_take_int(Reader *r, const char *text, Span at, Value *v) {
    errno = 0;
    v->integer = strtoll(text, NULL, 10);
    if (errno == ERANGE) {
        Diag *d = diag_error(r->cx, E_NUMBER, at, "this whole number is larger than 9223372036854775807");
        diag_help(r->cx, d, "write it as a real number, with a point or an exponent");
    }
    return TOK_INT;
}

int syntax_take_real(Reader *r, const char *text, Span at, Value *v) {
    v->real = strtod(text, NULL);
    if (v->real > 1.7976931348623157e308) {
        diag_error(r->cx, E_NUMBER, at, "this number is larger than the largest real number, about 1.8e308");
        v->real = 0;
    }
    return TOK_REAL;
}

int syntax_take_string(Reader *r, const char *text, size_t len, Span at, Value *v) {
    char *out = ARENA_ARRAY(r->cx->keep, char, len);
    size_t n = 0;
    for (size_t i = 1; i + 1 < len; i++) {
        char c = text[i];
        if (c == '\\') {
            c = text[++i];
            if (c == 'n')
                c = '\n';
            else if (c == 't')
                c = '\t';
            else if (c != '"' && c != '\\') {
                Span s = {at.file, at.line, at.col + (uint32_t)i - 1, at.line, at.col + (uint32_t)i + 1};
                diag_error(r->cx, E_STRING, s, "a string knows \\n, \\t, \\\" and \\\\ only");
            }
        }
        out[n++] = c;
    }
    v->name = name_ofn(r->cx, out, n);
    return TOK_STRING;
}

int syntax_take_sign(Reader *r, const char *text, Span at) {
    unsigned char c = (unsigned char)*text;
    if (c < 32 || c == 127)
        diag_error(r->cx, E_SIGN, at, "the control character %d cannot stand here", c);
    else
        diag_error(r->cx, E_SIGN, at, "the sign '%c' has no meaning here", c);
    return TOK_SYNTAX_YYUNDEF; /* the statement is given up without a further word */
}
