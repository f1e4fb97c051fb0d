/* The harness of the unit tests: one line a case, "ok NAME" or "FAIL NAME: why (file:line)", exit 1 if any failed.
     TEST(name) { CHECK(x == 3); CHECK_NEAR(a, b, 1e-9); }      int main(...) { return run_tests(argc, argv, (Case[]){T(name), ...}, n); }
   A word on the command line runs only the cases whose name holds it. SKIP("why") leaves a case and counts it as skipped. */
#ifndef CSC_TESTS_CHECK_H
#define CSC_TESTS_CHECK_H
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Case {
    const char *name;
    void (*run)(void);
} Case;
static jmp_buf check_out;
static const char *check_name;
static int check_failed;
#define TEST(n) static void test_##n(void)
#define T(n) {#n, test_##n}
#define FAIL(...)                                                                                              \
    do {                                                                                                       \
        printf("FAIL %s: ", check_name);                                                                       \
        printf(__VA_ARGS__);                                                                                   \
        printf(" (%s:%d)\n", __FILE__, __LINE__);                                                              \
        fflush(stdout);                                                                                        \
        check_failed = 1;                                                                                      \
        longjmp(check_out, 1);                                                                                 \
    } while (0)
#define CHECK(c) do { if (!(c)) FAIL("%s", #c); } while (0)
#define CHECK_NEAR(x, y, tol)                                                                                  \
    do {                                                                                                       \
        double x_ = (x), y_ = (y);                                                                             \
        if (!(fabs(x_ - y_) <= (tol) * (1 + fabs(y_)))) FAIL("%s = %.17g, expected %.17g", #x, x_, y_);         \
    } while (0)
#define CHECK_STR(x, y)                                                                                        \
    do {                                                                                                       \
        const char *x_ = (x), *y_ = (y);                                                                       \
        if (strcmp(x_, y_)) FAIL("%s is \"%s\", expected \"%s\"", #x, x_, y_);                                  \
    } while (0)
#define SKIP(...)                                                                                              \
    do {                                                                                                       \
        printf("skip %s: ", check_name);                                                                       \
        printf(__VA_ARGS__);                                                                                   \
        printf("\n");                                                                                          \
        longjmp(check_out, 2);                                                                                 \
    } while (0)

static int run_tests(int argc, char **argv, const Case *cases, size_t n) {
    volatile int bad = 0;
    for (volatile size_t i = 0; i < n; i++) {
        int wanted = argc < 2;
        for (int k = 1; k < argc; k++) wanted |= strstr(cases[i].name, argv[k]) != NULL;
        if (!wanted) continue;
        check_name = cases[i].name;
        check_failed = 0;
        int how = setjmp(check_out);
        if (how == 0) {
            cases[i].run();
            printf("ok %s\n", cases[i].name);
        } else if (how == 1) bad = 1;
        fflush(stdout);
    }
    return bad;
}
#endif
