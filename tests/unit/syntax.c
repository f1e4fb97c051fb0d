/* The reader and the printer of programs: trees, spans, round trips, several errors a run, hostile text. */
#include "check.h"
#include "syntax/ast.h"

static char *read_file(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (!f) FAIL("cannot open %s", path);
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    char *s = malloc(*len + 1);
    *len = fread(s, 1, *len, f);
    s[*len] = 0;
    fclose(f);
    return s;
}

static File *read_text(Cx *cx, const char *text, size_t len) {
    return syntax_read(cx, cx_add_source(cx, "t.csc", text, len));
}

static char *messages(const Cx *cx) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    diag_print_all(cx, out, false);
    fclose(out);
    return text;
}

static char *print_text(const File *f) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    syntax_print(f, out);
    fclose(out);
    return text;
}

/* Reads text without errors, or fails with the messages. */
static File *read_good(Cx *cx, const char *text) {
    File *f = read_text(cx, text, strlen(text));
    if (cx->errors) {
        char *m = messages(cx);
        FAIL("%s", m);
    }
    return f;
}

static void check_round_trip(const char *text) {
    Cx *cx = cx_new();
    char *once = print_text(read_good(cx, text));
    char *twice = print_text(read_good(cx, once));
    CHECK_STR(twice, once);
    free(once);
    free(twice);
    cx_free(cx);
}

TEST(examples_round_trip) {
    static const char *const names[] = {"denoise",       "lista_cp", "ml_ista_mnist", "msd_csc",
                                        "new_structure", "res_csc",  "sdnet"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[300];
        size_t len;
        snprintf(path, sizeof path, "%s/examples/%s/%s.csc", CSC_SOURCE_DIR, names[i], names[i]);
        char *text = read_file(path, &len);
        check_round_trip(text);
        free(text);
    }
}

/* The printed form of one expression. */
static void check_expr(const char *text, const char *want) {
    Cx *cx = cx_new();
    char program[1000];
    snprintf(program, sizeof program, "function f() = %s", text);
    char *got = print_text(read_good(cx, program));
    char expected[1000];
    snprintf(expected, sizeof expected, "function f() = %s\n", want);
    CHECK_STR(got, expected);
    free(got);
    cx_free(cx);
    check_round_trip(program);
}

TEST(expressions) {
    check_expr("-a^b", "-a^b");
    check_expr("(-a)^b", "(-a)^b");
    check_expr("a^-b", "a^(-b)");
    check_expr("a^b^c", "a^b^c");
    check_expr("(a^b)^c", "(a^b)^c");
    check_expr("a-(b-c)-d", "a - (b - c) - d");
    check_expr("a*(b+c)'", "a * (b + c)'");
    check_expr("D'(X)[1, 2].name", "D'(X)[1, 2].name");
    check_expr("a ? b : c ? d : e", "a ? b : c ? d : e");
    check_expr("(a ? b : c) ? d : e", "(a ? b : c) ? d : e");
    check_expr("length(D) - 1 .. 1 by -1", "length(D) - 1..1 by -1");
    check_expr("[I | a' ; b | c]", "[I | a' ; b | c]");
    check_expr("[I | a]", "[I | a]");
    check_expr("[a ; b]", "[a ; b]");
    check_expr("[a, b,]", "[a, b]");
    check_expr("[]", "[]");
    check_expr("[i^2 for i in 1..3]", "[i^2 for i in 1..3]");
    check_expr("sum([G[i] for i in 1..4])", "sum(G[i] for i in 1..4)");
    check_expr("1e-3 + 2.50 + 7 + 1e300", "0.001 + 2.5 + 7 + 1e+300");
    check_expr("\"a\\\"\\\\\\n\"", "\"a\\\"\\\\\\n\"");
    check_expr("(dense(M) where { param M : real[3, 4] = normal(1), unit_columns, fixed })' * 2",
               "(dense(M) where { param M : real[3, 4] = normal(1), unit_columns, fixed })' * 2");
    check_expr("!(a && b) || c == 3", "!(a && b) || c == 3");
    check_expr("(a == b) == c", "(a == b) == c");
    check_expr("f(until: 1, by: 2, in: 3, let: prox)", "f(until: 1, by: 2, in: 3, let: prox)");
}

