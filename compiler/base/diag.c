/* Diagnostics, sources and names. */
#include "base/diag.h"
#include "base/trouble.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */
typedef struct NameTable {
    size_t cap, len;
    const char **slot;
} NameTable;

static uint64_t hash_bytes(const char *s, size_t n) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return h;
}

Name name_ofn(Cx *cx, const char *s, size_t n) {
    NameTable *t = cx->names;
    if (t->len * 2 >= t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 1024;
        const char **slot = ARENA_ARRAY(cx->keep, const char *, cap);
        for (size_t i = 0; i < t->cap; i++)
            if (t->slot[i]) {
                size_t k = hash_bytes(t->slot[i], strlen(t->slot[i])) & (cap - 1);
                while (slot[k]) k = (k + 1) & (cap - 1);
                slot[k] = t->slot[i];
            }
        t->slot = slot;
        t->cap = cap;
    }
    size_t k = hash_bytes(s, n) & (t->cap - 1);
    for (; t->slot[k]; k = (k + 1) & (t->cap - 1))
        if (strlen(t->slot[k]) == n && memcmp(t->slot[k], s, n) == 0) return t->slot[k];
    t->len++;
    return t->slot[k] = arena_strndup(cx->keep, s, n);
}

Name name_of(Cx *cx, const char *s) { return name_ofn(cx, s, strlen(s)); }

Name name_fmt(Cx *cx, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *s = arena_vprintf(cx->keep, fmt, ap);
    va_end(ap);
    return name_of(cx, s);
}

/* ---- the compilation ---- */
Cx *cx_new(void) {
    Arena *keep = arena_new();
    Cx *cx = ARENA_NEW(keep, Cx);
    cx->keep = keep;
    cx->pass = arena_new();
    cx->names = ARENA_NEW(keep, NameTable);
    cx_add_source(cx, "", "", 0);
    return cx;
}

void cx_free(Cx *cx) {
    if (!cx) return;
    arena_free(cx->pass);
    arena_free(cx->keep);
}

uint32_t cx_add_source(Cx *cx, const char *path, const char *text, size_t len) {
    Source s = {arena_strndup(cx->keep, path, strlen(path)), arena_strndup(cx->keep, text, len), len};
    vec_push(cx->keep, &cx->sources, s);
    return (uint32_t)(cx->sources.len - 1);
}

Span span_join(Span a, Span b) {
    if (!a.file) return b;
    if (!b.file || b.file != a.file) return a;
    a.end_line = b.end_line;
    a.end_col = b.end_col;
    return a;
}

/* ---- reports ---- */
static const struct {
    const char *number, *title, *explanation;
} code_info[DIAG_COUNT] = {
#define DIAG(code, number, title, explanation) [code] = {number, title, explanation},
#include "base/diag.def"
#undef DIAG
};

static Diag *report(Cx *cx, Severity sev, DiagCode code, Span at, const char *fmt, va_list ap) {
    Diag *d = ARENA_NEW(cx->keep, Diag);
    d->code = code;
    d->severity = sev;
    d->span = at;
    d->text = arena_vprintf(cx->keep, fmt, ap);
    if (sev == SEV_ERROR) cx->errors++;
    if (cx->diags.len >= DIAG_MOST) return d;
    for (size_t i = 0; i < cx->diags.len; i++) { /* one mistake inside a loop is said once */
        const Diag *o = cx->diags.at[i];
        if (o->code == code && o->span.file == at.file && o->span.line == at.line && o->span.col == at.col &&
            strcmp(o->text, d->text) == 0)
            return d;
    }
    vec_push(cx->keep, &cx->diags, d);
    return d;
}

Diag *diag_error(Cx *cx, DiagCode code, Span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Diag *d = report(cx, SEV_ERROR, code, at, fmt, ap);
    va_end(ap);
    return d;
}

