/* How the compiler stops when it cannot go on. */
#include "base/trouble.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *pass_now = "start"; /* only for the last words of a dying process */

void trouble_set_pass(const char *name) { pass_now = name; }

void bug_at(const char *file, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "cscc: internal error in pass '%s' (%s:%d): ", pass_now, file, line);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\nThis is a bug of the compiler, whatever the input was. Please report it with the program.\n");
    va_end(ap);
    exit(3);
}

void machine_trouble(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "cscc: ");
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}