TEST(line_ends) {
    check_round_trip(
        "model m\n{\n let a = 1 +\n 2; let b = (a\n + 3)\n if a == 1 { b = 2 }\n else { b = 3 }\n\n\n}");
    check_round_trip("# only a comment");
    check_round_trip("");
    check_round_trip("\n\n\r\nfunction f(x) = x\r\n\tfunction g(x) =\r\n\tx;;");
    check_round_trip("\xef\xbb\xbf"
                     "function f(x) = x");
    check_round_trip("model m { lasso G[1] : X ~ D * G { lambda = 1; prox[i](z, t) = z; untied param a[i in "
                     "1..2] : real; tunable b[j] = 3 } }");
    check_round_trip("model m { dictionary D = conv(W)'\n where {\n param W : real[1]\n } }");
    check_round_trip("train m { data = a(\"b\")\n\n only = [D] }\nimport \"x.csc\"\nimport std.networks");
    check_round_trip("prox soft(z, t) of abs(z) = sign(z) * max(abs(z) - t, 0)");
    check_round_trip("solver s(X ~ chain(D) * G, each: solver, a = 3, b: int = 2) { repeat 3 until a < b { "
                     "a, G[i] = 1, 2 }\n return G }");
}

TEST(spans) {
    Cx *cx = cx_new();
    File *f = read_good(cx, "model m {\n    let a, bb = (1 + f(x)) * 2, 3\n    input X : real[1, H]\n}\n");
    const Def *m = f->defs[0];
    CHECK(m->span.line == 1 && m->span.col == 1 && m->span.end_line == 4 && m->span.end_col == 2);
    CHECK(m->name_span.col == 7 && m->name_span.end_col == 8);
    const Stmt *s = m->body[0];
    CHECK(s->span.line == 2 && s->span.col == 5 && s->span.end_col == 34);
    CHECK(s->name_spans[1].col == 12 && s->name_spans[1].end_col == 14);
    CHECK(s->values[0]->span.col == 17 && s->values[0]->span.end_col == 31);
    CHECK(s->values[0]->a->b->kind == EX_CALL && s->values[0]->a->b->span.col == 22 &&
          s->values[0]->a->b->span.end_col == 26);
    CHECK(m->body[1]->type->span.col == 15 && m->body[1]->type->dims[1]->span.col == 23);
    cx_free(cx);
}

static void check_errors(const char *text, size_t errors, const char *holds) {
    Cx *cx = cx_new();
    read_text(cx, text, strlen(text));
    char *m = messages(cx);
    if (cx->errors != errors || !strstr(m, holds)) FAIL("%zu errors:\n%s", cx->errors, m);
    free(m);
    cx_free(cx);
}

TEST(recovery) {
    check_errors("model m {\n let = 3\n let b = 4 5\n let c = (1 + \n let d = 5\n for in in 1..3 {\n x = 1\n "
                 "y = \n }\n output z z\n}\ntrian m { }\n",
                 6, "did you mean 'train'?");
    check_errors("model m {\n for i in 1..3 {\n x = 1\n output y\n}\ntrain m {\n epochs = 3\n}\n", 1,
                 "never closed");
    check_errors("model m {\n let a = f(1]\n let b = [1, f(2]\n let c = 3)\n}\n}\n", 4, "closes nothing");
    check_errors("model m { lasso G : X ~ D * G { lambda 3; prox = ; solve = f(; step = 1 }\n let = 2 }", 5,
                 "expected");
}

TEST(hostile) {
    enum { N = 200000 };
    char *s = malloc(N + 100);
    static const char *const parts[] = {"(",
                                        "[",
                                        "{",
                                        "-",
                                        "!",
                                        "1+",
                                        "1^",
                                        "a?b:",
                                        "f(",
                                        "a'",
                                        "a[1]",
                                        "[1|",
                                        "if a {} else ",
                                        "\"",
                                        "'",
                                        "x where {",
                                        "0",
                                        "9",
                                        "#",
                                        ";",
                                        "a,",
                                        "]",
                                        ")",
                                        "}",
                                        "=",
                                        "/*",
                                        "model m {",
                                        "\xff",
                                        "\xc3\xa9",
                                        "1 + "};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (int where = 0; where < 2; where++) {
            size_t n = (size_t)sprintf(s, "%s", where ? "model m { let a = " : "");
            if (!strncmp(parts[i], "if", 2) && where) n = (size_t)sprintf(s, "model m { ");
            while (n + strlen(parts[i]) < N) n += (size_t)sprintf(s + n, "%s", parts[i]);
            Cx *cx = cx_new();
            File *f = read_text(cx, s, n);
            CHECK(cx->errors > 0 || !where || *parts[i] == '#');
            FILE *out = fopen("/dev/null", "w");
            diag_print_all(cx, out, false);
            syntax_print(f, out);
            fclose(out);
            cx_free(cx);
        }
    free(s);
    Cx *cx = cx_new();
    read_text(cx, "let a\0b", 7);
    CHECK(cx->errors == 1);
    cx_free(cx);
    check_errors("function f() = 99999999999999999999", 1, "E0104");
    check_errors("function f() = 1e999", 1, "E0104");
    check_errors("function f() = \"abc", 1, "E0105");
}

int main(int argc, char **argv) {
    Case cases[] = {T(examples_round_trip), T(expressions), T(line_ends), T(spans), T(recovery), T(hostile)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
