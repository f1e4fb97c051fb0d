/* Two ways to write the same thing, in one program: outputs l1, l2, ... and r1, r2, ... that must be equal. */
#ifndef CSC_TESTS_PAIRS_H
#define CSC_TESTS_PAIRS_H
#include "check.h"
#include "model.h"
#include <stdarg.h>

/* Opens a program written with printf. */
static inline TestModel *pairs_open(int64_t batch, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline TestModel *pairs_open(int64_t batch, const char *fmt, ...) {
    char text[4000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    TestModel *m = model_open(text, "", batch);
    if (!m) FAIL("this does not build:\n%s", text);
    return m;
}

/* The outputs l1, l2, ... equal r1, r2, ...; closes the model. */
static inline void pairs_check(TestModel *m, const char *what, double tol) {
    Arena *a = arena_new();
    int n = 0;
    for (size_t i = 0; i < m->c.program->outputs.len; i++) {
        const char *name = m->c.program->outputs.at[i].name, *why = NULL;
        if (name[0] != 'l') continue;
        Value x = model_output(a, m, name, &why), y = why ? x : model_output(a, m, arena_printf(a, "r%s", name + 1), &why);
        double apart = why ? 0 : value_apart(&x, &y, m->batch);
        if (why || !(apart < tol)) FAIL("%s: %s differs by %g: %s", what, name, apart, why ? why : "");
        n++;
    }
    arena_free(a);
    model_close(m);
    CHECK(n > 0);
}
#endif
