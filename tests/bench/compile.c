/* From a program's text to code that can be called: bench_compile PROGRAM ENTRY[,ENTRY] [name=value ...]. Prints milliseconds from the start of
   `main` (read, compiled, loaded), whether the code came from the cache (CSC_CACHE), and the object's size. CSC_DIRECT: as cscc's --direct. With CSC_LIBRARY=FILE it also links that
   library, with CSC_TIMES it says how long each pass took. A measurement, not a test. */
#include "driver/link.h"
#include "driver/model.h"
#include "settings.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

int main(int argc, char **argv) {
    double begin = now();
    if (argc < 3) return fprintf(stderr, "usage: %s PROGRAM ENTRY[,ENTRY] [name=value ...]\n", argv[0]), 1;
    Cx *cx = cx_new();
    BuildSet set[SETTINGS_MOST];
    size_t nset;
    if (!settings_read(set, &nset, argv + 3, argc - 3)) return 1;
    const char *words[1] = {argv[1]}, *library = getenv("CSC_LIBRARY");
    Options o = {.command = CMD_TRAIN, .words = words, .nwords = 1, .set = set, .nset = nset, .cpu = getenv("CSC_CPU"), .threads = 1, .time_passes = true, .direct = getenv("CSC_DIRECT") != NULL};
    Compile c;
    bool ok = compile_read(&c, cx, &o) && compile_declare(&c);
    if (ok) {
        if (strstr(argv[2], "forward")) compile_want(&c, ENTRY_FORWARD, 0);
        if (strstr(argv[2], "backward")) compile_want(&c, ENTRY_BACKWARD, 0);
        if (strstr(argv[2], "step")) compile_want(&c, ENTRY_STEP, 0);
        ok = compile_model(&c, "llvm");
    }
    const csc_model *m = NULL;
    const char *why = "";
    if (!ok || !code_load(cx->keep, c.object, &m, &why)) {
        diag_print_all(cx, stderr, false);
        return fprintf(stderr, "%s\n", why), 1;
    }
    printf("ms %.2f cached %d object_bytes %zu\n", now() - begin, c.sched == NULL, c.object->len);
    if (library && !link_shared(cx, c.object->bytes, c.object->len, c.gpu, library)) return diag_print_all(cx, stderr, false), 1;
    if (getenv("CSC_TIMES")) compile_report(&c);
    return 0;
}