Diag *diag_warning(Cx *cx, DiagCode code, Span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Diag *d = report(cx, SEV_WARNING, code, at, fmt, ap);
    va_end(ap);
    return d;
}

static void add_note(Cx *cx, Diag *d, bool help, Span at, const char *fmt, va_list ap) {
    Note n = {help, at, arena_vprintf(cx->keep, fmt, ap)};
    vec_push(cx->keep, &d->notes, n);
}

void diag_note(Cx *cx, Diag *d, Span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_note(cx, d, false, at, fmt, ap);
    va_end(ap);
}

void diag_help(Cx *cx, Diag *d, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_note(cx, d, true, (Span){0}, fmt, ap);
    va_end(ap);
}

/* Damerau-Levenshtein, restricted; words longer than 63 are never near. */
static int distance(const char *a, const char *b) {
    int n = (int)strlen(a), m = (int)strlen(b), row[3][65];
    if (n > 63 || m > 63) return 99;
    for (int j = 0; j <= m; j++) row[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            int c = tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]);
            int v = prev[j - 1] + c;
            if (prev[j] + 1 < v) v = prev[j] + 1;
            if (now[j - 1] + 1 < v) v = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && prev2[j - 2] + 1 < v)
                v = prev2[j - 2] + 1;
            now[j] = v;
        }
    }
    return row[n % 3][m];
}

const char *diag_nearest(const char *word, const char *const *names, size_t n) {
    const char *best = NULL;
    int best_d = (int)(strlen(word) + 2) / 3 + 1; /* a third of the letters may be wrong */
    for (size_t i = 0; i < n; i++) {
        int d = names[i] ? distance(word, names[i]) : 99;
        if (d < best_d && d < (int)strlen(word)) best_d = d, best = names[i];
    }
    return best;
}

const char *diag_number(DiagCode c) { return code_info[c].number; }
const char *diag_title(DiagCode c) { return code_info[c].title; }
const char *diag_explanation(DiagCode c) { return code_info[c].explanation; }

bool diag_find(const char *text, DiagCode *out) {
    for (int c = 0; c < DIAG_COUNT; c++)
        if (strcasecmp(code_info[c].number, text) == 0) return *out = (DiagCode)c, true;
    return false;
}

/* ---- printing ---- */
static const char *line_start(const Source *s, uint32_t line) {
    const char *p = s->text, *end = s->text + s->len;
    for (uint32_t l = 1; l < line && p < end; l++) {
        const char *q = memchr(p, '\n', (size_t)(end - p));
        p = q ? q + 1 : end;
    }
    return p;
}

/* The line under a message: tabs become blanks, what cannot be shown becomes '?', very long lines are cut around the caret. */
static void print_line(const Cx *cx, FILE *out, Span at, bool colour) {
    const Source *s = &cx->sources.at[at.file];
    const char *p = line_start(s, at.line), *end = s->text + s->len;
    size_t n = 0;
    while (p + n < end && p[n] != '\n') n++;
    if (n && p[n - 1] == '\r') n--;
    size_t from = at.col > 100 ? at.col - 60 : 0, to = n > from + 140 ? from + 140 : n;
    if (from > n) from = n;
    size_t stop = at.end_line == at.line && at.end_col > at.col ? at.end_col : (at.end_line > at.line ? n + 1 : at.col + 1);
    fprintf(out, "%5u | ", at.line);
    for (size_t i = from; i < to; i++) {
        unsigned char c = (unsigned char)p[i];
        fputc(c == '\t' ? ' ' : (c < 32 || c == 127) ? '?' : c, out);
    }
    fprintf(out, "\n      | ");
    if (colour) fputs("\033[1;31m", out);
    for (size_t i = from; i <= to && i + 1 < stop; i++) {
        if (i < n && ((unsigned char)p[i] & 0xC0) == 0x80) continue; /* one caret a character */
        fputc(i + 1 < at.col ? ' ' : '^', out);
    }
    if (colour) fputs("\033[0m", out);
    fputc('\n', out);
}

