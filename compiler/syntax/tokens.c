/* The words as the parser sees them: brackets balanced, line ends only where they end a statement, and after
   an error nothing until the statement is over. What is wrong with brackets is reported here, at the place of
   the opening one. */
#include "syntax/reader.h"
#include "grammar.h"

static char opening_of(int closing) { return closing == ')' ? '(' : closing == ']' ? '[' : '{'; }
static char closing_of(int opening) { return opening == '(' ? ')' : opening == '[' ? ']' : '}'; }

static const Token *peek(Reader *r, int i) {
    while (r->nahead <= i) syntax_raw_word(r, &r->ahead[r->nahead++]);
    return &r->ahead[i];
}

static Token take(Reader *r) {
    Token t = *peek(r, 0);
    r->nahead--;
    for (int i = 0; i < r->nahead; i++) r->ahead[i] = r->ahead[i + 1];
    return t;
}

/* May a line end after this word without ending the statement? */
static bool goes_on_after(int kind) { /* an operator, a comma, an opening */
    switch (kind) {
    case 0:
    case TOK_NL:
    case TOK_DOTDOT:
    case TOK_EQ:
    case TOK_NE:
    case TOK_LE:
    case TOK_GE:
    case TOK_AND:
    case TOK_OR:
    case TOK_IDIV:
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '^':
    case ',':
    case '=':
    case '?':
    case ':':
    case '<':
    case '>':
    case '|':
    case '!':
    case '~':
    case '(':
    case '{':
    case '[':
    case ';':
        return true;
    default:
        return false;
    }
}

/* Words that begin a statement and nothing else, unless a colon follows. */
static bool begins_statement(int kind) {
    switch (kind) {
    case TOK_LET:
    case TOK_VAR:
    case TOK_PARAM:
    case TOK_RETURN:
    case TOK_LASSO:
    case TOK_DICTIONARY:
    case TOK_INPUT:
    case TOK_LABEL:
    case TOK_TARGET:
    case TOK_OUTPUT:
    case TOK_TUNABLE:
    case TOK_REPEAT:
    case TOK_IF:
    case TOK_MODEL:
    case TOK_TRAIN:
    case TOK_IMPORT:
    case TOK_FUNCTION:
    case TOK_LAYER:
    case TOK_SOLVER:
        return true;
    default:
        return false;
    }
}

static bool begins_definition(int kind) {
    return kind == TOK_MODEL || kind == TOK_TRAIN || kind == TOK_IMPORT || kind == TOK_FUNCTION ||
           kind == TOK_LAYER || kind == TOK_SOLVER;
}

/* Reports the innermost opening as unclosed; `before` is the word where that showed. */
static void report_open(Reader *r, const Token *before) {
    Opening *o = &r->open[r->depth - 1];
    bool block = o->kind == '{';
    Span at = block && r->crooked.line ? r->crooked : o->span;
    Diag *d = diag_error(r->cx, E_BRACKET, at, "this '%c' is never closed", o->kind);
    if (before->kind)
        diag_note(r->cx, d, before->span, "'%c' is missing before this", closing_of(o->kind));
    else
        diag_note(r->cx, d, (Span){0}, "the file ends first");
    if (block && r->crooked.line)
        diag_note(r->cx, d, (Span){0},
                  "the '}' that closes it stands further left, as if it closed another one");
}

static void close_down_to(Reader *r, int depth, Span at) {
    r->close_to = depth;
    r->close_at = (Span){at.file, at.line, at.col, at.line, at.col};
}

static void push(Reader *r, const Token *t) {
    if (r->depth == READER_DEPTH_MOST) {
        diag_error(r->cx, E_LIMIT, t->span, "brackets are nested more than %d deep", READER_DEPTH_MOST);
        r->stop = true;
        r->nahead = 0;
        return;
    }
    r->open[r->depth++] = (Opening){t->kind, t->span, r->indent};
}

/* A closing bracket. True: give it to the parser (perhaps changed); false: drop it, or inserted ones come
 * first. */
