/* The user's trouble: diagnostics with a code, a span, notes and help; collected, sorted, printed with a caret.
   Also sources (files of text) and interned names, because every message needs both. One `Cx` a compilation; no globals. */
#ifndef CSC_BASE_DIAG_H
#define CSC_BASE_DIAG_H
#include "base/arena.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef const char *Name; /* interned: equal names are equal pointers; NULL is no name */

/* A stretch of a source. file 0 is "nowhere" (command line, made by the compiler). Lines and columns count from 1;
   the end is exclusive; columns count bytes. */
typedef struct Span {
    uint32_t file, line, col, end_line, end_col;
} Span;

typedef enum DiagCode {
#define DIAG(code, number, title, explanation) code,
#include "base/diag.def"
#undef DIAG
    DIAG_COUNT
} DiagCode;

typedef enum Severity { SEV_ERROR, SEV_WARNING } Severity;

typedef struct Note {
    bool help; /* a proposal ("help:"), else a fact ("note:") */
    Span span; /* file 0: none */
    const char *text;
} Note;

typedef struct Diag {
    DiagCode code;
    Severity severity;
    Span span;
    const char *text;
    Vec(Note) notes;
} Diag;

typedef struct Source {
    const char *path;   /* as the user named it; "<std>/solvers.csc" for the library */
    const char *text;   /* NUL-terminated; may hold anything */
    size_t len;
} Source;

typedef struct Cx {
    Arena *keep; /* lives as long as the compilation */
    Arena *pass; /* emptied after each pass by the driver */
    Vec(Source) sources; /* [0] is "nowhere" */
    Vec(Diag *) diags;
    size_t errors;
    struct NameTable *names;
} Cx;

Cx *cx_new(void);
void cx_free(Cx *cx);
uint32_t cx_add_source(Cx *cx, const char *path, const char *text, size_t len); /* copies; the file number */

Name name_of(Cx *cx, const char *s);              /* interned copy */
Name name_ofn(Cx *cx, const char *s, size_t n);
Name name_fmt(Cx *cx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

Span span_join(Span a, Span b); /* from the start of a to the end of b */

/* Reports. The text is a sentence without a full stop, in the user's words. The result takes notes; never NULL. After
   DIAG_MOST errors the rest is counted, not kept. */
enum { DIAG_MOST = 40 };
Diag *diag_error(Cx *cx, DiagCode code, Span at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
Diag *diag_warning(Cx *cx, DiagCode code, Span at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void diag_note(Cx *cx, Diag *d, Span at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void diag_help(Cx *cx, Diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The nearest of n names to `word` for "did you mean", or NULL when none is near. */
const char *diag_nearest(const char *word, const char *const *names, size_t n);

/* Prints all, in order of file and line, `file:line:col: error[E0101]: text` with the line and a caret. */
void diag_print_all(const Cx *cx, FILE *out, bool colour);
void diag_print_json(const Cx *cx, FILE *out); /* a list of objects: code, severity, text, file, line, col, end_line, end_col, notes */

/* "E0101" and its title and explanation (several lines); number_text may be in any case. */
const char *diag_number(DiagCode c); /* "E0101" */
const char *diag_title(DiagCode c);
const char *diag_explanation(DiagCode c);
bool diag_find(const char *number_text, DiagCode *out);
#endif
