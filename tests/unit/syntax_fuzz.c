/* Broken programs: the examples with words and bytes deleted, doubled, swapped and replaced. Nothing may
   crash; every message must point into the text; what still reads without error must print and read again as
   the same tree. A number on the command line sets the rounds. */
#include "check.h"
#include "sema/sema.h"
#include <ctype.h>

static int rounds = 3000;
static uint64_t state;
static uint32_t pick(uint32_t n) { /* splitmix64 */
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % n);
}

typedef struct Text {
    char *at;
    size_t len;
} Text;

static Text read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) FAIL("cannot open %s", path);
    fseek(f, 0, SEEK_END);
    Text t = {NULL, (size_t)ftell(f)};
    rewind(f);
    t.at = malloc(t.len + 1);
    t.len = fread(t.at, 1, t.len, f);
    fclose(f);
    return t;
}

/* One word (letters and digits, blanks, or a single sign) at or behind a place. */
static size_t word_at(Text t, size_t at, size_t *begin) {
    while (at > 0 && isalnum((unsigned char)t.at[at]) && isalnum((unsigned char)t.at[at - 1])) at--;
    size_t n = at;
    if (isalnum((unsigned char)t.at[at]))
        while (n < t.len && isalnum((unsigned char)t.at[n])) n++;
    else
        n = at + 1;
    *begin = at;
    return n - at;
}

static Text splice(Text t, size_t at, size_t drop, const char *in, size_t n) {
    Text r = {malloc(t.len + n + 1), t.len - drop + n};
    memcpy(r.at, t.at, at);
    memcpy(r.at + at, in, n);
    memcpy(r.at + at + n, t.at + at + drop, t.len - at - drop);
    free(t.at);
    return r;
}

static Text mutate(Text t, Text other) {
    static const char *const odd[] = {"{",       "}",    "(",        ")",          "[",
                                      "]",       "'",    "\"",       "\n",         ";",
                                      "..",      "~",    "where {",  "for i in ",  "lasso",
                                      "1e999",   "\xff", "\xc3\xa9", "",           "99999999999999999999",
                                      "=",       "==",   "untied ",  "param p : ", "let x = ",
                                      "return ", "prox", " by ",     "/*",         "#",
                                      "\r"};
    size_t a, b, n, m;
    if (t.len < 2) return t;
    switch (pick(7)) {
    case 0: /* a word less */
        n = word_at(t, pick((uint32_t)t.len), &a);
        return splice(t, a, n, "", 0);
    case 1: /* a word twice */
        n = word_at(t, pick((uint32_t)t.len), &a);
        {
            char *w = malloc(n);
            memcpy(w, t.at + a, n);
            t = splice(t, a, 0, w, n);
            free(w);
        }
        return t;
    case 2: /* a word of another place or program */
        n = word_at(t, pick((uint32_t)t.len), &a);
        m = word_at(other, pick((uint32_t)other.len), &b);
        return splice(t, a, n, other.at + b, m);
    case 3: { /* a byte */
        char c = (char)pick(256);
        a = pick((uint32_t)t.len);
        return splice(t, a, pick(2), &c, 1);
    }
    case 4: /* an odd word */
        n = word_at(t, pick((uint32_t)t.len), &a);
        m = pick(sizeof odd / sizeof *odd);
        return splice(t, a, pick(2) ? n : 0, odd[m], strlen(odd[m]));
    case 5: /* a stretch less */
        a = pick((uint32_t)t.len);
        n = pick(40);
        return splice(t, a, n < t.len - a ? n : t.len - a, "", 0);
    default: /* the end less */
        a = pick((uint32_t)t.len);
        return pick(4) ? t : splice(t, a, t.len - a, "", 0);
    }
}

static char *print_text(const File *f) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    syntax_print(f, out);
    fclose(out);
    return text;
}

static void check_text(Text t) {
    static const char library[] = "prox soft(z, t) = max(z - t, 0)\nsolver ista(X ~ D * g) { repeat updates "
                                  "{ g = prox(g - step * D'(D * g - X)) }; return g }\n";
    Cx *cx = cx_new();
    File *files[2];
    Ast ast = {2, files};
    files[0] = syntax_read(cx, cx_add_source(cx, "t.csc", t.at, t.len));
    files[1] = syntax_read(cx, cx_add_source(cx, "<std>/l.csc", library, sizeof library - 1));
    if (!cx->errors) {
        char *once = print_text(files[0]);
        File *again = syntax_read(cx, cx_add_source(cx, "again.csc", once, strlen(once)));
        char *twice = cx->errors ? NULL : print_text(again);
        bool same = twice && !strcmp(once, twice);
        free(twice);
        if (!same) FAIL("the print of this reads otherwise:\n%.*s\n--\n%s", (int)t.len, t.at, once);
        free(once);
    }
    sema_check(cx, &ast); /* also on trees with errors: it must stand them */
    for (size_t i = 0; i < cx->diags.len; i++) {
        Span s = cx->diags.at[i]->span;
        if (s.file == 0 || s.line == 0 || s.col == 0 || s.end_line < s.line ||
            (s.end_line == s.line && s.end_col < s.col))
            FAIL("a message points nowhere: %s", cx->diags.at[i]->text);
    }
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    diag_print_all(cx, out, false);
    fclose(out);
    CHECK(cx->diags.len == 0 || n > 0);
    free(text);
    cx_free(cx);
}

TEST(broken_examples) {
    static const char *const names[] = {"denoise",       "lista_cp", "ml_ista_mnist", "msd_csc",
                                        "new_structure", "res_csc",  "sdnet"};
    enum { N = sizeof names / sizeof *names };
    Text program[N];
    for (int i = 0; i < N; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/examples/%s/%s.csc", CSC_SOURCE_DIR, names[i], names[i]);
        program[i] = read_file(path);
    }
    for (int round = 0; round < rounds; round++) {
        state = (uint64_t)round * 7919;
        Text from = program[pick(N)], t = {malloc(from.len + 1), from.len};
        memcpy(t.at, from.at, from.len);
        for (uint32_t k = 1 + pick(4); k > 0; k--) t = mutate(t, program[pick(N)]);
        check_text(t);
        free(t.at);
    }
    for (int i = 0; i < N; i++) free(program[i].at);
}

int main(int argc, char **argv) {
    if (argc > 1 && atoi(argv[1]) > 0) rounds = atoi(argv[1]), argc = 1;
    return run_tests(argc, argv, (Case[]){T(broken_examples)}, 1);
}