static bool pop(Reader *r, Token *t) {
    char want = opening_of(t->kind);
    if (r->depth && r->open[r->depth - 1].kind == want) {
        Opening *o = &r->open[--r->depth];
        if (t->kind == '}' && t->span.line != o->span.line && r->indent == t->span.col &&
            t->span.col < o->indent && !r->crooked.line)
            r->crooked = o->span;
        return true;
    }
    int k = r->depth;
    while (k && r->open[k - 1].kind != want) k--;
    bool slip = k && t->kind == '}' && r->open[r->depth - 1].span.line == t->span.line &&
                r->open[k - 1].span.line != t->span.line;
    if (k && !slip) { /* something inside is not closed */
        report_open(r, t);
        close_down_to(r, k, t->span);
        for (int i = r->nahead++; i > 0; i--) r->ahead[i] = r->ahead[i - 1];
        r->ahead[0] = *t;
        return false;
    }
    if (r->depth && r->open[r->depth - 1].kind != '{') { /* the wrong sign */
        Opening *o = &r->open[--r->depth];
        Diag *d = diag_error(r->cx, E_BRACKET, t->span, "'%c' stands here, but '%c' is to be closed by '%c'",
                             t->kind, o->kind, closing_of(o->kind));
        diag_note(r->cx, d, o->span, "it was opened here");
        t->kind = closing_of(o->kind);
        return true;
    }
    diag_error(r->cx, E_BRACKET, t->span, "this '%c' closes nothing", t->kind);
    return false;
}

/* The next word for the parser, without regard to errors. */
static Token next_balanced(Reader *r) {
    for (;;) {
        if (r->close_to >= 0) {
            if (r->depth > r->close_to)
                return (Token){closing_of(r->open[--r->depth].kind), r->close_at, {0}, false, true};
            r->close_to = -1;
        }
        Token t = take(r);
        if (t.kind == 0) {
            if (!r->depth) return t;
            if (!r->stop) report_open(r, &t);
            close_down_to(r, 0, t.span);
            continue;
        }
        if (t.kind == TOK_NL) {
            while (peek(r, 0)->kind == TOK_NL) take(r);
            const Token *first = peek(r, 0);
            uint32_t col = first->span.col;
            r->indent = col;
            if (r->depth && begins_definition(first->kind) && peek(r, 1)->kind == TOK_NAME &&
                col <= r->open[0].indent) {
                report_open(r, peek(r, 0));
                close_down_to(r, 0, t.span);
            } else if (r->depth && r->open[r->depth - 1].kind != '{') {
                if (!r->broken_line) {
                    if (!begins_statement(first->kind) || peek(r, 1)->kind == ':' || r->now.kind == ':')
                        continue;
                    report_open(r, peek(r, 0));
                }
                int k = r->depth;
                while (k && r->open[k - 1].kind != '{') k--;
                close_down_to(r, k, t.span);
            } else {
                int now = r->now.kind, after = peek(r, 0)->kind;
                bool ends =
                    now == 0 || now == TOK_NL || now == ';' || now == '{'; /* there is nothing to be ended */
                if (ends || (after == TOK_ELSE && now == '}') || after == TOK_WHERE || after == '{') continue;
                if (goes_on_after(now) && !begins_statement(after)) continue;
                r->broken_line = false;
                return t;
            }
            for (int i = r->nahead++; i > 0; i--)
                r->ahead[i] = r->ahead[i - 1]; /* the line end comes after what was inserted */
            r->ahead[0] = t;
            continue;
        }
        if (t.broken) r->broken_line = true;
        if (t.kind == '(' || t.kind == '[' || t.kind == '{')
            push(r, &t);
        else if ((t.kind == ')' || t.kind == ']' || t.kind == '}') && !pop(r, &t))
            continue;
        return t;
    }
}

static bool ends_skip(const Reader *r, int kind) {
    return kind == 0 || ((kind == TOK_NL || kind == ';') && r->depth == r->skip) ||
           (kind == '}' && r->depth < r->skip);
}

int syntax_next(Value *v, Span *at, Reader *r) {
    Token t;
    for (;;) {
        t = next_balanced(r);
        r->before_prev = r->prev.kind;
        r->prev = r->now;
        r->fresh_prev = r->fresh_now;
        r->fresh_now = r->now.kind == 0 || r->now.kind == TOK_NL || r->now.kind == ';' ||
                       r->now.kind == '{' || r->now.kind == '}';
        r->now = t;
        if (r->skip < 0) break;
        if (ends_skip(r, t.kind)) {
            r->skip = -1;
            break;
        }
    }
    *v = t.value;
    *at = t.span;
    return t.kind;
}
