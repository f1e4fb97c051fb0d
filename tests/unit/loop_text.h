/* Loops from text and back, for the tests of loop. */
#ifndef CSC_TESTS_LOOP_TEXT_H
#define CSC_TESTS_LOOP_TEXT_H
#include "loop/loop.h"
#include "check.h"
#include <string.h>

static inline LpModule *loop_of(Cx *cx, const char *text) { /* NULL after diagnostics */
    const char *keep = arena_strndup(cx->keep, text, strlen(text));
    return loop_read(cx, cx->keep, cx_add_source(cx, "sample", keep, strlen(keep)));
}

static inline LpModule *loop_must(Cx *cx, const char *text) {
    LpModule *m = loop_of(cx, text);
    if (!m) diag_print_all(cx, stdout, false);
    CHECK(m);
    return m;
}

/* What is printed reads as the same kernel and prints as the same text. */
static inline void round_trip(Cx *cx, const char *text) {
    LpModule *m = loop_must(cx, text);
    char *s[2];
    size_t n;
    for (int k = 0; k < 2; k++) {
        FILE *f = open_memstream(&s[k], &n);
        loop_print(m, f);
        fclose(f);
        LpModule *again = loop_must(cx, s[k]);
        CHECK(loop_kernel_equal(&m->kernels.at[0], &again->kernels.at[0]));
        CHECK(loop_kernel_hash(&m->kernels.at[0]) == loop_kernel_hash(&again->kernels.at[0]));
        m = again;
    }
    CHECK_STR(s[0], s[1]);
    free(s[0]);
    free(s[1]);
}
#endif
