/* Words for the tree's enums, and reading one source. */
#include "syntax/reader.h"
#include "grammar.h"
#include <string.h>

const char *ast_bin_text(BinOp op) {
    static const char *const text[] = {
        "+", "-", "*", "/", "//", "%", "^", "==", "!=", "<", ">", "<=", ">=", "&&", "||"};
    return text[op];
}

const char *ast_def_text(DefKind k) {
    static const char *const text[] = {"dictionary", "prox", "solver", "layer", "function", "model"};
    return text[k];
}

/* The first byte that is not part of well-formed UTF-8 (RFC 3629), or is zero; len when there is none. */
static size_t find_bad_byte(const unsigned char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        unsigned char c = s[i];
        size_t n = c < 0x80                ? 1
                   : c >= 0xC2 && c < 0xE0 ? 2
                   : (c & 0xF0) == 0xE0    ? 3
                   : c >= 0xF0 && c < 0xF5 ? 4
                                           : 0;
        if (c == 0 || n == 0 || i + n > len) return i;
        for (size_t k = 1; k < n; k++)
            if ((s[i + k] & 0xC0) != 0x80) return i;
        if ((c == 0xE0 && s[i + 1] < 0xA0) || (c == 0xED && s[i + 1] > 0x9F) ||
            (c == 0xF0 && s[i + 1] < 0x90) || (c == 0xF4 && s[i + 1] > 0x8F))
            return i;
        i += n;
    }
    return len;
}

static bool is_text(Cx *cx, uint32_t source) {
    const Source *s = &cx->sources.at[source];
    if (s->len > 1u << 20) {
        diag_error(cx, E_LIMIT, (Span){source, 1, 1, 1, 1},
                   "this file has %zu bytes; a program may have 1 MiB", s->len);
        return false;
    }
    size_t bad = find_bad_byte((const unsigned char *)s->text, s->len);
    if (bad == s->len) return true;
    Span at = {source, 1, 1, 1, 1};
    for (size_t i = 0; i < bad; i++) {
        at.col++;
        if (s->text[i] == '\n') at.line++, at.col = 1;
    }
    at.end_line = at.line;
    at.end_col = at.col + 1;
    unsigned c = (unsigned char)s->text[bad];
    Diag *d = diag_error(cx, E_ENCODING, at,
                         c ? "this is not UTF-8 text: a byte %02x" : "this is not text: a zero byte", c);
    if (bad < 2 && s->len > 1 && (c == 0xFF || c == 0xFE || c == 0))
        diag_help(cx, d, "the file looks like UTF-16; save it as UTF-8");
    else if (c)
        diag_help(cx, d, "save the file as UTF-8");
    return false;
}

File *syntax_read(Cx *cx, uint32_t source) {
    File *f = ARENA_NEW(cx->keep, File);
    f->source = source;
    if (!is_text(cx, source)) return f;
    Reader *r = ARENA_NEW(cx->keep, Reader);
    r->cx = cx;
    r->source = source;
    r->line = r->col = r->indent = 1;
    r->close_to = r->skip = -1;
    r->imports = make_list(r, NULL);
    r->defs = make_list(r, NULL);
    r->trains = make_list(r, NULL);
    const char *text = cx->sources.at[source].text;
    size_t len = cx->sources.at[source].len;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3, len -= 3, r->col = r->indent = 4; /* a byte order mark */
    syntax_raw_open(r, text, len);
    syntax_yyparse(r);
    syntax_raw_close(r);
    f->nimports = (uint32_t)r->imports->of.len;
    f->ndefs = (uint32_t)r->defs->of.len;
    f->ntrains = (uint32_t)r->trains->of.len;
    f->imports = arena_copy(cx->keep, r->imports->of.at, f->nimports * sizeof *f->imports);
    f->defs = arena_copy(cx->keep, r->defs->of.at, f->ndefs * sizeof *f->defs);
    f->trains = arena_copy(cx->keep, r->trains->of.at, f->ntrains * sizeof *f->trains);
    return f;
}