static void print_place(const Cx *cx, FILE *out, Span at) {
    if (at.file) fprintf(out, "%s:%u:%u: ", cx->sources.at[at.file].path, at.line, at.col);
}

static int by_place(const void *x, const void *y) {
    const Diag *a = *(Diag *const *)x, *b = *(Diag *const *)y;
    if (a->span.file != b->span.file) return a->span.file < b->span.file ? -1 : 1;
    if (a->span.line != b->span.line) return a->span.line < b->span.line ? -1 : 1;
    if (a->span.col != b->span.col) return a->span.col < b->span.col ? -1 : 1;
    return strcmp(a->text, b->text);
}

static const Diag **sorted(const Cx *cx) {
    const Diag **list = arena_copy(cx->pass, cx->diags.at, cx->diags.len * sizeof *list);
    qsort(list, cx->diags.len, sizeof *list, by_place);
    return list;
}

void diag_print_all(const Cx *cx, FILE *out, bool colour) {
    const Diag **list = sorted(cx);
    for (size_t i = 0; i < cx->diags.len; i++) {
        const Diag *d = list[i];
        const char *word = d->severity == SEV_ERROR ? "error" : "warning";
        if (!d->span.file) fputs("cscc: ", out);
        print_place(cx, out, d->span);
        if (colour) fprintf(out, "\033[1;%dm%s[%s]\033[0m: \033[1m%s\033[0m\n", d->severity == SEV_ERROR ? 31 : 35, word, diag_number(d->code), d->text);
        else fprintf(out, "%s[%s]: %s\n", word, diag_number(d->code), d->text);
        if (d->span.file) print_line(cx, out, d->span, colour);
        for (size_t k = 0; k < d->notes.len; k++) {
            const Note *n = &d->notes.at[k];
            if (n->span.file) print_place(cx, out, n->span);
            else fputs("      = ", out);
            fprintf(out, "%s: %s\n", n->help ? "help" : "note", n->text);
            if (n->span.file) print_line(cx, out, n->span, colour);
        }
    }
    if (cx->diags.len >= DIAG_MOST && cx->errors > cx->diags.len) fprintf(out, "cscc: %zu more errors\n", cx->errors - cx->diags.len);
}

static void json_text(FILE *out, const char *s) {
    fputc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') fprintf(out, "\\%c", c);
        else if (c < 32 || c == 127) fprintf(out, "\\u%04x", c);
        else fputc(c, out);
    }
    fputc('"', out);
}

static void json_span(const Cx *cx, FILE *out, Span s) {
    if (!s.file) return;
    fputs(", \"file\": ", out);
    json_text(out, cx->sources.at[s.file].path);
    fprintf(out, ", \"line\": %u, \"col\": %u, \"end_line\": %u, \"end_col\": %u", s.line, s.col, s.end_line, s.end_col);
}

void diag_print_json(const Cx *cx, FILE *out) {
    const Diag **list = sorted(cx);
    fputc('[', out);
    for (size_t i = 0; i < cx->diags.len; i++) {
        const Diag *d = list[i];
        fprintf(out, "%s\n  {\"code\": \"%s\", \"severity\": \"%s\", \"text\": ", i ? "," : "", diag_number(d->code),
                d->severity == SEV_ERROR ? "error" : "warning");
        json_text(out, d->text);
        json_span(cx, out, d->span);
        fputs(", \"notes\": [", out);
        for (size_t k = 0; k < d->notes.len; k++) {
            fprintf(out, "%s{\"kind\": \"%s\", \"text\": ", k ? ", " : "", d->notes.at[k].help ? "help" : "note");
            json_text(out, d->notes.at[k].text);
            json_span(cx, out, d->notes.at[k].span);
            fputc('}', out);
        }
        fputs("]}", out);
    }
    fputs(cx->diags.len ? "\n]\n" : "]\n", out);
}
