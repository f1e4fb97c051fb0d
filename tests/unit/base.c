/* Arenas, names, diagnostics. */
#include "base/diag.h"
#include "check.h"

TEST(arena_zeroes_and_aligns) {
    Arena *a = arena_new();
    for (int i = 1; i < 300; i += 7) {
        unsigned char *p = arena_alloc(a, (size_t)i * 1000);
        CHECK(((size_t)p & 15) == 0);
        for (int k = 0; k < i * 1000; k++) CHECK(p[k] == 0);
        memset(p, 255, (size_t)i * 1000);
    }
    arena_reset(a);
    CHECK(*(char *)arena_alloc(a, 1) == 0);
    arena_free(a);
}

TEST(names_are_one) {
    Cx *cx = cx_new();
    Name first = name_of(cx, "F1");
    for (int i = 0; i < 5000; i++) name_fmt(cx, "n%d", i);
    CHECK(name_of(cx, "F1") == first && name_ofn(cx, "F12", 2) == first && name_of(cx, "F2") != first);
    cx_free(cx);
}

TEST(nearest_name) {
    const char *names[] = {"relu", "soft", "soft_nonneg", "conv"};
    CHECK_STR(diag_nearest("rleu", names, 4), "relu");
    CHECK_STR(diag_nearest("soft_noneg", names, 4), "soft_nonneg");
    CHECK(diag_nearest("banana", names, 4) == NULL);
}

TEST(carets) {
    Cx *cx = cx_new();
    uint32_t f = cx_add_source(cx, "a.csc", "let x = 1\n  foo bar\n", 20);
    Diag *d = diag_error(cx, E_SYNTAX, (Span){f, 2, 3, 2, 6}, "no %s", "foo");
    diag_help(cx, d, "did you mean 'for'?");
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    diag_print_all(cx, out, false);
    fclose(out);
    CHECK_STR(text, "a.csc:2:3: error[E0101]: no foo\n    2 |   foo bar\n      |   ^^^\n      = help: did you mean 'for'?\n");
    free(text);
    cx_free(cx);
}

int main(int argc, char **argv) {
    return run_tests(argc, argv, (Case[]){T(arena_zeroes_and_aligns), T(names_are_one), T(nearest_name), T(carets)}, 4);
}
