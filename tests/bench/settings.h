/* name=value words of a command line, for programs that measure. */
#ifndef CSC_TESTS_SETTINGS_H
#define CSC_TESTS_SETTINGS_H
#include "driver/args.h"
#include <stdio.h>
#include <string.h>

enum { SETTINGS_MOST = 32 };

/* Cuts the words at '='; false: one has none, which was said. */
static inline bool settings_read(BuildSet *set, size_t *n, char **word, int words) {
    for (*n = 0; words > 0 && *n < SETTINGS_MOST; word++, words--) {
        char *eq = strchr(*word, '=');
        if (!eq) return fprintf(stderr, "name=value, not %s\n", *word), false;
        *eq = 0;
        set[(*n)++] = (BuildSet){*word, eq + 1};
    }
    return true;
}
#endif
